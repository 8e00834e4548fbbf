"""``synthema cert``: certified packages, verified, collected, taken in, withdrawn."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.canonical import parse_json_strictly
from synthema.cli.client import call, call_served
from synthema.cli.files import read_bytes, write_new
from synthema.cli.options import (
    HERE,
    HomeOption,
    KeyOption,
    OutputOption,
    PassphraseOption,
    PersonOption,
    open_key,
)
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table, working
from synthema.errors import InputError, IntegrityError

app = typer.Typer(help="Certificates: verify a package, collect it, take it in, load its rows, withdraw it.")

PackageArgument = Annotated[Path, typer.Argument(help="A certified package.", metavar="PACKAGE.zip")]
PurposeOption = Annotated[str, typer.Option("--purpose", help="What you mean to use it for, a term or its IRI.")]
CertificateArgument = Annotated[str, typer.Argument(help="Identifier of a certificate this connector issued.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it goes into the log.")]


@app.command("verify")
def verify(
    package: PackageArgument,
    purpose: PurposeOption,
    home: HomeOption = HERE,
    did: Annotated[
        list[Path] | None,
        typer.Option("--did", help="DID document of issuer or site, to check without a network; repeatable."),
    ] = None,
    status: Annotated[
        list[Path] | None,
        typer.Option("--status", help="Status list of the issuer, to check without a network; repeatable."),
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make every check a registry makes, without taking anything in; exits 6 when one fails.

    Example: synthema cert verify package.zip --purpose "health research" --home registry
    """
    offline = {
        "did_documents": [_document(path) for path in did or ()],
        "status_lists": [_document(path) for path in status or ()],
    }
    _check("certificate/verify", package, purpose, home, output, offline)


def _document(path: Path) -> dict[str, Any]:
    value = parse_json_strictly(read_bytes(path))
    if not isinstance(value, dict):
        raise InputError("this is not a JSON object", where=str(path), fix="give the document as it was published")
    return value


@app.command("ingest")
def ingest(
    package: PackageArgument, purpose: PurposeOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Take a package in, only if every check holds; exits 6 when one fails.

    Example: synthema cert ingest package.zip --purpose "health research" --home registry
    """
    _check("registry/ingest", package, purpose, home, output, {})


def _check(operation: str, package: Path, purpose: str, home: Path, output: Format, more: dict[str, Any]) -> None:
    value = {"package": base64.b64encode(read_bytes(package)).decode(), "purpose": purpose, **more}
    with working("Checking signatures, proofs, status and terms …"):
        report = call(home, operation, value)
    _show_report(report, output)


def _show_report(report: dict[str, Any], output: Format) -> None:
    answer(report, output, lambda found: say(*found["lines"], *_receipt(found)))
    if not report["ok"]:
        raise typer.Exit(IntegrityError.exit_status)


def _receipt(found: dict[str, Any]) -> list[str]:
    if "accepted" not in found:
        return []
    lines = [f"{'Taken in' if found['accepted'] else 'Refused'}; receipt: {found['receipt']}"]
    if found["quarantined"]:
        lines.append(f"It stays in quarantine. Next: synthema cert recheck {found['receipt']}")
    return lines + [str(owed) for owed in found["owed"]]


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


@app.command("issued")
def issued(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the certificates this connector issued: state, validity, who signed.

    Example: synthema cert issued --home hub
    """

    def text(found: list[dict[str, Any]]) -> None:
        rows = (
            (c["certificate"], c["state"], c["until"][:10], ", ".join(s.partition("#")[2] for s in c["signers"]))
            for c in found
        )
        show_table(("Certificate", "State", "Until", "Signed by"), rows, empty="No certificate was issued here yet.")

    answer(call(home, "certificate/list"), output, text)


@app.command("show")
def show(certificate: CertificateArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show a certificate in plain words.

    Example: synthema cert show http://…/certificate-… --home hub
    """
    found = call(home, "certificate/show", {"certificate": certificate})
    answer(found, output, lambda value: say(value["readme"], f"State: {value['state']}"))


@app.command("sign")
def sign(
    certificate: CertificateArgument,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Add a data protection officer's signature to a certificate; the dataset is offered anew with it.

    Example: synthema cert sign http://…/certificate-… --person person-… --key officer.pem --home hub
    """
    from synthema.certification.countersign import signing_bytes
    from synthema.clock import from_text

    found = call(home, "certificate/show", {"certificate": certificate})
    note(f"You sign: {found['document']['name']}, valid until {found['document']['validUntil'][:10]}.")
    # Made here from the certificate that is shown, so that nobody signs bytes they cannot read.
    statement = signing_bytes(found["document"], found["did"], person, from_text(found["now"]))
    value = {
        "certificate": certificate,
        "person": person,
        "created": found["now"],
        "signature": open_key(key, passphrase_file).sign(statement).hex(),
    }
    made = call(home, "certificate/sign", value)
    answer(made, output, lambda value: say("Signed by two.", f"The dataset is offered as {value['package']}."))


@app.command("list")
def list_holdings(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List what a registry holds, and in which standing.

    Example: synthema cert list --home registry
    """

    def text(holdings: list[dict[str, Any]]) -> None:
        rows = (
            (h["certificate"], h["state"], h["artefact"], ", ".join(load["target"] for load in h["loads"]) or "-")
            for h in holdings
        )
        show_table(("Certificate", "State", "Artefact", "Loaded into"), rows, empty="The registry holds nothing yet.")

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
