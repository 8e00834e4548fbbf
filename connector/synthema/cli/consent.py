"""``synthema consent``: what patients agreed to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthema.cli.client import call
from synthema.cli.files import read_text
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say

app = typer.Typer(help="Consent: what patients agreed to, refused, withdrew or opted out of.")


@app.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(help="CSV with patient_key, state, date and more.", metavar="FILE.csv")],
    dataset: Annotated[str, typer.Option("--dataset", help="Name of the dataset the patients are in.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take in a consent list; every line must be right, or none is taken.

    Example: synthema consent import consents.csv --dataset mgus --home clinic
    """
    taken = call(home, "consent/import", {"dataset": dataset, "file": file.name, "table": read_text(file)})
    answer(
        taken,
        output,
        lambda value: say(
            f"The consent list of {dataset} is in force (version {value['version']}).",
            *(f"  {state}: {count}" for state, count in value["states"].items()),
        ),
    )
