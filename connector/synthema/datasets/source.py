"""Reads a site's CSV file against a codebook: strictly, whole or not at all.

Whatever is wrong is collected and named by line and column, so that one pass is
enough to mend a file. A patient's value is never repeated in a message; only
the unknown text of a category is, because its list of categories is public.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.datasets.derive import derived_column
from synthema.errors import InputError

SHOWN_FINDINGS = 20
SHOWN_LINES = 5
LARGEST_FILE = 512 * 1024 * 1024
_LONGEST_TEXT = 64

POLARS_TYPES: dict[str, type[pl.DataType]] = {
    "integer": pl.Int64,
    "decimal": pl.Float64,
    "category": pl.String,
    "text": pl.String,
}
"""The column type of each variable type; what is missing is null."""

_INTEGER = re.compile(r"[+-]?\d{1,15}(\.0*)?")
_DECIMAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

Cell = int | float | str | None


@dataclass(slots=True)
class Finding:
    """One kind of fault in one column: where it occurs, and how to mend it."""

    column: str | None
    sentence: str
    fix: str
    lines: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How often the fault occurs."""
        return len(self.lines)

    def text(self) -> str:
        """The finding for people: place, fault, remedy."""
        shown = ", ".join(str(line) for line in self.lines[:SHOWN_LINES])
        more = f" and {self.count - SHOWN_LINES} more" if self.count > SHOWN_LINES else ""
        place = f"line{'s' if self.count > 1 else ''} {shown}{more}" if self.lines else "header"
        column = f", column {self.column}" if self.column else ""
        return f"{place}{column}: {self.sentence} ({self.fix})"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds: its findings, and the typed table where there are none."""

    rows: int
    findings: tuple[Finding, ...]
    table: pl.DataFrame | None
    lines: tuple[int, ...] = ()
    """The line of the file in which each row of the table begins."""


def read_source(path: Path, codebook: Codebook) -> pl.DataFrame:
    """The typed table of a CSV file, columns in the codebook's order; raises :class:`InputError` naming all faults."""
    return read_source_lines(path, codebook)[0]


def read_source_lines(path: Path, codebook: Codebook) -> tuple[pl.DataFrame, tuple[int, ...]]:
    """The table of :func:`read_source`, and the line of the file in which each of its rows begins."""
    inspection = inspect_source(path, codebook)
    if inspection.table is None:
        shown = "\n  ".join(finding.text() for finding in inspection.findings[:SHOWN_FINDINGS])
        left = len(inspection.findings) - SHOWN_FINDINGS
        more = f"\n  and {left} more" if left > 0 else ""
        raise InputError(
            f"the file has faults ({len(inspection.findings)} kinds), and nothing was taken from it:\n  {shown}{more}",
            where=str(path),
            fix="mend these places in the source and add the file again",
        )
    return inspection.table, inspection.lines


def inspect_source(path: Path, codebook: Codebook) -> Inspection:
    """Read a file and collect everything that is wrong with it; changes nothing.

    A derived column that the file lacks is computed; one that it has is left as it is, for the rules to judge. Raises
    :class:`InputError` only where there is no table at all to look at (unreadable, empty, not text, not CSV).
    """
    lines, headings, rows = _rows(path)
    header = _names(headings, codebook)
    findings = _header_findings(header, codebook)
    if findings:
        return Inspection(len(rows), tuple(findings), None)
    faults = _Faults()
    whole = []
    for line, cells in zip(lines, rows, strict=True):
        if len(cells) == len(header):
            whole.append((line, cells))
        else:
            faults.add(None, f"a row does not have {len(header)} fields", "quote fields that hold a comma", line)
    if not rows:
        faults.add(None, "the file has a header but no rows", "export the rows too", 1)
    numbers = [line for line, _ in whole]
    columns: dict[str, list[Cell]] = {}
    for variable in codebook.variables:
        if variable.name not in header:
            continue
        position = header.index(variable.name)
        texts = [cells[position] for _, cells in whole]
        columns[variable.name] = _read_column(
            variable, texts, numbers, faults, key=variable.name == codebook.patient_key
        )
    _check_duplicates(columns[codebook.patient_key], numbers, codebook.patient_key, faults)
    if faults.all():
        return Inspection(len(rows), tuple(faults.all()), None, tuple(numbers))
    table = harmonise(columns, codebook)
    _check_derived([v for v in codebook.variables if v.name not in header], table, numbers, faults)
    found = faults.all()
    return Inspection(len(rows), tuple(found), None if found else table, tuple(numbers))


