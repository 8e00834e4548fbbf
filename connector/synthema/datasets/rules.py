"""Holds a table against the clinical rules of its codebook. One reading of a rule, for the core and for plugins."""

from __future__ import annotations

import operator
from collections.abc import Callable

import polars as pl

from synthema.datasets.codebook import Rule

COMPARISONS: dict[str, Callable[[pl.Series, pl.Series], pl.Series]] = {
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


def broken(table: pl.DataFrame, rule: Rule) -> pl.Series:
    """Which rows break a rule; a row in which a value is not known breaks none. Boolean, one for each row."""
    left = table[rule.left]
    right = table[rule.right] if isinstance(rule.right, str) else pl.Series([float(rule.right)] * table.height)
    if pl.String in (left.dtype, right.dtype):
        left, right = left.cast(pl.String), right.cast(pl.String)
    flags = ~COMPARISONS[rule.comparison](left, right).fill_null(value=True)
    for name, value in rule.when.items():
        flags &= (table[name].cast(pl.String) == value).fill_null(value=False)
    return flags.rename("broken")
