"""A table's columns as the trees see them: levels of categories, numbers within bounds, features in bins.

Categories and bounds come from the codebook. Bins, in contrast, are cut at the data's quantiles: this
generator promises no differential privacy, and its manifest says so.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from synthema.datasets.codebook import Variable
from synthema_trees.growth import Codes, Floats

MOST_BINS = 24
MISSING = 0  # the code of a missing value in every feature


def levels(table: pl.DataFrame, variable: Variable) -> Codes:
    """A category's levels in the codebook's order; missing and unlisted values are -1."""
    _check(table, variable)
    number = {category: index for index, category in enumerate(variable.categories)}
    texts = table[variable.name].cast(pl.String, strict=False).to_list()
    return np.array([number.get(text, -1) if text is not None else -1 for text in texts], dtype=np.int64)


def numbers(table: pl.DataFrame, variable: Variable) -> Floats:
    """A number's column within the codebook's bounds, missing as NaN."""
    _check(table, variable)
    values = table[variable.name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    values = np.where(np.isfinite(values), values, np.nan)
    return np.asarray(np.clip(values, variable.minimum, variable.maximum), dtype=np.float64)


def _check(table: pl.DataFrame, variable: Variable) -> None:
    if variable.name not in table.columns:
        raise ValueError("the table lacks a column that the codebook names: give the codebook of this table")


class Bins:
    """Turns one column's values into the codes that trees cut on; the code of a missing value is 0."""

    def __init__(self, values: Floats, *, category: bool) -> None:
        known = values[np.isfinite(values)]
        self._category = category
        if category or len(known) == 0:
            self._inner = np.zeros(0)
            self.size = int(known.max(initial=-1)) + 2 if category else 2
        else:
            self._inner = np.unique(np.quantile(known, np.linspace(0, 1, MOST_BINS + 1)[1:-1]))
            self.size = len(self._inner) + 2

    def codes(self, values: Floats) -> Codes:
        """A code for each value, below :attr:`size`."""
        filled = np.nan_to_num(values)
        place = filled.astype(np.int64) if self._category else np.searchsorted(self._inner, filled, side="right")
        return np.asarray(np.where(np.isfinite(values), np.clip(place + 1, 1, self.size - 1), MISSING), dtype=np.int64)


class Features:
    """The columns so far, as codes: those of the real rows while learning, or of the synthetic ones while drawing."""

    def __init__(self, rows: int) -> None:
        self._codes: list[Codes] = []
        self._sizes: list[int] = []
        self._rows = rows

    def add(self, codes: Codes, size: int) -> None:
        """One column more."""
        self._codes.append(codes)
        self._sizes.append(size)

    def beside(self, codes: Codes, size: int) -> Features:
        """These columns and one more, as a copy."""
        copy = Features(self._rows)
        copy._codes, copy._sizes = [*self._codes, codes], [*self._sizes, size]
        return copy

    @property
    def codes(self) -> Codes:
        """Shape (rows, columns so far)."""
        if not self._codes:
            return np.zeros((self._rows, 0), dtype=np.int64)
        return np.stack(self._codes, axis=1)

    @property
    def sizes(self) -> Codes:
        """Number of codes of each column."""
        return np.array(self._sizes, dtype=np.int64)


def series(variable: Variable, values: Floats) -> pl.Series:
    """The column of a synthetic table: levels as categories, NaN as missing."""
    if variable.type == "category":
        texts = [None if np.isnan(v) else variable.categories[int(v)] for v in values]
        return pl.Series(variable.name, texts, dtype=pl.String)
    column = pl.Series(variable.name, values, dtype=pl.Float64).fill_nan(None)
    return column.cast(pl.Int64) if variable.type == "integer" else column
