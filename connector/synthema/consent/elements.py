"""Reads elements 7.1 to 7.4 of the EU set of common data elements for rare disease registration (JRC, EU RD Platform).

7.1 agreement to be contacted for research, 7.2 consent to the reuse of data,
7.3 biological sample available, 7.4 link to a biobank. Answers are Yes, No or
Unknown, in words, as 1 and 0, or as SNOMED CT codes.
"""

from __future__ import annotations

from synthema.consent.incoming import (
    Cells,
    ConsentLine,
    ConsentList,
    Problem,
    Reading,
    check_columns,
    csv_rows,
)
from synthema.consent.model import ConsentItem, ConsentState
from synthema.errors import InputError

CONTACT, REUSE, SAMPLE, BIOBANK = "7.1", "7.2", "7.3", "7.4"
_ALIASES = {
    "1.1": "pseudonym",
    "patient_key": "pseudonym",
    "agreement_to_be_contacted": CONTACT,
    "consent_to_reuse_of_data": REUSE,
    "biological_sample": SAMPLE,
    "link_to_biobank": BIOBANK,
}
_REQUIRED = ("pseudonym", "date", CONTACT, REUSE)
_KNOWN = (*_REQUIRED, SAMPLE, BIOBANK, "notice_version", "source_id", "source_version")
_ANSWERS = {
    "yes": True,
    "1": True,
    "373066001": True,
    "no": False,
    "0": False,
    "373067005": False,
    "unknown": None,
    "": None,
    "261665006": None,
}
_ITEMS = {CONTACT: ConsentItem.RECONTACT, SAMPLE: ConsentItem.BIOLOGICAL_SAMPLE, BIOBANK: ConsentItem.BIOBANK_LINK}


def parse_elements(text: str, where: str, reading: Reading) -> ConsentList:
    """Read a registry's CSV with the columns ``pseudonym``, ``date``, ``7.1``, ``7.2`` and, where it has them, more.

    ``7.2`` alone decides about the state: Yes is given, No refused, Unknown unknown, which denies.
    Raises :class:`InputError` where there is no list at all; problems of lines are in the answer.
    """
    rows = csv_rows(text, where)
    columns = [_ALIASES.get(name.strip().casefold(), name.strip().casefold()) for name in rows[0][1]]
    check_columns(columns, _REQUIRED, _KNOWN, where)
    problems: list[Problem] = []
    lines: list[ConsentLine] = []
    seen: dict[str, str] = {}
    for number, values in rows[1:]:
        if len(values) != len(columns):
            problems.append(Problem(f"line {number}", f"{len(values)} fields where the header has {len(columns)}"))
            continue
        cells = Cells(number, dict(zip(columns, values, strict=True)), reading)
        line = _line(cells)
        if line.patient_key and line.patient_key in seen:
            cells.wrong("pseudonym", f"the same person as in {seen[line.patient_key]}")
        seen.setdefault(line.patient_key, line.where)
        problems += cells.problems
        lines.append(line)
    if not lines and not problems:
        raise InputError("the list names no person", where=where, fix="give one line for each person")
    return ConsentList(tuple(lines), has_opt_outs=False, problems=tuple(problems))


def _line(cells: Cells) -> ConsentLine:
    answers = {element: _answer(cells, element) for element in (CONTACT, REUSE, SAMPLE)}
    answers[BIOBANK] = _biobank(cells, sample=answers[SAMPLE])
    items = {item for element, item in _ITEMS.items() if answers[element]}
    state = {True: ConsentState.GIVEN, False: ConsentState.REFUSED, None: ConsentState.UNKNOWN}[answers[REUSE]]
    if answers[REUSE]:
        items.add(ConsentItem.SECONDARY_USE)
    source = cells.text("source_id")
    return ConsentLine(
        where=cells.where,
        patient_key=cells.key("pseudonym"),
        state=state,
        date=cells.needed_moment("date"),
        items=frozenset(items),
        notice_version=cells.text("notice_version") or None,
        source=(source, cells.text("source_version")) if source else None,
    )


def _answer(cells: Cells, element: str) -> bool | None:
    text = cells.text(element)
    code = text.casefold().removeprefix("snomedct:").removeprefix("http://snomed.info/sct|").removeprefix("snomed_")
    if code not in _ANSWERS:
        cells.wrong(element, f"'{text[:40]}' is not an answer", "write Yes, No or Unknown, or their SNOMED CT codes")
        return None
    return _ANSWERS[code]


def _biobank(cells: Cells, *, sample: bool | None) -> bool | None:
    """Element 7.4: Yes or No, or the biobank's address, which says Yes; a link needs a sample (7.3)."""
    text = cells.text(BIOBANK)
    linked = True if text.startswith(("http://", "https://", "bbmri-eric:")) else _answer(cells, BIOBANK)
    if linked and sample is False:
        cells.wrong(BIOBANK, "a link to a biobank where there is no sample", "correct 7.3 or 7.4")
    return linked
