"""The HealthDCAT-AP record of a certified synthetic dataset, for any catalogue that takes the package in.

HealthDCAT-AP release 8 as far as it is known here (``facts/law-and-policy.md`` §2): the properties it demands of data
that are not public, and ``dqv:hasQualityAnnotation`` with a ``dqv:QualityCertificate`` that names the certificate.
EHDS Art. 77 (description), 78 (quality), 88 (highly sensitive non-personal data).
"""

from __future__ import annotations

from typing import Any, Final

from synthema.canonical import canonical_json
from synthema.certification.crate import Envelope, host_of
from synthema.certification.model import CertificateContent, DataFile, EvidenceStatement
from synthema.clock import to_text
from synthema.datasets.catalogue import CONTEXT, EHDS, GDPR
from synthema.datasets.codebook import Codebook, Variable

NAME: Final = "healthdcat-ap.jsonld"
AI_ACT: Final = "http://data.europa.eu/eli/reg/2024/1689/oj"
_AUTHORITY: Final = "http://publications.europa.eu/resource/authority/"
_IANA: Final = "https://www.iana.org/assignments/media-types/"
_CONTEXT: Final = CONTEXT | {
    "eli": "http://data.europa.eu/eli/ontology#",
    "oa": "http://www.w3.org/ns/oa#",
    "prov": "http://www.w3.org/ns/prov#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}
"""The context says what each class is, so that the published shapes find it without fetching anything."""


def catalogue_record(
    content: CertificateContent, statements: tuple[EvidenceStatement, ...], codebook: Codebook, envelope: Envelope
) -> bytes:
    """``healthdcat-ap.jsonld``: one ``dcat:Dataset``, its context written out, in canonical JSON."""
    return canonical_json(record_value(content, statements, codebook, envelope))


def record_value(
    content: CertificateContent, statements: tuple[EvidenceStatement, ...], codebook: Codebook, envelope: Envelope
) -> dict[str, Any]:
    """The record as a JSON value."""
    issuer = _agent(envelope.issuer)
    sites = sorted({source.site for source in content.sources})
    return {
        "@context": _CONTEXT,
        "@id": content.id,
        "@type": "dcat:Dataset",
        "dct:identifier": content.id,
        "dct:title": _text(content.title),
        "dct:description": _text(_description(content)),
        "dct:accessRights": {"@id": _AUTHORITY + "access-right/RESTRICTED", "@type": "dct:RightsStatement"},
        "dct:type": _concept("dataset-type/SYNTHETIC_DATA", "synthetic data"),
        "dcatap:applicableLegislation": [_law(law) for law in (EHDS, GDPR, AI_ACT)],
        "dcat:theme": [_concept("data-theme/HEAL", "health")],
        "dcat:keyword": [_text(word) for word in ("synthetic data", codebook.title)],
        "dcat:contactPoint": {
            "@type": ["vcard:Kind", "vcard:Organization"],
            "vcard:fn": host_of(envelope.issuer),
            "vcard:hasURL": {"@id": envelope.origin},
        },
        "dct:publisher": issuer,
        "dct:creator": issuer,
        "dct:provenance": {
            "@type": "dct:ProvenanceStatement",
            "rdfs:label": _text(f"Made from sums over the data of {len(sites)} sites; no row left any of them."),
        },
        "dct:issued": _time(to_text(envelope.valid_from)),
        "dct:valid": _time(to_text(envelope.valid_until)),
        "healthdcatap:healthCategory": [{"@id": iri} for iri in _all(statement.categories for statement in statements)],
        "healthdcatap:healthTheme": [{"@id": codebook.disease}],
        "healthdcatap:hdab": _body(content, envelope),
        "healthdcatap:numberOfRecords": _count(content.rows),
        "healthdcatap:numberOfUniqueIndividuals": _count(0),
        "healthdcatap:populationCoverage": [_text(sentence) for sentence in content.coverage],
        "dpv:hasLegalBasis": [{"@id": iri} for iri in _all((statement.legal_basis,) for statement in statements)],
        "prov:wasDerivedFrom": [{"@id": source.dataset} for source in content.sources],
        "prov:wasGeneratedBy": {"@id": content.study, "@type": "prov:Activity"},
        "odrl:hasPolicy": {"@id": str(content.allowed_uses.get("uid", f"{content.id}#uses")), "@type": "odrl:Policy"},
        "dqv:hasQualityAnnotation": {
            "@id": f"{envelope.certificate}#quality",
            "@type": "dqv:QualityCertificate",
            "oa:hasTarget": {"@id": content.id},
            "oa:hasBody": {"@id": envelope.certificate},
            "oa:motivatedBy": {"@id": "dqv:qualityAssessment"},
        },
        "syn:regime": content.regime,
        "syn:highlySensitive": content.highly_sensitive,
        "syn:limit": [_text(sentence) for sentence in content.limits],
        "dcat:distribution": [_distribution(content, codebook, envelope)],
    }


def _description(content: CertificateContent) -> str:
    sensitive = (
        " Few and geographically scattered persons stand behind it: highly sensitive in the sense of EHDS Art. 88."
        if content.highly_sensitive
        else ""
    )
    return (
        f"{content.rows} synthetic rows of {content.columns} variables, made by {content.generator.name} "
        f"{content.generator.version}. No row describes a real person.{sensitive}"
    )


def _body(content: CertificateContent, envelope: Envelope) -> dict[str, Any]:
    """Who decides on access: until Chapter IV applies, the issuer itself; afterwards its health data access body."""
    words = f"{host_of(envelope.issuer)} (decides itself until March 2029)" if content.regime == "pre-EHDS" else ""
    return _agent(envelope.issuer) | ({"foaf:name": words} if words else {})


def _distribution(content: CertificateContent, codebook: Codebook, envelope: Envelope) -> dict[str, Any]:
    file: DataFile = content.dataset_file
    return {
        "@id": f"{content.id}#distribution",
        "@type": "dcat:Distribution",
        "dct:title": _text(f"The synthetic rows, {file.name} in the certified package"),
        "dcat:accessURL": {"@id": f"{envelope.origin}/dsp/catalog"},
        "dcat:mediaType": _media_type(file.media_type),
        "dcat:byteSize": _count(file.size),
        "dcat:packageFormat": _media_type("application/zip"),
        "dcatap:applicableLegislation": [_law(EHDS)],
        "dct:rights": {
            "@type": "dct:RightsStatement",
            "rdfs:label": _text("The uses that the certificate allows; nobody may try to find persons."),
        },
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256", "@type": "spdx:ChecksumAlgorithm"},
            "spdx:checksumValue": {
                "@value": file.digest.removeprefix("sha256:"),
                "@type": "xsd:hexBinary",
            },
        },
        "healthdcatap:hasStructuredData": {
            "@type": "csvw:TableSchema",
            "healthdcatap:hasVariables": [_variable(variable) for variable in codebook.variables],
        },
    }


