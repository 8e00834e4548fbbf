"""What every generator of rows needs after drawing: the codebook's rules kept, derived columns recomputed, subgroups.

Only synthetic rows are looked at, so all of it is post-processing and spends no privacy. A generator hands over a
function that draws rows; this module calls it until what is asked for is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Rule, Variable
from synthema.datasets.derive import derive
from synthema.datasets.rules import broken, limit, violations

__all__ = [
    "Draw",
    "balanced",
    "broken_rows",
    "keep_rules",
    "modelled",
    "ordered_below",
    "ordered_pair",
    "rows_of",
    "subgroup",
    "written",
]

REDRAWS = 20
AMPLE, FEWEST = 5, 200  # fresh rows for each that breaks a rule, and at least
BATCH = 1000
ENOUGH_TO_JUDGE = 10_000
RAREST = 500
FINEST = 4
Draw = Callable[[int], pl.DataFrame]
"""A number of rows to a synthetic table of so many rows."""
Wanted = Callable[[pl.DataFrame], pl.Series]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def modelled(codebook: Codebook) -> Codebook:
    """The codebook of the columns that a generator learns: identifiers are not made up, derived columns follow."""
    public = codebook.keep(tuple(v.name for v in codebook.variables if v.role != "identifier"))
    return public.keep(tuple(v.name for v in public.variables if v.derivation is None))


def broken_rows(table: pl.DataFrame, codebook: Codebook) -> Flags:
    """Which rows break any part of the codebook's rule pack whose variables the table has; shape (rows,)."""
    flags = np.zeros(table.height, dtype=bool)
    for found in violations(table, codebook).values():
        flags |= found.to_numpy().astype(bool)
    return flags


def _unusable(table: pl.DataFrame, codebook: Codebook) -> Flags:
    """Rows that break a rule, or lack a derived value that may not be missing."""
    flags = broken_rows(table, codebook)
    for variable in codebook.variables:
        if variable.derivation is not None and not variable.may_be_missing and variable.name in table.columns:
            flags |= table[variable.name].is_null().to_numpy()
    return flags


def keep_rules(draw: Draw, codebook: Codebook, rows: int) -> pl.DataFrame:
    """``rows`` synthetic rows, every rule kept and every derived column recomputed, in the codebook's order.

    A value that a rule says always equals another is set to it. Rows that break a rule are replaced by freshly drawn
    ones, of the same event at about the same time, so that no survival curve is bent by a rule; what is left is
    mended by moving the left value to the nearest allowed one; a row that no mending helps is replaced by one that
    keeps all rules. Raises ``ValueError`` if none does.
    """
    public = codebook.keep(tuple(v.name for v in codebook.variables if v.role != "identifier"))
    table = _settled(draw(rows), public)
    for _ in range(REDRAWS):
        bad = _unusable(table, public)
        if not bad.any():
            return table
        fresh = _settled(draw(max(AMPLE * int(bad.sum()), FEWEST)), public)
        table = _replaced(table, bad, fresh.filter(~_unusable(fresh, public)), public)
    for rule in public.rules:
        if rule.variables <= set(table.columns):
            table = _mended(rule, table, public)
    table = derive(table, public)
    bad = _unusable(table, public)
    good = table.filter(~bad)
    if good.height == 0:
        raise ValueError("no synthetic row keeps all rules: check the codebook's rules for contradictions")
    again = np.resize(np.arange(good.height), rows - good.height)
    return pl.concat([good, good.select(pl.all().gather(again.tolist()))])


