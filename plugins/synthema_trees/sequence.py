"""The whole sequence: which column comes when, learning from the real rows, drawing synthetic ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.sampling import modelled, ordered_below
from synthema_trees.bags import Settings
from synthema_trees.columns import Bins, Features, levels, numbers, series
from synthema_trees.parts import CategoryPart, NumberPart, OutcomePart, Part, Values


def parts_of(codebook: Codebook) -> tuple[Part, ...]:
    """The steps in order: what is known at the start, then outcomes, then numbers that are shares of later ones.

    Identifiers and derived columns are left out. The order is the codebook's otherwise: put there first what comes
    first in medicine.
    """
    codebook = modelled(codebook)
    later = ordered_below(codebook)
    outcomes: list[Part] = []
    placed: set[str] = set()
    for outcome in codebook.outcomes:
        time, event = codebook.variable(outcome.time), codebook.variable(outcome.event)
        fits = time.type in ("integer", "decimal") and event.type == "category"
        if fits and time.name not in later and not {time.name, event.name} & placed:
            outcomes.append(OutcomePart(outcome, time, event))
            placed |= {time.name, event.name}
    first: list[Part] = []
    last: list[Part] = []
    after = {outcome.event for outcome in codebook.outcomes if outcome.time in later}
    for variable in codebook.variables:
        if variable.role == "identifier" or variable.name in placed or variable.name in later:
            continue
        part = CategoryPart(variable) if variable.type == "category" else NumberPart(variable)
        (last if variable.name in after else first).append(part)
    anchored = [NumberPart(codebook.variable(name), anchor) for name, anchor in _anchors_first(later)]
    found = (*first, *outcomes, *last, *anchored)
    if not found:
        raise ValueError("the codebook has no variable to model: keep at least one besides the identifier")
    return found


def _anchors_first(later: dict[str, Variable]) -> Iterator[tuple[str, Variable]]:
    waiting = dict(later)
    while waiting:
        for name, anchor in list(waiting.items()):
            if anchor.name not in waiting:
                del waiting[name]
                yield name, anchor


class Sequence:
    """Learned from one table; :meth:`draw` gives as many synthetic rows as wanted, before any rule is looked at."""

    def __init__(
        self, table: pl.DataFrame, codebook: Codebook, settings: Settings, random: np.random.Generator
    ) -> None:
        if table.height == 0:
            raise ValueError("the table has no rows: there is nothing to learn from")
        self._parts = parts_of(codebook)
        self._codebook = codebook
        self._random = random
        self._bins: dict[str, Bins] = {}
        features = Features(table.height)
        values = _values(table, self._parts)
        for part in self._parts:
            part.learn(values, features, settings, random)
            for variable in part.variables:
                self._bins[variable.name] = Bins(values[variable.name], category=variable.type == "category")
            self._append(part, values, features)

    def draw(self, rows: int) -> pl.DataFrame:
        """Synthetic rows in the codebook's order of columns; identifiers have no column."""
        features, values = Features(rows), Values()
        for part in self._parts:
            part.draw(values, features, self._random)
            self._append(part, values, features)
        return pl.DataFrame([series(v, values[v.name]) for v in self._codebook.variables if v.name in values])

    def _append(self, part: Part, values: Values, features: Features) -> None:
        for variable in part.variables:
            bins = self._bins[variable.name]
            features.add(bins.codes(values[variable.name]), bins.size)


def _values(table: pl.DataFrame, parts: tuple[Part, ...]) -> Values:
    values: Values = {}
    for part in parts:
        for variable in part.variables:
            if variable.type == "category":
                coded = levels(table, variable)
                values[variable.name] = np.where(coded < 0, np.nan, coded)
            else:
                values[variable.name] = numbers(table, variable)
    return values
