"""Shared by the tests of the rooms that hold facts: keys in memory, a real log, and what the log says."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from synthema.clock import Clock
from synthema.identity import KEY_IDS, FileSigner
from synthema.provenance import ProvenanceLog
from synthema.storage import Database

ORIGIN = "http://127.0.0.1:8101"


def make_signer() -> FileSigner:
    return FileSigner({name: Ed25519PrivateKey.generate() for name in KEY_IDS}, X25519PrivateKey.generate())


def make_log(database: Database, clock: Clock, signer: FileSigner | None = None) -> ProvenanceLog:
    return ProvenanceLog(database, signer or make_signer(), ORIGIN, clock)


def log_text(log: ProvenanceLog) -> str:
    """Everything the log says."""
    return "\n".join(bytes(entry.body).decode() for entry in log.entries(limit=1000))
