"""What is counted: blocks of a round's vector, each a table of sums that one patient changes by a known amount.

All blocks are answered in one round. A block says how long it is, by how much one row can change it (L2, before
scaling), how many of its entries rounding moves, and what a table adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.axes import Axis, Cells, Floats, axis_of
from synthema.spi.columns import numbers, texts, variable_of
from synthema.spi.sums import Whole, check_size, patients_summed, scale_for, whole_sensitivity

MAX_LENGTH = 200_000
MOST_PATIENTS = 2**20


class Block(Protocol):
    """One table of sums inside the vector."""

    @property
    def name(self) -> str: ...
    @property
    def length(self) -> int: ...
    @property
    def change(self) -> float: ...
    @property
    def rounded(self) -> int: ...

    def add_up(self, table: pl.DataFrame, scale: int) -> Whole:
        """The table's sums times ``scale``, shape ``(length,)``."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """How many patients lie in each cell of one axis, or of two together: each patient adds 1 to one cell."""

    axes: tuple[Axis, ...]
    change: float = 1.0
    rounded: int = 0

    @property
    def name(self) -> str:
        return " by ".join(axis.variable.name for axis in self.axes)

    @property
    def length(self) -> int:
        return int(np.prod([axis.cells for axis in self.axes]))

    def add_up(self, table: pl.DataFrame, scale: int) -> Whole:
        place = np.zeros(table.height, dtype=np.int64)
        for axis in self.axes:
            place = place * axis.cells + axis.place(table)
        return np.bincount(place, minlength=self.length).astype(np.int64) * scale


@dataclass(frozen=True, slots=True)
class Moments:
    """How many patients have a number, its sum and its sum of squares, on the codebook's range laid onto −1 to 1."""

    variable: Variable
    length: int = 3
    change: float = float(np.sqrt(3))
    rounded: int = 2

    @property
    def name(self) -> str:
        return self.variable.name

    @property
    def middle(self) -> float:
        return ((self.variable.maximum or 0.0) + (self.variable.minimum or 0.0)) / 2

    @property
    def half(self) -> float:
        return ((self.variable.maximum or 0.0) - (self.variable.minimum or 0.0)) / 2

    def add_up(self, table: pl.DataFrame, scale: int) -> Whole:
        values = numbers(table, self.variable)
        inside = (values[np.isfinite(values)] - self.middle) / self.half
        return patients_summed(np.stack([np.ones(len(inside)), inside, inside**2], axis=1), scale)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A time, and the causes that may end it; cause 0 means that nothing had happened when follow-up ended.

    ``parts`` are ``(time variable, event variable, category)`` for each cause; with several, the earliest counts, and
    of events at the same time the one named first. A time that no cause ended is the earliest end of follow-up.
    """

    name: str
    causes: tuple[str, ...]
    parts: tuple[tuple[Variable, Variable, str], ...]
    edges: tuple[float, ...]
    exact: bool
    unit: str

    @property
    def bins(self) -> int:
        return len(self.edges) - 1

    def read(self, table: pl.DataFrame) -> tuple[Floats, Cells]:
        """Each row's time (NaN where it is not recorded) and cause."""
        ends, happened = [], []
        for time, event, category in self.parts:
            values, words = numbers(table, time), texts(table, event)
            unknown = np.array([word not in event.categories for word in words], dtype=bool)
            ends.append(np.where(unknown, np.nan, values))
            happened.append(np.array([word == category for word in words], dtype=bool))
        stops, events = np.stack(ends), np.stack(happened)
        known = np.isfinite(stops).all(axis=0)
        first = np.where(events, stops, np.inf).min(axis=0, initial=np.inf)
        ended = known & np.isfinite(first)
        time = np.where(ended, first, stops.min(axis=0))
        which = np.argmax(events & (stops == np.where(ended, first, np.nan)), axis=0) + 1
        return np.where(known, time, np.nan), np.where(ended, which, 0).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Followed:
    """How many patients of each group leave in each bin of time, by cause: each patient adds 1 to one cell.

    The last entry counts those whose time, event or group is not recorded.
    """

    endpoint: Endpoint
    group: Axis | None = None
    change: float = 1.0
    rounded: int = 0

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def groups(self) -> tuple[str, ...]:
        return self.group.labels if self.group else ("all",)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, bins, causes (the first of them: nothing happened)."""
        return len(self.groups), self.endpoint.bins, len(self.endpoint.causes) + 1

    @property
    def length(self) -> int:
        return int(np.prod(self.shape)) + 1

    def add_up(self, table: pl.DataFrame, scale: int) -> Whole:
        time, cause = self.endpoint.read(table)
        group = self.group.place(table) if self.group else np.zeros(table.height, dtype=np.int64)
        known = np.isfinite(time) & (group < len(self.groups))
        edges = np.asarray(self.endpoint.edges)
        place = np.searchsorted(edges, np.where(known, time, edges[0]), side="right") - 1
        place = np.clip(place, 0, self.endpoint.bins - 1)
        cell = (group * self.shape[1] + place) * self.shape[2] + cause
        cell = np.where(known, cell, self.length - 1)
        return np.bincount(cell, minlength=self.length).astype(np.int64) * scale


@dataclass(frozen=True, slots=True)
class Design:
    """All blocks of a study, made from the codebook and the parameters alone."""

    blocks: tuple[Block, ...]
    scale: int
    most_patients: int

    @property
    def length(self) -> int:
        return sum(block.length for block in self.blocks)

    @property
    def sensitivity(self) -> float:
        """L2 change of the vector of integers when one row comes or goes."""
        change = float(np.sqrt(sum(block.change**2 for block in self.blocks)))
        return whole_sensitivity(change, sum(block.rounded for block in self.blocks), self.scale)

    def add_up(self, table: pl.DataFrame) -> Whole:
        """The table's vector, shape ``(length,)``; raises ``ValueError`` where it could overflow."""
        check_size(table.height, self.most_patients)
        return np.concatenate([block.add_up(table, self.scale) for block in self.blocks])


