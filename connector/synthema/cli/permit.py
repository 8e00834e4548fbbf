"""``synthema permit``: data permits (EHDS Art. 68): applied for, granted, taken in, ended, shown and published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_json, read_text, write_new
from synthema.cli.options import (
    HERE,
    HomeOption,
    KeyOption,
    OutputOption,
    PassphraseOption,
    PersonOption,
    open_key,
)
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Data permits: apply, grant, take in, extend, end, show, publish.")

PermitArgument = Annotated[str, typer.Argument(help="Identifier of the permit.", metavar="PERMIT")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in one sentence; it stands in the log.")]


@app.command("apply")
def apply(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    *,
    purpose: Annotated[str, typer.Option("--purpose", help="Purpose, by name or IRI (EHDS Art. 53).")],
    person: PersonOption,
    specification: Annotated[str, typer.Option("--specification", help="What is needed of the data, in words.")],
    justification: Annotated[
        str,
        typer.Option(
            "--justification",
            help="Why anonymised data do not suffice (EHDS Art. 66(3)); left out, an anonymised table is asked for.",
        ),
    ] = "",
    days: Annotated[int, typer.Option("--days", help="How long the permit is to last, at most ten years.")] = 365,
    persons: Annotated[
        list[str] | None, typer.Option("--with", help="Role account of another person who will work with the data.")
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tool", help="Plugin to use; any approved one if left out.")
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Apply for a permit; a data protection officer grants it.

    Example: synthema permit apply mgus --purpose ehds:HealthcareScientificResearch --person person-…
    --specification "survival and laboratory values" --justification "models need single records" --home clinic
    """
    value = {
        "dataset": dataset,
        "purpose": purpose,
        "person": person,
        "specification": specification,
        "justification": justification,
        "days": days,
        "persons": persons or [],
        "tools": tools or [],
    }
    answer(call(home, "permit/apply", value), output, lambda made: say(f"Permit: {made['permit']} ({made['state']})"))


@app.command("grant")
def grant(
    permit: PermitArgument,
    *,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Policy in the form (L4); derived from the permit if left out.", metavar="FILE"),
    ] = None,
    epsilon: Annotated[float, typer.Option("--epsilon", help="Privacy loss that may be spent under the permit.")],
    delta: Annotated[float, typer.Option("--delta", help="Its δ.")] = 1e-5,
    total_epsilon: Annotated[
        float | None, typer.Option("--total-epsilon", help="What all recipients of the dataset together may spend.")
    ] = None,
    release_epsilon: Annotated[
        float | None, typer.Option("--release-epsilon", help="What one release may spend; all of it if left out.")
    ] = None,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Grant a permit as data protection officer: permit, policy and privacy budget come into force together.

    Example: synthema permit grant permit-… --epsilon 4 --person person-… --key officer.pem
    """
    terms = {
        "permit": permit,
        "policy": "" if policy is None else read_text(policy),
        "epsilon": epsilon,
        "delta": delta,
        "total_epsilon": total_epsilon or epsilon,
        "release_epsilon": release_epsilon,
    }
    asked = call(home, "permit/signing", terms)
    note(*asked["permitSentences"], "", *asked["sentences"])
    signature = open_key(key, passphrase_file).sign(bytes.fromhex(asked["sign"])).hex()
    granted = call(home, "permit/grant", terms | {"person": person, "signature": signature})
    answer(granted, output, lambda value: say(f"The permit is {value['state']} until {value['validTo']}."))


@app.command("refuse")
def refuse(
    permit: PermitArgument,
    *,
    person: PersonOption,
    reason: ReasonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Refuse an application as data protection officer.

    Example: synthema permit refuse permit-… --person person-… --reason "the purpose is not research" --home clinic
    """
    _end("permit/refuse", permit, person, reason, home, output)