def _replaced(table: pl.DataFrame, bad: Flags, fresh: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """The table with as many bad rows replaced by fresh ones as find one with their event, nearest in time."""
    if not codebook.outcomes:
        found = min(int(bad.sum()), fresh.height)
        gone, taken = np.nonzero(bad)[0][:found], np.arange(found)
    else:
        gone, taken = _nearest(table.filter(bad), fresh, codebook)
        gone = np.nonzero(bad)[0][gone]
    kept = np.setdiff1d(np.arange(table.height), gone)
    return pl.concat([rows.select(pl.all().gather(at.tolist())) for rows, at in ((table, kept), (fresh, taken))])


def _nearest(bad: pl.DataFrame, fresh: pl.DataFrame, codebook: Codebook) -> tuple[Places, Places]:
    """Places of bad rows, and of the fresh rows that take them; each row once, the nearest in time first come."""
    outcome = codebook.outcomes[0]
    events = [table[outcome.event].cast(pl.String).fill_null("").to_numpy() for table in (bad, fresh)]
    times = [table[outcome.time].cast(pl.Float64, strict=False).fill_null(-1.0).to_numpy() for table in (bad, fresh)]
    pairs: list[tuple[int, int]] = []
    for event in np.unique(events[0]):
        waiting, free = (np.nonzero(side == event)[0] for side in events)
        for row in waiting[: len(free)]:
            place = int(np.abs(times[1][free] - times[0][row]).argmin())
            pairs.append((int(row), int(free[place])))
            free = np.delete(free, place)
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _settled(table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """Derived columns recomputed, and what a rule says equals something; twice, as one may rest on another."""
    table = derive(table, codebook)
    always = (rule for rule in codebook.rules if rule.comparison == "==" and not rule.when)
    equal = [rule for rule in always if rule.variables <= set(table.columns)]
    for rule in equal * 2:
        table = _mended(rule, table, codebook)
    return derive(table, codebook) if equal else table


def _mended(rule: Rule, table: pl.DataFrame, codebook: Codebook) -> pl.DataFrame:
    """The rows that break an order or an equality, with their left value at the nearest one it may have."""
    variable = codebook.variable(rule.left)
    bad = broken(table, rule)
    if rule.comparison in ("<", ">", "!=") or not bad.any():
        return table
    left, moved = table[rule.left], limit(table, rule)
    if variable.type == "category":
        moved = moved.cast(pl.String)
        bad &= moved.is_in(list(variable.categories)).fill_null(value=False)
        return table.with_columns(moved.zip_with(bad, left.cast(pl.String)).alias(rule.left))
    moved = moved.cast(pl.Float64, strict=False)
    if variable.type == "integer":
        moved = moved.floor() if rule.comparison == "<=" else moved.ceil() if rule.comparison == ">=" else moved
        bad &= (moved == moved.round()).fill_null(value=False)
    bad &= moved.is_between(variable.minimum, variable.maximum).fill_null(value=False)
    return table.with_columns(moved.cast(left.dtype, strict=False).zip_with(bad, left).alias(rule.left))


def ordered_below(codebook: Codebook) -> dict[str, Variable]:
    """For each number that a rule keeps at or below another in every row: that other number, never in a circle.

    A strict order counts too: who draws a number as a share of the other breaks it only where both are equal, and
    not in every other row.
    """
    found: dict[str, Variable] = {}
    for rule in codebook.rules:
        pair = ordered_pair(rule)
        if pair is None:
            continue
        low, high = (codebook.variable(name) for name in pair[:2])
        numeric = all(v.type in ("integer", "decimal") and v.role != "identifier" for v in (low, high))
        if numeric and low.name not in found and not _leads_to(found, high.name, low.name):
            found[low.name] = high
    return found


def ordered_pair(rule: Rule) -> tuple[str, str, bool] | None:
    """``(lower, higher, strict)`` of an unconditional rule that orders two variables, else ``None``."""
    if rule.when or rule.plus or not isinstance(rule.right, str):
        return None
    if rule.comparison in ("<=", "<"):
        return rule.left, rule.right, rule.comparison == "<"
    if rule.comparison in (">=", ">"):
        return rule.right, rule.left, rule.comparison == ">"
    return None


def _leads_to(found: Mapping[str, Variable], start: str, goal: str) -> bool:
    name = start
    while name != goal and name in found:
        name = found[name].name
    return name == goal


def subgroup(codebook: Codebook, where: Mapping[str, str]) -> Wanted:
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
    known = {variable.name: variable for variable in codebook.variables if variable.role != "identifier"}
    if name not in known:
        raise ValueError("where names a variable that the codebook does not have, or an identifier")
    variable = known[name]
    if variable.type == "category":
        if text not in variable.categories:
            raise ValueError("where names a value that is none of the variable's categories in the codebook")
        return lambda table: table[name] == text
    low, high = _range(text, variable)
    return lambda table: table[name].is_between(low, high)


def _range(text: str, variable: Variable) -> tuple[float, float]:
    wrong = "where gives a number's range as two numbers with dots between, such as 60..75"
    ends = text.split("..")
    try:
        low = float(ends[0]) if ends[0] else float(variable.minimum or 0.0)
        high = float(ends[-1]) if ends[-1] else float(variable.maximum or 0.0)
    except ValueError as error:
        raise ValueError(wrong) from error
    if len(ends) != 2 or not low <= high:
        raise ValueError(wrong)
    return low, high


def rows_of(draw: Draw, wanted: Wanted, rows: int) -> pl.DataFrame:
    """``rows`` synthetic rows of a subgroup: whole synthetic cohorts are drawn, and the rows that fit are kept.

    That is the generator's own conditional distribution, exactly. Raises ``ValueError`` when fewer than one row in
    ``RAREST`` fits: what hardly exists cannot have been learned.
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


def balanced(draw: Draw, codebook: Codebook, name: str, wanted: Wanted, rows: int) -> pl.DataFrame:
    """As many rows of each category of one variable as can be, of those categories that synthetic rows have.

    Rare groups get more rows, not more that is known about them. Raises ``ValueError`` where the codebook has no such
    category variable, or where no synthetic row has a value of it.
    """
    variable = next((v for v in codebook.variables if v.name == name and v.role != "identifier"), None)
    if variable is None or variable.type != "category":
        raise ValueError("balance names no category variable of the codebook")
    seen = draw(2 * BATCH).filter
    levels = [level for level in variable.categories if seen(pl.col(name) == level).height * RAREST >= 2 * BATCH]
    if not levels:
        raise ValueError("balance names a variable of which hardly any synthetic patient has a value")
    sizes = [rows // len(levels) + (place < rows % len(levels)) for place in range(len(levels))]

    def at(level: str) -> Wanted:
        return lambda table: wanted(table) & (table[name] == level).fill_null(value=False)

    return pl.concat(rows_of(draw, at(level), size) for level, size in zip(levels, sizes, strict=True) if size)


def written(values: Floats, variable: Variable) -> Floats:
    """Numbers as a codebook would write them: within bounds, whole, or to about ten thousand steps of the range."""
    low, high = float(variable.minimum or 0.0), float(variable.maximum or 0.0)
    decimals = 0 if variable.type == "integer" else max(0, FINEST - int(np.ceil(np.log10(high - low))))
    step = 10.0**-decimals
    lowest, highest = np.ceil(low / step - 1e-9) * step, np.floor(high / step + 1e-9) * step
    rounded = np.clip(np.round(values, decimals), lowest, max(lowest, highest))
    return np.asarray(np.clip(np.round(rounded, decimals), low, high))
