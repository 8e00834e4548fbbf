"""Strict multidimensional partitioning (LeFevre, DeWitt and Ramakrishnan, *Mondrian*, ICDE 2006) in numpy.

All classes of one depth are cut at once. A class is cut across the variable on which it is widest, where the cut
comes closest to halving it; a cut is made only if the promise holds on both sides. If it does not, the next widest
variable is tried, and a class that none can cut is finished.

Why the promise holds at the end: it holds for the whole table (checked first), each cut keeps it, and where two
finished classes come to read the same they merge, which keeps it too: sizes add up, different values stay different,
and both entropy (concave) and the distance to the whole table (convex) are at most as bad for a mixture as for its
parts. The caller checks the finished table once more all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthema_anonymise.scales import Codes, Flags, Scale

Numbers = NDArray[np.float64]


class Promise(Protocol):
    """What every class must keep."""

    @property
    def least(self) -> float:
        """The least weight of a class."""
        ...

    def holds(self, groups: Codes, count: int) -> Flags:
        """Whether it holds for each of ``count`` groups; ``groups`` is each row's group, -1 for rows in none."""
        ...


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows that agree in all codes, taken together: codes (cells, variables), weight, each row's cell.

    ``seen`` is how many of its rows have a say in where cuts go; the others only follow.
    """

    codes: Codes
    weight: Numbers
    seen: Numbers
    of_row: Codes


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The ways to cut a scale in two: which codes go left, shape (cuts, leaves + 1), and which are tried first."""

    left: Numbers
    rank: Numbers


def partition(
    codes: Codes, scales: tuple[Scale, ...], weight: Numbers, promise: Promise, *, following: int = 0
) -> Codes | None:
    """The class of each row, or ``None`` when not even the whole table keeps the promise.

    ``codes`` has shape (rows, variables), ``weight`` says how much each row counts towards ``promise.least``. The
    answer depends on the rows alone, not on their order. The last ``following`` rows go through the cuts that the
    others make and change none; their weight must be 0.
    """
    if not len(codes) or not promise.holds(np.zeros(len(codes), dtype=np.int64), 1).all():
        return None
    if not scales:
        return np.zeros(len(codes), dtype=np.int64)
    cells = _cells_of(codes, scales, weight, following)
    cuts = tuple(map(_cuts_of, scales))
    place = np.zeros(len(cells.codes), dtype=np.int64)
    open_ones = np.zeros(1, dtype=np.int64)
    total = 1
    while len(open_ones):
        side = _cut_all(cells, scales, cuts, place, open_ones, promise)
        right = side == 1
        parents = np.unique(place[right])
        fresh = np.searchsorted(parents, place[right]) + total
        place[right] = fresh
        open_ones = np.concatenate([parents, np.arange(total, total + len(parents))])
        total += len(parents)
    return place[cells.of_row]


def _cells_of(codes: Codes, scales: tuple[Scale, ...], weight: Numbers, following: int) -> _Cells:
    key = np.zeros(len(codes), dtype=np.int64)
    for column, scale in enumerate(scales):
        # Renumbering after each variable keeps the key far below 2**63, however many variables there are.
        key = np.unique(key * (scale.missing + 1) + codes[:, column], return_inverse=True)[1].reshape(-1)
    _, first = np.unique(key, return_index=True)
    says = (np.arange(len(codes)) < len(codes) - following).astype(np.float64)
    sums = [np.bincount(key, weights=each).astype(np.float64) for each in (weight, says)]
    return _Cells(codes[first], sums[0], sums[1], key)


