"""``synthema cert`` at a registry: quarantine, catalogue, targets, users and their notices, receipts, doubts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table, working
from synthema.errors import IntegrityError

_PANEL = "At a registry"
ReceiptArgument = Annotated[str, typer.Argument(help="Receipt of the attempt, as 'ingest' printed it.")]
ArtefactArgument = Annotated[str, typer.Argument(help="Digest of the dataset, sha256:…")]
UserOption = Annotated[
    str | None, typer.Option("--user", help="Role account, office or did; never a name.", show_default=False)
]


class TargetKind(StrEnum):
    """Where rows can be put."""

    PARQUET = "parquet"
    POSTGRES = "postgres"
    FHIR = "fhir"


def add_to(app: typer.Typer) -> None:
    """Put these commands beside those for single packages."""
    for name, command in (
        ("quarantine", quarantine),
        ("recheck", recheck),
        ("discard", discard),
        ("refresh", refresh),
        ("catalogue", catalogue),
        ("load", load),
        ("user", note_user),
        ("notices", notices),
        ("seen", seen),
        ("receipts", receipts),
        ("doubts", doubts),
    ):
        app.command(name, rich_help_panel=_PANEL)(command)


def quarantine(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the refused packages that can still be looked into, and what each failed.

    Example: synthema cert quarantine --home registry
    """

    def text(found: list[dict[str, Any]]) -> None:
        rows = (
            (row["receipt"], row["at"], ", ".join(str(c["number"]) for c in row["failed"]), row["certificate"] or "-")
            for row in found
        )
        show_table(("Receipt", "Refused at", "Failed checks", "Certificate"), rows, empty="Quarantine is empty.")

    answer(call(home, "registry/quarantine"), output, text)


def recheck(receipt: ReceiptArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Check a refused package once more and take it in if every check holds now; exits 6 when one fails.

    Example: synthema cert recheck ingest-… --home registry
    """
    with working("Checking signatures, proofs, status and terms …"):
        report = call(home, "registry/recheck", {"receipt": receipt})
    answer(report, output, lambda found: say(*found["lines"], "Taken in." if found["accepted"] else "Refused again."))
    if not report["ok"]:
        raise typer.Exit(IntegrityError.exit_status)


def discard(
    receipt: ReceiptArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the log.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Delete a refused package from quarantine.

    Example: synthema cert discard ingest-… --reason "the issuer sent another one" --home registry
    """
    value = {"receipt": receipt, "reason": reason}
    answer(call(home, "registry/discard", value), output, lambda _: say("The package is deleted from quarantine."))


def refresh(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Look at the issuers' status lists now: take out what lost its standing, and tell its users.

    Example: synthema cert refresh --home registry
    """

    def text(changes: list[dict[str, Any]]) -> None:
        rows = ((c["certificate"] or "-", c["event"], c["reason"]) for c in changes)
        show_table(("Certificate", "What happened", "Why"), rows, empty="Nothing has changed.")

    answer(call(home, "registry/refresh"), output, text)


def catalogue(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the catalogue of datasets in good standing; as JSON it is HealthDCAT-AP.

    Example: synthema cert catalogue --home registry --format json
    """

    def text(value: dict[str, Any]) -> None:
        rows = (
            (record["dct:title"]["@value"], record["healthdcatap:numberOfRecords"]["@value"], record["@id"])
            for record in value["dcat:dataset"]
        )
        show_table(("Dataset", "Rows", "Identifier"), rows, empty="No dataset is in good standing here.")

    answer(call(home, "registry/catalogue"), output, text)


def load(
    artefact: ArtefactArgument,
    to: Annotated[TargetKind, typer.Option("--to", help="Where to: a file, a database table, or a FHIR R4 bundle.")],
    user: UserOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put the rows of a dataset in good standing where they are worked with.

    Example: synthema cert load sha256:… --to parquet --user office:haematology --home registry

    PostgreSQL needs a connection string in secrets/registry-postgres. Rows are taken away again when the
    certificate is suspended or revoked, and the user is told.
    """
    value = {"artefact": artefact, "target": str(to), "user": user}
    answer(call(home, "registry/load", value), output, lambda made: say(f"Loaded into {made['place']}"))


def note_user(
    artefact: ArtefactArgument,
    user: Annotated[str, typer.Argument(help="Role account, office or did; never a name.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Remember that someone uses a dataset, who is then told when it is taken out.

    Example: synthema cert user sha256:… office:haematology --home registry
    """
    value = {"artefact": artefact, "user": user}
    answer(call(home, "registry/user", value), output, lambda made: say(f"{made['user']} will be told."))


def notices(
    *,
    user: UserOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were seen, too.")] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List what users were told of datasets that were taken out or came back.

    Example: synthema cert notices --user office:haematology --home registry
    """

    def text(found: list[dict[str, Any]]) -> None:
        rows = ((n["id"], n["at"], n["user"], n["text"]) for n in found)
        show_table(("Notice", "At", "To", "What was told"), rows, empty="There is nothing to tell.")

    answer(call(home, "registry/notices", {"user": user, "unseen": not everything}), output, text)


def seen(
    notice: Annotated[str, typer.Argument(help="Identifier of the notice.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Note that a notice was seen.

    Example: synthema cert seen notice-… --home registry
    """
    answer(call(home, "registry/seen", {"notice": notice}), output, lambda _: say("Noted."))


def receipts(
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="Only those of one certificate.", show_default=False)
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the signed receipts that registries sent an issuer, or that this registry sent.

    Example: synthema cert receipts --home hub
    """

    def text(found: list[dict[str, Any]]) -> None:
        rows = ((r["at"], r["direction"], r["peer"], r["event"], "yes" if r["delivered"] else "no") for r in found)
        show_table(("At", "Direction", "Peer", "What", "Delivered"), rows, empty="There are no receipts yet.")

    answer(call(home, "certificate/receipts", {"certificate": certificate}), output, text)


def doubts(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the doubts of sites whose post-release gates no longer hold; the certificates are suspended already.

    Example: synthema cert doubts --home hub
    """

    def text(found: list[dict[str, Any]]) -> None:
        rows = (
            (d["since"], d["direction"], d["peer"], d["sentence"], "yes" if d["delivered"] else "no") for d in found
        )
        show_table(("Since", "Direction", "Peer", "What", "Delivered"), rows, empty="There are no doubts.")

    answer(call(home, "certificate/doubts"), output, text)
