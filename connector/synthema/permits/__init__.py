"""What a use rests on: data permits (EHDS Art. 68) and agreements of the data space."""

from synthema.permits.attestations import Attestation, Attestations, attestation_bytes
from synthema.permits.credential import STATUS_LISTS, VerifiedPermit, read_permit, sign_permit, status_list
from synthema.permits.model import (
    TRANSITIONS,
    Agreement,
    AgreementState,
    DataDescription,
    OutputClass,
    Permit,
    PermitContent,
    PermitState,
)
from synthema.permits.policy import Terms, permit_policy
from synthema.permits.register import as_csv, as_json, as_markdown, public_register, report_counts
from synthema.permits.store import PermitStore
from synthema.permits.words import permit_sentences

__all__ = [
    "STATUS_LISTS",
    "TRANSITIONS",
    "Agreement",
    "AgreementState",
    "Attestation",
    "Attestations",
    "DataDescription",
    "OutputClass",
    "Permit",
    "PermitContent",
    "PermitState",
    "PermitStore",
    "Terms",
    "VerifiedPermit",
    "as_csv",
    "as_json",
    "as_markdown",
    "attestation_bytes",
    "permit_policy",
    "permit_sentences",
    "public_register",
    "read_permit",
    "report_counts",
    "sign_permit",
    "status_list",
]
