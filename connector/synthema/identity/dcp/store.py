"""Tables of the claims protocol: what we hold, what we asked and were asked for, what others showed us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Boolean, Column, Connection, String, Table, Text, UniqueConstraint

from synthema.storage import CanonicalJson, UtcDateTime, metadata

held_credentials = Table(
    "held_credentials",
    metadata,
    Column("digest", String, primary_key=True),  # of the payload
    Column("credential_id", String, nullable=False, index=True),
    Column("type", String, nullable=False, index=True),
    Column("issuer", String, nullable=False),
    Column("form", String, nullable=False),  # jwt | ldp
    Column("payload", Text, nullable=False),
    Column("valid_until", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("replaced", Boolean, nullable=False, default=False),
)

credential_requests = Table(
    "credential_requests",
    metadata,
    Column("holder_pid", String, primary_key=True),
    Column("issuer", String, nullable=False),
    Column("credentials", CanonicalJson, nullable=False),  # ids in the issuer's metadata
    Column("issuer_pid", String),
    Column("status", String, nullable=False),  # REQUESTED | ISSUED | REJECTED
    Column("reason", Text),
    Column("made_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

credential_offers = Table(
    "credential_offers",
    metadata,
    Column("id", String, primary_key=True),
    Column("issuer", String, nullable=False),
    Column("credentials", CanonicalJson, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)

issuance_requests = Table(
    "issuance_requests",
    metadata,
    Column("issuer_pid", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("holder_pid", String, nullable=False),
    Column("types", CanonicalJson, nullable=False),
    Column("status", String, nullable=False),  # RECEIVED | ISSUED | REJECTED
    Column("credentials", CanonicalJson),  # what is delivered: containers
    Column("reason", Text),
    Column("received_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    UniqueConstraint("holder", "holder_pid"),
)

verified_claims = Table(
    "verified_claims",
    metadata,
    Column("subject", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("credential_id", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("said", CanonicalJson, nullable=False),
    Column("valid_from", UtcDateTime),
    Column("valid_until", UtcDateTime),
    Column("status", CanonicalJson, nullable=False),
    Column("verified_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
)

token_clients = Table(
    "token_clients",
    metadata,
    Column("client_id", String, primary_key=True),
    Column("secret_digest", String, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

Step = Literal[
    "CredentialRequested",
    "CredentialReceived",
    "CredentialRefused",
    "CredentialOffered",
    "IssuanceRequested",
    "IssuanceRefused",
    "IssuanceApproved",
    "ClaimVerified",
    "TokenClientMade",
    "TokenClientEnded",
]


@dataclass(frozen=True, slots=True)
class ClaimStep:
    """One step of the claims protocol as it is written into the log.

    ``party`` is the counterparty's DID (or our own), ``credential`` the id of
    the credential or request, ``digest`` of what was exchanged; ``said`` holds
    further attributes. Secrets and tokens never belong here.
    """

    step: Step
    party: str
    at: datetime
    credential: str
    digest: str | None = None
    said: Mapping[str, Any] | None = None
    by: str | None = None


class ClaimsLog(Protocol):
    """The port to the provenance log, which is a higher room (``provenance.claims.ClaimsBook`` fills it)."""

    def record_claim_step(self, connection: Connection, step: ClaimStep) -> object:
        """Write the step within the caller's transaction; raising stops the step."""
        ...
