"""``synthema consent``: what patients agreed to, took back, and who is left out because of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text, write_new
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Consent: what patients agreed to, refused, withdrew or opted out of.")


class Kind(StrEnum):
    """The form of a list."""

    CSV = "csv"
    CDE = "cde"
    FHIR = "fhir"


class GivenBy(StrEnum):
    """Who agreed."""

    SELF = "self"
    PARENT = "parent"
    GUARDIAN = "guardian"


class Level(StrEnum):
    """How much is taken back."""

    CONTACT = "no-further-contact"
    ACCESS = "no-further-access"
    USE = "no-further-use"


class Form(StrEnum):
    """The form of a receipt."""

    TURTLE = "turtle"
    JSON = "json"


PatientArgument = Annotated[
    str, typer.Argument(help="The patient's key in the dataset; neither kept nor logged.", metavar="PATIENT")
]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Name of the dataset the patient is in.")]
DatasetArgument = Annotated[str, typer.Argument(help="Name of the dataset.", metavar="DATASET")]
ByOption = Annotated[
    str | None,
    typer.Option("--person", help="Your role account, for the log.", metavar="ID", show_default=False),
]


@app.command("give")
def give(
    patient: PatientArgument,
    *,
    dataset: DatasetOption,
    item: Annotated[
        list[str] | None, typer.Option("--item", help="A box that is ticked, e.g. linkage; repeat it.")
    ] = None,
    purpose: Annotated[
        list[str] | None, typer.Option("--purpose", help="A purpose agreed to; repeat it. Without: no bound.")
    ] = None,
    legal_basis: Annotated[
        str | None, typer.Option("--legal-basis", help="Where it is not that of the dataset, e.g. A9-2-a.")
    ] = None,
    notice: Annotated[str | None, typer.Option("--notice", help="Version of the notice that was shown.")] = None,
    valid_to: Annotated[
        str | None, typer.Option("--valid-to", help="First day on which it no longer counts.", metavar="DATE")
    ] = None,
    given_by: Annotated[
        GivenBy, typer.Option("--given-by", help="Who agreed: the person, a parent or a guardian.")
    ] = GivenBy.SELF,
    birth_date: Annotated[
        str | None, typer.Option("--birth-date", help="Of a minor, with a parent; it is not kept.", metavar="DATE")
    ] = None,
    guardian_until: Annotated[
        str | None, typer.Option("--guardian-until", help="Day a guardianship ends.", metavar="DATE")
    ] = None,
    country: Annotated[str | None, typer.Option("--country", help="Two letters, for the age of majority.")] = None,
    person: ByOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record that a patient agrees, or agrees again (GDPR Art. 7).

    Example: synthema consent give K-17 --dataset mgus --item secondary-use --item linkage --notice 2.1 --home clinic
    """
    value = {
        "dataset": dataset,
        "patient": patient,
        "items": item or None,
        "purposes": purpose or None,
        "legal_basis": legal_basis,
        "notice": notice,
        "valid_to": valid_to,
        "given_by": given_by.value,
        "birth_date": birth_date,
        "guardian_until": guardian_until,
        "country": country,
        "person": person,
    }
    answer(call(home, "consent/give", value), output, _say_changed)


