"""The terms of the model: each variable cut into cells by the codebook, and the random leaves of a round.

A number has the codebook's bins, a category its values; the cell after the last means *not recorded*. In each round a
number's bins are gathered into a few neighbouring groups (leaves), drawn anew from the round's number alone: fewer
sums hold less noise, and averaging over rounds gives back the shape (Nori et al., "Accuracy, interpretability, and
differential privacy via explainable boosting", ICML 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.columns import numbers, texts, variable_of

Cells = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = "not recorded"
BINS = 16
"""How many equal bins a number has that the codebook cuts into none."""


@dataclass(frozen=True, slots=True)
class Term:
    """One variable of the model, cut into cells."""

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
            index: dict[str | None, int] = {label: number for number, label in enumerate(self.labels)}
            return np.array([index.get(text, len(self.labels)) for text in texts(table, self.variable)], dtype=np.int64)
        values = numbers(table, self.variable)
        known = np.isfinite(values)
        place = np.searchsorted(np.asarray(self.edges), np.where(known, values, self.edges[0]), side="right") - 1
        return np.where(known, np.clip(place, 0, len(self.labels) - 1), len(self.labels)).astype(np.int64)

    def leaves(self, number: int, position: int, most: int) -> Cells:
        """The leaf of each cell in round ``number``, shape ``(cells,)``: neighbouring bins together, all else apart."""
        bins = len(self.labels)
        if self.variable.type == "category" or bins <= most:
            return np.arange(self.cells, dtype=np.int64)
        random = np.random.default_rng((number, position))  # public: the same at every party
        cuts = random.choice(np.arange(1, bins), size=most - 1, replace=False)
        leaf = np.zeros(self.cells, dtype=np.int64)
        leaf[np.sort(cuts)] = 1
        leaf[bins] = 1
        return np.cumsum(leaf)


def term_of(codebook: Codebook, name: str) -> Term:
    """The term of a variable; raises ``ValueError`` for one that may not be used."""
    variable = variable_of(codebook, name)
    if variable.type == "category":
        return Term(variable, variable.categories)
    edges = variable.edges or tuple(np.linspace(variable.minimum or 0.0, variable.maximum or 0.0, BINS + 1).tolist())
    labels = tuple(f"{low:g} to {high:g}" for low, high in pairwise(edges))
    return Term(variable, labels, tuple(float(edge) for edge in edges))
