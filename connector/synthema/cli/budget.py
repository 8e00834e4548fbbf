"""``synthema budget``: privacy loss, spent and left."""

from __future__ import annotations

from typing import Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, show_table

app = typer.Typer(help="Privacy budgets: how much may be, and has been, learned about any one patient.")


@app.command("show")
def show(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the privacy budgets of a site: ceiling, spent and left, as ε at the account's δ.

    Example: synthema budget show --home clinic
    """
    answer(call(home, "budget/show"), output, _show)


def _show(gauges: list[dict[str, Any]]) -> None:
    rows = ((g["dataset"], g["recipient"], g["ceiling"], g["spent"], g["remaining"], f"{g['delta']:g}") for g in gauges)
    show_table(("Dataset", "Recipient", "Ceiling ε", "Spent ε", "Left ε", "δ"), rows, empty="No budget is open yet.")
