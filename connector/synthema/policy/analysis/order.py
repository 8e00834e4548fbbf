"""Values of several operands that are compared with each other: whether there are any, and simple ones.

Each operand has an interval; pairs of them stand in a relation (less, equal). This is
a system of difference bounds: its least solution, if any, is found by raising every
value as far as it must be. Whole units (people, seconds) step by one; numbers lie densely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from synthema.vocabulary import Datatype

Relation = Literal["<", "=", ">"]
Bounds = Mapping[str, tuple[Fraction | None, bool, Fraction | None, bool]]
ORDERS: tuple[Relation, ...] = ("<", "=", ">")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """All values between two bounds; ``None`` is no bound."""

    low: Any = None
    low_open: bool = False
    high: Any = None
    high_open: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the interval."""
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        return bool(above and (self.high is None or (value < self.high if self.high_open else value <= self.high)))


def to_number(value: Any, datatype: Datatype) -> Fraction:
    """A value as an exact number: times and durations in microseconds."""
    if datatype is Datatype.DATE:
        return Fraction((value - _EPOCH) // _MICROSECOND)
    if datatype is Datatype.DURATION:
        return Fraction(value // _MICROSECOND)
    return Fraction(value)


def from_number(number: Fraction, datatype: Datatype) -> Any:
    """The value of an exact number; raises :class:`OverflowError` where none can be written."""
    if datatype is Datatype.DATE:
        return _EPOCH + timedelta(microseconds=int(number))
    if datatype is Datatype.DURATION:
        return timedelta(microseconds=int(number))
    return int(number) if datatype is Datatype.COUNT else float(number)


_STEPS: Mapping[Datatype, tuple[Fraction, ...]] = {
    Datatype.NUMBER: (Fraction(1), Fraction(1, 2), Fraction(1, 10), Fraction(1, 100)),
    Datatype.COUNT: (Fraction(1),),
    Datatype.DATE: tuple(Fraction(n) for n in (86_400_000_000, 3_600_000_000, 1_000_000, 1)),
    Datatype.DURATION: tuple(Fraction(n) for n in (86_400_000_000, 3_600_000_000, 1_000_000, 1)),
}
"""Distances between values, those that people use first."""


def solvable(
    intervals: Mapping[str, Interval], relations: Sequence[tuple[str, Relation, str]], datatype: Datatype
) -> bool:
    """Whether there are values in the intervals that stand in the relations."""
    bounds, known = _numbers(intervals, datatype)
    step = _steps(datatype, known, len(bounds))[-1]
    lowest = known[0] if known else _ZERO.get(datatype, Fraction(0))
    return _least(bounds, relations, step, lowest - step * (2 * len(bounds) + 2)) is not None


def solve(
    intervals: Mapping[str, Interval], relations: Sequence[tuple[str, Relation, str]], datatype: Datatype
) -> dict[str, Any] | None:
    """Values in the intervals that stand in the relations; ``None`` where there are none."""
    bounds, known = _numbers(intervals, datatype)
    steps = _steps(datatype, known, len(bounds))
    lowest = known[0] if known else _ZERO.get(datatype, Fraction(0))
    for from_zero in (True, False):
        for step in steps:
            floor = _ZERO.get(datatype, Fraction(0)) if from_zero else lowest - step * (2 * len(bounds) + 2)
            found = _least(bounds, relations, step, floor)
            if found is not None:
                return {name: from_number(number, datatype) for name, number in found.items()}
    return None


def _numbers(intervals: Mapping[str, Interval], datatype: Datatype) -> tuple[Bounds, list[Fraction]]:
    """The intervals as exact numbers, and all their ends in order."""
    bounds = {
        name: (
            None if one.low is None else to_number(one.low, datatype),
            one.low_open,
            None if one.high is None else to_number(one.high, datatype),
            one.high_open,
        )
        for name, one in intervals.items()
    }
    return bounds, sorted({end for low, _, high, _ in bounds.values() for end in (low, high) if end is not None})


def _steps(datatype: Datatype, known: Sequence[Fraction], count: int) -> list[Fraction]:
    """Distances to try, the last one so small that it finds whatever there is."""
    steps = list(_STEPS[datatype])
    if datatype is Datatype.NUMBER:
        gaps = [b - a for a, b in pairwise(known)] or [Fraction(1)]
        steps.append(min(*gaps, Fraction(1)) / (2 * count + 2))
    return steps


_ZERO: Mapping[Datatype, Fraction] = {Datatype.DATE: to_number(datetime(2026, 1, 1, tzinfo=UTC), Datatype.DATE)}
"""Where values without a lower bound begin, if they can."""


def _least(
    bounds: Bounds,
    relations: Sequence[tuple[str, Relation, str]],
    step: Fraction,
    floor: Fraction,
) -> dict[str, Fraction] | None:
    """The least values from ``floor`` on that keep a distance of ``step`` wherever they must differ."""
    values = {
        name: floor if low is None else low + (step if is_open else 0) for name, (low, is_open, _, _) in bounds.items()
    }
    pairs = [pair for first, relation, second in relations for pair in _pairs(first, relation, second, step)]
    # Each round raises what must be raised; more rounds than operands mean a circle.
    for _ in range(len(bounds) + 1):
        changed = False
        for lower, upper, distance in pairs:
            if values[upper] < values[lower] + distance:
                values[upper], changed = values[lower] + distance, True
        if not changed:
            break
    else:
        return None
    for name, (_, _, high, is_open) in bounds.items():
        if high is not None and (values[name] >= high if is_open else values[name] > high):
            return None
    return values


def _pairs(first: str, relation: Relation, second: str, step: Fraction) -> list[tuple[str, str, Fraction]]:
    if relation == "<":
        return [(first, second, step)]
    if relation == ">":
        return [(second, first, step)]
    return [(first, second, Fraction(0)), (second, first, Fraction(0))]
