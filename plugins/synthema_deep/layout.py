"""A table as the networks see it, and back: normal scores, levels, and outcomes.

A number has a kind besides its score: inside, at the codebook's minimum (where that is nought), at the number it may
not exceed, or missing. A number that is never after another is learned as a share of it. A derived column is not
learned at all: it is recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.columns import numbers, texts
from synthema.spi.sampling import ordered_below, written
from synthema_deep.scales import Codes, Floats, Scale

Flags = NDArray[np.bool_]
INSIDE, LOWEST, HIGHEST, MISSING = range(4)
INTERVALS = 32
PATIENTS_PER_INTERVAL = 30


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows: scores and whether each counts, shape (rows, numbers); levels, shape (rows, categories).

    ``interval``, ``level`` and ``known`` say when and how each outcome ended, shape (rows, outcomes).
    """

    scores: Floats
    inside: Flags
    levels: Codes
    interval: Codes
    level: Codes
    known: Flags


class Number:
    """A numeric column; ``anchor`` is the number it may not exceed, if any."""

    def __init__(self, variable: Variable, anchor: Variable | None) -> None:
        self.variable, self.anchor = variable, anchor
        self.low, self.high = float(variable.minimum or 0.0), float(variable.maximum or 0.0)
        self.scale = Scale(np.array([self.low, self.high]), np.array([0.0, 1.0]))

    def fit(self, own: Floats, until: Floats | None, *, private: bool) -> None:
        """Lay the knots."""
        if private:
            self.scale = Scale.of_codebook(self.variable, *((0.0, 1.0) if self.anchor else (self.low, self.high)))
            return
        learned, kind = self._seen(own, until)
        if (kind == INSIDE).any():
            self.scale = Scale.of_data(learned[kind == INSIDE])

    def encode(self, own: Floats, until: Floats | None) -> tuple[Floats, Codes]:
        """Scores, and kinds."""
        learned, kind = self._seen(own, until)
        return np.where(kind == INSIDE, self.scale.scores(np.nan_to_num(learned)), 0.0), kind

    def decode(self, scores: Floats, kind: Codes, until: Floats | None) -> Floats:
        """Values, missing as NaN."""
        values, ends = self.scale.values(scores), self._ends(until, len(scores))
        if self.anchor is not None:
            values = self.low + values * np.maximum(ends - self.low, 0.0)
        values = written(np.select([kind == LOWEST, kind == HIGHEST], [self.low, ends], values), self.variable)
        if until is not None:
            values = np.where(np.isfinite(until), np.fmax(np.fmin(values, until), self.low), values)
        return np.where(kind == MISSING, np.nan, values)

    def _ends(self, until: Floats | None, rows: int) -> Floats:
        if until is None:
            return np.full(rows, self.high)
        return np.where(np.isfinite(until), np.minimum(until, self.high), self.high)

    def _seen(self, own: Floats, until: Floats | None) -> tuple[Floats, Codes]:
        ends = self._ends(until, len(own))
        kind = np.where(np.isfinite(own), INSIDE, MISSING)
        if self.low == 0.0:
            kind = np.where(own <= self.low, LOWEST, kind)
        if self.anchor is None:
            return own, kind
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip((own - self.low) / (ends - self.low), 0.0, 1.0)
        return share, np.where(own >= ends, HIGHEST, kind)


