"""The report of one run, from plain values that a command, a page or a test fills in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synthema.report.model import (
    Actor,
    BudgetPlot,
    Chapter,
    Checks,
    Code,
    Decision,
    Item,
    ProvenanceGraph,
    Story,
    Table,
)
from synthema.report.render import render


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run as the log has it; ``position`` is its place in the log, counted from 0."""

    at: str
    title: str
    detail: str = ""
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; ``lower`` and ``upper`` bound its 95 % interval, ``control`` is the held-out figure."""

    name: str
    value: float
    n: int
    lower: float | None = None
    upper: float | None = None
    control: float | None = None
    definition: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """All a reader wants to know of one run. What was never reached is simply left out."""

    run: str
    state: str
    purpose: str
    dataset: str
    requester: Actor
    made: str
    chain: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    decision: Decision | None = None
    budget: BudgetPlot | None = None
    gates: Checks | None = None
    figures: tuple[Figure, ...] = ()
    graph: ProvenanceGraph | None = None
    documents: tuple[tuple[str, Any], ...] = ()


def run_story(report: RunReport) -> Story:
    """The chapters of a run's report, in the order in which a run walks through the gate."""
    return Story(
        title=f"Run {report.run}",
        subtitle=f"{report.state}: {report.purpose}",
        actors=(report.requester,),
        chapters=tuple(_chapters(report)),
        made=report.made,
    )


def render_run_report(report: RunReport) -> str:
    """One self-contained HTML file about one run; see :func:`synthema.report.render`."""
    return render(run_story(report))


def _chapters(report: RunReport) -> Iterator[Chapter]:
    asked: tuple[str, ...] = (f"Dataset: {report.dataset}.", f"Purpose: {report.purpose}.")
    if report.chain:
        asked += (f"Chain of plugins: {' → '.join(report.chain)}.",)
    yield Chapter("What was asked", asked)
    if report.decision:
        yield Chapter("What was decided", items=(report.decision,))
    if report.steps:
        rows = tuple((step.at, step.title, step.detail, step.position) for step in report.steps)
        yield Chapter(
            "What happened", items=(Table("Steps in the log", ("Time", "Step", "Detail", "Log position"), rows),)
        )
    if report.budget:
        yield Chapter("What it cost in privacy", items=(report.budget,))
    if report.gates or report.figures:
        yield Chapter("What was measured", items=tuple(_measured(report)))
    if report.graph:
        yield Chapter("Where it comes from", items=(report.graph,))
    if report.documents:
        yield Chapter("Documents", items=tuple(Code.json(title, value) for title, value in report.documents))


def _measured(report: RunReport) -> Iterator[Item]:
    if report.gates:
        yield report.gates
    if report.figures:
        rows = tuple((f.name, f.value, f.lower, f.upper, f.control, f.n, f.definition) for f in report.figures)
        columns = ("Figure", "Value", "95 % from", "to", "Held-out control", "n", "What it means")
        yield Table("Figures", columns, rows)
