"""``synthema withdrawal``: what follows from consents taken back, what was done, what stays and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption, PersonOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table

app = typer.Typer(help="Withdrawals: what follows from consents taken back and opt-outs, in everything derived.")

WithdrawalArgument = Annotated[str, typer.Argument(help="Identifier of the withdrawal.", metavar="WITHDRAWAL")]
DatasetOption = Annotated[
    str, typer.Option("--dataset", help="Only this dataset; left out: every one without rules of its own.")
]


@app.command("list")
def list_withdrawals(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are carried out.")] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the withdrawals that are carried on, newest first.

    Example: synthema withdrawal list --home clinic
    """
    answer(call(home, "withdrawal/list", {"all": every}), output, _list)


@app.command("show")
def show(withdrawal: WithdrawalArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show every derived thing of a withdrawal with what follows for it and what to do next.

    Example: synthema withdrawal show withdrawal-… --home clinic
    """
    answer(call(home, "withdrawal/show", {"withdrawal": withdrawal}), output, _whole)


@app.command("report")
def report(withdrawal: WithdrawalArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Tell a withdrawal in sentences: done, to be done, told to partners, and what stays and why.

    Example: synthema withdrawal report withdrawal-… --home clinic
    """
    value = call(home, "withdrawal/report", {"withdrawal": withdrawal})
    answer(value, output, lambda found: say(*found["sentences"]))


@app.command("plan")
def plan(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Look now instead of soon: plan, act, tell partners; then list what is not carried out yet.

    Example: synthema withdrawal plan --home clinic
    """
    answer(call(home, "withdrawal/plan"), output, _list)


@app.command("do")
def do(
    items: Annotated[list[str], typer.Argument(help="Consequences, as withdrawal show gives them.", metavar="ITEM...")],
    *,
    person: PersonOption,
    finding: Annotated[
        str | None,
        typer.Option("--finding", help="Assessment: what remains of the person is 'negligible' or 'not negligible'."),
    ] = None,
    recipients: Annotated[str, typer.Option("--recipients", help="Assessment: who can use the thing.")] = "",
    means: Annotated[
        str, typer.Option("--means", help="Assessment: what somebody could try, and what was tried.")
    ] = "",
    keep: Annotated[
        str | None, typer.Option("--keep", help="Article on which rows stay, e.g. 'GDPR 17(3)(d)'.", metavar="ARTICLE")
    ] = None,
    made_anew: Annotated[
        str | None, typer.Option("--made-anew", help="Run or study that made the thing anew.", metavar="RUN")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one or two sentences; it is kept.")] = "",
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Record as data protection officer what becomes of derived things.

    Example: synthema withdrawal do consequence-… --finding negligible --recipients "one registry in the EU"
    --means "attacks were measured" --reason "no attack did better than chance" --person person-…
    """
    value = {
        "items": items, "person": person, "finding": finding, "recipients": recipients, "means": means, "keep": keep,
        "made_anew": made_anew, "reason": reason,
    }  # fmt: skip
    answer(call(home, "withdrawal/do", value), output, _whole)


@app.command("rules")
def rules(
    *,
    dataset: DatasetOption = "*",
    file: Annotated[
        Path | None, typer.Option("--set", help="YAML file with new rules; needs --person.", metavar="FILE")
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Your role account, to set rules.", metavar="ID")
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show, or set as data protection officer, what follows for which class of derived things.

    Example: synthema withdrawal rules --dataset mgus --set rules.yaml --person person-… --home clinic
    """
    if file is None:
        answer(call(home, "withdrawal/rules", {"dataset": dataset}), output, _rules)
        return
    from synthema.cli.files import read_yaml

    value = {"dataset": dataset, "rules": read_yaml(file), "person": person or ""}
    answer(call(home, "withdrawal/set-rules", value), output, _rules)


def _list(found: list[dict[str, Any]]) -> None:
    rows = ((w["created"][:10], w["dataset"], w["state"], w["sentence"], w["withdrawal"]) for w in found)
    show_table(("Noted", "Dataset", "State", "Where it stands", "Identifier"), rows, empty="No withdrawal is open.")


def _whole(found: dict[str, Any]) -> None:
    say(found["opening"], found["sentence"], "")
    for item in found["items"]:
        say(item["sentence"])
        if item["next"] is not None:
            say(f"  Next: {item['next']}", f"  Identifier: {item['item']}")
    if found["notices"]:
        say("", *(notice["sentence"] for notice in found["notices"]))


def _rules(found: dict[str, Any]) -> None:
    whose = "every dataset without rules of its own" if found["dataset"] == "*" else found["dataset"]
    say(f"Rules for {whose}:")
    rows = ((name, value, found["meanings"][name] or "") for name, value in found["rules"].items())
    show_table(("Rule", "In force", "What it is about"), rows, empty="")
