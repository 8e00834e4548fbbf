"""What the codebook alone says about a column: its cells, its bounds, how a table's values are read.

Nothing here looks at data to decide anything. A value that the codebook does not know counts as not recorded; a
number outside its bounds is moved to the nearest bound, so that no single patient can weigh more than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable

Cells = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MISSING = "not recorded"


@dataclass(frozen=True, slots=True)
class Axis:
    """One variable cut into cells: categories, or bins of a number. The cell after the last means *not recorded*."""

    variable: Variable
    labels: tuple[str, ...]
    edges: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells, the one for *not recorded* included."""
        return len(self.labels) + 1

    def place(self, table: pl.DataFrame) -> Cells:
        """The cell of each row, shape ``(rows,)``."""
        if self.variable.type == "category":
            number = {label: index for index, label in enumerate(self.labels)}
            missing = len(self.labels)
            return np.array([number.get(text, missing) for text in texts(table, self.variable)], dtype=np.int64)
        values = numbers(table, self.variable)
        known = np.isfinite(values)
        place = np.searchsorted(np.asarray(self.edges), np.where(known, values, self.edges[0]), side="right") - 1
        return np.where(known, np.clip(place, 0, len(self.labels) - 1), len(self.labels)).astype(np.int64)


def axis_of(codebook: Codebook, name: str, bins: int) -> Axis:
    """The axis of a variable; ``bins`` equal bins where a number has no edges in the codebook.

    Raises ``ValueError`` for a variable that may not be counted.
    """
    variable = variable_of(codebook, name)
    if variable.type == "category":
        return Axis(variable, variable.categories)
    edges = variable.edges or tuple(np.linspace(variable.minimum or 0.0, variable.maximum or 0.0, bins + 1).tolist())
    labels = tuple(f"{low:g} to {high:g}" for low, high in pairwise(edges))
    return Axis(variable, labels, tuple(float(edge) for edge in edges))


def variable_of(codebook: Codebook, name: str) -> Variable:
    """The variable of this name; raises ``ValueError`` when there is none or it identifies people."""
    for variable in codebook.variables:
        if variable.name == name:
            if variable.role == "identifier" or variable.type == "text":
                raise ValueError("an identifier is never counted: leave it out of the study's parameters")
            return variable
    raise ValueError("the study asks for a variable that the codebook does not have: correct its parameters")


def texts(table: pl.DataFrame, variable: Variable) -> list[str | None]:
    """A category's column as texts, missing as None."""
    return column(table, variable).cast(pl.String, strict=False).to_list()


def numbers(table: pl.DataFrame, variable: Variable) -> Floats:
    """A number's column as floats within the codebook's bounds, missing as NaN."""
    values = column(table, variable).cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.asarray(np.clip(values, variable.minimum, variable.maximum), dtype=np.float64)


def column(table: pl.DataFrame, variable: Variable) -> pl.Series:
    """The variable's column; raises ``ValueError`` when the table lacks it."""
    if variable.name not in table.columns:
        raise ValueError("the table lacks a column that the codebook names: harmonise it first")
    return table[variable.name]
