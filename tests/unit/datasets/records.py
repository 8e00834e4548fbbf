"""Facts for records: complete ones for each level of access, shared by unit, property and conformance tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from synthema.datasets.codebook import Variable
from synthema.datasets.healthdcat import Access, Copy, Named, Party, RecordFacts, Typed
from synthema.datasets.healthdcat.terms import EHDS, GDPR

LEVELS: tuple[Access, ...] = ("public", "restricted", "non-public")
IRI = "https://clinic.example/id/dataset/aml"
LABEL: dict[str, Any] = {
    "documentation": {"description": "A registry.", "shareOfVariablesWithStandardCode": 0.5},
    "technicalQuality": {
        "completeness": 0.987,
        "completenessByVariable": {"age": 0.987},
        "uniqueness": 1.0,
        "validity": 1.0,
        "consistency": 0.999,
        "ruleViolations": {"later": 3},
        "accuracy": None,
    },
    "qualityManagement": {"checksOnIntake": ["types", "units"], "findings": ["3 of 61 rows break the rule 'later'"]},
    "coverage": {"population": "adults", "records": 60},
    "accessAndProvision": {"legalBasis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a", "purposes": []},
    "modifications": {"version": 2, "earlierVersions": 1},
}
_HOLDER = Party(
    iri="did:web:clinic.example",
    name="Clinic A",
    contact="mailto:data@clinic.example",
    kind="public-health-registry",
)
VARIABLES = (
    Variable(
        name="age", label="Age", type="integer", minimum=0, maximum=110, unit="a", code="http://loinc.org/rdf/30525-0"
    ),
    Variable(name="sex", label="Sex", type="category", categories=("F", "M"), may_be_missing=False),
)


def facts_of(access: Access, **changes: Any) -> RecordFacts:
    """Everything a record of this level can state."""
    values: dict[str, Any] = {
        "iri": IRI,
        "title": "AML registry",
        "description": "Patients with acute myeloid leukaemia.",
        "access": access,
        "legislation": (EHDS, GDPR),
        "type": Typed(code="SYNTHETIC_DATA", label="synthetic data"),
        "publisher": _HOLDER,
        "custodian": _HOLDER,
        "hdab": Party(iri="https://hdab.example#hdab", name="Health data access body", contact="https://hdab.example"),
        "contact": "mailto:data@clinic.example",
        "keywords": ("AML",),
        "provenance": "Entered in routine care.",
        "categories": ("https://w3id.org/synthema/ns#Art51-1-l",),
        "themes": ("NONCOMMUNICABLE_DISEASES",),
        "disease": Named(iri="http://www.orpha.net/ORDO/Orphanet_519", label="acute myeloid leukaemia"),
        "issued": datetime(2026, 11, 21, tzinfo=UTC),
        "version": "2",
        "regime": "pre-EHDS",
        "records": 60,
        "persons": 60,
        "typical_ages": (18, 90),
        "population": ("Adults diagnosed since 2010.",),
        "spatial": "http://publications.europa.eu/resource/authority/country/DEU",
        "period": ("2010-01-01", "2026-01-01"),
        "retention": ("2026-01-01", None),
        "legal_bases": ("https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",),
        "purposes": (Named(iri="https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch", label="research"),),
        "personal_data": ("Age", "Gender", "HealthRecord"),
        "variables": VARIABLES,
        "copies": (Copy(title="Over the data space", access_url="https://clinic.example/dsp", rights="None leave."),),
        "samples": (Copy(title="A sample", access_url="https://clinic.example/sample", media_type="text/csv"),),
        "label": LABEL,
    }
    return RecordFacts(**(values | changes))


def mandatory_properties(access: Access) -> tuple[str, ...]:
    """What release 8 asks of a record at this level, and the regime, which we ask."""
    always = (
        "dct:identifier dct:title dct:description dct:accessRights dcatap:applicableLegislation dcat:theme "
        "dcat:distribution healthdcatap:healthCategory healthdcatap:hdab healthdcatap:hasStructuredData "
        "healthdcatap:hasVariables syn:regime"
    )
    more = " dcat:contactPoint dcat:keyword dct:type dct:provenance" if access == "non-public" else ""
    return tuple((always + more).split())