def harmonise(columns: dict[str, list[Cell]], codebook: Codebook) -> pl.DataFrame:
    """The typed table of already checked columns: order and types of the codebook, null where missing.

    Derived columns that are not among them are computed.
    """
    kept = [v for v in codebook.variables if v.name in columns]
    table = pl.DataFrame({v.name: pl.Series(v.name, columns[v.name], dtype=POLARS_TYPES[v.type]) for v in kept})
    for variable in codebook.in_order_of_derivation():
        if variable.name not in columns:
            table = table.with_columns(derived_column(table, variable))
    return table.select(codebook.names())


def _check_derived(computed: list[Variable], table: pl.DataFrame, lines: list[int], faults: _Faults) -> None:
    """Every computed column that must be filled is."""
    for variable in computed:
        if not variable.may_be_missing:
            for row in table[variable.name].is_null().arg_true().to_list():
                fix = "fill in what it follows from"
                faults.add(variable.name, "the value does not follow from the other columns", fix, lines[row])


class _Faults:
    """Findings gathered by column and kind."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str], Finding] = {}

    def add(self, column: str | None, sentence: str, fix: str, line: int) -> None:
        finding = self._found.setdefault((column, sentence), Finding(column, sentence, fix))
        finding.lines.append(line)

    def all(self) -> list[Finding]:
        return list(self._found.values())


def _rows(path: Path) -> tuple[list[int], list[str], list[list[str]]]:
    """Line numbers, header and rows of a CSV file; blank lines are skipped."""
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    start = 1
    try:
        for cells in reader:
            if cells:
                lines.append(start)
                rows.append(cells)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"the row that begins in line {start} is not CSV: {error}",
            where=f"{path}:{start}",
            fix="mend the quotes of that row; export with commas and double quotes",
        ) from error
    if not rows:
        raise InputError("the file is empty", where=str(path), fix="export a header line and one row for each patient")
    return lines[1:], [name.strip() for name in rows[0]], rows[1:]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError("the file is larger than 512 MiB", where=str(path), fix="split the cohort into datasets")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="give the path of a CSV file"
        ) from error
    if b"\x00" in data:
        raise InputError("the file is not text", where=str(path), fix="export it as CSV, not as a spreadsheet")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"line {line} is not UTF-8 text", where=f"{path}:{line}", fix="export it as CSV in UTF-8"
        ) from error


def _names(headings: list[str], codebook: Codebook) -> list[str]:
    """The columns' names, where the codebook gives a heading for them."""
    named = {v.heading.strip(): v.name for v in codebook.variables if v.heading}
    return [named.get(heading, heading) for heading in headings]


def _header_findings(header: list[str], codebook: Codebook) -> list[Finding]:
    known = codebook.names()
    if codebook.patient_key not in known:
        raise InputError(
            f"the codebook does not describe its patient key '{codebook.patient_key}'",
            fix="add the variable with the role 'identifier'",
        )
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        return [Finding(None, "the fields are not separated by commas", "export the file with commas", [1])]
    twice = sorted({name for name in header if header.count(name) > 1})
    findings = [Finding(name[:40], "the column comes twice", "keep one of them", [1]) for name in twice]
    for name in dict.fromkeys(header):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) or [n for n in known if n.lower() == name.lower()]
            fix = f"did you mean '{near[0]}'?" if near else "remove it, or describe it in the codebook"
            findings.append(Finding(name[:40], "the codebook does not know this column", fix, [1]))
    missing = [v.name for v in codebook.variables if v.name not in header and v.derivation is None]
    findings += [
        Finding(name, "the column is missing", "add it; leave cells empty where not recorded", [1]) for name in missing
    ]
    return findings


