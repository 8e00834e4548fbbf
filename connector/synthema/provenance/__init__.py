"""The memory of a connector: what happened, in a log that shows every later change."""

from synthema.provenance.accounts import PeopleLog
from synthema.provenance.bundle import VerifiedEntry, make_bundle, verify_bundle
from synthema.provenance.checkpoint import (
    COSIGNATURE,
    Checkpoint,
    HeadKeys,
    VerifierKey,
    log_name,
    open_checkpoint,
    verify_cosignature,
    witness_name,
)
from synthema.provenance.export import export_nquads, serialise
from synthema.provenance.heads import ANSWER_HEADER, HEAD_HEADER, Heads
from synthema.provenance.index import ProvenanceIndex
from synthema.provenance.lineage import Lineage
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity, Iri, Value
from synthema.provenance.query import Bounds, check_question, question_bytes, run_question
from synthema.provenance.reading import Answer as LineageAnswer
from synthema.provenance.rotation import hand_over
from synthema.provenance.store import LogEntry
from synthema.provenance.succession import Handover, LogKeys, former_methods, log_keys, published_keys
from synthema.provenance.tile_check import TileReport, verify_tiles
from synthema.provenance.tiles import write_tiles
from synthema.provenance.triples import EmbeddedTriples, EndpointTriples, Triples
from synthema.provenance.verification import Report
from synthema.provenance.witness import Answer, Finding, Witness, Witnessed, witness_request
from synthema.provenance.witnessing import obtain_cosignature

__all__ = [
    "ANSWER_HEADER",
    "COSIGNATURE",
    "HEAD_HEADER",
    "Activity",
    "Agent",
    "Answer",
    "Bounds",
    "Checkpoint",
    "EmbeddedTriples",
    "EndpointTriples",
    "Entity",
    "Finding",
    "Handover",
    "HeadKeys",
    "Heads",
    "Iri",
    "Lineage",
    "LineageAnswer",
    "LogEntry",
    "LogKeys",
    "PeopleLog",
    "ProvenanceIndex",
    "ProvenanceLog",
    "Report",
    "TileReport",
    "Triples",
    "Value",
    "VerifiedEntry",
    "VerifierKey",
    "Witness",
    "Witnessed",
    "check_question",
    "export_nquads",
    "former_methods",
    "hand_over",
    "log_keys",
    "log_name",
    "make_bundle",
    "obtain_cosignature",
    "open_checkpoint",
    "published_keys",
    "question_bytes",
    "run_question",
    "serialise",
    "verify_bundle",
    "verify_cosignature",
    "verify_tiles",
    "witness_name",
    "witness_request",
    "write_tiles",
]
