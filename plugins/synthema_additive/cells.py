"""The terms of the model: each variable cut into cells by the codebook, and the random leaves of a round.

A number has the codebook's bins, a category its values; the cell after the last means *not recorded*. In each round a
number's bins are gathered into a few neighbouring groups (leaves), drawn anew from the round's number alone: fewer
sums hold less noise, and averaging over rounds gives back the shape (Nori et al., "Accuracy, interpretability, and
differential privacy via explainable boosting", ICML 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.axes import Axis, Cells, axis_of

BINS = 16
"""How many equal bins a number has that the codebook cuts into none."""


@dataclass(frozen=True, slots=True)
class Term(Axis):
    """One variable of the model, cut into cells."""

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
    axis = axis_of(codebook, name, BINS)
    return Term(axis.variable, axis.labels, axis.edges)
