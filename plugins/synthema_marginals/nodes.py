"""Nodes of the model: how the codebook alone turns a table's columns into cells that can be counted.

A node is a category variable, a number cut into bins, or an outcome: a time and
its event counted together, because a survival curve needs both at once. Where
the codebook says that one time is never after another, the earlier one is
modelled as a share of the later, so that no synthetic row can break the rule.

Cells of a node are numbered ``bin * levels + level``; the last cell, if the node
has one, means "not recorded". Nothing here looks at data to decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.sampling import modelled, ordered_pair

Cells = NDArray[np.int64]
Floats = NDArray[np.float64]

EQUAL_BINS = 10
SHARE_BINS = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """What the arithmetic needs to know of a node: bins along its axis, levels in each, a cell for missing or not.

    ``ordered`` says that the bins are a number's, so that neighbours are alike. ``event`` is the level of an outcome
    that its hazard is about, -1 where there is none. ``telling`` says that a missing value means something by the
    codebook: a time of what has not happened, or what is known only of those who had an event.
    """

    name: str
    bins: int
    levels: int
    missing: bool
    outcome: bool
    ordered: bool
    event: int = -1
    telling: bool = False

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.bins * self.levels + int(self.missing)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the state."""
        return {
            "name": self.name,
            "bins": self.bins,
            "levels": self.levels,
            "missing": self.missing,
            "outcome": self.outcome,
            "ordered": self.ordered,
            "event": self.event,
            "telling": self.telling,
        }


@dataclass(frozen=True, slots=True)
class Node:
    """A category (``events`` only), a number (``axis`` only) or an outcome (both).

    ``anchor`` names the later time when this node's time is modelled as a share of it;
    ``strict`` says that the two may not be equal, ``telling`` that a missing value means something.
    """

    name: str
    axis: Variable | None
    events: Variable | None
    event: int = -1
    outcome: bool = False
    anchor: Variable | None = None
    strict: bool = False
    telling: bool = False

    @property
    def shape(self) -> Shape:
        """Bins, levels and missing cell of this node."""
        missing = any(variable.may_be_missing for variable in self.variables)
        levels = len(self.events.categories) if self.events else 1
        if self.axis is None:
            return Shape(self.name, levels, 1, missing, self.outcome, ordered=False, telling=self.telling)
        bins = len(number_edges(self.axis)) - 1
        if self.anchor is not None:
            bins = SHARE_BINS + int(not self.strict)
            missing = missing or self.anchor.may_be_missing
        ordered = self.anchor is None
        return Shape(self.name, bins, levels, missing, self.outcome, ordered, self.event, self.telling)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The columns this node stands for."""
        return tuple(variable for variable in (self.axis, self.events) if variable is not None)


def nodes_of(codebook: Codebook) -> tuple[Node, ...]:
    """The nodes of a codebook: one for each outcome, one for each other variable.

    Identifiers are left out, and so are derived columns, which are recomputed.
    """
    codebook = modelled(codebook)
    later, telling = _later_times(codebook), _telling(codebook)
    nodes: list[Node] = []
    placed: set[str] = set()
    for outcome in codebook.outcomes:
        if outcome.time in placed or outcome.event in placed:
            continue
        axis, events = codebook.variable(outcome.time), codebook.variable(outcome.event)
        if axis.type == "category" or events.type != "category":
            continue
        node = _timed(f"{axis.name}+{events.name}", axis, events, later, codebook)
        known = outcome.event_value in events.categories
        nodes.append(replace(node, event=events.categories.index(outcome.event_value) if known else -1))
        placed |= {outcome.time, outcome.event}
    for variable in codebook.variables:
        if variable.name in placed:
            continue
        if variable.type == "category":
            node = Node(variable.name, None, variable)
        else:
            node = _timed(variable.name, variable, None, later, codebook)
        nodes.append(replace(node, telling=variable.name in telling))
    if not nodes:
        raise ValueError("the codebook has no variable to model: keep at least one besides the identifier")
    return tuple(nodes)


def _telling(codebook: Codebook) -> set[str]:
    """Variables whose missing values mean something: times and events, and what a rule ties to an outcome's event."""
    events = {outcome.event for outcome in codebook.outcomes}
    tied = {name for rule in codebook.rules if rule.left in events for name in rule.when}
    return {*codebook.names("time", "event"), *tied}


