"""The Data Use Ontology (DUO): its 25 terms, each with our own sentence.

Identifiers and shorthands are DUO's (EBISPOT/DUO, release of 2022-09, CC BY 4.0).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from synthema.errors import InputError

OBO: Final = "http://purl.obolibrary.org/obo/DUO_"
_NUMBER = re.compile(r"^(?:https?://purl\.obolibrary\.org/obo/)?DUO[:_](\d+)$", re.IGNORECASE)
_MISPRINTS: Final[Mapping[str, str]] = {"00000044": "0000044"}
"""DUO's OWL file writes the identifier of NPOA with eight digits; its table writes it with seven."""


@dataclass(frozen=True, slots=True)
class DuoCode:
    """One term of DUO. ``needs`` says what value goes with it; a heading only groups others and says nothing itself."""

    code: str
    number: str
    kind: Literal["permission", "modifier", "heading"]
    sentence: str
    needs: str = ""

    @property
    def iri(self) -> str:
        """The identifier, as DUO's table writes it."""
        return OBO + self.number

    @property
    def curie(self) -> str:
        """The short identifier, e.g. ``DUO:0000042``."""
        return f"DUO:{self.number}"


def _modifier(code: str, number: str, sentence: str, needs: str = "") -> DuoCode:
    return DuoCode(code, number, "modifier", sentence, needs)


_ALL = (
    DuoCode("", "0000001", "heading", "data use permission: groups the five codes NRES, GRU, HMB, DS and POA"),
    DuoCode("", "0000017", "heading", "data use modifier: groups the codes that narrow a permission"),
    DuoCode("NRES", "0000004", "permission", "Any use is allowed."),
    DuoCode("GRU", "0000042", "permission", "Research of any kind is allowed."),
    DuoCode(
        "HMB", "0000006", "permission", "Research on health is allowed, research on the origins of populations is not."
    ),
    DuoCode("DS", "0000007", "permission", "Research on one disease is allowed.", "a disease, e.g. DS=ORPHA:519"),
    DuoCode("POA", "0000011", "permission", "Only research on the origins or ancestry of populations is allowed."),
    _modifier("RS", "0000012", "Only one type of research is allowed.", "a purpose, e.g. RS='training of algorithms'"),
    _modifier("NMDS", "0000015", "Development of general methods, software or algorithms is not allowed."),
    _modifier("GSO", "0000016", "Only genetic studies are allowed."),
    _modifier(
        "NPUNCU", "0000018", "Only not-for-profit organisations may use the data, and not for commercial purposes."
    ),
    _modifier("PUB", "0000019", "Results are to be made known to other researchers."),
    _modifier("COL", "0000020", "The user has to agree to work together with those who collected the data."),
    _modifier("IRB", "0000021", "An ethics committee has to have approved the use."),
    _modifier("GS", "0000022", "Use is limited to one region.", "a country or region, e.g. GS=EEA"),
    _modifier("MOR", "0000024", "Results are not published before a date.", "a date, e.g. MOR=2028-01-01"),
    _modifier("TS", "0000025", "Use is limited in time.", "a number of months, e.g. TS=24"),
    _modifier("US", "0000026", "Use is limited to named users.", "role accounts, e.g. US=https://…/id/person/person-…"),
    _modifier("PS", "0000027", "Use is limited to named projects.", "projects or studies, e.g. PS=study-…"),
    _modifier("IS", "0000028", "Use is limited to named institutions.", "parties, e.g. IS=did:web:university.example"),
    _modifier("RTN", "0000029", "Derived data are to be given back."),
    _modifier("CC", "0000043", "Use in the care of patients is allowed, too."),
    _modifier("NPOA", "0000044", "Research on the origins or ancestry of populations is not allowed."),
    _modifier("NPU", "0000045", "Only not-for-profit organisations may use the data."),
    _modifier("NCU", "0000046", "Commercial use is not allowed."),
)

CODES: Final[tuple[DuoCode, ...]] = _ALL
"""Every term of DUO, headings included."""

_BY_NAME: Final[Mapping[str, DuoCode]] = {
    **{code.code: code for code in CODES if code.code},
    **{code.number: code for code in CODES},
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A code with the value given for it; several values are separated by commas."""

    code: DuoCode
    value: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.value.split(",") if part.strip())

    def __str__(self) -> str:
        return self.code.code + (f"={self.value}" if self.value else "")


def find_code(text: str) -> DuoCode:
    """The code meant by a shorthand (``GRU``), ``DUO:0000042`` or an identifier; raises :class:`InputError`."""
    plain = text.strip()
    number = _NUMBER.match(plain)
    name = _MISPRINTS.get(number[1], number[1]) if number else plain.upper()
    found = _BY_NAME.get(name)
    if found is None:
        near = difflib.get_close_matches(name, [code.code for code in CODES if code.code], n=1, cutoff=0.4)
        fix = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(c.code for c in CODES if c.code)}"
        raise InputError(f"'{plain[:60]}' is not a code of DUO", fix=fix)
    if found.kind == "heading":
        raise InputError(
            f"{found.curie} says nothing by itself; it {found.sentence.partition(': ')[2]}", fix="name one"
        )
    return found


def parse_codes(texts: tuple[str, ...] | list[str]) -> tuple[Chosen, ...]:
    """Codes as people write them, e.g. ``HMB``, ``DS=ORPHA:519``; raises :class:`InputError` on the first fault."""
    chosen: list[Chosen] = []
    for text in texts:
        if not text.isprintable():
            raise InputError("a code has several lines or control characters", fix="write each code on one line")
        name, separator, value = text.partition("=")
        code = find_code(name)
        if code.needs and not value.strip():
            raise InputError(f"{code.code} needs a value: {code.needs}", fix=f"write it behind '{code.code}='")
        if separator and not code.needs:
            raise InputError(f"{code.code} takes no value", fix=f"write '{code.code}' alone")
        if any(other.code is code for other in chosen):
            raise InputError(f"{code.code} is given twice", fix="give it once; separate several values by commas")
        chosen.append(Chosen(code, value.strip()))
    if not chosen:
        raise InputError("no DUO code is given", fix="give at least one permission, e.g. HMB")
    return tuple(chosen)
