"""Columns as the evaluator sees them: codes by the codebook's bins, and vectors for distances."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

EQUAL_BINS = 10
COARSE_LEVELS = 5
BLOCK = 1000  # rows compared at a time, so that memory grows with one table only


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables of an evaluation; all have the codebook's columns."""

    train: pl.DataFrame
    holdout: pl.DataFrame
    synthetic: pl.DataFrame


def compared_variables(codebook: Codebook, *tables: pl.DataFrame) -> tuple[Variable, ...]:
    """The variables that all tables have, identifiers left out; raises ``ValueError`` when there are none."""
    found = tuple(
        variable
        for variable in codebook.variables
        if variable.role != "identifier" and all(variable.name in table.columns for table in tables)
    )
    if not found:
        raise ValueError("real and synthetic tables share no variable of the codebook: evaluate with its codebook")
    return found


def numbers(table: pl.DataFrame, variable: Variable) -> Floats:
    """A number's column, missing as NaN."""
    return table[variable.name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().copy()


def texts(table: pl.DataFrame, name: str) -> list[str | None]:
    """A category's column as texts, missing as ``None``."""
    return table[name].cast(pl.String, strict=False).to_list()


def bin_edges(variable: Variable) -> Floats:
    """Edges of a number's bins: those of the codebook, else ten equal bins."""
    if variable.edges:
        return np.asarray(variable.edges, dtype=np.float64)
    return np.linspace(float(variable.minimum or 0.0), float(variable.maximum or 0.0), EQUAL_BINS + 1)


def bin_count(variable: Variable) -> int:
    """Number of codes of a variable, one for missing or unlisted included."""
    own = len(variable.categories) if variable.type == "category" else len(bin_edges(variable)) - 1
    return own + 1


def bin_labels(variable: Variable) -> list[str]:
    """A label for each code."""
    if variable.type == "category":
        return [*variable.categories, "missing"]
    edges = bin_edges(variable)
    return [f"{low:g}–{high:g}" for low, high in pairwise(edges)] + ["missing"]


def binned(table: pl.DataFrame, variable: Variable) -> Codes:
    """The code of each row; missing and unlisted values get the last code."""
    last = bin_count(variable) - 1
    if variable.type == "category":
        number = {category: index for index, category in enumerate(variable.categories)}
        return np.array([number.get(t, last) if t is not None else last for t in texts(table, variable.name)], np.int64)
    values, edges = numbers(table, variable), bin_edges(variable)
    place = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isfinite(values), place, last)


def coarse_levels(real: Codes, codes: int) -> Codes:
    """A map from codes to at most five levels of about equal real shares; the missing code keeps its own."""
    if codes - 1 <= COARSE_LEVELS:
        return np.arange(codes)
    shares = np.bincount(real, minlength=codes)[:-1].astype(np.float64)
    ranks = (np.cumsum(shares) - shares / 2) / max(shares.sum(), 1.0)
    levels = np.minimum((ranks * COARSE_LEVELS).astype(np.int64), COARSE_LEVELS - 1)
    return np.append(levels, COARSE_LEVELS)


class Space:
    """A space in which distance between rows means what it would mean to an attacker.

    Numbers become ranks within the attacked population (so that no unit and no
    heavy tail dominates); a category difference counts as much as half the range
    of a number; missing lies apart from every value.
    """

    def __init__(self, variables: tuple[Variable, ...], population: pl.DataFrame) -> None:
        self._variables = variables
        self._sorted = {
            v.name: np.sort(known[np.isfinite(known)])
            for v in variables
            if v.type != "category" and (known := numbers(population, v)) is not None
        }

    def vectors(self, table: pl.DataFrame) -> Floats:
        """Rows as points, shape (rows, dimensions)."""
        parts = [self._one_hot(table, v) if v.type == "category" else self._rank(table, v) for v in self._variables]
        return np.asarray(np.concatenate(parts, axis=1), dtype=np.float64)

    def _rank(self, table: pl.DataFrame, variable: Variable) -> Floats:
        known, values = self._sorted[variable.name], numbers(table, variable)
        if len(known) == 0:
            return np.zeros((len(values), 2))
        low, high = np.searchsorted(known, values, side="left"), np.searchsorted(known, values, side="right")
        rank = np.where(np.isfinite(values), (low + high) / (2 * len(known)), 0.5)
        return np.stack([rank, np.where(np.isfinite(values), 0.0, 0.5)], axis=1)

    def _one_hot(self, table: pl.DataFrame, variable: Variable) -> Floats:
        codes = binned(table, variable)
        return np.asarray(np.eye(bin_count(variable))[codes] * (0.5 / np.sqrt(2)), dtype=np.float64)


def nearest(points: Floats, cloud: Floats, neighbours: int) -> tuple[Floats, Codes]:
    """Distances to the nearest points of a cloud, and which they are; both (points, neighbours), nearest first."""
    neighbours = min(neighbours, len(cloud))
    blocks = [_nearest_of_block(points[i : i + BLOCK], cloud, neighbours) for i in range(0, max(len(points), 1), BLOCK)]
    return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])


def _nearest_of_block(points: Floats, cloud: Floats, neighbours: int) -> tuple[Floats, Codes]:
    squares = (points**2).sum(axis=1)[:, None] + (cloud**2).sum(axis=1)[None, :] - 2 * points @ cloud.T
    squares = np.maximum(squares, 0.0)
    chosen = np.argpartition(squares, neighbours - 1, axis=1)[:, :neighbours]
    found = np.take_along_axis(squares, chosen, axis=1)
    order = np.argsort(found, axis=1, kind="stable")
    distances = np.asarray(np.sqrt(np.take_along_axis(found, order, axis=1)), dtype=np.float64)
    # rounding in the expansion above is about 1e-8: call that the same point
    distances[distances < 1e-6] = 0.0
    return distances, np.take_along_axis(chosen, order, axis=1)
