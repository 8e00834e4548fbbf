"""``synthema dpia``: impact assessments that the connector carries out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text
from synthema.cli.options import (
    HERE,
    HomeOption,
    KeyOption,
    PassphraseOption,
    PersonOption,
    assignments,
    open_key,
)
from synthema.cli.output import Format, FormatOption, answer, note, say, short, show_table
from synthema.errors import InputError, NotFoundError

app = typer.Typer(help="Impact assessments that the connector carries out: propose, sign, list.")


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="The assessment as YAML.", metavar="FILE.yaml")],
    *,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="You are the DPO and confirm every threshold for this site.")
    ] = False,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", help="Another threshold for a gate; repeatable.", metavar="GATE=NUMBER"),
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Hand an impact assessment to a connector, where two people sign it.

    Example: synthema dpia propose synthetic-data.yaml --confirm --home clinic
    """
    value = {
        "text": read_text(file),
        "file": file.name,
        "confirm": confirm,
        "thresholds": _numbers(assignments(threshold or [], "--threshold")),
    }
    answer(
        call(home, "dpia/propose", value),
        output,
        lambda made: say(
            f"Kept for signature: {made['title']}",
            f"Identifier: {made['dpia']}",
            f"Digest: {made['digest']}",
            "Next, two people, one of them a DPO: synthema dpia sign",
        ),
    )


def _numbers(texts: dict[str, str]) -> dict[str, float]:
    try:
        return {gate: float(text) for gate, text in texts.items()}
    except ValueError as error:
        raise InputError("a threshold is a number", where="--threshold", fix="write e.g. 0.2") from error


@app.command("sign")
def sign(
    dpia: Annotated[str, typer.Argument(help="Identifier of the assessment.")],
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Sign an impact assessment; the second signature puts it in force.

    Example: synthema dpia sign dpia-… --person person-… --key officer.pem --home clinic
    """
    from synthema.dpia.store import signing_bytes

    found = next((known for known in call(home, "dpia/list") if known["dpia"] == dpia), None)
    if found is None:
        raise NotFoundError("there is no such assessment", fix="list them with: synthema dpia list")
    note(f"You sign '{found['title']}', {found['digest']}.")
    signature = open_key(key, passphrase_file).sign(signing_bytes(found["digest"])).hex()
    answer(
        call(home, "dpia/sign", {"dpia": dpia, "person": person, "signature": signature}),
        output,
        lambda value: say(f"The assessment is {value['state']} ({len(value['signedBy'])} of 2 signatures)."),
    )


@app.command("list")
def list_assessments(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the impact assessments of a connector, the newest first.

    Example: synthema dpia list --home clinic
    """
    answer(call(home, "dpia/list"), output, _show)


def _show(assessments: list[dict[str, Any]]) -> None:
    rows = ((a["dpia"], a["title"], a["state"], len(a["signedBy"]), short(a["digest"])) for a in assessments)
    show_table(
        ("Identifier", "Title", "State", "Signatures", "Digest"),
        rows,
        empty="There is none yet: synthema dpia propose",
    )
