"""Computes derived columns. One reading of a derivation, for the core and for plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from synthema.datasets.derivations import (
    Bands,
    Cases,
    Condition,
    Count,
    Derivation,
    Part,
    Product,
    Score,
    Sum,
)

if TYPE_CHECKING:
    from synthema.datasets.codebook import Codebook, Variable

_COMPARED: Mapping[str, str] = {"<=": "le", "<": "lt", "==": "eq", "!=": "ne", ">=": "ge", ">": "gt"}


def derive(table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """The table with every derived column recomputed whose variables the table has, in the codebook's order.

    A value is missing where what it follows from is, or where the result is impossible under the codebook's bounds
    (see :func:`synthema.datasets.rules.violations` for finding such rows). Columns that the table lacks are added.
    """
    for variable in codebook.in_order_of_derivation():
        if variable.derivation is not None and variable.derivation.variables <= set(table.columns):
            table = table.with_columns(derived_column(table, variable))
    known = [name for name in codebook.names() if name in table.columns]
    return table.select(*known, *(name for name in table.columns if name not in known))


def derived_column(table: pl.DataFrame, variable: Variable) -> pl.Series:
    """What a derived variable must be in each row, in the codebook's type; null where it does not follow."""
    if variable.derivation is None:
        return table[variable.name]
    found = _following(table, variable.derivation, variable).rename(variable.name)
    if variable.type == "category":
        return found.cast(pl.String)
    numbers = found.cast(pl.Float64)
    inside = numbers.is_between(variable.minimum, variable.maximum)
    numbers = numbers.zip_with(inside.fill_null(value=False), pl.Series([None] * len(numbers), dtype=pl.Float64))
    return numbers.round().cast(pl.Int64) if variable.type == "integer" else numbers


def contradicted(table: pl.DataFrame, variable: Variable) -> pl.Series:
    """Which rows hold another value than the one that follows, or one follows that the codebook's bounds forbid.

    A value that is not recorded, or follows from something that is not, contradicts nothing.
    """
    if variable.derivation is None:
        return pl.Series("broken", [False] * table.height, dtype=pl.Boolean)
    follows = _following(table, variable.derivation, variable)
    held = table[variable.name]
    if variable.type == "category":
        wrong = held.cast(pl.String) != follows.cast(pl.String)
    else:
        allowed = getattr(variable.derivation, "tolerance", 0.0) + (0.5 if variable.type == "integer" else 0.0)
        numbers = follows.cast(pl.Float64)
        apart = (held.cast(pl.Float64) - numbers).abs() > allowed + 1e-9
        outside = ~numbers.is_between(variable.minimum, variable.maximum)
        wrong = apart.fill_null(value=False) | outside.fill_null(value=False)
    return wrong.fill_null(value=False).rename("broken")


def _following(table: pl.DataFrame, derivation: Derivation, variable: Variable) -> pl.Series:
    match derivation:
        case Sum():
            terms = [pl.col(name).cast(pl.Float64) * factor for name, factor in derivation.of.items()]
            found = _rounded(_added(terms) + derivation.plus, derivation.rounding)
        case Product():
            powers = [pl.col(name).cast(pl.Float64) ** power for name, power in derivation.of.items()]
            whole = reduce(lambda left, right: left * right, powers) * derivation.times
            found = _rounded(pl.when(whole.is_finite()).then(whole), derivation.rounding)
        case Count():
            hits = [
                pl.col(name).cast(pl.String).is_in(list(values)).cast(pl.Int64)
                for name, values in derivation.of.items()
            ]
            found = _added(hits)
        case Bands():
            found = _band(derivation, variable.categories)
        case Score():
            points = [_points(table, part) for part in derivation.parts]
            return reduce(lambda left, right: left + right, points)
        case Cases():
            cases = [(case.when, case.value) for case in derivation.cases]
            return _first(table, cases, derivation.otherwise, pl.String())
    return table.select(found.alias("follows"))["follows"]


def _added(terms: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda left, right: left + right, terms)


def _rounded(value: pl.Expr, rounding: str) -> pl.Expr:
    # A sum of decimals may end a hair below a whole number.
    if rounding == "down":
        return (value + 1e-9).floor()
    return (value + 0.5).floor() if rounding == "nearest" else value


def _band(derivation: Bands, labels: tuple[str, ...]) -> pl.Expr:
    number = pl.col(derivation.of).cast(pl.Float64)
    answer = pl.lit(None, dtype=pl.String)
    for label, (low, high) in zip(reversed(labels), reversed(list(pairwise(derivation.edges))), strict=True):
        below = number <= high if high == derivation.edges[-1] else number < high
        answer = pl.when((number >= low) & below).then(pl.lit(label)).otherwise(answer)
    return answer


def _points(table: pl.DataFrame, part: Part) -> pl.Series:
    return _first(table, [(case.when, case.points) for case in part.cases], part.otherwise, pl.Float64())


def _first(
    table: pl.DataFrame,
    cases: Sequence[tuple[tuple[Condition, ...], str | float]],
    otherwise: str | float | None,
    kind: pl.DataType,
) -> pl.Series:
    """Read from the last case to the first: an undecided case leaves the value open unless it makes no difference."""
    answer = pl.Series("follows", [otherwise] * table.height, dtype=kind)
    for when, value in reversed(cases):
        holds = table.select(reduce(lambda left, right: left & right, map(_holds, when)).alias("holds"))["holds"]
        said = pl.Series([value] * table.height, dtype=kind)
        decided = said.zip_with(holds.fill_null(value=False), answer)
        open_one = holds.is_null() & (answer != value).fill_null(value=True)
        answer = pl.Series([None] * table.height, dtype=kind).zip_with(open_one, decided)
    return answer.rename("follows")


def _holds(condition: Condition) -> pl.Expr:
    column = pl.col(condition.variable)
    if condition.one_of:
        return column.cast(pl.String).is_in(list(condition.one_of))
    column = column.cast(pl.String if isinstance(condition.value, str) else pl.Float64)
    compare: Callable[[pl.Expr], pl.Expr] = getattr(column, _COMPARED[condition.comparison])
    return compare(pl.lit(condition.value))
