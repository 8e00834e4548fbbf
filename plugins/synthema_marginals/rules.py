"""The codebook's rules hold in every synthetic row.

Orders between times hold by the way times are modelled. Rows that break another
rule are drawn again; what is left is mended by moving the left number to the
nearest allowed value; a row that still breaks a rule is replaced by one that does not.
Only synthetic rows are looked at, so this is post-processing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Rule
from synthema.datasets.rules import broken, limit

REDRAWS = 20
Flags = NDArray[np.bool_]


def _broken(rule: Rule, table: pl.DataFrame) -> Flags:
    return np.asarray(broken(table, rule).to_numpy(), dtype=bool)


def broken_any(codebook: Codebook, table: pl.DataFrame) -> Flags:
    """Which rows break any rule whose variables the table has."""
    flags = np.zeros(table.height, dtype=bool)
    for rule in codebook.rules:
        if rule.variables <= set(table.columns):
            flags |= _broken(rule, table)
    return flags


def enforce_rules(
    table: pl.DataFrame, codebook: Codebook, draw: Callable[[int], pl.DataFrame], random: np.random.Generator
) -> pl.DataFrame:
    """The table with every rule kept; raises ``ValueError`` if no row can keep them all."""
    rows = table.height
    for _ in range(REDRAWS):
        bad = broken_any(codebook, table)
        if not bad.any():
            return table
        table = pl.concat([table.filter(~bad), draw(int(bad.sum()))])
    for rule in codebook.rules:
        if rule.variables <= set(table.columns):
            table = _mended(rule, table, codebook)
    bad = broken_any(codebook, table)
    good = table.filter(~bad)
    if good.height == 0:
        raise ValueError("no synthetic row keeps all rules: check the codebook's rules for contradictions")
    again = random.integers(0, good.height, size=rows - good.height)
    return pl.concat([good, good.select(pl.all().gather(again.tolist()))])


def _mended(rule: Rule, table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    variable = codebook.variable(rule.left)
    bad = _broken(rule, table)
    if variable.type == "category" or rule.comparison in ("<", ">", "!=") or not bad.any():
        return table
    allowed = limit(table, rule).cast(pl.Float64).to_numpy()
    moved = np.where(bad, allowed, table[rule.left].cast(pl.Float64).to_numpy())
    inside = np.clip(moved, variable.minimum, variable.maximum)
    series = pl.Series(rule.left, inside, dtype=pl.Float64).fill_nan(None)
    return table.with_columns(series.cast(table[rule.left].dtype, strict=False))