@app.command("refuse")
def refuse(
    patient: PatientArgument,
    *,
    dataset: DatasetOption,
    person: ByOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record that a patient who was asked says no.

    Example: synthema consent refuse K-17 --dataset mgus --home clinic
    """
    value = {"dataset": dataset, "patient": patient, "person": person}
    answer(call(home, "consent/refuse", value), output, _say_changed)


@app.command("withdraw")
def withdraw(
    patient: PatientArgument,
    *,
    dataset: DatasetOption,
    level: Annotated[
        Level, typer.Option("--level", help="How much is taken back: contact, access to new data, or all use.")
    ] = Level.USE,
    person: ByOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record that a patient takes consent back, from now on and whatever was permitted before (GDPR Art. 7(3)).

    Example: synthema consent withdraw K-17 --dataset mgus --home clinic
    """
    value = {"dataset": dataset, "patient": patient, "level": level.value, "person": person}
    answer(call(home, "consent/withdraw", value), output, _say_changed)


@app.command("opt-out")
def opt_out(
    patient: PatientArgument, person: ByOption = None, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Record that a patient opts out of secondary use, without a reason (EHDS Art. 71(1)).

    Example: synthema consent opt-out K-17 --home clinic
    """
    done = call(home, "consent/opt-out", {"patient": patient, "person": person})
    sentence = (
        "This person has opted out: permits approved from now on do not reach their records, in any dataset of this "
        "site that does not rest on their consent (EHDS Art. 71(3))."
    )
    answer(done, output, lambda value: say(sentence, f"Exclusion list version {value['version']}."))


@app.command("opt-in")
def opt_in(
    patient: PatientArgument, person: ByOption = None, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Record that a patient takes an opt-out back (EHDS Art. 71(1)).

    Example: synthema consent opt-in K-17 --home clinic
    """
    done = call(home, "consent/opt-in", {"patient": patient, "person": person})
    sentence = "This person's opt-out is reversed from now on."
    answer(done, output, lambda value: say(sentence, f"Exclusion list version {value['version']}."))


@app.command("show")
def show(
    patient: PatientArgument,
    *,
    dataset: DatasetOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show all that is known of one patient's consent, oldest first, and whether it counts now.

    Example: synthema consent show K-17 --dataset mgus --home clinic
    """
    answer(call(home, "consent/show", {"dataset": dataset, "patient": patient}), output, _show)


@app.command("list")
def list_states(dataset: DatasetArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List how many people of a dataset are in each state; numbers only.

    Example: synthema consent list mgus --home clinic
    """

    def tell(value: dict[str, Any]) -> None:
        rows = [*value["states"].items(), *(("opt-outs of the site: " + k, n) for k, n in value["optOuts"].items())]
        show_table(("State", "People"), rows, empty="No consent is on record.")

    answer(call(home, "consent/list", {"dataset": dataset}), output, tell)


@app.command("status")
def status(dataset: DatasetArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Say whether the lists of a dataset are up to date, and how many people may be read for health research.

    Example: synthema consent status mgus --home clinic
    """

    def tell(value: dict[str, Any]) -> None:
        hours = value["optOutListHours"]
        age = (
            "No list with opt-outs was imported yet; a decision that asks for its age denies."
            if hours is None
            else f"The opt-outs were brought up to date {hours} hours ago (import a list with opt_out_date again)."
        )
        say(value["sentence"], age)

    answer(call(home, "consent/status", {"dataset": dataset}), output, tell)


@app.command("exclusions")
def exclusions(
    dataset: DatasetArgument,
    *,
    purpose: Annotated[str | None, typer.Option("--purpose", help="Purpose of the use, by name or IRI.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Action, by name or IRI.")] = None,
    place: Annotated[str | None, typer.Option("--place", help="Where the recipient is established.")] = None,
    for_profit: Annotated[
        bool | None, typer.Option("--for-profit/--not-for-profit", help="Whether the recipient makes a profit.")
    ] = None,
    disease: Annotated[str | None, typer.Option("--disease", help="The disease that is studied.")] = None,
    contact: Annotated[bool, typer.Option("--contact", help="People are to be contacted.")] = False,
    permit_approved_at: Annotated[
        str | None,
        typer.Option("--permit-approved-at", help="When the permit was approved (EHDS Art. 71(3)).", metavar="TIME"),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say who would be left out of a use, in numbers by reason, as a signed statement.

    Example: synthema consent exclusions mgus --purpose "training of algorithms" --for-profit --home clinic
    """
    value = {
        "dataset": dataset,
        "purpose": purpose,
        "action": action,
        "place": place,
        "for_profit": for_profit,
        "disease": disease,
        "contact": contact,
        "permit_approved_at": permit_approved_at,
    }
    answer(
        call(home, "consent/exclusions", value),
        output,
        lambda found: say(found["sentence"], f"Asked of each consent: {', '.join(found['statement']['asked'])}."),
    )


@app.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(help="The list, in the form that --kind names.", metavar="FILE")],
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="Name of the dataset the patients are in.")],
    kind: Annotated[
        Kind, typer.Option("--kind", help="csv: patient_key, state, date; cde: elements 7.1 to 7.4; fhir: R4 Consent.")
    ] = Kind.CSV,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would change and what is wrong.")
    ] = False,
    person: ByOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take in a consent list; every line must be right, or none is taken.

    Example: synthema consent import consents.csv --dataset mgus --dry-run --home clinic
    """
    value = {
        "dataset": dataset,
        "file": file.name,
        "table": read_text(file),
        "kind": kind.value,
        "dry_run": dry_run,
        "person": person,
    }
    taken = call(home, "consent/import", value)
    answer(taken, output, lambda report: _say_import(dataset, report))
    if taken["problems"]:
        raise typer.Exit(2)


@app.command("notice")
def keep_notice(
    file: Annotated[Path, typer.Argument(help="The notice as YAML (ISO/IEC TS 27560).", metavar="NOTICE.yaml")],
    person: ByOption = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Keep a version of the notice that people are shown; records name it, and receipts quote it.

    Example: synthema consent notice notice.yaml --home clinic
    """
    kept = call(home, "consent/notice", {"text": read_text(file), "file": file.name, "person": person})
    answer(kept, output, lambda value: say(f"Version {value['version']} of '{value['title']}' is kept."))


