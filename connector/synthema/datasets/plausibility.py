"""Values that are possible one by one and suspicious together: mixed units, codes among numbers, a patient twice.

Everything is judged by what the codebook calls typical and by its other units; nothing is learned from the table
but how its values lie to each other. Positions of rows are given, never values of patients.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Variable

FEWEST_MIXED = 2
"""So many values must fit another unit before units are said to be mixed, besides :data:`SHARE_MIXED`."""
SHARE_MIXED = 0.005
APART = 1.5
"""Neighbouring groups of values are apart where no value lies between them over this factor."""
FEWEST_AT_SITE = 5
STRAY_CODES = (-999.0, -99.0, -9.0, -8.0, -7.0, -1.0, 88.0, 99.0, 777.0, 888.0, 999.0, 8888.0, 9999.0, 99999.0)
FEWEST_STRAY = 3
GAP = 2.0

Numbers = NDArray[np.float64]


def _values(column: pl.Series) -> Numbers:
    return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def units_by_site(variable: Variable, column: pl.Series, site: pl.Series) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Centres whose median is not typical and would be in another unit: centre, unit, rows."""
    if variable.typical is None or not variable.other_units or variable.type not in ("integer", "decimal"):
        return
    low, high = variable.typical
    values = _values(column)
    places = site.cast(pl.String).to_list()
    for place in sorted({name for name in places if name is not None}):
        rows = np.flatnonzero(np.asarray([name == place for name in places]) & np.isfinite(values))
        if len(rows) < FEWEST_AT_SITE:
            continue
        median = float(np.median(values[rows]))
        fitting = [other.unit for other in variable.other_units if low <= median / other.factor <= high]
        if fitting and not low <= median <= high:
            yield place, fitting[0], tuple(rows.tolist())


def mixed_units(variable: Variable, column: pl.Series) -> tuple[str, tuple[int, ...], bool] | None:
    """A part of a column in another unit: the unit, the rows, and whether they lie apart from all others.

    A value counts that is outside the typical span of medians by more than a patient's reading usually is, and
    inside it when divided by the unit's factor. Without a gap between these and the rest they may also be the
    extremes of one distribution.
    """
    if variable.typical is None or variable.type not in ("integer", "decimal"):
        return None
    low, high = variable.typical
    if low <= 0:
        return None
    values = _values(column)
    known = np.isfinite(values) & (values > 0)
    for other in variable.other_units:
        factor = other.factor
        beyond = values > high * min(APART, factor) if factor > 1 else values < low / min(APART, 1 / factor)
        fits = (values / factor >= low) & (values / factor <= high)
        closer = _nearness(values / factor, low, high) < _nearness(values, low, high)
        suspects = known & beyond & fits & closer
        rest = known & ~suspects
        least = max(FEWEST_MIXED, SHARE_MIXED * int(known.sum()))
        if int(suspects.sum()) >= least and rest.any():
            rows = tuple(np.flatnonzero(suspects).tolist())
            return other.unit, rows, _apart(values[suspects], values[rest], upwards=factor > 1)
    return None


def _nearness(values: Numbers, low: float, high: float) -> Numbers:
    """How far values lie from the middle of a span, in logarithms."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(np.log(values) - (np.log(low) + np.log(high)) / 2))


def _apart(suspects: Numbers, rest: Numbers, *, upwards: bool) -> bool:
    """Whether there is a gap between the suspicious values and nearly all others."""
    if upwards:
        return bool(suspects.min() > APART * np.quantile(rest, 0.995))
    return bool(suspects.max() * APART < np.quantile(rest, 0.005))


def stray_codes(variable: Variable, column: pl.Series) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Numbers that are a usual code for "missing", come again and again, and lie alone at an end of the column."""
    if variable.type not in ("integer", "decimal") or variable.role == "identifier":
        return
    values = _values(column)
    known = values[np.isfinite(values)]
    for code in STRAY_CODES:
        rows = np.flatnonzero(values == code)
        others = known[known != code]
        if len(rows) < FEWEST_STRAY or len(others) == 0:
            continue
        spread = float(np.quantile(others, 0.99) - np.quantile(others, 0.01)) or 1.0
        distance = max(code - float(others.max()), float(others.min()) - code)
        if distance > GAP * spread or (code < 0 <= float(others.min())):
            yield code, tuple(rows.tolist())


def odd_patients(table: pl.DataFrame, codebook: Codebook) -> tuple[int, ...]:
    """Rows that repeat an earlier row in all columns but identifiers, where there are enough columns to tell."""
    names = [name for name in codebook.names() if codebook.variable(name).role != "identifier"]
    told = [name for name in names if codebook.variable(name).type in ("integer", "decimal")]
    if len(told) < FEWEST_STRAY or table.height == 0:
        return ()
    again = table.select(pl.struct(names).is_first_distinct().not_().alias("again"))["again"]
    return tuple(again.arg_true().to_list())
