"""What a list of consents says, understood in full; whichever form it came in (CSV, common data elements, FHIR)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from synthema.clock import from_text
from synthema.consent.model import ConsentItem, ConsentState, Representative, WithdrawalLevel
from synthema.errors import InputError

LARGEST_FILE = 64 * 1024 * 1024
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a list: where, in which field, and how to mend it; no patient's key is in it."""

    where: str
    sentence: str
    field: str | None = None
    fix: str | None = None

    def text(self) -> str:
        """The problem in one line."""
        place = self.where if self.field is None else f"{self.where}, field {self.field}"
        return f"{place}: {self.sentence}" + (f" ({self.fix})" if self.fix else "")


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """What a list says about one person. ``legal_basis`` None means that of the dataset.

    ``valid_from`` None means from ``date`` on. ``source`` names the record at its source and its version there.
    """

    where: str
    patient_key: str
    state: ConsentState
    date: datetime
    opt_out_date: datetime | None = None
    opt_in_date: datetime | None = None
    legal_basis: str | None = None
    items: frozenset[ConsentItem] = frozenset({ConsentItem.SECONDARY_USE})
    purposes: frozenset[str] = frozenset()
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    notice_version: str | None = None
    representative: Representative | None = None
    level: WithdrawalLevel | None = None
    source: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ConsentList:
    """A whole list. ``has_opt_outs`` says that it speaks about opt-outs at all; ``problems`` what is wrong with it."""

    lines: tuple[ConsentLine, ...]
    has_opt_outs: bool = False
    problems: tuple[Problem, ...] = ()

    def require(self, where: str) -> None:
        """Raise :class:`InputError` naming the problems, if there are any."""
        if self.problems:
            raise refusal(self.problems, where)


def refusal(problems: tuple[Problem, ...], where: str) -> InputError:
    """The error that a list with problems is refused with; all of them are in a dry run's answer."""
    shown = "\n  ".join(problem.text() for problem in problems[:_SHOWN])
    left = len(problems) - _SHOWN
    more = f"\n  and {left} more (a dry run lists all)" if left > 0 else ""
    return InputError(
        f"the consent list has {len(problems)} wrong fields, and nothing was taken from it:\n  {shown}{more}",
        where=where,
        fix="correct these lines and import the whole list again",
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a list needs to know: the present moment, and the age of majority by country."""

    now: datetime
    ages: Mapping[str, int] = field(default_factory=dict)


def read_file(path: Path) -> str:
    """The text of a list's file; raises :class:`InputError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the consent list cannot be read: {error.strerror}", where=str(path), fix="give the path of a file"
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "the consent list is not UTF-8 text", where=str(path), fix="save it as UTF-8 (CSV UTF-8 in a spreadsheet)"
        ) from error


def csv_rows(text: str, where: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV text with the line each ends in, the header first; raises :class:`InputError`."""
    if len(text) > LARGEST_FILE:
        raise InputError("the consent list is larger than 64 MiB", where=where, fix="give one line for each person")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, cells) for cells in reader if cells)
    except csv.Error as error:
        raise InputError(
            f"line {reader.line_num} is not CSV: {error}", where=where, fix="mend the quotes of that line"
        ) from error
    if not rows:
        raise InputError("the consent list is empty", where=where, fix="give a header line and one line per person")
    return rows


def check_columns(columns: list[str], required: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    """Raise :class:`InputError` unless the header has exactly known columns, the required ones among them."""
    problems = [f"column '{name[:40]}' is not known" for name in columns if name not in known]
    problems += [f"column '{name}' is missing" for name in required if name not in columns]
    problems += [f"column '{name}' comes twice" for name in sorted(set(columns)) if columns.count(name) > 1]
    if problems:
        raise InputError(
            "; ".join(problems),
            where=f"{where}:1",
            fix=f"use these columns: {', '.join(known)} (always: {', '.join(required)})",
        )


class Cells:
    """The cells of one line, and what is wrong with them."""

    def __init__(self, number: int, cells: Mapping[str, str], reading: Reading) -> None:
        self.where = f"line {number}"
        self.cells = cells
        self.reading = reading
        self.problems: list[Problem] = []

    def wrong(self, column: str, what: str, fix: str | None = None) -> None:
        """Note a problem with a cell."""
        self.problems.append(Problem(self.where, what, column, fix))

    def text(self, column: str) -> str:
        """A cell without spaces around it; empty where the column is not there."""
        return self.cells.get(column, "").strip()

    def key(self, column: str) -> str:
        """The patient's key, which every line has."""
        if not self.text(column):
            self.wrong(column, "is empty")
        return self.text(column)

    def moment(self, column: str, *, future: bool = False) -> datetime | None:
        """A day (from its start in UTC) or a moment; in the future only where that makes sense."""
        text = self.text(column)
        if not text:
            return None
        try:
            value = from_text(text if "T" in text else f"{text}T00:00:00Z")
        except InputError:
            self.wrong(column, "not a date such as 2026-11-21")
            return None
        if value > self.reading.now and not future:
            self.wrong(column, "lies in the future")
        return value

    def needed_moment(self, column: str) -> datetime:
        """A moment that every line has."""
        found = self.moment(column)
        if not self.text(column):
            self.wrong(column, "is empty")
        return found or self.reading.now

    def day(self, column: str) -> date | None:
        """A day, in the past or the future."""
        text = self.text(column)
        if not text:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.wrong(column, "not a date such as 2026-11-21")
            return None
