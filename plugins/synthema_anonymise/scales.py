"""Scales: the steps a variable's values may be made coarser by, from the codebook alone.

The finest steps (*leaves*) of a number are the intervals between the codebook's
edges; any run of neighbouring intervals is a wider step. The leaves of a category
are its values; wider are the groups that were asked for, and last ``any value``.
No cut point is read from the data, so none tells anything about a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Variable

ANY = "any value"
"""What stands where a class holds everything: several groups of a category, or both missing and recorded values."""

MOST_LEAVES = 64
PARTS = 32

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scale:
    """One variable's leaves and everything wider.

    ``cuts`` are the ends of a number's leaves (one more than leaves; the last leaf is closed on both sides), empty
    for a category. A value's *code* is the number of its leaf, or ``len(leaves)`` where it was not recorded.
    """

    variable: Variable
    leaves: tuple[str, ...]
    cuts: tuple[float, ...] = ()
    groups: tuple[tuple[str, frozenset[int]], ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether the leaves have an order, that is, whether the variable is a number."""
        return bool(self.cuts)

    @property
    def missing(self) -> int:
        """The code of a value that was not recorded."""
        return len(self.leaves)

    def codes(self, series: pl.Series) -> Codes:
        """The leaf of each value; raises ``ValueError`` for values that the codebook does not allow."""
        return self._codes_of_numbers(series) if self.ordered else self._codes_of_texts(series)

    def _codes_of_numbers(self, series: pl.Series) -> Codes:
        values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        known = np.isfinite(values)
        inside = values[known]
        if len(inside) and (inside.min() < self.cuts[0] or inside.max() > self.cuts[-1]):
            raise ValueError("a value lies outside the bounds of the codebook: correct the table or the codebook")
        place = np.searchsorted(np.asarray(self.cuts), np.where(known, values, self.cuts[0]), side="right") - 1
        return np.where(known, np.minimum(place, self.missing - 1), self.missing).astype(np.int64)

    def _codes_of_texts(self, series: pl.Series) -> Codes:
        texts = series.cast(pl.String)
        number = {leaf: code for code, leaf in enumerate(self.leaves)}
        codes = texts.replace_strict(number, default=None, return_dtype=pl.Int64)
        if codes.null_count() > texts.null_count():
            raise ValueError("a value is none of the codebook's categories: correct the table or the codebook")
        return codes.fill_null(self.missing).to_numpy().astype(np.int64)

    @cached_property
    def steps(self) -> tuple[str | None, ...]:
        """The label of each step; the last is that of a value not recorded."""
        if not self.ordered:
            return (*self.leaves, *(label for label, _ in self.groups), ANY, None)
        runs = [self._run(first, last) for first in range(len(self.leaves)) for last in range(first, len(self.leaves))]
        return (*runs, ANY, None)

    @cached_property
    def covers(self) -> Flags:
        """Which codes each step covers: shape (steps, leaves + 1), the last column being "not recorded"."""
        count = len(self.leaves)
        found = np.zeros((len(self.steps), count + 1), dtype=bool)
        if self.ordered:
            spans = [(first, last) for first in range(count) for last in range(first, count)]
            for step, (first, last) in enumerate(spans):
                found[step, first : last + 1] = True
        else:
            found[np.arange(count), np.arange(count)] = True
            for step, (_, members) in enumerate(self.groups, start=count):
                found[step, sorted(members)] = True
        found[-2, :] = True
        found[-1, count] = True
        return found

    def steps_for(self, present: Flags) -> Codes:
        """The narrowest step that covers all codes of a class; ``present`` has shape (classes, leaves + 1)."""
        count = len(self.leaves)
        known, absent = present[:, :count], present[:, count]
        first, last = known.argmax(axis=1), count - 1 - known[:, ::-1].argmax(axis=1)
        if self.ordered:
            found = first * count - first * (first - 1) // 2 + (last - first)
        else:
            found = np.full(len(present), len(self.steps) - 2)
            for step, (_, members) in reversed(list(enumerate(self.groups, start=count))):
                outside = [code for code in range(count) if code not in members]
                found = np.where(~known[:, outside].any(axis=1), step, found)
            found = np.where(first == last, first, found)
        found = np.where(absent, len(self.steps) - 2, found)
        return np.where(~known.any(axis=1), len(self.steps) - 1, found).astype(np.int64)

    @cached_property
    def width(self) -> NDArray[np.float64]:
        """What each step hides, 0 for a leaf (or "not recorded") to 1 for everything.

        The normalised certainty penalty of Xu et al. (KDD 2006): the share of the leaves beyond the first.
        """
        count = len(self.leaves)
        sizes = self.covers[:, :count].sum(axis=1)
        hidden = np.maximum(sizes - 1, 0) / max(count - 1, 1)
        hidden[-2] = 1.0
        return np.asarray(hidden, dtype=np.float64)

    def _run(self, first: int, last: int) -> str:
        low, high = self.cuts[first], self.cuts[last + 1]
        closed = last == len(self.leaves) - 1
        if self.variable.type == "integer":
            top = floor(high) if closed else ceil(high) - 1
            return f"{ceil(low)}–{top}" if top > ceil(low) else f"{ceil(low)}"
        return f"{low:.12g} to {'' if closed else 'under '}{high:.12g}"


def scale_of(variable: Variable, groups: dict[str, tuple[str, ...]] | None = None) -> Scale:
    """The scale of a number or a category; ``groups`` name sets of a category's values.

    Raises ``ValueError`` when groups overlap, or name what is no value of the category.
    """
    groups = groups or {}
    if variable.type != "category":
        if groups:
            raise ValueError(f"'{variable.name}' is a number: its steps are the codebook's edges, not groups")
        cuts = _cuts(variable)
        bare = Scale(variable, tuple(map(str, range(len(cuts) - 1))), cuts)
        leaves = tuple(bare._run(code, code) for code in range(len(cuts) - 1))  # noqa: SLF001 - its own class's factory
        return Scale(variable, leaves, cuts)
    number = {value: code for code, value in enumerate(variable.categories)}
    listed = [value for values in groups.values() for value in values]
    if len(listed) != len(set(listed)) or not set(listed) <= set(number):
        raise ValueError(f"the groups of '{variable.name}' overlap, or name a value that the codebook does not have")
    sets = tuple((label, frozenset(number[value] for value in values)) for label, values in groups.items())
    return Scale(variable, variable.categories, (), sets)


def _cuts(variable: Variable) -> tuple[float, ...]:
    """The ends of a number's leaves: edges, else bands, else even parts; they always reach from minimum to maximum."""
    low, high = float(variable.minimum or 0), float(variable.maximum or 0)
    chosen = variable.edges if 2 <= len(variable.edges) <= MOST_LEAVES else variable.bands
    inner = [float(edge) for edge in chosen[: MOST_LEAVES + 1]] or _even_parts(variable, low, high)
    if variable.type == "integer":
        inner, low, high = [float(ceil(edge)) for edge in inner], float(ceil(low)), float(floor(high))
    cuts = sorted({low, *(edge for edge in inner if low < edge < high), high})
    return tuple(cuts) if len(cuts) > 1 else (low, low + 1)


def _even_parts(variable: Variable, low: float, high: float) -> list[float]:
    if variable.type == "integer" and high - low < MOST_LEAVES:
        return [low + step for step in range(int(high - low) + 1)]
    return [float(edge) for edge in np.linspace(low, high, PARTS + 1)]