def design(codebook: Codebook, asked: dict[str, Any]) -> Design:
    """The blocks that the parameters ask for; raises ``ValueError`` naming what cannot be counted."""
    bins = int(asked.get("bins", 20))
    most = int(asked.get("most_patients", MOST_PATIENTS))
    blocks: list[Block] = []
    for name in asked.get("variables", default_variables(codebook)):
        variable = variable_of(codebook, str(name))
        blocks.append(Counts((axis_of(codebook, variable.name, bins),)))
        if variable.type != "category":
            blocks.append(Moments(variable))
    for pair in asked.get("tables", ()):
        first, _, second = str(pair).partition(" by ")
        blocks.append(Counts((axis_of(codebook, first, bins), axis_of(codebook, second, bins))))
    group = axis_of(codebook, str(asked["group"]), bins) if asked.get("group") else None
    blocks += [Followed(endpoint, group) for endpoint in endpoints(codebook, asked)]
    made = Design(tuple(blocks), scale_for(most), most)
    if not blocks or made.length > MAX_LENGTH:
        raise ValueError(
            f"the study would count {made.length} cells; ask for at least one and at most {MAX_LENGTH}, "
            "with fewer bins or a longer time step"
        )
    return made


def default_variables(codebook: Codebook) -> tuple[str, ...]:
    """What is described when a study names no variables: all but identifiers, sites, times and events."""
    return codebook.names("quasi-identifier", "sensitive", "other")


def endpoints(codebook: Codebook, asked: dict[str, Any]) -> tuple[Endpoint, ...]:
    """The times that are followed: each outcome alone, and those in ``competing`` against each other."""
    known = {outcome.name: outcome for outcome in codebook.outcomes}
    wanted = [str(name) for name in asked.get("outcomes", known)]
    competing = [str(name) for name in asked.get("competing", ())]
    if not {*wanted, *competing} <= set(known):
        raise ValueError("the study follows an outcome that the codebook does not have: correct its parameters")
    step = asked.get("time_step")
    found = [_endpoint(codebook, name, [known[name]], step) for name in wanted]
    if competing:
        if len(set(competing)) < 2 or len({known[name].unit for name in competing}) > 1:
            raise ValueError("'competing' needs two or more different outcomes in one unit of time")
        found.append(_endpoint(codebook, " or ".join(competing), [known[name] for name in competing], step))
    return tuple(found)


def _endpoint(codebook: Codebook, name: str, outcomes: list[SurvivalOutcome], step: float | None) -> Endpoint:
    parts = [(codebook.variable(o.time), codebook.variable(o.event), o.event_value) for o in outcomes]
    if any(time.type == "category" or event.type != "category" for time, event, _ in parts):
        raise ValueError("an outcome needs a number as its time and a category as its event: correct the codebook")
    times = [time for time, _, _ in parts]
    low, high = min(time.minimum or 0.0 for time in times), max(time.maximum or 0.0 for time in times)
    if step is not None:
        if (high - low) / step > MAX_LENGTH:
            raise ValueError("the time step is too short for the codebook's range of times")
        edges = tuple(np.arange(low, high + 1.5 * step, step).tolist())
    else:
        edges = times[0].edges or tuple(np.linspace(low, high, 21).tolist())
    exact = step == 1 and all(time.type == "integer" for time in times) and float(low).is_integer()
    causes = tuple(outcome.name for outcome in outcomes)
    return Endpoint(name, causes, tuple(parts), tuple(float(edge) for edge in edges), exact, outcomes[0].unit)
