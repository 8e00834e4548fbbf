"""Which synthetic patients are wanted: any, those of a subgroup, or as many of each level of a variable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Variable

BATCH = 1000
ENOUGH_TO_JUDGE = 10_000
RAREST = 500
Draw = Callable[[int], pl.DataFrame]
Wanted = Callable[[pl.DataFrame], pl.Series]


def subgroup(codebook: Codebook, where: dict[str, str]) -> Wanted:
    """Rows in which each named category has its value and each named number lies in its range, written ``60..75``.

    Raises ``ValueError`` where the codebook has no such variable, category or range.
    """
    tests = [_test(codebook, name, text) for name, text in where.items()]

    def fits(table: pl.DataFrame) -> pl.Series:
        flags = pl.Series([True] * table.height, dtype=pl.Boolean)
        for test in tests:
            flags &= test(table).fill_null(value=False)
        return flags

    return fits


def _test(codebook: Codebook, name: str, text: str) -> Wanted:
    variable = _modelled(codebook, name)
    if variable.type == "category":
        if text not in variable.categories:
            raise ValueError("where names a value that is none of the variable's categories in the codebook")
        return lambda table: table[name] == text
    low, high = _range(text, variable)
    return lambda table: table[name].is_between(low, high)


def _range(text: str, variable: Variable) -> tuple[float, float]:
    ends = text.split("..")
    try:
        low = float(ends[0]) if ends[0] else float(variable.minimum or 0.0)
        high = float(ends[-1]) if ends[-1] else float(variable.maximum or 0.0)
    except ValueError as error:
        raise ValueError("where gives a number's range as two numbers with dots between, such as 60..75") from error
    if len(ends) != 2 or not low <= high:
        raise ValueError("where gives a number's range as two numbers with dots between, such as 60..75")
    return low, high


def _modelled(codebook: Codebook, name: str) -> Variable:
    for variable in codebook.variables:
        if variable.name == name and variable.role != "identifier":
            return variable
    raise ValueError("a parameter names a variable that the codebook does not have, or an identifier")


def rows_of(draw: Draw, wanted: Wanted, rows: int) -> pl.DataFrame:
    """``rows`` synthetic rows of a subgroup, taken from whole synthetic cohorts, so that outcomes are the cohort's.

    Raises ``ValueError`` when fewer than one in ``RAREST`` belongs to it: what hardly exists cannot be learned from.
    """
    kept: list[pl.DataFrame] = []
    found = drawn = 0
    while found < rows:
        if drawn >= ENOUGH_TO_JUDGE and found * RAREST < drawn:
            raise ValueError("hardly any synthetic patient belongs to the subgroup: ask for a wider one")
        cohort = draw(max(rows, BATCH))
        fitting = cohort.filter(wanted(cohort))
        kept.append(fitting)
        found, drawn = found + fitting.height, drawn + cohort.height
    return pl.concat(kept).head(rows)


def balanced(draw: Draw, codebook: Codebook, name: str, wanted: Wanted, rows: int, present: set[str]) -> pl.DataFrame:
    """As many rows of each category of one variable as can be, of those that the real rows have, in random order."""
    variable = _modelled(codebook, name)
    if variable.type != "category":
        raise ValueError("balance names a variable that is not a category")
    levels = [category for category in variable.categories if category in present]
    if not levels:
        raise ValueError("balance names a variable that has no value in the table")
    sizes = [rows // len(levels) + (place < rows % len(levels)) for place in range(len(levels))]
    parts = [
        rows_of(draw, lambda table, level=level: wanted(table) & (table[name] == level).fill_null(value=False), size)  # type: ignore[misc]
        for level, size in zip(levels, sizes, strict=True)
        if size
    ]
    return pl.concat(parts)


def shuffled(table: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """The rows in random order."""
    return table.select(pl.all().gather(random.permutation(table.height).tolist()))
