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


def limit(table: pl.DataFrame, rule: Rule) -> pl.Series:
    """What the left variable of a rule is compared with, one value for each row: the right side less ``plus``."""
    right = table[rule.right] if isinstance(rule.right, str) else pl.Series([float(rule.right)] * table.height)
    if rule.plus is None:
        return right
    return right.cast(pl.Float64) - table[rule.plus.variable].cast(pl.Float64) * rule.plus.factor


def broken(table: pl.DataFrame, rule: Rule) -> pl.Series:
    """Which rows break a rule; a row in which a value is not known breaks none. Boolean, one for each row."""
    left, right = table[rule.left], limit(table, rule)
    if pl.String in (left.dtype, right.dtype):
        left, right = left.cast(pl.String), right.cast(pl.String)
    flags = ~COMPARISONS[rule.comparison](left, right).fill_null(value=True)
    for name, value in rule.when.items():
        flags &= (table[name].cast(pl.String) == value).fill_null(value=False)
    return flags.rename("broken")
