"""Microaggregation by MDAV (Domingo-Ferrer and Torra, Data Mining and Knowledge Discovery 2005) in numpy.

Patients are gathered in classes of k to 2k - 1 that lie close together, and a class's numbers are replaced by their
mean. Tables of more than :data:`BLOCK` rows are first halved across their widest direction, again and again: MDAV
alone takes time that grows with the square of the rows.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema_anonymise.scales import Codes, Scale

Points = NDArray[np.float64]

BLOCK = 1024
APART = 3.0
"""How far "not recorded" lies from the mean of the recorded numbers, in standard deviations: further than most do."""


def points_of(table: pl.DataFrame, scales: tuple[Scale, ...], codes: Codes) -> Points:
    """One point for each row: numbers in standard deviations, categories one unit apart; shape (rows, dimensions)."""
    columns: list[Points] = []
    for column, scale in enumerate(scales):
        if scale.ordered:
            values = table[scale.variable.name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            columns += _standardised(values)
        else:
            columns += [(codes[:, column] == code) / np.sqrt(2) for code in np.unique(codes[:, column])]
    return np.stack(columns, axis=1) if columns else np.zeros((table.height, 0))


def _standardised(values: Points) -> list[Points]:
    known = np.isfinite(values)
    if not known.any():
        return []
    spread = float(values[known].std()) or 1.0
    scaled = np.where(known, (np.where(known, values, 0.0) - float(values[known].mean())) / spread, 0.0)
    return [scaled] if known.all() else [scaled, np.where(known, 0.0, APART)]


def classes_by_distance(points: Points, k: int) -> Codes | None:
    """The class of each row, each class of at least k rows; ``None`` when there are fewer than k rows."""
    if len(points) < k:
        return None
    if points.shape[1] == 0:
        return np.zeros(len(points), dtype=np.int64)
    answer = np.full(len(points), -1, dtype=np.int64)
    count = 0
    for block in _blocks(points, max(BLOCK, 4 * k)):
        found = _mdav(points[block], k)
        answer[block] = found + count
        count += int(found.max()) + 1
    return answer


def _blocks(points: Points, largest: int) -> list[Codes]:
    waiting, done = [np.arange(len(points))], []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= largest:
            done.append(rows)
            continue
        widest = int(points[rows].var(axis=0).argmax())
        rows = rows[np.argsort(points[rows, widest], kind="stable")]
        waiting += [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    return done


def _mdav(points: Points, k: int) -> Codes:
    """Around the row farthest from the mean, and around the row farthest from that one, a class of k; then again."""
    answer = np.full(len(points), -1, dtype=np.int64)
    left = np.arange(len(points))
    count = 0
    while len(left) >= 2 * k:
        seed = points[left].mean(axis=0)
        for _ in range(2 if len(left) >= 3 * k else 1):
            seed = points[left[_distances(points[left], seed).argmax()]]
            nearest = np.argpartition(_distances(points[left], seed), k - 1)[:k]
            answer[left[nearest]] = count
            count += 1
            left = np.delete(left, nearest)
    answer[left] = count
    return answer


def _distances(points: Points, centre: Points) -> Points:
    return np.asarray(((points - centre) ** 2).sum(axis=1))


def nearest_class(points: Points, groups: Codes, others: Points) -> Codes:
    """The class whose mean each of ``others`` lies nearest to; ``points`` and ``groups`` are those of the classes."""
    count = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=count)[:, None]
    sums = [np.bincount(groups, weights=points[:, column], minlength=count) for column in range(points.shape[1])]
    means = np.stack(sums, axis=1) / sizes if sums else np.zeros((count, 0))
    found = [int(((means - point) ** 2).sum(axis=1).argmin()) for point in others]
    return np.asarray(found, dtype=np.int64)