def _read_column(variable: Variable, texts: list[str], lines: list[int], faults: _Faults, *, key: bool) -> list[Cell]:
    """The values of a column; equal texts are understood once."""
    understand = _reader(variable)
    known: dict[str, tuple[Cell, tuple[str, str] | None]] = {}
    values: list[Cell] = []
    for text, line in zip(texts, lines, strict=True):
        if text not in known:
            known[text] = _understand(text.strip(), variable, understand, needed=key or not variable.may_be_missing)
        value, fault = known[text]
        if fault is not None:
            faults.add(variable.name, *fault, line)
        values.append(value)
    return values


Understood = tuple[Cell, tuple[str, str] | None]


def _understand(text: str, variable: Variable, read: Callable[[str], Understood], *, needed: bool) -> Understood:
    if text in variable.missing or not text:
        return None, ("a value is missing", "this column must be filled in every row") if needed else None
    value, fault = read(text)
    if fault is not None and text[0] in "=@+-" and not _DECIMAL.fullmatch(text):
        return None, ("a cell holds a formula", "export values, not formulas")
    return value, fault


def _reader(variable: Variable) -> Callable[[str], Understood]:
    match variable.type:
        case "integer":
            return lambda text: _number(text, variable, _INTEGER, "a whole number")
        case "decimal":
            return lambda text: _number(text, variable, _DECIMAL, "a number")
        case "category":
            return lambda text: _category(text, variable)
        case "text":
            return _identifier


def _number(text: str, variable: Variable, shape: re.Pattern[str], expected: str) -> Understood:
    if not shape.fullmatch(text):
        if _DECIMAL_COMMA.fullmatch(text):
            return None, ("a number is written with a comma", "write decimals with a point")
        return None, (f"a cell is not {expected}", f"give {expected}, or leave the cell empty where not recorded")
    number = float(text)
    low, high = variable.minimum, variable.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        unit = f" {variable.unit}" if variable.unit else ""
        return None, (f"a value lies outside {low:g} to {high:g}{unit}", _unit_hint(number, variable))
    value = number + 0.0  # turns -0.0 into 0.0, so that equal tables have equal digests
    return (int(value) if variable.type == "integer" else value), None


def _unit_hint(number: float, variable: Variable) -> str:
    """Says so where a value that cannot be would be possible in another usual unit."""
    low, high = variable.minimum, variable.maximum
    if low is None or high is None:
        return "check the value at its source"
    for other in variable.other_units:
        if low <= number / other.factor <= high:
            return f"it would fit the unit {other.unit}: give all values in {variable.unit}"
    if number > high and low <= number / 10 <= high:
        return f"a tenth of it would fit: check the unit, which must be {variable.unit or 'the codebook’s'}"
    return "check the value at its source"


def _category(text: str, variable: Variable) -> Understood:
    if text in variable.categories:
        return text, None
    near = difflib.get_close_matches(text, variable.categories, n=1)
    near = near or [name for name in variable.categories if name.lower() == text.lower()]
    hint = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(variable.categories[:12])}"
    return None, (f"'{text[:40]}' is not a category of this column", hint)


def _identifier(text: str) -> Understood:
    if len(text) > _LONGEST_TEXT or not text.isprintable() or text[0] in "=@+-":
        return None, (
            "an identifier is too long or holds odd characters",
            f"use at most {_LONGEST_TEXT} plain characters",
        )
    return text, None


def _check_duplicates(keys: list[Cell], lines: list[int], column: str, faults: _Faults) -> None:
    first: dict[Cell, int] = {}
    for key, line in zip(keys, lines, strict=True):
        if key is None:
            continue
        if key in first:
            fix = f"one row for each patient; the first such row is line {first[key]}"
            faults.add(column, "a patient's key comes again", fix, line)
        first.setdefault(key, line)
