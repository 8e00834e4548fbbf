"""The memory of a connector: what happened, in a log that shows every later change."""

from synthema.provenance.accounts import PeopleLog
from synthema.provenance.bundle import VerifiedEntry, make_bundle, verify_bundle
from synthema.provenance.checkpoint import (
    COSIGNATURE,
    Checkpoint,
    VerifierKey,
    log_name,
    open_checkpoint,
    verify_cosignature,
    witness_name,
)
from synthema.provenance.export import export_nquads
from synthema.provenance.index import ProvenanceIndex
from synthema.provenance.lineage import Lineage
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity, Iri, Value
from synthema.provenance.store import LogEntry
from synthema.provenance.verification import Report
from synthema.provenance.witness import Answer, Finding, Witness, witness_request
from synthema.provenance.witnessing import obtain_cosignature

__all__ = [
    "COSIGNATURE",
    "Activity",
    "Agent",
    "Answer",
    "Checkpoint",
    "Entity",
    "Finding",
    "Iri",
    "Lineage",
    "LogEntry",
    "PeopleLog",
    "ProvenanceIndex",
    "ProvenanceLog",
    "Report",
    "Value",
    "VerifiedEntry",
    "VerifierKey",
    "Witness",
    "export_nquads",
    "log_name",
    "make_bundle",
    "obtain_cosignature",
    "open_checkpoint",
    "verify_bundle",
    "verify_cosignature",
    "witness_name",
    "witness_request",
]
