"""The story a report tells: plain values only, so that any room, command or test can fill one.

A :class:`Story` has chapters, a chapter has paragraphs and items. Items are the
things a reader wants to see with their own eyes: a decision with its reasons,
numbered checks, tables, plots, a provenance graph, a document as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from synthema.errors import InputError

Cell = str | int | float | bool | None
Shape = Literal["entity", "activity", "agent"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes part: the name, what they do in the story, and their decentralised identifier."""

    name: str
    role: str
    did: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision fell as it did: the rule in words, where it comes from, and what was found."""

    sentence: str
    rule: str = ""
    layer: str = ""
    article: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy decision. ``changes`` say what would have permitted a denied request."""

    kind: ClassVar[str] = "decision"
    title: str
    effect: Literal["permit", "deny"]
    sentences: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    changes: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check: what was tested, whether it holds, and on failure why and what to do."""

    title: str
    ok: bool
    reason: str = ""
    fix: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks in the order they were made; they are numbered from 1."""

    kind: ClassVar[str] = "checks"
    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; numbers are aligned to the right, ``None`` is shown as a dash."""

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise InputError(
                f"the table '{self.title}' has a row of the wrong length",
                fix=f"give each row {len(self.columns)} cells",
            )

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column, whether it holds numbers (and gaps) only; the first column names the row."""
        return tuple(
            index > 0
            and any(row[index] is not None for row in self.rows)
            and all(
                isinstance(row[index], int | float | None) and not isinstance(row[index], bool) for row in self.rows
            )
            for index in range(len(self.columns))
        )


@dataclass(frozen=True, slots=True)
class SurvivalSeries:
    """One survival curve as steps: ``probability[i]`` holds from ``times[i]`` on.

    ``lower`` and ``upper`` bound a 95 % band around it, where there is one.
    """

    site: str
    source: Literal["real", "synthetic"]
    times: tuple[float, ...]
    probability: tuple[float, ...]
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SurvivalPlot:
    """Survival curves of real and synthetic patients, one panel for each site. ``alt`` says what is seen.

    ``start`` is the share at time 0: 1 for survival, 0 for a cumulative incidence.
    """

    kind: ClassVar[str] = "plot"
    title: str
    series: tuple[SurvivalSeries, ...]
    alt: str
    time_unit: str = "months"
    outcome: str = "Alive"
    start: float = 1.0


@dataclass(frozen=True, slots=True)
class Marginal:
    """The shares of one variable's categories or bins (each from 0 to 1), real beside synthetic.

    A real share of too few patients is ``None``: it is left out of the drawing and of the table.
    """

    label: str
    categories: tuple[str, ...]
    real: tuple[float | None, ...]
    synthetic: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MarginalsPlot:
    """One panel of bars for each variable. ``alt`` says what is seen."""

    kind: ClassVar[str] = "plot"
    title: str
    marginals: tuple[Marginal, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class CorrelationPlot:
    """A square of differences between real and synthetic correlations, each from 0. ``alt`` says what is seen."""

    kind: ClassVar[str] = "plot"
    title: str
    variables: tuple[str, ...]
    difference: tuple[tuple[float, ...], ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Roc:
    """One attack: the share recognised rightly at each share recognised wrongly, both above 0 and up to 1."""

    attack: str
    false_positives: tuple[float, ...]
    true_positives: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RocPlot:
    """Attacks on two logarithmic axes, with the line of chance. ``alt`` says what is seen."""

    kind: ClassVar[str] = "plot"
    title: str
    attacks: tuple[Roc, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class HazardRatio:
    """A covariate's hazard ratio in one source, with its 95 % interval."""

    covariate: str
    source: Literal["real", "synthetic"]
    ratio: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ForestPlot:
    """Hazard ratios on a logarithmic axis, real above synthetic. ``alt`` says what is seen."""

    kind: ClassVar[str] = "plot"
    title: str
    ratios: tuple[HazardRatio, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What one dataset has spent, has reserved, and may spend at most, all in the same unit."""

    label: str
    used: float
    ceiling: float
    reserved: float = 0.0


@dataclass(frozen=True, slots=True)
class BudgetPlot:
    """A meter for each budget: spent, reserved, and the ceiling. ``alt`` says what is seen."""

    kind: ClassVar[str] = "plot"
    title: str
    lines: tuple[BudgetLine, ...]
    alt: str
    unit: str = "ε"


@dataclass(frozen=True, slots=True)
class ReceivedVectorPlot:
    """What a coordinator sees of one masked vector: counts in equal bins, against the flat line of pure chance."""

    kind: ClassVar[str] = "plot"
    title: str
    counts: tuple[int, ...]
    alt: str
    test: str
    statistic: float
    p_value: float
    bits: int = 64


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A thing, a step or someone responsible. ``type`` is shown in small above the label."""

    id: str
    label: str
    type: str = ""
    shape: Shape = "entity"


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An arrow from what was there before to what came of it."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class ProvenanceGraph:
    """Where something came from, drawn in columns from left (origins) to right (results)."""

    kind: ClassVar[str] = "plot"
    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Code:
    """A document shown as it is, folded until opened."""

    kind: ClassVar[str] = "code"
    title: str
    text: str

    @classmethod
    def json(cls, title: str, value: Any) -> Code:
        """A JSON value, indented for people."""
        return cls(title, json.dumps(value, indent=2, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A claim of the story and whether it was shown to hold."""

    kind: ClassVar[str] = "outcome"
    sentence: str
    shown: bool


Plot = (
    SurvivalPlot
    | MarginalsPlot
    | CorrelationPlot
    | RocPlot
    | ForestPlot
    | BudgetPlot
    | ReceivedVectorPlot
    | ProvenanceGraph
)
Item = Decision | Checks | Table | Plot | Code | Outcome


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step of the story: paragraphs first, then what there is to see."""

    title: str
    text: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A whole report. ``made`` is shown as given, e.g. a date; ``language`` is a BCP 47 tag."""

    title: str
    subtitle: str = ""
    actors: tuple[Actor, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    made: str = ""
    language: str = "en-GB"