@app.command("receipt")
def receipt(
    patient: PatientArgument,
    *,
    dataset: DatasetOption,
    form: Annotated[Form, typer.Option("--form", help="Turtle, or JSON-LD.")] = Form.TURTLE,
    whole_record: Annotated[
        bool, typer.Option("--whole-record", help="The record with every event instead of the receipt.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; never overwritten.", metavar="FILE", show_default=False),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write a patient's consent receipt, to be handed to them (ISO/IEC TS 27560, GDPR Art. 7(1)).

    Example: synthema consent receipt K-17 --dataset mgus -o receipt.ttl --home clinic
    """
    import json

    value = {"dataset": dataset, "patient": patient, "form": form.value, "whole_record": whole_record}
    made = call(home, "consent/receipt", value)
    document = made["document"]
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if file is not None:
        write_new(file, text.encode())
        note(f"Written to {file}.")
    answer(made, output, lambda _: None if file is not None else say(text.rstrip()))


@app.command("close-matching")
def close_matching(
    dataset: DatasetArgument, person: ByOption = None, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Match a dataset with opt-outs for the last time, before its pseudonymisation key is destroyed (EHDS Art. 71(8)).

    Example: synthema consent close-matching mgus --home clinic
    """
    done = call(home, "consent/close-matching", {"dataset": dataset, "person": person})
    sentence = (
        "{} people who opted out are left out of this version for good. The key may be destroyed now; later opt-outs "
        "do not reach these records, since nobody in them can be identified any more (EHDS Art. 71(3), 71(8))."
    )
    answer(done, output, lambda value: say(sentence.format(value["leftOutForGood"])))


def _say_changed(value: dict[str, Any]) -> None:
    say(f"The consent is now {value['state']} (exclusion list version {value['version']}).", value["sentence"])


def _say_import(dataset: str, report: dict[str, Any]) -> None:
    changes = [f"  {state}: {count}" for state, count in report["changes"].items()]
    if report["kept"]:
        say(
            f"The consent list of {dataset} is in force (version {report['version']}).",
            *(f"  {state}: {count}" for state, count in report["states"].items()),
        )
        return
    left = f"; {report['unchanged']} people stay as they are" if report["unchanged"] else ""
    say(f"Nothing was changed. The list names {report['people']} people{left}. It would change to:", *changes)
    if report["problems"]:
        say(f"It would be refused for {len(report['problems'])} reasons:")
        say(*(f"  {problem['text']}" for problem in report["problems"]))


def _show(value: dict[str, Any]) -> None:
    rows = [
        (each["since"][:10], each["state"], each["level"], ", ".join(each["items"]), each["givenBy"], each["notice"])
        for each in value["history"]
    ]
    show_table(("Since", "State", "Taken back", "Boxes", "Given by", "Notice"), rows, empty="No consent is on record.")
    if value["optOut"] is not None:
        say(f"Opt-out: {value['optOut']}")
    say(value["sentence"])
