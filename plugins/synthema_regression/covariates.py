"""From a table to the numbers of a regression: covariates between −1 and 1, by the codebook's bounds alone.

A number's range is laid onto −1 to 1; values outside it are moved to the nearest bound. The range is that of the
codebook, or, where a study asks for it, from its second edge to its last but one: a wide range that few patients fill
hides the others under noise. A category becomes indicators of all but its first value. A patient in whom any variable
of the model is missing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import numbers, texts, variable_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Term:
    """One column of the model: ``(value − middle) / half`` of a number, or the indicator of a category's value."""

    variable: Variable
    category: str | None = None
    low: float = -1.0
    high: float = 1.0

    @property
    def middle(self) -> float:
        return (self.high + self.low) / 2

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def column(self, table: pl.DataFrame) -> Floats:
        """The column between −1 and 1, missing as 0."""
        if self.category is not None:
            return np.array([text == self.category for text in texts(table, self.variable)], dtype=np.float64)
        values = np.clip(numbers(table, self.variable), self.low, self.high)
        return np.asarray(np.nan_to_num((values - self.middle) / self.half))

    @property
    def words(self) -> str:
        """What a coefficient of this column is for."""
        if self.category is not None:
            return f"{self.variable.name}: {self.category} against {self.variable.categories[0]}"
        return f"{self.variable.name}, for each {self.variable.unit or 'unit'}"


@dataclass(frozen=True, slots=True)
class Covariates:
    """The columns of a model without its intercept."""

    variables: tuple[Variable, ...]
    terms: tuple[Term, ...]

    @property
    def square(self) -> float:
        """Largest squared L2 norm of one patient's columns: a number adds at most 1, and so does a category."""
        return float(len(self.variables))

    def known(self, table: pl.DataFrame) -> Flags:
        """Rows in which all covariates are recorded and allowed."""
        known = np.ones(table.height, dtype=bool)
        for variable in self.variables:
            if variable.type == "category":
                known &= np.array([text in variable.categories for text in texts(table, variable)], dtype=bool)
            else:
                known &= np.isfinite(numbers(table, variable))
        return known

    def matrix(self, table: pl.DataFrame) -> Floats:
        """Columns between −1 and 1, shape (rows, terms); missing as 0, see :meth:`known`."""
        return np.stack([term.column(table) for term in self.terms], axis=1)


def covariates_of(codebook: Codebook, names: list[str], *, inner: bool = False) -> Covariates:
    """The columns for these variables, ``inner``: numbers cut to the codebook's inner edges.

    Raises ``ValueError`` for a variable that cannot be used.
    """
    if not names or len(set(names)) != len(names):
        raise ValueError("'covariates' names each variable once, and at least one")
    variables = tuple(variable_of(codebook, name) for name in names)
    terms: list[Term] = []
    for variable in variables:
        if variable.type == "category":
            terms += [Term(variable, category) for category in variable.categories[1:]]
        else:
            terms.append(Term(variable, None, *_range(variable, inner=inner)))
    if not terms:
        raise ValueError("a category with one value explains nothing: name other covariates")
    return Covariates(variables, tuple(terms))


def _range(variable: Variable, *, inner: bool) -> tuple[float, float]:
    if inner and len(variable.edges) >= 4:
        return float(variable.edges[1]), float(variable.edges[-2])
    return float(variable.minimum or 0.0), float(variable.maximum or 0.0)
