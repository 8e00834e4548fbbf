"""From a table to the numbers of a network, by the codebook alone.

A number becomes its place among the codebook's edges, laid onto −1 to 1, so that each bin has the same width whatever
the unit; a category one indicator for each value; and each has an indicator of *not recorded*. An image is a row of
pixel columns, named by a prefix and a number, in the order row, column, channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import numbers, texts, variable_of

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]

BINS = 16


def edges_of(variable: Variable) -> Floats:
    """The codebook's edges of a number, or equal ones where it has none."""
    found = variable.edges or tuple(np.linspace(variable.minimum or 0.0, variable.maximum or 0.0, BINS + 1).tolist())
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Features:
    """The columns a network reads from these variables."""

    variables: tuple[Variable, ...]

    @property
    def names(self) -> list[str]:
        """What each column is."""
        found: list[str] = []
        for variable in self.variables:
            found += [f"{variable.name}: {c}" for c in variable.categories] if variable.categories else [variable.name]
            found.append(f"{variable.name}: not recorded")
        return found

    def matrix(self, table: pl.DataFrame) -> Floats:
        """One row for each patient, every entry between −1 and 1."""
        columns: list[Floats] = []
        for variable in self.variables:
            if variable.type == "category":
                said = texts(table, variable)
                columns += [np.array([text == c for text in said], dtype=np.float64) for c in variable.categories]
                columns.append(np.array([text not in variable.categories for text in said], dtype=np.float64))
                continue
            values, edges = numbers(table, variable), edges_of(variable)
            known = np.isfinite(values)
            place = np.interp(np.where(known, values, edges[0]), edges, np.linspace(-1.0, 1.0, len(edges)))
            columns += [np.where(known, place, 0.0), (~known).astype(np.float64)]
        return np.stack(columns, axis=1)


def features_of(codebook: Codebook, names: list[str]) -> Features:
    """The features of these variables; raises ``ValueError`` for one that may not be used."""
    if not names or len(set(names)) != len(names):
        raise ValueError("'covariates' names each variable once, and at least one")
    return Features(tuple(variable_of(codebook, name) for name in names))


@dataclass(frozen=True, slots=True)
class Pixels:
    """Images in columns ``prefix0``, ``prefix1``, …; ``shape`` is (height, width, channels)."""

    variables: tuple[Variable, ...]
    shape: tuple[int, int, int]

    def matrix(self, table: pl.DataFrame) -> Floats:
        """One row for each image, pixels laid onto −1 to 1 by the codebook's bounds, channel first; missing as 0."""
        columns = []
        for variable in self.variables:
            low, high = variable.minimum or 0.0, variable.maximum or 0.0
            columns.append(np.nan_to_num(2 * (numbers(table, variable) - low) / (high - low) - 1))
        height, width, channels = self.shape
        pictures = np.stack(columns, axis=1).reshape(-1, height, width, channels)
        return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).reshape(table.height, -1)


def pixels_of(codebook: Codebook, prefix: str, shape: list[int]) -> Pixels:
    """The pixels of an image; raises ``ValueError`` for a shape the codebook's columns do not have."""
    if len(shape) != 3 or not (all(8 <= side <= 64 and side % 4 == 0 for side in shape[:2]) and 1 <= shape[2] <= 4):
        raise ValueError("'image' is height, width and channels: sides of 8 to 64 in steps of 4, one to four channels")
    variables = tuple(variable_of(codebook, f"{prefix}{number}") for number in range(int(np.prod(shape))))
    if any(variable.type == "category" for variable in variables):
        raise ValueError("a pixel is a number: correct the codebook")
    return Pixels(variables, (shape[0], shape[1], shape[2]))


@dataclass(frozen=True, slots=True)
class Coded:
    """Variables as cells: a bin of a number or a category's value, and one more for *not recorded*."""

    variables: tuple[Variable, ...]

    def bins(self, variable: Variable) -> int:
        """Cells of a variable without the one for *not recorded*."""
        return len(variable.categories) if variable.type == "category" else len(edges_of(variable)) - 1

    @property
    def sizes(self) -> list[int]:
        """Cells of each variable, *not recorded* included only where a value may be missing."""
        return [self.bins(variable) + variable.may_be_missing for variable in self.variables]

    def cells(self, table: pl.DataFrame) -> Cells:
        """The cell of each value, shape ``(rows, variables)``; what must not be missing and is counts as the first."""
        found = []
        for variable in self.variables:
            missing = self.bins(variable) if variable.may_be_missing else 0
            if variable.type == "category":
                index: dict[str | None, int] = {text: number for number, text in enumerate(variable.categories)}
                found.append(np.array([index.get(text, missing) for text in texts(table, variable)], dtype=np.int64))
                continue
            values, edges = numbers(table, variable), edges_of(variable)
            known = np.isfinite(values)
            place = np.searchsorted(edges, np.where(known, values, edges[0]), side="right") - 1
            found.append(np.where(known, np.clip(place, 0, len(edges) - 2), missing))
        return np.stack(found, axis=1).astype(np.int64)

    def table(self, cells: Cells, random: np.random.Generator) -> pl.DataFrame:
        """Values drawn evenly within the cells."""
        columns = {}
        for number, variable in enumerate(self.variables):
            place, bins = cells[:, number], self.bins(variable)
            if variable.type == "category":
                words = [variable.categories[cell] if cell < bins else None for cell in place.tolist()]
                columns[variable.name] = pl.Series(words, dtype=pl.String)
                continue
            edges, inside = edges_of(variable), np.minimum(place, bins - 1)
            values = edges[inside] + random.random(len(place)) * (edges[inside + 1] - edges[inside])
            values = np.round(values) if variable.type == "integer" else np.round(values, 3)
            values = np.clip(values, variable.minimum, variable.maximum)
            series = pl.Series(np.where(place < bins, values, np.nan), dtype=pl.Float64).fill_nan(None)
            columns[variable.name] = series.cast(pl.Int64) if variable.type == "integer" else series
        return pl.DataFrame(columns)
