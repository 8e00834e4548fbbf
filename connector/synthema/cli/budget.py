"""``synthema budget``: privacy loss, spent and left, and what a release would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.files import write_new
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Privacy budgets: how much may be, and has been, learned about any one patient.")

BudgetArgument = Annotated[str, typer.Argument(help="Identifier of the budget.", metavar="BUDGET")]


@app.command("show")
def show(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the privacy budgets of a site: ceiling, spent and left, as ε at the account's δ.

    Example: synthema budget show --home clinic
    """
    answer(call(home, "budget/show"), output, _show)


@app.command("what-if")
def what_if(
    budget: BudgetArgument,
    *,
    epsilon: Annotated[float, typer.Option("--epsilon", help="Privacy loss of the release.")],
    delta: Annotated[
        float | None, typer.Option("--delta", help="Its δ; that of the budget if left out.", show_default=False)
    ] = None,
    times: Annotated[int, typer.Option("--times", min=1, help="How often the release is made.")] = 1,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Tell what a release would cost, whether it fits, and how many more would.

    Example: synthema budget what-if budget-… --epsilon 2 --delta 1e-6 --home clinic
    """
    value: dict[str, Any] = {"account": budget, "epsilon": epsilon, "times": times}
    if delta is not None:
        value["delta"] = delta
    answer(call(home, "budget/what-if", value), output, lambda told: say(told["sentence"]))


@app.command("history")
def history(budget: BudgetArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show everything ever set aside on a budget, and what was told about one patient by then.

    Example: synthema budget history budget-… --home clinic
    """
    value = call(home, "budget/history", {"account": budget})
    if output is Format.TEXT:
        value |= {"odometer": call(home, "budget/odometer", {"account": budget})}
    answer(value, output, _history)


@app.command("plan")
def plan(
    budget: BudgetArgument,
    *,
    releases: Annotated[int, typer.Option("--releases", min=1, help="Among how many releases to share the rest.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Share what is left of a budget evenly among releases to come.

    Example: synthema budget plan budget-… --releases 4 --home clinic
    """
    value = {"account": budget, "releases": releases}
    answer(call(home, "budget/plan", value), output, lambda planned: say(planned["sentence"]))


@app.command("total")
def total(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Tell what all recipients of a dataset could know about one patient if they pooled what they were told.

    Example: synthema budget total mgus --home clinic
    """
    answer(call(home, "budget/total", {"dataset": dataset}), output, lambda told: say(told["sentence"]))


@app.command("chart")
def chart(
    budget: BudgetArgument,
    *,
    file: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the picture (SVG) to this file.", metavar="FILE")
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Draw what was spent of a budget: a bar of text, or a picture with a description.

    Example: synthema budget chart budget-… -o budget.svg --home clinic
    """
    drawn = call(home, "budget/chart", {"account": budget})
    if file is not None:
        write_new(file, str(drawn["svg"]).encode())
    answer(drawn, output, lambda value: say(value["text"]))


def _show(gauges: list[dict[str, Any]]) -> None:
    rows = (
        (g["account"], g["dataset"], g["recipient"], g["ceiling"], g["spent"], g["remaining"], f"{g['delta']:g}")
        for g in gauges
    )
    headings = ("Budget", "Dataset", "Recipient", "Ceiling ε", "Spent ε", "Left ε", "δ")
    show_table(headings, rows, empty="No budget is open yet.")
    for gauge in gauges:
        if gauge["alert"]:
            say(f"Nearly spent: {gauge['dataset']} for {gauge['recipient']}: {gauge['bar']}")


def _history(value: dict[str, Any]) -> None:
    rows = (
        (e["at"][:16].replace("T", " "), e["run"], e["state"], "; ".join(e["mechanisms"]), e["spent"])
        for e in value["entries"]
    )
    show_table(("When", "Run", "State", "What", "ε so far"), rows, empty="Nothing was set aside yet.")
    told = value["odometer"]
    say("", told["sentence"])
    for promise in told["guarantee"]:
        say(f"{promise['grade'].capitalize()}: {promise['statement']}.")
        say(*(f"  – {assumption}" for assumption in promise["assumptions"]))
