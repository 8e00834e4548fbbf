"""The report of a federated study as one page: its figures, curves and tables, how they were protected, who agreed.

Made from the released JSON alone, so it tells nothing that was not released. Series of known form are drawn (survival
and incidence, counts, two-way tables); others are shown as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final

from synthema.certification import StudyReport
from synthema.report.model import (
    Actor,
    Chapter,
    Code,
    ForestPlot,
    HazardRatio,
    Item,
    Story,
    SurvivalPlot,
    SurvivalSeries,
    Table,
)
from synthema.report.plots import table_of
from synthema.report.render import render

SURVIVAL: Final = "survival:"
COUNTS: Final = "counts:"
TABLE: Final = "table:"
INCIDENCE: Final = "incidence of "
RATIO: Final = "hazardRatio"


def render_study_report(report: StudyReport, digest: str, names: Mapping[str, str], made: str = "") -> str:
    """One self-contained HTML file; ``names`` are the parties' by did. Without the extra ``report``, tables only."""
    story = study_story(report, digest, names, made, drawn=find_spec("altair") is not None)
    return render(story)


def study_story(
    report: StudyReport, digest: str, names: Mapping[str, str], made: str = "", *, drawn: bool = True
) -> Story:
    """The chapters of a report."""
    return Story(
        title=report.title,
        subtitle=f"Figures of {len(report.sites)} sites together; of no single one",
        actors=(
            Actor(names.get(report.coordinator, report.coordinator), "coordinates the study", report.coordinator),
            *(Actor(names.get(site, site), "its patients are in the figures", site) for site in report.sites),
        ),
        chapters=tuple(_chapters(report, digest, drawn)),
        made=made,
    )


def _chapters(report: StudyReport, digest: str, drawn: bool) -> Iterator[Chapter]:  # noqa: FBT001 - a private part
    yield Chapter(
        "What was asked",
        (
            f"Purpose: {report.purpose}; act: {report.action}.",
            f"Plugin: {report.algorithm.name} {report.algorithm.version}; variables: {', '.join(report.fields)}.",
        ),
        (Code.json("Parameters", report.parameters),),
    )
    rows = tuple((f.id, f.definition, f.value, f.lower, f.upper, f.n) for f in report.figures.metrics)
    columns = ("Figure", "Of what", "Value", "95 % from", "to", "Patients")
    shown: tuple[Item, ...] = (*_ratios(report), *_series(report.figures.series))
    if not drawn:
        shown = tuple(table_of(item) if isinstance(item, SurvivalPlot | ForestPlot) else item for item in shown)
    yield Chapter("Figures", report.figures.notes, (Table("Figures", columns, rows), *shown))
    yield Chapter("How patients are protected", tuple(_protection(report)))
    yield Chapter(
        "What shows it",
        (
            f"This page shows the released file {digest}, and nothing else.",
            f"Study {report.study}, plan {report.plan}, rounds {report.transcript}.",
            "Every site whose data are in the figures decided by its own policies that they may leave, and signed it.",
            "The proof beside the file holds these statements. To check it: synthema study verify.",
        ),
    )


def _protection(report: StudyReport) -> Iterator[str]:
    yield (
        f"Only sums over at least {report.fewest_sites} sites were opened, in {report.rounds} rounds; nobody can read "
        "the part of a single site."
    )
    yield f"At least {report.smallest_count} patients stand behind every figure."
    if report.privacy is None:
        yield "The sums carry no noise: no differential privacy is promised, nothing bounds what many reports tell."
        return
    found = report.privacy
    yield (
        f"Every sum carries noise: ε = {found.epsilon:g} and δ = {found.delta:g} for one patient of one site, over the "
        "whole study."
    )


def _ratios(report: StudyReport) -> Iterator[Item]:
    ratios = tuple(
        HazardRatio(f.definition, "real", f.value, f.lower, f.upper)
        for f in report.figures.metrics
        if f.id == RATIO and f.lower is not None and f.upper is not None
    )
    if ratios:
        yield ForestPlot("Hazard ratios", ratios, "Hazard ratios of the fit, each with its 95 % interval.")


def _series(series: Mapping[str, Any]) -> Iterator[Item]:
    other: dict[str, Any] = {}
    for name, value in series.items():
        kind, _, about = name.partition(":")
        items = tuple(_drawn(f"{kind}:", about, value))
        if items:
            yield from items
        else:
            other[name] = value
    if other:
        yield Code.json("Further results of the analysis", other)


def _drawn(kind: str, about: str, value: Any) -> Iterator[Item]:
    """The items of a series of known form; none for any other."""
    try:
        if kind == SURVIVAL:
            yield from _curves(about, value)
        elif kind == COUNTS:
            rows = tuple((str(each["value"]), each["patients"]) for each in value)
            yield Table(f"Patients by {about}", (about, "Patients"), rows, note="A dash stands for a small count.")
        elif kind == TABLE:
            columns = ("", *(str(each) for each in value["columns"]))
            lines = tuple((str(label), *line) for label, line in zip(value["rows"], value["patients"], strict=True))
            yield Table(f"Patients: {about}", columns, lines, note="A dash stands for a small count.")
    except (KeyError, TypeError, ValueError, AttributeError):
        return  # of another form: it is shown as it is


def _curves(about: str, groups: list[dict[str, Any]]) -> Iterator[Item]:
    drawn: dict[str, list[SurvivalSeries]] = {}
    for group in groups:
        times = tuple(float(time) for time in group["before"])
        for name, curve in group.items():
            if times and (name == "survival" or name.startswith(INCIDENCE)):
                share, lower, upper = (tuple(float(number) for number in side) for side in curve)
                site = str(group["group"]) or "all patients"
                drawn.setdefault(name, []).append(SurvivalSeries(site, "real", times, share, lower, upper))
    unit = str(groups[0]["unit"]) if groups else ""
    for name, curves in drawn.items():
        title = f"{about}: {name}"
        alt = f"{name} over time, with 95 % intervals, of {len(curves)} groups of patients."
        outcome, start = ("Without the event", 1.0) if name == "survival" else ("Had it first", 0.0)
        yield SurvivalPlot(title, tuple(curves), alt, time_unit=unit or "units of time", outcome=outcome, start=start)
