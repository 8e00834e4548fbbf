"""Holds a table against the clinical rules of its codebook. One reading of a rule, for the core and for plugins."""

from __future__ import annotations

import operator
from collections.abc import Callable

import polars as pl

from synthema.datasets.codebook import Codebook, Rule
from synthema.datasets.derive import contradicted

DERIVED = "derived/"
"""Before the name of a derived variable: how a column that does not hold what follows is called among rules."""

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
    if rule.value is not None:
        return pl.Series([rule.value] * table.height, dtype=pl.String)
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


def violations(table: pl.DataFrame, codebook: Codebook) -> dict[str, pl.Series]:
    """Which rows break which part of the codebook's rule pack, as far as the table has the variables.

    Each rule under its id, and each derived column under ``derived/<name>`` where it does not hold what follows.
    """
    columns = set(table.columns)
    found = {rule.id: broken(table, rule) for rule in codebook.rules if rule.variables <= columns}
    for variable in codebook.variables:
        if variable.derivation is not None and variable.derivation.variables | {variable.name} <= columns:
            found[f"{DERIVED}{variable.name}"] = contradicted(table, variable)
    return found


def breach(codebook: Codebook, name: str) -> tuple[str, str]:
    """The variable and the sentence of a part of the rule pack, by its name in :func:`violations`."""
    for rule in codebook.rules:
        if rule.id == name:
            return rule.left, rule.sentence
    variable = codebook.variable(name.removeprefix(DERIVED))
    source = ", ".join(sorted(variable.derivation.variables)) if variable.derivation else ""
    return variable.name, f"{variable.label} does not agree with what it follows from ({source})."
