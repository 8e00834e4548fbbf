"""Reads a site's own consent list: a CSV file in which every line must be right, or none is taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from synthema.consent.age import representative
from synthema.consent.incoming import (
    Cells,
    ConsentLine,
    ConsentList,
    Problem,
    Reading,
    check_columns,
    csv_rows,
    read_file,
)
from synthema.consent.model import ConsentItem, ConsentState, Representative, WithdrawalLevel, machine_for
from synthema.errors import InputError
from synthema.vocabulary import load_vocabulary

REQUIRED_COLUMNS = ("patient_key", "state", "date")
OPTIONAL_COLUMNS = (
    *("opt_out_date", "opt_in_date", "legal_basis", "items", "purposes", "valid_to", "notice_version"),
    *("given_by", "birth_date", "guardian_until", "country", "withdrawal_level", "source_id", "source_version"),
)


def read_consent_list(path: Path, now: datetime) -> ConsentList:
    """Read a list from a file; raises :class:`InputError` naming every wrong line and field, up to twenty."""
    taken = parse_csv(read_file(path), str(path), Reading(now))
    taken.require(str(path))
    return taken


def parse_csv(text: str, where: str, reading: Reading) -> ConsentList:
    """Read ``patient_key,state,date`` and any of the optional columns.

    States are DPV names such as ``ConsentGiven``; dates are ISO 8601 (a day alone counts from its
    start in UTC); items and purposes are separated by semicolons. A line without ``legal_basis``
    rests on that of the dataset. ``given_by`` is empty, ``parent`` or ``guardian``; then
    ``birth_date`` (with ``country``) says until when, and is not kept. What is wrong with single
    lines is in the answer's ``problems``; no patient's key is repeated there. Raises
    :class:`InputError` where there is no list at all.
    """
    rows = csv_rows(text, where)
    columns = rows[0][1]
    check_columns(columns, REQUIRED_COLUMNS, (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS), where)
    problems: list[Problem] = []
    lines: list[ConsentLine] = []
    seen: dict[str, int] = {}
    for number, values in rows[1:]:
        if len(values) != len(columns):
            problems.append(Problem(f"line {number}", f"{len(values)} fields where the header has {len(columns)}"))
            continue
        cells = Cells(number, dict(zip(columns, values, strict=True)), reading)
        line = _line(cells)
        if line.patient_key and line.patient_key in seen:
            cells.wrong("patient_key", f"the same person as in line {seen[line.patient_key]}")
        seen.setdefault(line.patient_key, number)
        problems += cells.problems
        lines.append(line)
    if not lines and not problems:
        raise InputError("the consent list names no person", where=where, fix="give one line for each person")
    return ConsentList(tuple(lines), "opt_out_date" in columns, tuple(problems))


def _line(cells: Cells) -> ConsentLine:
    opt_out, opt_in = cells.moment("opt_out_date"), cells.moment("opt_in_date")
    if opt_in is not None and (opt_out is None or opt_in < opt_out):
        cells.wrong("opt_in_date", "reverses an opt-out that is not before it")
    date = cells.needed_moment("date")
    source = cells.text("source_id")
    if cells.text("source_version") and not source:
        cells.wrong("source_version", "a version without the record it is of", "give source_id too")
    return ConsentLine(
        where=cells.where,
        patient_key=cells.key("patient_key"),
        state=_state(cells),
        date=date,
        opt_out_date=opt_out,
        opt_in_date=opt_in,
        legal_basis=_basis(cells),
        items=_items(cells),
        purposes=_purposes(cells),
        valid_to=cells.moment("valid_to", future=True),
        notice_version=cells.text("notice_version") or None,
        representative=_representative(cells, date),
        level=_level(cells),
        source=(source, cells.text("source_version")) if source else None,
    )


def _state(cells: Cells) -> ConsentState:
    name = cells.text("state").removeprefix("dpv:").removeprefix("https://w3id.org/dpv#")
    if name not in set(ConsentState):
        cells.wrong("state", f"'{name[:40]}' is not one of {', '.join(ConsentState)}")
        return ConsentState.UNKNOWN
    return ConsentState(name)


def _basis(cells: Cells) -> str | None:
    basis = cells.text("legal_basis") or None
    if basis is not None:
        try:
            machine_for(basis)
        except InputError as error:
            cells.wrong("legal_basis", error.message, error.fix)
    return basis


def _items(cells: Cells) -> frozenset[ConsentItem]:
    if "items" not in cells.cells:
        return frozenset({ConsentItem.SECONDARY_USE})
    names = _listed(cells, "items")
    if names - set(ConsentItem):
        cells.wrong("items", f"has an item that is not one of {', '.join(ConsentItem)}")
    return frozenset(item for item in ConsentItem if item in names)


def _purposes(cells: Cells) -> frozenset[str]:
    found = set()
    for name in _listed(cells, "purposes"):
        try:
            found.add(load_vocabulary().purposes.resolve(name))
        except InputError as error:
            cells.wrong("purposes", error.message, error.fix)
    return frozenset(found)


def _listed(cells: Cells, column: str) -> set[str]:
    return {name.strip() for name in cells.text(column).split(";") if name.strip()}


def _representative(cells: Cells, date: datetime) -> Representative | None:
    kind = cells.text("given_by")
    born, until = cells.day("birth_date"), cells.day("guardian_until")
    if not kind or kind == "self":
        return None
    try:
        return representative(
            kind, date.date(), born=born, until=until, country=cells.text("country") or None, ages=cells.reading.ages
        )
    except InputError as error:
        cells.wrong("given_by", error.message, error.fix)
        return None


def _level(cells: Cells) -> WithdrawalLevel | None:
    name = cells.text("withdrawal_level")
    if not name:
        return None
    if name not in set(WithdrawalLevel):
        cells.wrong("withdrawal_level", f"'{name[:40]}' is not one of {', '.join(WithdrawalLevel)}")
        return None
    return WithdrawalLevel(name)
