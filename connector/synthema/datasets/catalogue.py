"""The public description of a dataset: HealthDCAT-AP (non-public data) as JSON-LD (EHDS Art. 77).

The context is written out in the record, so that nothing is fetched to read it.
Counts are rounded down to tens: exact ones, watched over time, would show when one person leaves.
"""

from __future__ import annotations

from typing import Any

from synthema.clock import to_text
from synthema.datasets.codebook import Variable
from synthema.datasets.model import DatasetVersion

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
GDPR = "http://data.europa.eu/eli/reg/2016/679/oj"
_AUTHORITY = "http://publications.europa.eu/resource/authority/"

CONTEXT: dict[str, str] = {
    "adms": "http://www.w3.org/ns/adms#",
    "csvw": "http://www.w3.org/ns/csvw#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "syn": "https://w3id.org/synthema/ns#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def catalogue_record(
    version: DatasetVersion, iri: str, *, publisher: str, publisher_name: str, access_url: str
) -> dict[str, Any]:
    """One dcat:Dataset with every property HealthDCAT-AP asks of non-public data.

    ``iri`` names the dataset, ``publisher`` is the data holder's did, ``access_url`` where access is negotiated.
    """
    metadata = version.metadata
    who = {
        "@id": metadata.publisher or publisher,
        "@type": "foaf:Agent",
        "foaf:name": metadata.publisher_name or publisher_name,
    }
    hdab = metadata.hdab
    record: dict[str, Any] = {
        "@context": CONTEXT,
        "@id": iri,
        "@type": "dcat:Dataset",
        "dct:identifier": iri,
        "dct:title": _text(version.title),
        "dct:description": _text(metadata.description),
        "dct:accessRights": {"@id": _AUTHORITY + "access-right/NON_PUBLIC"},
        "dct:type": {
            "@id": _AUTHORITY + "dataset-type/" + ("SYNTHETIC_DATA" if metadata.simulated else "PERSONAL_DATA")
        },
        "dcatap:applicableLegislation": [{"@id": EHDS}, {"@id": GDPR}],
        "dcat:theme": [{"@id": _AUTHORITY + "data-theme/HEAL"}],
        "dcat:keyword": [_text(word) for word in metadata.keywords or (version.codebook.title,)],
        "dcat:contactPoint": {
            "@type": "vcard:Organization",
            "vcard:fn": who["foaf:name"],
            "vcard:hasURL": {"@id": metadata.contact or access_url},
        },
        "dct:publisher": who,
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "rdfs:label": _text(metadata.provenance)},
        "dct:issued": {"@value": to_text(version.added_at), "@type": "xsd:dateTime"},
        "dcat:version": str(version.version),
        "healthdcatap:healthCategory": [{"@id": category} for category in metadata.category_iris],
        "healthdcatap:healthTheme": [{"@id": version.codebook.disease}],
        "healthdcatap:hdab": {
            "@type": "foaf:Agent",
            "@id": hdab.url if hdab else who["@id"],
            "foaf:name": hdab.name if hdab else f"{who['foaf:name']} (decides itself until March 2029)",
        },
        "healthdcatap:numberOfRecords": _rounded(version.rows),
        "healthdcatap:numberOfUniqueIndividuals": _rounded(version.rows),
        "dpv:hasLegalBasis": [{"@id": version.legal_basis}],
        "dpv:hasPurpose": [{"@id": purpose} for purpose in metadata.purposes],
        "dcat:distribution": [_distribution(version, iri, access_url)],
    }
    return record | _optional(version)


def _distribution(version: DatasetVersion, iri: str, access_url: str) -> dict[str, Any]:
    return {
        "@id": f"{iri}#distribution",
        "@type": "dcat:Distribution",
        "dct:title": _text("Used inside the connector only; results leave after release checks"),
        "dcat:accessURL": {"@id": access_url},
        "dcatap:applicableLegislation": [{"@id": EHDS}],
        "dct:rights": _text("Rows never leave the data holder."),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": version.digest.removeprefix("sha256:"),
        },
        "healthdcatap:hasStructuredData": {
            "@type": "csvw:TableSchema",
            "healthdcatap:hasVariables": [_variable(v) for v in version.codebook.variables if v.role != "identifier"],
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


def _optional(version: DatasetVersion) -> dict[str, Any]:
    metadata = version.metadata
    values: dict[str, Any] = {}
    if metadata.population is not None:
        values["healthdcatap:populationCoverage"] = _text(metadata.population)
    if metadata.spatial is not None:
        values["dct:spatial"] = {"@id": metadata.spatial}
    if metadata.period is not None:
        first, last = metadata.period
        values["dct:temporal"] = {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": {"@value": first, "@type": "xsd:date"},
            "dcat:endDate": {"@value": last, "@type": "xsd:date"},
        }
    return values


def _text(words: str) -> dict[str, str]:
    return {"@value": words, "@language": "en"}


def _rounded(count: int) -> dict[str, str]:
    return {"@value": str(count // 10 * 10), "@type": "xsd:nonNegativeInteger"}
