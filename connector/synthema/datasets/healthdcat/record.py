"""The one writer of HealthDCAT-AP records (release 8) as JSON-LD, for patients' data and synthetic data alike.

Every node has a name of its own, so that the record says the same in JSON-LD and in Turtle and two harvests compare
equal. The document is the Dataset: a validator that knows DCAT reads a Catalog as a Dataset too, and asks of it what
only a dataset can say. A record states the regime its dataset is held under; that it follows the profile's shapes is
tested here, and no record claims to be accepted by HealthData@EU.
Sources: HealthDCAT-AP release 8 (validator of 2026-10), DCAT-AP 3.0.1, EHDS Art. 51, 55, 60, 77 and 78.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from synthema.datasets.healthdcat.facts import ACCESS_CODES, Copy, Named, Party, RecordFacts, Typed, require_complete
from synthema.datasets.healthdcat.quality import measurements, quality_certificate
from synthema.datasets.healthdcat.terms import (
    CATEGORIES,
    CONTEXT,
    EHDS,
    LISTS,
    PERSONAL_DATA,
    PERSONAL_DATA_R8,
    Node,
    concept,
    contact_kind,
    contact_point,
    count,
    flag,
    law,
    letter_of,
    period,
    statement,
    text,
    time,
)
from synthema.datasets.healthdcat.variables import coding_systems, table_group

_IANA: Final = "https://www.iana.org/assignments/media-types/"


def health_record(facts: RecordFacts, *, name: str, policies: Sequence[Node] = ()) -> dict[str, Any]:
    """The complete record of a dataset that people know as ``name``.

    ``policies`` are the ODRL offers it can be had under, as JSON-LD nodes with a name each.
    Raises :class:`InputError` naming every mandatory fact that is not stated.
    """
    require_complete(facts, name)
    return known_record(facts, policies=policies)


def known_record(facts: RecordFacts, *, policies: Sequence[Node] = ()) -> dict[str, Any]:
    """What is known of a dataset in the words of the profile, complete or not; nothing unknown is said."""
    record: dict[str, Any] = {"@context": CONTEXT, "@id": facts.iri, "@type": "dcat:Dataset"}
    for part in (_identity, _who, _access, _health, _persons, _contents):
        record |= part(facts)
    if policies:
        record["odrl:hasPolicy"] = list(policies)
    return {key: value for key, value in record.items() if value not in (None, [], ())}


def _identity(facts: RecordFacts) -> Node:
    return {
        "dct:identifier": facts.iri,
        "dct:title": text(facts.title),
        "dct:description": text(facts.description),
        "dct:type": facts.type and _type(facts.type),
        "dcat:theme": [concept("data-theme", "HEAL", "health")],
        "dcat:keyword": [text(word) for word in facts.keywords],
        "dct:subject": facts.disease and _named(facts.disease),
        "dct:issued": time(facts.issued),
        "dct:modified": facts.modified and time(facts.modified),
        "dct:valid": facts.valid_until and time(facts.valid_until),
        "dcat:version": facts.version,
        "dct:provenance": facts.provenance
        and statement(f"{facts.iri}#provenance", "dct:ProvenanceStatement", facts.provenance),
        "syn:regime": facts.regime,
    }


def _type(kind: Typed) -> Node:
    if kind.listed:
        return concept("dataset-type", kind.code, kind.label)
    return {"@id": kind.code, "@type": "skos:Concept", "skos:prefLabel": text(kind.label)}


def _named(thing: Named) -> Node:
    return {"@id": thing.iri, "@type": "skos:Concept", "skos:prefLabel": text(thing.label)}


def _who(facts: RecordFacts) -> Node:
    return {
        "dct:publisher": _agent(facts.publisher),
        "dct:creator": facts.creator and _agent(facts.creator),
        "geodcatap:custodian": facts.custodian and _agent(facts.custodian),
        "dcat:contactPoint": facts.contact
        and contact_kind(f"{facts.iri}#contact", facts.publisher.name, facts.contact),
        "healthdcatap:hdab": facts.hdab and _agent(facts.hdab),
    }


def _agent(party: Party) -> Node:
    agent: Node = {"@id": party.iri, "@type": "foaf:Agent", "foaf:name": party.name}
    if party.kind is not None:
        agent["dct:type"] = concept("publisher-type", party.kind, party.kind.replace("-", " "))
    if party.contact is not None:
        # Named after the party: it has one contact point however many of its datasets stand in one catalogue.
        name = f"{party.iri}{'-' if '#' in party.iri else '#'}contact"
        agent["cv:contactPoint"] = contact_point(name, party.contact)
    return agent


def _access(facts: RecordFacts) -> Node:
    code = ACCESS_CODES[facts.access]
    rights = concept("access-right", code, facts.access)
    return {
        "dct:accessRights": rights | {"@type": ["dct:RightsStatement", "skos:Concept"]},
        "dcatap:applicableLegislation": [law(iri) for iri in facts.legislation],
        "dcat:distribution": [_copy(facts.iri, "distribution", n, copy) for n, copy in enumerate(facts.copies)],
        "adms:sample": [_copy(facts.iri, "sample", n, copy) for n, copy in enumerate(facts.samples)],
    }


def _copy(iri: str, word: str, number: int, copy: Copy) -> Node:
    name = f"{iri}#{word}" if not number else f"{iri}#{word}-{number + 1}"
    node: Node = {
        "@id": name,
        "@type": "dcat:Distribution",
        "dct:title": text(copy.title),
        "dcat:accessURL": {"@id": copy.access_url},
        "dcatap:applicableLegislation": [law(EHDS)],
        "dct:description": copy.description and text(copy.description),
        "dct:rights": copy.rights and statement(f"{name}-rights", "dct:RightsStatement", copy.rights),
        "dcat:mediaType": copy.media_type and _media_type(copy.media_type),
        "dcat:packageFormat": copy.package_type and _media_type(copy.package_type),
        "dcat:byteSize": None if copy.bytes is None else count(copy.bytes),
        "spdx:checksum": copy.digest and _checksum(name, copy.digest),
    }
    return {key: value for key, value in node.items() if value is not None}


def _media_type(name: str) -> Node:
    return {"@id": _IANA + name, "@type": "dct:MediaType"}


def _checksum(name: str, digest: str) -> Node:
    return {
        "@id": f"{name}-checksum",
        "@type": "spdx:Checksum",
        "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256", "@type": "spdx:ChecksumAlgorithm"},
        "spdx:checksumValue": {"@value": digest.removeprefix("sha256:"), "@type": "xsd:hexBinary"},
    }


def _health(facts: RecordFacts) -> Node:
    disease = [] if facts.disease is None else [facts.disease.iri]
    systems = [*disease, *(variable.code or "" for variable in facts.variables)]
    return {
        "healthdcatap:healthCategory": [_category(category) for category in facts.categories],
        "healthdcatap:healthTheme": [
            concept("health-theme", code, code.replace("_", " ").lower()) for code in facts.themes
        ],
        "healthdcatap:hasCodingSystem": coding_systems(systems),
        "healthdcatap:hasCodeValues": sorted({code for code in systems if code}),
    }


def _category(category: str) -> Node:
    letter = letter_of(category)
    label = f"category ({letter}) of EHDS Article 51(1)"
    return concept(
        "healthcategories", CATEGORIES[letter], label, **{"skos:exactMatch": {"@id": f"syn:Art51-1-{letter}"}}
    )


def _persons(facts: RecordFacts) -> Node:
    youngest, oldest = facts.typical_ages or (None, None)
    return {
        "healthdcatap:numberOfRecords": None if facts.records is None else count(facts.records),
        "healthdcatap:numberOfUniqueIndividuals": None if facts.persons is None else count(facts.persons),
        "healthdcatap:minTypicalAge": None if youngest is None else count(youngest),
        "healthdcatap:maxTypicalAge": None if oldest is None else count(oldest),
        "healthdcatap:populationCoverage": [text(words) for words in facts.population],
        "healthdcatap:retentionPeriod": facts.retention and period(f"{facts.iri}#retention", *facts.retention),
        "dct:spatial": facts.spatial and _place(facts.spatial),
        "dct:temporal": facts.period and period(f"{facts.iri}#period", *facts.period),
        "dpv:hasLegalBasis": [{"@id": iri, "@type": "dpv:LegalBasis"} for iri in facts.legal_bases],
        "dpv:hasPurpose": [
            {"@id": purpose.iri, "@type": "dpv:Purpose", "dct:description": text(purpose.label)}
            for purpose in facts.purposes
        ],
        "dpv:hasPersonalData": [
            {
                "@id": PERSONAL_DATA_R8 + name,
                "@type": "dpv:PersonalData",
                "skos:exactMatch": {"@id": PERSONAL_DATA + name},
            }
            for name in facts.personal_data
        ],
    }


def _place(iri: str) -> Node:
    code = iri.removeprefix(LISTS["country"][0] + "/")
    if code != iri and "/" not in code:
        place = concept("country", code, code)
        return place | {"@type": ["dct:Location", "skos:Concept"]}
    return {"@id": iri, "@type": "dct:Location"}


def _contents(facts: RecordFacts) -> Node:
    structured = bool(facts.variables)
    contents: Node = {"healthdcatap:hasStructuredData": flag(structured)}
    if structured:
        contents["healthdcatap:hasVariables"] = table_group(facts.iri, facts.title, facts.variables)
    if facts.label is not None:
        contents["dqv:hasQualityAnnotation"] = quality_certificate(facts.iri, facts.label)
        contents["dqv:hasQualityMeasurement"] = measurements(facts.iri, facts.label)
    return contents