class Outcome:
    """A time and its event, for the survival head."""

    def __init__(self, outcome: SurvivalOutcome, codebook: Codebook) -> None:
        self.time, self.event = codebook.variable(outcome.time), codebook.variable(outcome.event)
        self.may_be_missing = self.time.may_be_missing and self.event.may_be_missing
        self.scale = Scale.of_codebook(self.time, float(self.time.minimum or 0.0), float(self.time.maximum or 0.0))

    @property
    def intervals(self) -> int:
        return len(self.scale.knots) - 1

    def fit(self, times: Floats) -> None:
        """Lay the knots at the data's quantiles."""
        if len(times) >= PATIENTS_PER_INTERVAL:
            self.scale = Scale.of_data(times, most=int(np.clip(len(times) // PATIENTS_PER_INTERVAL, 4, INTERVALS)))


class Layout:
    """Which columns there are and how they are encoded."""

    def __init__(self, table: pl.DataFrame, codebook: Codebook, *, private: bool) -> None:
        self._order = [v.name for v in codebook.variables if v.role != "identifier" and v.type != "text"]
        later = ordered_below(codebook)
        learned = [codebook.variable(n) for n in self._order if n not in codebook.derived]
        self.outcomes = _outcomes(codebook, {v.name for v in learned} - set(later))
        placed = {v.name for o in self.outcomes for v in (o.time, o.event)}
        left = [v for v in learned if v.name not in placed]
        plain = [Number(v, None) for v in left if v.type != "category" and v.name not in later]
        self.numbers = plain + _in_order([Number(v, later[v.name]) for v in left if v.name in later])
        self.categories = [v for v in left if v.type == "category"]
        if not learned:
            raise ValueError("the codebook has no variable to model: keep at least one besides the identifier")
        values = self._values(table)
        for number in self.numbers:
            number.fit(values[number.variable.name], self._until(number, values), private=private)
        for outcome in self.outcomes:
            times = values[outcome.time.name]
            if not private:
                outcome.fit(times[np.isfinite(times) & np.isfinite(values[outcome.event.name])])

    @property
    def sizes(self) -> list[int]:
        """Number of levels of each categorical feature: categories, kinds of numbers, presence of outcomes."""
        sizes = [len(v.categories) + v.may_be_missing for v in self.categories]
        return sizes + [4] * len(self.numbers) + [2 for o in self.outcomes if o.may_be_missing]

    def allowed(self) -> list[Flags]:
        """For each categorical feature: which levels may be drawn, by the codebook alone."""
        kinds = [np.array([True, n.low == 0.0, n.anchor is not None, n.variable.may_be_missing]) for n in self.numbers]
        present = [np.ones(2, dtype=bool) for o in self.outcomes if o.may_be_missing]
        return [np.ones(size, dtype=bool) for size in self.sizes[: len(self.categories)]] + kinds + present

    def encode(self, table: pl.DataFrame) -> Rows:
        """The rows of a real table."""
        values = self._values(table)
        coded = [n.encode(values[n.variable.name], self._until(n, values)) for n in self.numbers]
        levels = [_filled(values[v.name], len(v.categories), v.may_be_missing) for v in self.categories]
        ends = [(values[o.time.name], values[o.event.name]) for o in self.outcomes]
        known = [np.isfinite(time) & np.isfinite(event) for time, event in ends]
        levels += [kind for _, kind in coded]
        levels += [k.astype(np.int64) for o, k in zip(self.outcomes, known, strict=True) if o.may_be_missing]
        rows = table.height
        return Rows(
            _stack([scores for scores, _ in coded], rows, np.float64),
            _stack([kind == INSIDE for _, kind in coded], rows, np.bool_),
            _stack(levels, rows, np.int64),
            _stack([o.scale.interval(np.nan_to_num(t)) for o, (t, _) in zip(self.outcomes, ends, strict=True)],
                   rows, np.int64),
            _stack([np.nan_to_num(event).astype(np.int64) for _, event in ends], rows, np.int64),
            _stack(known, rows, np.bool_),
        )  # fmt: skip

    def decode(self, rows: Rows, random: np.random.Generator) -> pl.DataFrame:
        """A synthetic table, derived columns still missing."""
        values: dict[str, Floats] = {}
        for place, variable in enumerate(self.categories):
            level = rows.levels[:, place]
            values[variable.name] = np.where(level < len(variable.categories), level, np.nan)
        for place, outcome in enumerate(self.outcomes):
            times = written(outcome.scale.within(rows.interval[:, place], random), outcome.time)
            known = rows.known[:, place]
            values[outcome.time.name] = np.where(known, times, np.nan)
            values[outcome.event.name] = np.where(known, rows.level[:, place], np.nan)
        for place, number in enumerate(self.numbers):
            kind = rows.levels[:, len(self.categories) + place]
            values[number.variable.name] = number.decode(rows.scores[:, place], kind, self._until(number, values))
        modelled = [v for v in self._order if v in values]
        return pl.DataFrame([_series(self._variable(name), values[name]) for name in modelled])

    def _variable(self, name: str) -> Variable:
        return next(v for v in self._modelled() if v.name == name)

    def _modelled(self) -> list[Variable]:
        ends = [v for o in self.outcomes for v in (o.time, o.event)]
        return self.categories + [n.variable for n in self.numbers] + ends

    def _values(self, table: pl.DataFrame) -> dict[str, Floats]:
        return {v.name: _column(table, v) for v in self._modelled()}

    @staticmethod
    def _until(number: Number, values: dict[str, Floats]) -> Floats | None:
        """The values of the anchor, or none where the anchor is not modelled."""
        return values.get(number.anchor.name) if number.anchor is not None else None


def _outcomes(codebook: Codebook, free: set[str]) -> list[Outcome]:
    found: list[Outcome] = []
    for outcome in codebook.outcomes:
        time, event = codebook.variable(outcome.time), codebook.variable(outcome.event)
        if {time.name, event.name} <= free and time.type != "category" and event.type == "category":
            found.append(Outcome(outcome, codebook))
            free = free - {time.name, event.name}
    return found


def _in_order(waiting: list[Number]) -> list[Number]:
    """Numbers after the numbers they hang on."""
    found: list[Number] = []
    names = {n.variable.name for n in waiting}
    while waiting:
        for number in list(waiting):
            if number.anchor is None or number.anchor.name not in names:
                waiting.remove(number)
                names.discard(number.variable.name)
                found.append(number)
    return found


def _column(table: pl.DataFrame, variable: Variable) -> Floats:
    if variable.type != "category":
        values = numbers(table, variable)
        return np.where(np.isfinite(values), values, np.nan)
    place = {category: float(level) for level, category in enumerate(variable.categories)}
    return np.array([place.get(t, np.nan) if t is not None else np.nan for t in texts(table, variable)])


def _filled(values: Floats, missing: int, may_be_missing: bool) -> Codes:  # noqa: FBT001
    """Levels; what is missing gets a level of its own, or the first where the codebook has no missing values."""
    return np.where(np.isfinite(values), np.nan_to_num(values), missing if may_be_missing else 0).astype(np.int64)


def _stack(
    columns: list[NDArray[np.generic]] | list[Floats] | list[Codes] | list[Flags], rows: int, kind: type
) -> NDArray:  # type: ignore[type-arg]
    return np.stack(columns, axis=1).astype(kind) if columns else np.zeros((rows, 0), dtype=kind)


def _series(variable: Variable, values: Floats) -> pl.Series:
    if variable.type == "category":
        names = [None if np.isnan(level) else variable.categories[int(level)] for level in values]
        return pl.Series(variable.name, names, dtype=pl.String)
    column = pl.Series(variable.name, values, dtype=pl.Float64).fill_nan(None)
    return column.cast(pl.Int64) if variable.type == "integer" else column
