"""The HealthDCAT-AP record of a certified synthetic dataset, for any catalogue that takes the package in.

Written by the one writer of records (:mod:`synthema.datasets.healthdcat`). A certified dataset adds what only it has:
what it was made from, the certificate as its quality certificate, its limits, and whether it is highly sensitive.
EHDS Art. 77 (description), 78 (quality), 88 (highly sensitive non-personal data).
"""

from __future__ import annotations

from typing import Any, Final

from synthema.canonical import canonical_json
from synthema.certification.crate import Envelope, host_of
from synthema.certification.model import CertificateContent, DataFile, EvidenceStatement, Figure
from synthema.datasets.codebook import Codebook
from synthema.datasets.healthdcat.dataset import named_disease
from synthema.datasets.healthdcat.facts import Copy, Party, RecordFacts, Typed
from synthema.datasets.healthdcat.record import health_record
from synthema.datasets.healthdcat.terms import AI_ACT, EHDS, GDPR, Node, text

NAME: Final = "healthdcat-ap.jsonld"


def catalogue_record(
    content: CertificateContent, statements: tuple[EvidenceStatement, ...], codebook: Codebook, envelope: Envelope
) -> bytes:
    """``healthdcat-ap.jsonld``: one ``dcat:Dataset``, its context written out, in canonical JSON."""
    return canonical_json(record_value(content, statements, codebook, envelope))


def record_value(
    content: CertificateContent, statements: tuple[EvidenceStatement, ...], codebook: Codebook, envelope: Envelope
) -> dict[str, Any]:
    """The record as a JSON value."""
    facts = _facts(content, statements, codebook, envelope)
    policy = {"@id": str(content.allowed_uses.get("uid", f"{content.id}#uses")), "@type": "odrl:Policy"}
    return health_record(facts, name=content.title, policies=(policy,)) | _certified(content, envelope)


def _facts(
    content: CertificateContent, statements: tuple[EvidenceStatement, ...], codebook: Codebook, envelope: Envelope
) -> RecordFacts:
    issuer = Party(iri=envelope.issuer, name=host_of(envelope.issuer), contact=envelope.origin)
    sites = sorted({source.site for source in content.sources})
    return RecordFacts(
        iri=content.id,
        title=content.title,
        description=_description(content),
        access="restricted",
        legislation=(EHDS, GDPR, AI_ACT),
        type=Typed(code="SYNTHETIC_DATA", label="synthetic data"),
        publisher=issuer,
        creator=issuer,
        custodian=issuer,
        hdab=_body(content, envelope),
        contact=envelope.origin,
        keywords=("synthetic data", codebook.title),
        provenance=f"Made from sums over the data of {len(sites)} sites; no row left any of them.",
        categories=tuple(sorted({category for statement in statements for category in statement.categories})),
        disease=named_disease(codebook.disease),
        issued=envelope.valid_from,
        valid_until=envelope.valid_until,
        regime=content.regime,
        records=content.rows,
        persons=0,
        population=content.coverage,
        legal_bases=tuple(sorted({statement.legal_basis for statement in statements})),
        variables=codebook.variables,
        copies=(_copy(content.dataset_file, envelope),),
    )


def _certified(content: CertificateContent, envelope: Envelope) -> Node:
    return {
        "prov:wasDerivedFrom": [{"@id": source.dataset} for source in content.sources],
        "prov:wasGeneratedBy": {"@id": content.study, "@type": "prov:Activity"},
        "dqv:hasQualityAnnotation": {
            "@id": f"{envelope.certificate}#quality",
            "@type": "dqv:QualityCertificate",
            "oa:hasTarget": {"@id": content.id},
            "oa:hasBody": {"@id": envelope.certificate},
            "oa:motivatedBy": {"@id": "dqv:qualityAssessment"},
        },
        "dqv:hasQualityMeasurement": [
            _measured(content.id, number, figure) for number, figure in enumerate(content.figures, start=1)
        ],
        "syn:highlySensitive": content.highly_sensitive,
        "syn:limit": [text(sentence) for sentence in content.limits],
    }


def _measured(dataset: str, number: int, figure: Figure) -> Node:
    """A figure of privacy or utility as the certificate has it, with the site that measured it."""
    measurement = figure.measurement
    return {
        "@id": f"{dataset}#measured-{number}",
        "@type": "dqv:QualityMeasurement",
        "dqv:computedOn": {"@id": dataset},
        "dqv:isMeasurementOf": {"@id": f"syn:{measurement.metric}", "@type": "dqv:Metric"},
        "dqv:value": {"@value": repr(measurement.value), "@type": "xsd:double"},
        "prov:wasAttributedTo": {"@id": figure.site},
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


def _body(content: CertificateContent, envelope: Envelope) -> Party:
    """Who decides on access: the issuer itself. A certificate names no health data access body, and none is made up."""
    until = "until March 2029" if content.regime == "pre-EHDS" else "no health data access body is named"
    return Party(
        iri=envelope.issuer, name=f"{host_of(envelope.issuer)} (decides itself: {until})", contact=envelope.origin
    )


def _copy(file: DataFile, envelope: Envelope) -> Copy:
    return Copy(
        title=f"The synthetic rows, {file.name} in the certified package",
        access_url=f"{envelope.origin}/dsp/catalog",
        rights="The uses that the certificate allows; nobody may try to find persons.",
        media_type=file.media_type,
        package_type="application/zip",
        bytes=file.size,
        digest=file.digest,
    )