@app.command("revoke")
def revoke(
    permit: PermitArgument,
    *,
    person: PersonOption,
    reason: ReasonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Revoke a permit: what it permitted is denied from now on, and runs under way give nothing more.

    Example: synthema permit revoke permit-… --person person-… --reason "the study ended" --home clinic
    """
    _end("permit/revoke", permit, person, reason, home, output)


@app.command("suspend")
def suspend(
    permit: PermitArgument,
    *,
    person: PersonOption,
    reason: ReasonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Suspend a permit until it is resumed or revoked (EHDS Art. 63).

    Example: synthema permit suspend permit-… --person person-… --reason "a breach is looked into" --home clinic
    """
    _end("permit/suspend", permit, person, reason, home, output)


@app.command("resume")
def resume(
    permit: PermitArgument, *, person: PersonOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """End the suspension of a permit.

    Example: synthema permit resume permit-… --person person-… --home clinic
    """
    answer(call(home, "permit/resume", {"permit": permit, "person": person}), output, _state)


@app.command("extend")
def extend(
    permit: PermitArgument,
    *,
    valid_to: Annotated[str, typer.Option("--valid-to", help="The new last day, e.g. 2031-12-31.", metavar="DAY")],
    person: PersonOption,
    reason: ReasonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Extend a permit in force, once, by at most ten years (EHDS Art. 68(12)).

    Example: synthema permit extend permit-… --valid-to 2031-12-31 --person person-… --reason "follow-up" --home clinic
    """
    value = {"permit": permit, "valid_to": valid_to, "person": person, "reason": reason}
    answer(call(home, "permit/extend", value), output, _state)


@app.command("show")
def show(permit: PermitArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show a permit point by point (EHDS Art. 68(10)), with its policy in sentences.

    Example: synthema permit show permit-… --home clinic
    """
    answer(call(home, "permit/show", {"permit": permit}), output, _show)


@app.command("export")
def export(
    permit: PermitArgument, *, file: OutputOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT
) -> None:
    """Write a permit as its issuer signed it, a verifiable credential.

    Example: synthema permit export permit-… -o permit.json --home clinic
    """
    from synthema.canonical import canonical_json

    signed = call(home, "permit/export", {"permit": permit})
    write_new(file, canonical_json(signed))
    answer(signed, output, lambda value: say(f"Signed by {value['issuer']}: {file}"))


@app.command("import")
def import_permit(
    file: Annotated[Path, typer.Argument(help="The signed permit.", metavar="FILE")],
    *,
    person: PersonOption,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check and take in a permit that a health data access body signed; grant admits it.

    Example: synthema permit import permit.json --person person-… --home clinic
    """
    taken = call(home, "permit/import", {"document": read_json(file), "person": person})
    answer(taken, output, lambda made: say(f"Taken in: {made['permit']}. Admit it with: synthema permit grant"))


@app.command("register")
def register(
    *,
    form: Annotated[str, typer.Option("--format", help="csv, json or markdown.", metavar="FORM")] = "markdown",
    file: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this file instead of the screen.", metavar="FILE")
    ] = None,
    home: HomeOption = HERE,
) -> None:
    """Publish who has access to what for which purpose (EHDS Art. 58), and the figures of Article 59.

    Example: synthema permit register --format csv -o permits.csv --home clinic
    """
    import json

    made = call(home, "permit/register", {"format": form})
    text = made["text"] if "text" in made else json.dumps(made, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if file is None:
        say(text.rstrip("\n"))
        return
    write_new(file, text.encode())
    say(f"Register: {file}")


@app.command("list")
def list_permits(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the permits of a site, the newest first.

    Example: synthema permit list --home clinic
    """
    answer(call(home, "permit/list"), output, _list)


@app.command("attest")
def attest(
    party: Annotated[str, typer.Argument(help="The party, as did:web:…", metavar="DID")],
    *,
    evidence: Annotated[str, typer.Option("--evidence", help="The act, register entry or letter that was seen.")],
    valid_to: Annotated[str, typer.Option("--valid-to", help="Last day it counts, e.g. 2028-12-31.", metavar="DAY")],
    signers: Annotated[
        list[str], typer.Option("--signer", help="Two of them: person=key file.", metavar="PERSON=FILE")
    ],
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Confirm with two signatures that a party is a public sector body (EHDS Art. 53(2)).

    Example: synthema permit attest did:web:agency.example --evidence "Act of 2019, s. 3" --valid-to 2028-12-31
    --signer person-1=officer.pem --signer person-2=steward.pem
    """
    from synthema.cli.options import assignments

    confirmed = {"subject": party, "evidence": evidence, "valid_to": valid_to}
    data = bytes.fromhex(call(home, "attestation/signing", confirmed)["sign"])
    approvals = [
        {"person": person, "signature": open_key(Path(file), passphrase_file).sign(data).hex()}
        for person, file in assignments(signers, "--signer").items()
    ]
    made = call(home, "attestation/make", confirmed | {"approvals": approvals})
    answer(made, output, lambda value: say(f"Confirmed until {value['validTo']}: {value['attestation']}"))


@app.command("attestations")
def attestations(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List which parties are confirmed to be public sector bodies, and on what.

    Example: synthema permit attestations --home clinic
    """
    answer(call(home, "attestation/list"), output, _attestations)


def _end(operation: str, permit: str, person: str, reason: str, home: Path, output: Format) -> None:
    answer(call(home, operation, {"permit": permit, "person": person, "reason": reason}), output, _state)


def _state(permit: dict[str, Any]) -> None:
    say(f"The permit is {permit['state']}.")


def _show(permit: dict[str, Any]) -> None:
    say(f"{permit['permit']} ({permit['state']})", *permit["permitSentences"])
    if permit["sentences"]:
        say("", "As policy:", *permit["sentences"])
    say("", f"{len(permit['obligations'])} obligations are open: synthema obligation list --basis {permit['permit']}")


def _list(permits: list[dict[str, Any]]) -> None:
    rows = ((p["permit"], ", ".join(p["datasets"]), p["purpose"], p["state"], p["validTo"]) for p in permits)
    show_table(("Identifier", "Datasets", "Purpose", "State", "Valid to"), rows, empty="No permit was applied for.")


def _attestations(found: list[dict[str, Any]]) -> None:
    rows = ((a["subject"], "yes" if a["counts"] else "no", a["validTo"], a["basis"], a["evidence"]) for a in found)
    show_table(("Party", "Counts", "Until", "Confirmed by", "On"), rows, empty="No party was confirmed.")
