"""The names a HealthDCAT-AP record is written with: prefixes, authority lists, and small nodes that many places use.

A concept states the list it is from (``skos:inScheme``), and the list its type and title: validators of release 8
ask for both, and a reader that fetches nothing could not know them otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from synthema.clock import to_text
from synthema.errors import InputError

Node = dict[str, Any]

EHDS: Final = "http://data.europa.eu/eli/reg/2025/327/oj"
GDPR: Final = "http://data.europa.eu/eli/reg/2016/679/oj"
AI_ACT: Final = "http://data.europa.eu/eli/reg/2024/1689/oj"

EU_LISTS: Final = "http://publications.europa.eu/resource/authority/"
HEALTH_LISTS: Final = "https://hdeu-dcat.data.health.europa.eu/resource/authority/"
PERSONAL_DATA_R8: Final = "https://w3id.org/dpv/dpv-pd#"
"""Release 8 demands this older namespace of DPV's personal data; DPV 2 itself writes :data:`PERSONAL_DATA`."""
PERSONAL_DATA: Final = "https://w3id.org/dpv/pd#"

CONTEXT: Final[dict[str, Any]] = {
    "adms": "http://www.w3.org/ns/adms#",
    "csvw": "http://www.w3.org/ns/csvw#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "eli": "http://data.europa.eu/eli/ontology#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geodcatap": "http://data.europa.eu/930/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "oa": "http://www.w3.org/ns/oa#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "syn": "https://w3id.org/synthema/ns#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""Written out in every record, so that nothing is fetched to read it."""

LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "access-right": (EU_LISTS + "access-right", "Access rights"),
    "data-theme": (EU_LISTS + "data-theme", "Data themes"),
    "dataset-type": (EU_LISTS + "dataset-type", "Dataset types"),
    "country": (EU_LISTS + "country", "Countries"),
    "healthcategories": (HEALTH_LISTS + "healthcategories", "Categories of EHDS Article 51"),
    "health-theme": (HEALTH_LISTS + "health-theme", "Health themes"),
    "coding-system": (HEALTH_LISTS + "coding-system", "Coding systems"),
    "publisher-type": (HEALTH_LISTS + "publisher-type", "Types of publishers"),
}
"""Authority lists by their short name: IRI and title."""

CATEGORIES: Final[Mapping[str, str]] = {
    "a": "EHRS",
    "b": "DIOH",
    "c": "NRPE",
    "d": "RPDG",
    "e": "HRAD",
    "f": "HGPD",
    "g": "HPML",
    "h": "PGEH",
    "i": "WELA",
    "j": "IDHP",
    "k": "PHDR",
    "l": "MRMR",
    "m": "EHCT",
    "n": "EMRD",
    "o": "RMMD",
    "p": "RQSH",
    "q": "EINS",
}
"""The letters of EHDS Art. 51(1) and their codes in the Commission's list of health categories."""

CODING_SYSTEMS: Final[Sequence[tuple[str, str, str]]] = (
    ("http://loinc.org/", "LOINC", "LOINC"),
    ("https://loinc.org/", "LOINC", "LOINC"),
    ("http://snomed.info/", "SNOMED-CT", "SNOMED CT"),
    ("http://www.orpha.net/ORDO/", "ORPHACODE", "Orphanet"),
    ("http://purl.obolibrary.org/obo/HP_", "HPO", "Human Phenotype Ontology"),
    ("http://purl.obolibrary.org/obo/NCIT_", "NCIT", "NCI Thesaurus"),
    ("http://www.whocc.no/atc", "ATC", "ATC"),
)
"""Codes by the start of their IRI: the system's code and name in the Commission's list of coding systems."""


def concept(scheme: str, code: str, label: str, **more: Any) -> Node:
    """A concept of an authority list."""
    iri, title = LISTS[scheme]
    return {
        "@id": f"{iri}/{code}",
        "@type": "skos:Concept",
        "skos:prefLabel": text(label),
        "skos:inScheme": {"@id": iri, "@type": "skos:ConceptScheme", "dct:title": text(title)},
        **more,
    }


def law(iri: str) -> Node:
    """A legal act by its European Legislation Identifier."""
    return {"@id": iri, "@type": "eli:LegalResource"}


def text(words: str) -> Node:
    """Words in English."""
    return {"@value": words, "@language": "en"}


def time(at: datetime) -> Node:
    """A point in time."""
    return {"@value": to_text(at), "@type": "xsd:dateTime"}


def count(number: int) -> Node:
    """A number of things."""
    return {"@value": str(number), "@type": "xsd:nonNegativeInteger"}


def flag(value: bool) -> Node:  # noqa: FBT001
    """Yes or no."""
    return {"@value": "true" if value else "false", "@type": "xsd:boolean"}


def period(iri: str, first: str | None, last: str | None) -> Node:
    """A period of days; one end may be open."""
    days = {"dcat:startDate": first, "dcat:endDate": last}
    return {"@id": iri, "@type": "dct:PeriodOfTime"} | {
        name: {"@value": day, "@type": "xsd:date"} for name, day in days.items() if day is not None
    }


def statement(iri: str, kind: str, words: str) -> Node:
    """A statement in words, of a class such as ``dct:ProvenanceStatement``."""
    return {"@id": iri, "@type": kind, "rdfs:label": text(words)}


def contact_kind(iri: str, name: str, address: str) -> Node:
    """Whom to ask about a dataset (vCard): ``address`` is a ``mailto:`` or ``https:`` address."""
    key = "vcard:hasEmail" if address.startswith("mailto:") else "vcard:hasURL"
    return {"@id": iri, "@type": ["vcard:Kind", "vcard:Organization"], "vcard:fn": name, key: {"@id": address}}


def contact_point(iri: str, address: str) -> Node:
    """Where an organisation is reached (Core Public Organisation): release 8 asks one of every health agent."""
    if address.startswith("mailto:"):
        return {"@id": iri, "@type": "cv:ContactPoint", "cv:email": address.removeprefix("mailto:")}
    return {"@id": iri, "@type": "cv:ContactPoint", "cv:contactPage": {"@id": address}}


def letter_of(category: str) -> str:
    """The letter of EHDS Art. 51(1) in one of our terms, such as ``…#Art51-1-l``; raises :class:`InputError`."""
    letter = category.rpartition("Art51-1-")[2]
    if letter not in CATEGORIES:
        raise InputError(
            f"{category[:80]} is no category of EHDS Article 51(1)", fix="name categories by their letters, a to q"
        )
    return letter
