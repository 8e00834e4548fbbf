"""Standard codes of variables: whether an IRI can be one of the system it names, by form and check digit.

LOINC numbers end in a check digit (modulus 10), SNOMED CT identifiers too (Verhoeff). That finds a slip of the pen,
not a code that means something else. Units of UCUM are written out here as well.
"""

from __future__ import annotations

import re
from typing import Final

from synthema.datasets.codebook import Codebook

SYSTEMS = {
    "LOINC": re.compile(r"https?://loinc\.org/(?:rdf/)?(\d{1,7}-\d)"),
    "SNOMED CT": re.compile(r"https?://snomed\.info/(?:id|sct)/(\d{6,18})"),
    "ORPHA": re.compile(r"https?://www\.orpha\.net/ORDO/Orphanet_(\d+)"),
    "HGNC": re.compile(r"https?://identifiers\.org/hgnc[:/](?:HGNC:)?(\d+)"),
    "MONDO": re.compile(r"https?://purl\.obolibrary\.org/obo/MONDO_(\d{7})"),
}
_HOSTS = {
    "loinc.org": "LOINC",
    "snomed.info": "SNOMED CT",
    "orpha.net": "ORPHA",
    "identifiers.org/hgnc": "HGNC",
    "MONDO_": "MONDO",
}
_TIMES = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_MOVES = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)


def system_of(iri: str) -> str | None:
    """The system of a code, e.g. ``LOINC``; ``None`` for one that is not known here."""
    return next((system for part, system in _HOSTS.items() if part in iri), None)


def code_fault(iri: str) -> str | None:
    """What is wrong with a code, in a sentence; ``None`` where nothing is, or its system is not known here."""
    system = system_of(iri)
    if system is None:
        return None
    found = SYSTEMS[system].fullmatch(iri)
    if found is None:
        return f"{iri} is not how {system} writes its codes"
    number = found[1]
    good = {"LOINC": _loinc, "SNOMED CT": _verhoeff}.get(system, lambda _number: True)(number)
    return None if good else f"{iri}: the check digit is not that of a {system} code"


def code_faults(codebook: Codebook) -> dict[str, list[str]]:
    """Variable → what is wrong with its codes; variables without faults are left out."""
    found = {
        v.name: [fault for iri in (*v.codes, *v.category_codes.values()) if (fault := code_fault(iri)) is not None]
        for v in codebook.variables
    }
    return {name: faults for name, faults in found.items() if faults}


def _loinc(number: str) -> bool:
    digits, _, check = number.partition("-")
    odd = int("".join(reversed(digits))[::2][::-1]) * 2
    even = "".join(reversed(digits))[1::2]
    total = sum(map(int, str(odd))) + sum(map(int, even))
    return (10 - total % 10) % 10 == int(check)


def _verhoeff(number: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = int(_TIMES[check][int(_MOVES[place % 8][int(digit)])])
    return check == 0


_UNITS: Final = {
    "a": ("year", "years"), "mo": ("month", "months"), "wk": ("week", "weeks"), "d": ("day", "days"),
    "10*9/L": ("×10⁹/L",) * 2, "10*12/L": ("×10¹²/L",) * 2, "umol/L": ("µmol/L",) * 2, "%": ("%",) * 2,
}  # fmt: skip


def unit_words(unit: str, *, one: bool = False) -> str:
    """A UCUM unit as clinicians write it, for one or for many: ``mo`` as "months"; others stand as they are."""
    single, many = _UNITS.get(unit, (unit, unit))
    return single if one else many
