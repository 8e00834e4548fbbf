"""The rows of a table that published knowledge speaks of; what it says lies in :mod:`synthema.spi.published`."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.spi.published import Condition, Named, concepts, plain
from synthema_evaluation.columns import Floats, numbers, texts

Flags = NDArray[np.bool_]

PRESENT: Final = frozenset({"1", "2", "yes", "y", "true", "t", "mutated", "mut", "positive", "pos", "present"})
ABSENT: Final = frozenset({"0", "no", "n", "false", "f", "wildtype", "wt", "unmutated", "negative", "neg", "absent"})


class Found(Named):
    """Which variable of a codebook stands for which concept, and which of its rows meet a condition."""

    def number(self, table: pl.DataFrame, concept: str) -> Floats | None:
        """A concept's values, missing as NaN; ``None`` where the codebook has no such number."""
        variable = self.variable(concept)
        return None if variable is None or variable.type in ("category", "text") else numbers(table, variable)

    def rows(self, table: pl.DataFrame, condition: Condition) -> tuple[Flags, Flags] | None:
        """Rows that meet a condition, and rows of which it is known; ``None`` where the codebook cannot say."""
        meets, known = np.ones(table.height, dtype=bool), np.ones(table.height, dtype=bool)
        for concept, wanted in condition.items():
            sides = self._sides(table, concept, [wanted] if isinstance(wanted, str) else wanted)
            if sides is None:
                return None
            meets &= sides[0]
            known &= sides[1]
        return meets & known, known

    def _sides(self, table: pl.DataFrame, concept: str, wanted: list[str]) -> tuple[Flags, Flags] | None:
        variable, levels = self.variable(concept), concepts()[concept].levels
        if variable is None or variable.type == "text":
            return None
        if not levels and variable.type != "category":
            values = numbers(table, variable)
            there = np.asarray(values > 0)
            return there if wanted == ["present"] else ~there, np.isfinite(values)
        called = levels or {"present": PRESENT, "absent": ABSENT}
        meant = {
            category: level
            for category in variable.categories
            for level, names in called.items()
            if plain(category) in names or category in names
        }
        if not set(wanted) <= set(meant.values()):
            return None
        found = [meant.get(text) if text is not None else None for text in texts(table, variable.name)]
        return (
            np.array([level in wanted for level in found], dtype=bool),
            np.array([level is not None for level in found], dtype=bool),
        )
