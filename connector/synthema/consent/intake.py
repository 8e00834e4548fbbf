"""Reads a site's consent list: a CSV file in which every line must be right, or none is taken."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from synthema.clock import from_text
from synthema.consent.model import ConsentItem, ConsentState, machine_for
from synthema.errors import InputError

REQUIRED_COLUMNS = ("patient_key", "state", "date")
OPTIONAL_COLUMNS = ("opt_out_date", "opt_in_date", "legal_basis", "items", "valid_to", "notice_version")
DEFAULT_BASIS = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"
_SHOWN = 20
_LARGEST_FILE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """One line of a consent list, understood in full."""

    line: int
    patient_key: str
    state: ConsentState
    date: datetime
    opt_out_date: datetime | None
    opt_in_date: datetime | None
    legal_basis: str
    items: frozenset[ConsentItem]
    valid_to: datetime | None
    notice_version: str | None


@dataclass(frozen=True, slots=True)
class ConsentList:
    """A whole consent list; ``has_opt_outs`` says that it speaks about opt-outs at all."""

    lines: tuple[ConsentLine, ...]
    has_opt_outs: bool


def read_consent_list(path: Path, now: datetime) -> ConsentList:
    """Read ``patient_key,state,date[,opt_out_date,opt_in_date,legal_basis,items,valid_to,notice_version]``.

    States are DPV names such as ``ConsentGiven``; dates are ISO 8601 (a day alone counts from its
    start in UTC); items are separated by semicolons. Raises :class:`InputError`
    naming every wrong line and field, up to twenty; no patient's key is repeated in it.
    """
    rows = _rows(path)
    columns = rows[0][1]
    _check_columns(columns, path)
    problems: list[str] = []
    lines: list[ConsentLine] = []
    seen: dict[str, int] = {}
    for number, cells in rows[1:]:
        if len(cells) != len(columns):
            problems.append(f"line {number}: {len(cells)} fields where the header has {len(columns)}")
            continue
        line = _line(number, dict(zip(columns, cells, strict=True)), now, problems)
        if line is None:
            continue
        if line.patient_key in seen:
            problems.append(f"line {number}, field patient_key: the same person as in line {seen[line.patient_key]}")
        seen.setdefault(line.patient_key, number)
        lines.append(line)
    if problems:
        raise _refusal(path, problems)
    if not lines:
        raise InputError("the consent list names no person", where=str(path), fix="give one line for each person")
    return ConsentList(tuple(lines), "opt_out_date" in columns)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the consent list cannot be read: {error.strerror}", where=str(path), fix="give the path of a CSV file"
        ) from error
    if len(data) > _LARGEST_FILE:
        raise InputError("the consent list is larger than 64 MiB", where=str(path), fix="give one line for each person")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("the consent list is not UTF-8 text", where=str(path), fix="save it as CSV UTF-8") from error
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, cells) for cells in reader if cells)
    except csv.Error as error:
        raise InputError(
            f"line {reader.line_num} is not CSV: {error}", where=str(path), fix="mend the quotes of that line"
        ) from error
    if not rows:
        raise InputError("the consent list is empty", where=str(path), fix="give a header line and one line per person")
    return rows


def _check_columns(columns: list[str], path: Path) -> None:
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    problems = [f"column '{name[:40]}' is not known" for name in columns if name not in known]
    problems += [f"column '{name}' is missing" for name in REQUIRED_COLUMNS if name not in columns]
    problems += [f"column '{name}' comes twice" for name in sorted(set(columns)) if columns.count(name) > 1]
    if problems:
        raise InputError(
            "; ".join(problems),
            where=f"{path}:1",
            fix=f"use these columns: {', '.join(known)} (the first three always)",
        )


class _Cells:
    """The cells of one line, and what is wrong with them."""

    def __init__(self, number: int, cells: dict[str, str], now: datetime) -> None:
        self._number = number
        self._cells = cells
        self._now = now
        self.problems: list[str] = []

    def wrong(self, field: str, what: str) -> None:
        self.problems.append(f"line {self._number}, field {field}: {what}")

    def text(self, field: str) -> str:
        return self._cells.get(field, "").strip()

    def moment(self, field: str) -> datetime | None:
        text = self.text(field)
        if not text:
            return None
        try:
            value = from_text(text if "T" in text else f"{text}T00:00:00Z")
        except InputError:
            self.wrong(field, "not a date such as 2026-11-21")
            return None
        if value > self._now and field != "valid_to":
            self.wrong(field, "lies in the future")
        return value

    def key(self) -> str:
        if not self.text("patient_key"):
            self.wrong("patient_key", "is empty")
        return self.text("patient_key")

    def state(self) -> ConsentState:
        name = self.text("state").removeprefix("dpv:").removeprefix("https://w3id.org/dpv#")
        if name not in set(ConsentState):
            self.wrong("state", f"'{name[:40]}' is not one of {', '.join(ConsentState)}")
            return ConsentState.UNKNOWN
        return ConsentState(name)

    def basis(self) -> str:
        basis = self.text("legal_basis") or DEFAULT_BASIS
        try:
            machine_for(basis)
        except InputError as error:
            self.wrong("legal_basis", error.message)
        return basis

    def items(self) -> frozenset[ConsentItem]:
        if "items" not in self._cells:
            return frozenset({ConsentItem.SECONDARY_USE})
        names = {name.strip() for name in self.text("items").split(";") if name.strip()}
        if names - set(ConsentItem):
            self.wrong("items", f"has an item that is not one of {', '.join(ConsentItem)}")
        return frozenset(item for item in ConsentItem if item in names)


def _line(number: int, values: dict[str, str], now: datetime, problems: list[str]) -> ConsentLine | None:
    cells = _Cells(number, values, now)
    date = cells.moment("date")
    if not cells.text("date"):
        cells.wrong("date", "is empty")
    opt_out, opt_in = cells.moment("opt_out_date"), cells.moment("opt_in_date")
    if opt_in is not None and (opt_out is None or opt_in < opt_out):
        cells.wrong("opt_in_date", "reverses an opt-out that is not before it")
    line = ConsentLine(
        line=number,
        patient_key=cells.key(),
        state=cells.state(),
        date=date or now,
        opt_out_date=opt_out,
        opt_in_date=opt_in,
        legal_basis=cells.basis(),
        items=cells.items(),
        valid_to=cells.moment("valid_to"),
        notice_version=cells.text("notice_version") or None,
    )
    problems += cells.problems
    return None if cells.problems else line


def _refusal(path: Path, problems: list[str]) -> InputError:
    shown = "\n  ".join(problems[:_SHOWN])
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return InputError(
        f"the consent list has {len(problems)} wrong fields, and nothing was taken from it:\n  {shown}{more}",
        where=str(path),
        fix="correct these lines and import the whole list again",
    )
