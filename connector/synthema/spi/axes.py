"""The cells of one variable: categories, or bins of a number, from the codebook alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import numbers, texts, variable_of

__all__ = ["MISSING", "Axis", "Cells", "Floats", "axis_of"]

Cells = NDArray[np.int64]
Floats = NDArray[np.float64]

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
            number: dict[str | None, int] = {label: index for index, label in enumerate(self.labels)}
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