def _timed(
    name: str, axis: Variable, events: Variable | None, later: dict[str, tuple[str, bool]], codebook: Codebook
) -> Node:
    anchor, strict = later.get(axis.name, (None, False))
    held = codebook.variable(anchor) if anchor else None
    return Node(name, axis, events, outcome=events is not None, anchor=held, strict=strict)


def _later_times(codebook: Codebook) -> dict[str, tuple[str, bool]]:
    """For each time that is never after another: that other time, and whether it must be strictly before it."""
    later: dict[str, tuple[str, bool]] = {}
    for rule in codebook.rules:
        pair = ordered_pair(rule)
        if pair is None:
            continue
        first, second, strict = pair
        both = (codebook.variable(first), codebook.variable(second))
        if any(v.role != "time" or v.type == "category" for v in both):
            continue
        if first not in later and not _leads_to(later, second, first):
            later[first] = (second, strict)
    return later


def _leads_to(later: dict[str, tuple[str, bool]], start: str, goal: str) -> bool:
    name: str | None = start
    while name is not None:
        if name == goal:
            return True
        name = later[name][0] if name in later else None
    return False


def number_edges(variable: Variable) -> Floats:
    """Edges of a number's bins: those of the codebook, else ten equal bins (or one for each of few integers)."""
    if variable.edges:
        edges = np.asarray(variable.edges, dtype=np.float64)
        if variable.type == "integer":
            edges[-1] = np.floor(edges[-1]) + 1  # the last bin is closed: it holds its upper integer too
        return edges
    low, high = float(variable.minimum or 0.0), float(variable.maximum or 0.0)
    if variable.type == "decimal":
        return np.linspace(low, high, EQUAL_BINS + 1)
    low, high = np.ceil(low), np.floor(high) + 1
    return np.unique(np.round(np.linspace(low, high, int(min(EQUAL_BINS, high - low)) + 1)))


def encode(node: Node, table: pl.DataFrame) -> Cells:
    """The cell of each row, shape ``(rows,)``; raises ``ValueError`` where the codebook allows no such value."""
    shape = node.shape
    cells = np.zeros(table.height, dtype=np.int64)
    unknown = np.zeros(table.height, dtype=bool)
    if node.events is not None:
        level = _levels(table, node.events)
        unknown |= level < 0
        cells += level
    if node.axis is not None:
        values = column(table, node.axis)
        place = _bins(node, values, table)
        unknown |= place < 0
        cells += place * shape.levels
    if unknown.any() and not shape.missing:
        names = " and ".join(variable.name for variable in node.variables)
        raise ValueError(f"{names} holds a missing or unlisted value; list it in the codebook or allow missing values")
    return np.where(unknown, shape.cells - 1, cells)


def column(table: pl.DataFrame, variable: Variable) -> Floats:
    """A number's column as floats within the codebook's bounds, missing as NaN."""
    if variable.name not in table.columns:
        raise ValueError(f"the table has no column '{variable.name}' though the codebook names it")
    values = table[variable.name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().copy()
    return np.asarray(np.clip(values, variable.minimum, variable.maximum), dtype=np.float64)


def _levels(table: pl.DataFrame, variable: Variable) -> Cells:
    if variable.name not in table.columns:
        raise ValueError(f"the table has no column '{variable.name}' though the codebook names it")
    number = {category: index for index, category in enumerate(variable.categories)}
    texts = table[variable.name].cast(pl.String, strict=False).to_list()
    return np.array([number.get(text, -1) if text is not None else -1 for text in texts], dtype=np.int64)


def _bins(node: Node, values: Floats, table: pl.DataFrame) -> Cells:
    assert node.axis is not None  # noqa: S101 - called for nodes with an axis only
    known = np.isfinite(values)
    if node.anchor is None:
        place = cut(values, number_edges(node.axis))
        return np.where(known, place, -1)
    until = column(table, node.anchor)
    known &= np.isfinite(until)
    low = float(node.axis.minimum or 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((values - low) / (until - low), 0.0, 1.0)
    share = np.where(until <= low, 1.0, share)
    place = np.minimum(np.floor(np.nan_to_num(share) * SHARE_BINS).astype(np.int64), SHARE_BINS - 1)
    if not node.strict:
        place = np.where(values >= until, SHARE_BINS, place)
    return np.where(known, place, -1)


def cut(values: Floats, edges: Floats) -> Cells:
    """The bin of each value; values outside the edges go to the outermost bins."""
    place = np.searchsorted(edges, np.nan_to_num(values), side="right") - 1
    return np.clip(place, 0, len(edges) - 2)
