"""Certificates of synthetic data: evidence by the sites, issue, package, verification, registry, withdrawal."""

from synthema.certification.certificate import CertificateIssuer, SecondSignature, release_activity
from synthema.certification.checks import CHECKS, VerificationPolicy
from synthema.certification.document import read_document
from synthema.certification.evidence import EvidenceMaker, candidate_iri, reference, verify_evidence
from synthema.certification.model import (
    Certificate,
    CertificateContent,
    DataFile,
    EvidenceCredential,
    EvidenceReference,
    EvidenceStatement,
    Figure,
    GateOutcome,
    GateRecord,
    IntendedUse,
    LogProof,
    Measurement,
    PluginReference,
    PrivacyBlock,
    PrivacySpent,
    Source,
    UtilityBlock,
    cohort_band,
)
from synthema.certification.package import Package, payload_of, write_package
from synthema.certification.receipts import ReceiptBook
from synthema.certification.registry import Change, Outcome, Registry
from synthema.certification.status import StatusRegister
from synthema.certification.store import CertificateRecord, Holding
from synthema.certification.study_report import (
    ReportProof,
    StudyReport,
    read_study_report,
    report_release,
    verify_study_report,
)
from synthema.certification.uses import allowed_uses
from synthema.certification.verification import CheckResult, VerificationReport, verify_package

__all__ = [
    "CHECKS",
    "Certificate",
    "CertificateContent",
    "CertificateIssuer",
    "CertificateRecord",
    "Change",
    "CheckResult",
    "DataFile",
    "EvidenceCredential",
    "EvidenceMaker",
    "EvidenceReference",
    "EvidenceStatement",
    "Figure",
    "GateOutcome",
    "GateRecord",
    "Holding",
    "IntendedUse",
    "LogProof",
    "Measurement",
    "Outcome",
    "Package",
    "PluginReference",
    "PrivacyBlock",
    "PrivacySpent",
    "ReceiptBook",
    "Registry",
    "ReportProof",
    "SecondSignature",
    "Source",
    "StatusRegister",
    "StudyReport",
    "UtilityBlock",
    "VerificationPolicy",
    "VerificationReport",
    "allowed_uses",
    "candidate_iri",
    "cohort_band",
    "payload_of",
    "read_document",
    "read_study_report",
    "reference",
    "release_activity",
    "report_release",
    "verify_evidence",
    "verify_package",
    "verify_study_report",
    "write_package",
]
