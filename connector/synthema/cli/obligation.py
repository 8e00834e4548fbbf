"""``synthema obligation``: what is owed, by whom and until when, and what shows that it was done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_json, write_new
from synthema.cli.options import HERE, HomeOption, KeyOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Obligations: dated tasks out of decisions, permits and law.")

ObligationArgument = Annotated[str, typer.Argument(help="Identifier of the obligation.", metavar="OBLIGATION")]
DueWithinOption = Annotated[
    str | None,
    typer.Option("--due-within", help="Only what is due in this time, e.g. P30D; overdue included.", metavar="TIME"),
]
PartyOption = Annotated[str | None, typer.Option("--party", help="Only what this party (did) owes.", metavar="DID")]


@app.command("list")
def list_obligations(
    *,
    due_within: DueWithinOption = None,
    party: PartyOption = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only about this dataset.")] = None,
    basis: Annotated[str | None, typer.Option("--basis", help="Only under this permit or agreement.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also what is done, waived or void.")] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List what is owed, the nearest date first.

    Example: synthema obligation list --due-within P30D --home clinic
    """
    asked = _asked(due_within, party) | {"dataset": dataset, "basis": basis, "all": every}
    answer(call(home, "obligation/list", asked), output, _list)


@app.command("show")
def show(obligation: ObligationArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show one obligation: who owes what, on which ground, until when, and what shows that it was done.

    Example: synthema obligation show obligation-… --home clinic
    """
    answer(call(home, "obligation/show", {"obligation": obligation}), output, _one)


@app.command("fulfil")
def fulfil(
    obligations: Annotated[list[str], typer.Argument(help="Identifiers of the obligations.", metavar="OBLIGATION...")],
    *,
    evidence: Annotated[
        str,
        typer.Option(
            "--evidence", help="What shows it: an entry of this log, a digest (sha256:…), or a public address."
        ),
    ],
    person: PersonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record that obligations were fulfilled, and what shows it.

    Example: synthema obligation fulfil obligation-… --evidence https://journal.example/1 --person person-…
    """
    value = {"obligations": obligations, "evidence": evidence, "person": person}
    answer(call(home, "obligation/fulfil", value), output, _sentences)


@app.command("breach")
def breach(
    obligation: ObligationArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help="What happened, in one sentence; it stands in the log.")],
    person: PersonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record as data protection officer that an obligation was broken; the party is denied until it is settled.

    Example: synthema obligation breach obligation-… --reason "published before the agreed date" --person person-…
    """
    value = {"obligation": obligation, "reason": reason, "person": person}
    answer(call(home, "obligation/breach", value), output, _one)


@app.command("sign")
def sign(
    obligation: ObligationArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why it is to be dropped; both people sign this reason.")],
    person: PersonOption,
    key: KeyOption,
    file: Annotated[Path, typer.Option("-o", "--output", help="File for the signature.", metavar="FILE")],
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Sign a waiver; with the files of two people: synthema obligation waive.

    Example: synthema obligation sign obligation-… --reason "no findings" --person person-… --key me.pem -o me.json
    """
    import json

    asked = call(home, "obligation/signing", {"obligation": obligation, "reason": reason})
    note(asked["sentence"])
    signature = open_key(key, passphrase_file).sign(bytes.fromhex(asked["sign"])).hex()
    signed = {"obligation": obligation, "reason": reason, "person": person, "signature": signature}
    write_new(file, json.dumps(signed, ensure_ascii=False, indent=2).encode())
    say(f"Signed: {file}")


@app.command("waive")
def waive(
    signatures: Annotated[list[Path], typer.Argument(help="Files of two signatures.", metavar="FILE...")],
    *,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Drop an obligation on the signatures of two people, one of them a data protection officer.

    Example: synthema obligation waive officer.json steward.json --home clinic
    """
    signed = [read_json(path) for path in signatures]
    approvals = [{"person": one.get("person"), "signature": one.get("signature")} for one in signed]
    value = {"obligation": signed[0].get("obligation"), "reason": signed[0].get("reason"), "approvals": approvals}
    answer(call(home, "obligation/waive", value), output, _one)


@app.command("calendar")
def calendar(
    *,
    due_within: DueWithinOption = None,
    party: PartyOption = None,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write a calendar file (.ics) instead of text.", metavar="FILE"),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show the deadlines month by month, or write them as a file for your calendar.

    Example: synthema obligation calendar -o obligations.ics --home clinic
    """
    form = "text" if file is None else "ics"
    made = call(home, "obligation/calendar", _asked(due_within, party) | {"format": form})
    if file is not None:
        write_new(file, str(made["text"]).encode())
        answer(made, output, lambda _value: say(f"Calendar: {file}"))
        return
    answer(made, output, lambda value: say(value["text"] or "Nothing has a date yet."))


def _asked(due_within: str | None, party: str | None) -> dict[str, Any]:
    return {"due_within": due_within, "party": party}


def _list(found: list[dict[str, Any]]) -> None:
    rows = ((o["due"][:10] if o["due"] else "", o["state"], o["sentence"], o["id"]) for o in found)
    show_table(("Due", "State", "What is owed", "Identifier"), rows, empty="Nothing is owed.")


def _one(found: dict[str, Any]) -> None:
    say(found["sentence"])
    for item in found["evidence"]:
        say(f"  shown on {item['at'][:10]} by {item['by']}: {item['value']}")
    if found["evidenceType"] and not found["evidence"]:
        say(f"  to be shown by: {found['evidenceType']}")
    for run in found.get("runs", []):
        say(f"  from the decision on {run}")


def _sentences(found: list[dict[str, Any]]) -> None:
    say(*(one["sentence"] for one in found))
