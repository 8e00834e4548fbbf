"""What a HealthDCAT-AP record states, as plain values; and what is missing from them.

Release 8 has three levels of access with mandatory properties of their own. What is mandatory and not known is told
with the field and the fix. Nothing is filled in: an invented fact in a catalogue misleads applicants and the health
data access body alike (EHDS Art. 60(3), 77).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from synthema.datasets.codebook import Variable
from synthema.errors import InputError

Access = Literal["public", "restricted", "non-public"]

ACCESS_CODES: Final[Mapping[Access, str]] = {
    "public": "PUBLIC",
    "restricted": "RESTRICTED",
    "non-public": "NON_PUBLIC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An organisation; ``contact`` is a ``mailto:`` or ``https:`` address of an office, ``kind`` a publisher type."""

    iri: str
    name: str
    contact: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What kind of dataset it is: a code of the EU's list of dataset types, or a DPV term where that has none."""

    code: str
    label: str
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A thing by its IRI and what it is called."""

    iri: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A way to the data, or to a sample of them: a ``dcat:Distribution``. ``digest`` is ``sha256:…``."""

    title: str
    access_url: str
    rights: str | None = None
    description: str | None = None
    media_type: str | None = None
    package_type: str | None = None
    bytes: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """All that a record states of one dataset; what is ``None`` or empty is not known and is not said."""

    iri: str
    title: str
    description: str
    access: Access
    legislation: tuple[str, ...]
    type: Typed | None
    publisher: Party
    hdab: Party | None
    creator: Party | None = None
    custodian: Party | None = None
    contact: str | None = None
    keywords: tuple[str, ...] = ()
    provenance: str | None = None
    categories: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    disease: Named | None = None
    issued: datetime
    modified: datetime | None = None
    valid_until: datetime | None = None
    version: str | None = None
    regime: str | None = None
    records: int | None = None
    persons: int | None = None
    typical_ages: tuple[int, int] | None = None
    population: tuple[str, ...] = ()
    spatial: str | None = None
    period: tuple[str | None, str | None] | None = None
    retention: tuple[str | None, str | None] | None = None
    legal_bases: tuple[str, ...] = ()
    purposes: tuple[Named, ...] = ()
    personal_data: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    copies: tuple[Copy, ...] = ()
    samples: tuple[Copy, ...] = ()
    label: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A mandatory fact that nobody has stated: the field that holds it, why it is asked, and an example."""

    field: str
    sentence: str
    example: str


def missing(facts: RecordFacts) -> tuple[Missing, ...]:
    """The mandatory facts of release 8 that are not stated, in the order of the profile."""
    return tuple(_missing(facts))


def _missing(facts: RecordFacts) -> Iterator[Missing]:
    if facts.hdab is None:
        yield Missing(
            "hdab",
            "which health data access body supports access, or who decides at the site before it does (EHDS Art. 55)",
            'hdab: {name: "Clinic A, data access office", url: "https://clinic.example/data"}',
        )
    elif facts.hdab.contact is None:
        yield Missing("hdab.url", "how the body that decides on access is reached (EHDS Art. 77)", "url: https://…")
    if facts.contact is None:
        yield Missing(
            "contact", "which office answers questions about the dataset", "contact: mailto:data@clinic.example"
        )
    if not facts.categories:
        yield Missing("categories", "which category of EHDS Art. 51(1) the data belong to", "categories: [l]")
    if not facts.copies:
        yield Missing("distribution", "where access is asked for (EHDS Art. 77)", "access_url: https://…")
    if facts.access == "non-public":
        yield from _missing_of_non_public(facts)


def _missing_of_non_public(facts: RecordFacts) -> Iterator[Missing]:
    if not facts.keywords:
        yield Missing("keywords", "words people search for", "keywords: [sickle cell disease]")
    if facts.provenance is None:
        yield Missing(
            "provenance",
            "how and why the data were collected (EHDS Art. 60(3), 78(3)(a))",
            "provenance: Entered in routine care and curated by the registry.",
        )
    if facts.type is None:
        yield Missing("dataset_type", "what type of dataset it is", "dataset_type: STATISTICAL")


def require_complete(facts: RecordFacts, name: str) -> None:
    """Raise :class:`InputError` naming every mandatory fact that is not stated of the dataset ``name``."""
    if found := missing(facts):
        lines = "\n".join(f"  {each.field}: {each.sentence}; e.g. {each.example}" for each in found)
        raise InputError(
            f"{len(found)} facts that HealthDCAT-AP asks for are not stated:\n{lines}",
            where=name,
            fix=f"write them into a file and give it to: synthema dataset describe {name} facts.yaml",
        )