def _variable(variable: Variable) -> dict[str, Any]:
    datatype = {"integer": "xsd:integer", "decimal": "xsd:decimal"}.get(variable.type, "xsd:string")
    column: dict[str, Any] = {
        "@type": "csvw:Column",
        "csvw:name": variable.name,
        "csvw:title": _text(variable.label),
        "csvw:datatype": datatype,
        "csvw:required": not variable.may_be_missing,
    }
    if variable.unit is not None:
        column["syn:unit"] = variable.unit
    if variable.code is not None:
        column["csvw:propertyUrl"] = {"@id": variable.code}
    return column


def _agent(did: str) -> dict[str, Any]:
    return {"@id": did, "@type": "foaf:Agent", "foaf:name": host_of(did)}


def _concept(name: str, label: str) -> dict[str, Any]:
    return {"@id": _AUTHORITY + name, "@type": "skos:Concept", "skos:prefLabel": _text(label)}


def _law(iri: str) -> dict[str, str]:
    return {"@id": iri, "@type": "eli:LegalResource"}


def _media_type(name: str) -> dict[str, str]:
    return {"@id": _IANA + name, "@type": "dct:MediaType"}


def _all(groups: Any) -> list[str]:
    return sorted({iri for group in groups for iri in group})


def _text(words: str) -> dict[str, str]:
    return {"@value": words, "@language": "en"}


def _time(text: str) -> dict[str, str]:
    return {"@value": text, "@type": "xsd:dateTime"}


def _count(number: int) -> dict[str, str]:
    return {"@value": str(number), "@type": "xsd:nonNegativeInteger"}
