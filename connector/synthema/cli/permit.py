"""``synthema permit``: permits for a site's own researchers (EHDS Art. 68)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text
from synthema.cli.options import HERE, HomeOption, KeyOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table

app = typer.Typer(help="Permits for this site's own researchers: apply, grant, revoke, list.")

PermitArgument = Annotated[str, typer.Argument(help="Identifier of the permit.", metavar="PERMIT")]


@app.command("apply")
def apply(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    *,
    purpose: Annotated[str, typer.Option("--purpose", help="Purpose, by name or IRI (EHDS Art. 53).")],
    person: PersonOption,
    specification: Annotated[str, typer.Option("--specification", help="What is needed of the data, in words.")],
    justification: Annotated[
        str, typer.Option("--justification", help="Why anonymised data do not suffice (EHDS Art. 66(3)).")
    ],
    days: Annotated[int, typer.Option("--days", help="How long the permit is to last, at most ten years.")] = 365,
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
    }
    answer(call(home, "permit/apply", value), output, lambda made: say(f"Permit: {made['permit']} ({made['state']})"))


@app.command("grant")
def grant(
    permit: PermitArgument,
    *,
    policy: Annotated[Path, typer.Option("--policy", help="What the permit allows, in the policy form (L4).")],
    epsilon: Annotated[float, typer.Option("--epsilon", help="Privacy loss that may be spent under the permit.")],
    delta: Annotated[float, typer.Option("--delta", help="Its δ.")] = 1e-5,
    total_epsilon: Annotated[
        float | None, typer.Option("--total-epsilon", help="What all recipients of the dataset together may spend.")
    ] = None,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Grant a permit as data protection officer: permit, policy and privacy budget come into force together.

    Example: synthema permit grant permit-… --policy permit.yaml --epsilon 4 --person person-… --key officer.pem
    """
    terms = {
        "permit": permit,
        "policy": read_text(policy),
        "epsilon": epsilon,
        "delta": delta,
        "total_epsilon": total_epsilon or epsilon,
    }
    asked = call(home, "permit/signing", terms)
    for sentence in asked["sentences"]:
        note(sentence)
    signature = open_key(key, passphrase_file).sign(bytes.fromhex(asked["sign"])).hex()
    granted = call(home, "permit/grant", terms | {"person": person, "signature": signature})
    answer(granted, output, lambda value: say(f"The permit is {value['state']} until {value['validTo']}."))


@app.command("revoke")
def revoke(
    permit: PermitArgument,
    *,
    person: PersonOption,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one sentence; it stands in the log.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Revoke a permit: what it permitted is denied from now on.

    Example: synthema permit revoke permit-… --person person-… --reason "the study ended" --home clinic
    """
    value = {"permit": permit, "person": person, "reason": reason}
    answer(call(home, "permit/revoke", value), output, lambda made: say(f"The permit is {made['state']}."))


@app.command("list")
def list_permits(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the permits of a site, the newest first.

    Example: synthema permit list --home clinic
    """
    answer(call(home, "permit/list"), output, _show)


def _show(permits: list[dict[str, Any]]) -> None:
    rows = ((p["permit"], ", ".join(p["datasets"]), p["purpose"], p["state"], p["validTo"]) for p in permits)
    show_table(("Identifier", "Datasets", "Purpose", "State", "Valid to"), rows, empty="No permit was applied for.")
