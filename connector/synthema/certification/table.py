"""The synthetic rows of a package, opened with care and compared with their codebook.

Whoever opens a table in a spreadsheet must not run a formula, and whoever loads it must find what the codebook says.
No cell is ever repeated in a message. Sources: OWASP, "CSV Injection"; Unicode UAX 9 (bidirectional controls).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.errors import InputError

MAX_LINE: Final = 64 * 1024
MAX_CELLS: Final = 100_000_000
_NUMBER: Final = r"^[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,3})?$"
_FORMULA: Final = r"^\s*[=+\-@\t\r]"
_UNSEEN: Final = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def read_released_table(path: Path, rows: int, columns: int, codebook: Codebook) -> pl.DataFrame:
    """The rows of a CSV or Parquet file, typed as the codebook says; raises :class:`InputError` with all that is wrong.

    ``rows`` and ``columns`` are what was certified; a file that announces other numbers is not read.
    """
    if rows * columns > MAX_CELLS:
        raise _refused([f"it is said to have {rows * columns} cells, more than are opened here"])
    table = _csv(path, rows) if path.suffix == ".csv" else _parquet(path, rows, columns)
    expected = list(codebook.names())
    if table.columns != expected:
        raise _refused(["its columns are not those of the codebook, in their order"])
    if (table.height, table.width) != (rows, columns):
        raise _refused([f"it has {table.height} rows and {table.width} columns, {rows} and {columns} were certified"])
    faults: list[str] = []
    typed = [_column(table[variable.name], variable, faults) for variable in codebook.variables]
    if faults:
        raise _refused(faults)
    return pl.DataFrame(typed)


def _csv(path: Path, rows: int) -> pl.DataFrame:
    faults = list(_raw_faults(path, rows))
    if faults:
        raise _refused(faults)
    try:
        return pl.read_csv(path, infer_schema=False, empty_string_is_null=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refused(["it is not a table of comma-separated values"]) from error


def _raw_faults(path: Path, rows: int) -> Iterator[str]:
    """What can be seen without understanding the table; reads line by line, each of bounded length."""
    lines = 0
    with path.open("rb") as stream:
        while line := stream.readline(MAX_LINE + 1):
            lines += 1
            if len(line) > MAX_LINE or lines > rows + 1:
                yield "a line is too long" if len(line) > MAX_LINE else f"it has more than the {rows} certified rows"
                return
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                yield "it is not written in UTF-8"
                return
            if _UNSEEN.search(text):
                yield "it holds characters that cannot be seen, or that turn the direction of reading"
                return
    if lines != rows + 1:
        yield f"it has {max(0, lines - 1)} rows, {rows} were certified"


def _parquet(path: Path, rows: int, columns: int) -> pl.DataFrame:
    try:
        scan = pl.scan_parquet(path, glob=False)
        announced = scan.select(pl.len()).collect().item(), len(scan.collect_schema())
        if announced != (rows, columns):
            raise _refused(
                [f"it announces {announced[0]} rows and {announced[1]} columns, {rows} and {columns} were certified"]
            )
        return scan.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refused(["it is not a Parquet table"]) from error


def _column(series: pl.Series, variable: Variable, faults: list[str]) -> pl.Series:
    """A column in the type of its variable; what is wrong is added to the faults."""
    if series.dtype == pl.String:
        _look_for_formulas(series, variable, faults)
        series = series.replace(list(variable.missing), [None] * len(variable.missing))
    if variable.type in ("integer", "decimal"):
        series = _numbers(series, variable, faults)
    else:
        series = _words(series, variable, faults)
    if series.null_count() and not variable.may_be_missing:
        faults.append(f"column {variable.name}: a value is missing, where none may be")
    return series


def _look_for_formulas(series: pl.Series, variable: Variable, faults: list[str]) -> None:
    suspicious = series.filter(series.str.contains(_FORMULA) & ~series.str.contains(_NUMBER))
    known = set(variable.categories) | set(variable.missing)
    if any(text not in known for text in suspicious.unique()):
        faults.append(f"column {variable.name}: a cell begins like a formula")
    if any(_UNSEEN.search(text) for text in series.drop_nulls().unique()):
        faults.append(f"column {variable.name}: a cell holds characters that cannot be seen")


def _numbers(series: pl.Series, variable: Variable, faults: list[str]) -> pl.Series:
    if series.dtype != pl.String and not series.dtype.is_numeric() and series.dtype != pl.Null:
        faults.append(f"column {variable.name}: it does not hold numbers")
        return series
    numbers = series.cast(pl.Float64, strict=False)
    known = numbers.drop_nulls()
    if numbers.null_count() > series.null_count() or not known.is_finite().all():
        faults.append(f"column {variable.name}: a cell is not a number")
    low, high = variable.minimum, variable.maximum
    if low is not None and high is not None and not known.is_between(low, high).all():
        faults.append(f"column {variable.name}: a value lies outside {low:g} to {high:g}")
    if variable.type == "decimal":
        return numbers
    if not (known == known.round()).all():
        faults.append(f"column {variable.name}: a value is not a whole number")
    return numbers.cast(pl.Int64, strict=False)


def _words(series: pl.Series, variable: Variable, faults: list[str]) -> pl.Series:
    words = series.cast(pl.String, strict=False)
    if variable.type == "category" and not set(words.drop_nulls().unique()) <= set(variable.categories):
        faults.append(f"column {variable.name}: a value is none of the categories")
    return words


def _refused(faults: Iterable[str]) -> InputError:
    return InputError(
        f"the table is not what it should be: {'; '.join(faults)}", fix="do not open it; ask the issuer for the package"
    )
