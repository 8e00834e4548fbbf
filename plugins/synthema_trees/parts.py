"""The parts of a row, each learned from those before it: a category, a number, or an outcome.

Values travel as floats: a category's level, a number, NaN for missing.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from synthema.datasets.codebook import SurvivalOutcome, Variable
from synthema.spi.sampling import written
from synthema_trees.bags import CategoryBag, NumberBag, Settings
from synthema_trees.columns import Bins, Features
from synthema_trees.growth import Flags, Floats
from synthema_trees.risk import Followed, Risk
from synthema_trees.survival import Curve, hand_out

Values = dict[str, Floats]


class Part(Protocol):
    """One step of the sequence."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The columns this step makes."""
        ...

    def learn(self, values: Values, features: Features, settings: Settings, random: np.random.Generator) -> None:
        """Learn the step's columns from the real rows' features."""
        ...

    def draw(self, values: Values, features: Features, random: np.random.Generator) -> None:
        """Add the step's columns to the synthetic rows' values."""
        ...


class CategoryPart:
    """A category; missing is a level of its own where the codebook allows it."""

    def __init__(self, variable: Variable) -> None:
        self.variables = (variable,)
        self._variable = variable

    def learn(self, values: Values, features: Features, settings: Settings, random: np.random.Generator) -> None:
        own, number = values[self._variable.name], len(self._variable.categories)
        rows = np.ones(len(own), dtype=bool) if self._variable.may_be_missing else np.isfinite(own)
        _need_rows(rows)
        coded = np.where(np.isfinite(own), np.nan_to_num(own), number).astype(np.int64)
        self._bag = CategoryBag(coded[rows], number + 1, features.codes[rows], features.sizes, settings, random)

    def draw(self, values: Values, features: Features, random: np.random.Generator) -> None:
        drawn = self._bag.draw(features.codes, random)
        values[self._variable.name] = np.where(drawn < len(self._variable.categories), drawn, np.nan)


class Gaps:
    """Where a column's values are missing, learned like a category with two levels; nowhere if none ever is."""

    def __init__(self, missing: Flags, features: Features, settings: Settings, random: np.random.Generator) -> None:
        self._bag: CategoryBag | None = None
        if missing.any():
            self._bag = CategoryBag(missing.astype(np.int64), 2, features.codes, features.sizes, settings, random)

    def draw(self, features: Features, random: np.random.Generator) -> Flags:
        """Which synthetic rows have no value."""
        if self._bag is None:
            return np.zeros(len(features.codes), dtype=bool)
        return np.asarray(self._bag.draw(features.codes, random) == 1)


class NumberPart:
    """A number; one that is never after another is learned as a share of it, so that no draw can break the order."""

    def __init__(self, variable: Variable, anchor: Variable | None = None) -> None:
        self.variables = (variable,)
        self._variable, self._anchor = variable, anchor
        self._low, self._high = float(variable.minimum or 0.0), float(variable.maximum or 0.0)

    def learn(self, values: Values, features: Features, settings: Settings, random: np.random.Generator) -> None:
        own = values[self._variable.name]
        missing = ~np.isfinite(own) & self._variable.may_be_missing
        self._gaps = Gaps(missing, features, settings, random)
        learned = own
        if self._anchor is not None:
            learned = self._share(own, values[self._anchor.name])
        known = np.isfinite(learned)
        _need_rows(known | missing)
        self._bag: NumberBag | None = None
        if known.any():
            self._bag = NumberBag(learned[known], features.codes[known], features.sizes, settings, random)

    def draw(self, values: Values, features: Features, random: np.random.Generator) -> None:
        missing = self._gaps.draw(features, random)
        if self._bag is None:
            drawn = np.full(len(missing), np.nan)
        else:
            drawn = self._bag.draw(features.codes, random)
            if self._anchor is not None:
                drawn = self._within(drawn, values[self._anchor.name])
            drawn = written(drawn, self._variable)
        if self._anchor is not None:
            until = values[self._anchor.name]
            drawn = np.where(np.isfinite(until), np.fmax(np.fmin(drawn, until), self._low), drawn)
            missing = missing | (~np.isfinite(until) & self._variable.may_be_missing)
        values[self._variable.name] = np.where(missing, np.nan, drawn)

    def _share(self, own: Floats, until: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip((own - self._low) / (until - self._low), 0.0, 1.0)
        return np.asarray(np.where((until <= self._low) & np.isfinite(own), 1.0, share))

    def _within(self, share: Floats, until: Floats) -> Floats:
        end = np.where(np.isfinite(until), np.minimum(until, self._high), self._high)
        return np.asarray(self._low + share * np.maximum(end - self._low, 0.0))


class OutcomePart:
    """A time and its event, handed out by risk along the cohort's own curve."""

    def __init__(self, outcome: SurvivalOutcome, time: Variable, event: Variable) -> None:
        self.variables = (time, event)
        self._time, self._event = time, event
        self._level = event.categories.index(outcome.event_value) if outcome.event_value in event.categories else -1

    def learn(self, values: Values, features: Features, settings: Settings, random: np.random.Generator) -> None:
        times, levels = values[self._time.name], values[self._event.name]
        known = np.isfinite(times) & np.isfinite(levels)
        _need_rows(known)
        may_be_missing = self._time.may_be_missing and self._event.may_be_missing
        self._gaps = Gaps(~known & may_be_missing, features, settings, random)
        happened = levels[known] == self._level
        self._curve = Curve(times[known], happened)
        self._risk = Risk(Followed(times[known], happened, features.codes[known], features.sizes), settings, random)
        self._bins = Bins(times[known], category=False)
        others = np.nonzero(known)[0][~happened]
        self._others: CategoryBag | None = None
        if len(others):
            beside = self._beside(features, times)
            self._others = CategoryBag(
                levels[others].astype(np.int64),
                len(self._event.categories),
                beside.codes[others],
                beside.sizes,
                settings,
                random,
            )

    def draw(self, values: Values, features: Features, random: np.random.Generator) -> None:
        missing = self._gaps.draw(features, random)
        times, happened = hand_out(
            self._risk.log_risk(features.codes), self._risk.effects(features.codes), self._curve, random
        )
        times = written(times, self._time)
        levels = np.full(len(times), float(max(self._level, 0)))
        if self._others is not None:
            otherwise = self._others.draw(self._beside(features, times).codes, random)
            levels = np.where(happened, levels, otherwise)
        values[self._time.name] = np.where(missing, np.nan, times)
        values[self._event.name] = np.where(missing, np.nan, levels)

    def _beside(self, features: Features, times: Floats) -> Features:
        return features.beside(self._bins.codes(times), self._bins.size)


def _need_rows(rows: Flags) -> None:
    if not rows.any():
        raise ValueError("a column that may not be missing has no value at all: mend the table or its codebook")