def _cuts_of(scale: Scale) -> _Cuts:
    """Recorded or not is tried first, then groups against the rest, then each value or each edge."""
    count = scale.missing
    known = np.append(np.ones(count), 0.0)[None, :]
    if scale.ordered:
        edges = np.tril(np.ones((count - 1, count + 1)))
        return _Cuts(np.vstack([known, edges]), np.append(0.0, np.full(count - 1, 2.0)))
    groups = np.zeros((len(scale.groups), count + 1))
    for row, (_, members) in enumerate(scale.groups):
        groups[row, sorted(members)] = 1.0
    left = np.vstack([known, groups, np.eye(count, count + 1)])
    return _Cuts(left, np.concatenate([[0.0], np.ones(len(groups)), np.full(count, 2.0)]))


def _cut_all(
    cells: _Cells, scales: tuple[Scale, ...], cuts: tuple[_Cuts, ...], place: Codes, open_ones: Codes, promise: Promise
) -> Codes:
    """The side of each cell: 0 left, 1 right, -1 where its class is finished."""
    position = np.full(int(place.max()) + 1, -1, dtype=np.int64)
    position[open_ones] = np.arange(len(open_ones))
    here = position[place]
    live = np.flatnonzero(here >= 0)
    local = here[live]
    weights = [
        _counts(local, cells.codes[live, column], scale.missing + 1, len(open_ones), cells.weight[live])
        for column, scale in enumerate(scales)
    ]
    present = [
        _counts(local, cells.codes[live, column], scale.missing + 1, len(open_ones), cells.seen[live]) > 0
        for column, scale in enumerate(scales)
    ]
    widths = np.stack([scale.width[scale.steps_for(seen)] for scale, seen in zip(scales, present, strict=True)], axis=1)
    order = np.argsort(-widths, axis=1, kind="stable")
    waiting = np.ones(len(open_ones), dtype=bool)
    answer = np.full(len(place), -1, dtype=np.int64)
    for turn in range(len(scales)):
        side = np.full(len(live), -1, dtype=np.int64)
        for column, cut in enumerate(cuts):
            chosen = waiting & (order[:, turn] == column) & (widths[:, column] > 0)
            if chosen.any():
                left, possible = _best(weights[column], cut, chosen, promise.least)
                mine = possible[local]
                side[mine] = 1 - left[local[mine], cells.codes[live[mine], column]]
        good = _kept_on_both_sides(cells, live, local, side, len(open_ones), promise)
        settled = good[local] & (side >= 0)
        answer[live[settled]] = side[settled]
        waiting &= ~good
        if not waiting.any():
            break
    return answer


def _counts(group: Codes, code: Codes, codes: int, groups: int, weight: Numbers) -> Numbers:
    flat = np.bincount(group * codes + code, weights=weight, minlength=groups * codes)
    return np.asarray(flat, dtype=np.float64).reshape(groups, codes)


def _best(weights: Numbers, cut: _Cuts, chosen: Flags, least: float) -> tuple[Codes, Flags]:
    """The cut nearest to the middle for each chosen class, as its codes on the left; and where there is one at all."""
    which = np.flatnonzero(chosen)
    total = weights[which].sum(axis=1, keepdims=True)
    left = weights[which] @ cut.left.T
    allowed = (left >= least) & (total - left >= least)
    score = np.where(allowed, cut.rank + np.abs(left - total / 2) / np.maximum(total, 1), np.inf)
    found = np.zeros(weights.shape, dtype=np.int64)
    found[which] = cut.left[score.argmin(axis=1)]
    possible = chosen.copy()
    possible[which] = allowed.any(axis=1)
    return found, possible


def _kept_on_both_sides(cells: _Cells, live: Codes, local: Codes, side: Codes, count: int, promise: Promise) -> Flags:
    if not (side >= 0).any():
        return np.zeros(count, dtype=bool)
    half = np.full(len(cells.codes), -1, dtype=np.int64)
    half[live] = np.where(side >= 0, 2 * local + side, -1)
    kept = promise.holds(half[cells.of_row], 2 * count).reshape(count, 2).all(axis=1)
    cut = np.bincount(local[side >= 0], minlength=count) > 0
    return np.asarray(kept & cut)
