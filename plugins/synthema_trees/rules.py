"""The codebook's rules hold in every synthetic row.

Numbers that a rule puts in order are learned as shares, so most orders hold as they are drawn. A column that a rule
says equals something is recomputed. Rows that still break a rule are drawn again; what is left is mended by moving
the left value to the nearest allowed one; a row that no mending helps is replaced by one that keeps all rules.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Rule
from synthema.datasets.rules import broken, limit
from synthema_trees.growth import Flags

REDRAWS = 20


def kept_rules(codebook: Codebook, table: pl.DataFrame) -> tuple[Rule, ...]:
    """The rules whose variables the table has."""
    return tuple(rule for rule in codebook.rules if rule.variables <= set(table.columns))


def broken_any(rules: tuple[Rule, ...], table: pl.DataFrame) -> Flags:
    """Which rows break any of the rules."""
    flags = np.zeros(table.height, dtype=bool)
    for rule in rules:
        flags |= _broken(rule, table)
    return flags


def enforce_rules(table: pl.DataFrame, codebook: Codebook, draw: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    """As many rows, every rule kept; raises ``ValueError`` if no row can keep them all."""
    rules = kept_rules(codebook, table)
    table = _derived(rules, table, codebook)
    for _ in range(REDRAWS):
        bad = broken_any(rules, table)
        if not bad.any():
            return table
        again = _derived(rules, draw(int(bad.sum())), codebook)
        table = pl.concat([table.filter(~bad), again])
    for rule in rules:
        table = _mended(rule, table, codebook)
    bad = broken_any(rules, table)
    good = table.filter(~bad)
    if good.height == 0:
        raise ValueError("no synthetic row keeps all rules: check the codebook's rules for contradictions")
    again_rows = np.resize(np.arange(good.height), int(bad.sum()))
    return pl.concat([good, good.select(pl.all().gather(again_rows.tolist()))])


def _broken(rule: Rule, table: pl.DataFrame) -> Flags:
    return np.asarray(broken(table, rule).to_numpy(), dtype=bool)


def _derived(rules: tuple[Rule, ...], table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """Columns that a rule says equal another value, recomputed; twice, as one may rest on another."""
    equalities = [rule for rule in rules if rule.comparison == "=="]
    for rule in equalities * 2:
        table = _mended(rule, table, codebook)
    return table


def _mended(rule: Rule, table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """The rows that break the rule with their left value moved to the limit, where that is a value it may have."""
    bad = _broken(rule, table)
    if rule.comparison in ("<", ">", "!=") or not bad.any():
        return table
    variable, wanted = codebook.variable(rule.left), limit(table, rule)
    if variable.type == "category":
        moved = wanted.cast(pl.String)
        allowed = moved.is_in(list(variable.categories)).fill_null(value=False)
    else:
        moved = wanted.cast(pl.Float64, strict=False)
        if variable.type == "integer":
            moved = moved.floor() if rule.comparison == "<=" else moved.ceil() if rule.comparison == ">=" else moved
            whole = moved == moved.round()
        else:
            whole = pl.Series([True] * table.height)
        allowed = moved.is_between(variable.minimum, variable.maximum).fill_null(value=False) & whole
    change = pl.Series(bad) & allowed
    left = table[rule.left]
    return table.with_columns(moved.cast(left.dtype, strict=False).zip_with(change, left).alias(rule.left))
