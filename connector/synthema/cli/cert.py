"""``synthema cert``: certified packages, verified, collected, taken in, withdrawn."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call, call_served
from synthema.cli.files import read_bytes, write_new
from synthema.cli.options import HERE, HomeOption, OutputOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table, working
from synthema.errors import IntegrityError

app = typer.Typer(help="Certificates: verify a package, collect it, take it in, withdraw it.")

PackageArgument = Annotated[Path, typer.Argument(help="A certified package.", metavar="PACKAGE.zip")]
PurposeOption = Annotated[str, typer.Option("--purpose", help="What you mean to use it for, a term or its IRI.")]
CertificateArgument = Annotated[str, typer.Argument(help="Identifier of a certificate this connector issued.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it goes into the log.")]


@app.command("verify")
def verify(
    package: PackageArgument, purpose: PurposeOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Make every check a registry makes, without taking anything in; exits 6 when one fails.

    Example: synthema cert verify package.zip --purpose "health research" --home registry
    """
    _check("certificate/verify", package, purpose, home, output)


@app.command("ingest")
def ingest(
    package: PackageArgument, purpose: PurposeOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Take a package in, only if every check holds; exits 6 when one fails.

    Example: synthema cert ingest package.zip --purpose "health research" --home registry
    """
    _check("registry/ingest", package, purpose, home, output)


def _check(operation: str, package: Path, purpose: str, home: Path, output: Format) -> None:
    value = {"package": base64.b64encode(read_bytes(package)).decode(), "purpose": purpose}
    with working("Checking signatures, proofs, status and terms …"):
        report = call(home, operation, value)
    answer(report, output, lambda found: say(*found["lines"], *_receipt(found)))
    if not report["ok"]:
        raise typer.Exit(IntegrityError.exit_status)


def _receipt(found: dict[str, Any]) -> list[str]:
    if "accepted" not in found:
        return []
    return [f"{'Taken in' if found['accepted'] else 'Refused'}; receipt: {found['receipt']}"]


@app.command("collect")
def collect(
    hub: Annotated[str, typer.Option("--hub", help="Identifier of the hub, did:web:…")],
    package: Annotated[str, typer.Option("--package", help="Digest of the package in the hub's catalogue, sha256:…")],
    file: OutputOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Negotiate for a released dataset and fetch its package; this connector must be running.

    Example: synthema cert collect --hub did:web:hub.example --package sha256:… -o package.zip --home registry
    """
    with working("Negotiating with the hub …"):
        found = call_served(home, "registry/collect", {"hub": hub, "package": package})
    write_new(file, base64.b64decode(found["package"]))
    answer(
        {"agreement": found["agreement"], "file": str(file)},
        output,
        lambda value: say(f"{file} is here under {value['agreement']}. Next: synthema cert verify {file}"),
    )


@app.command("list")
def list_holdings(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List what a registry holds, and in which standing.

    Example: synthema cert list --home registry
    """

    def text(holdings: list[dict[str, Any]]) -> None:
        rows = ((h["certificate"], h["state"], h["artefact"]) for h in holdings)
        show_table(("Certificate", "State", "Artefact"), rows, empty="The registry holds nothing yet.")

    answer(call(home, "registry/list"), output, text)


@app.command("suspend")
def suspend(
    certificate: CertificateArgument, reason: ReasonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Suspend a certificate until it is reinstated or revoked.

    Example: synthema cert suspend urn:… --reason "a site doubts its evidence" --home hub
    """
    _change(certificate, "suspend", reason, home, output)


@app.command("reinstate")
def reinstate(
    certificate: CertificateArgument, reason: ReasonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Put a suspended certificate in force again.

    Example: synthema cert reinstate urn:… --reason "the doubt is resolved" --home hub
    """
    _change(certificate, "reinstate", reason, home, output)


@app.command("revoke")
def revoke(
    certificate: CertificateArgument, reason: ReasonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Revoke a certificate for ever.

    Example: synthema cert revoke urn:… --reason "the evidence was wrong" --home hub
    """
    _change(certificate, "revoke", reason, home, output)


def _change(certificate: str, change: str, reason: str, home: Path, output: Format) -> None:
    done = {"suspend": "suspended", "reinstate": "in force again", "revoke": "revoked for ever"}[change]
    value = {"certificate": certificate, "change": change, "reason": reason}
    answer(call(home, "certificate/status", value), output, lambda _: say(f"{certificate} is {done}."))
