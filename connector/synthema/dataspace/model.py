"""The values of the data-space room: callers, processes, agreements, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from synthema.canonical import digest
from synthema.config import Role
from synthema.dataspace.transitions import MACHINES, Kind, Machine, Party

Json = Any

PULL = "HttpData-PULL"
COMPUTE = "Synthema-Compute"
NS = "https://w3id.org/synthema/ns#"
PARAMETERS = NS + "parameters"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, proven by its token: a registered peer."""

    did: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Process:
    """One negotiation or transfer, as one of its two parties sees it.

    ``id`` is our process identifier (a ``providerPid`` or ``consumerPid`` on the
    wire), ``peer_pid`` the counterparty's, unknown until its first message.
    ``callback`` is the path on the peer's registered origin below which it takes
    messages. ``subject`` is the dataset of a negotiation, the agreement of a
    transfer. ``details`` holds the offer, the agreement, the format, the data
    address and so on, as they stand on the wire. While ``pending`` is set, the
    connector takes no step of its own: a person has to.
    """

    id: str
    kind: Kind
    role: Party
    peer: str
    peer_pid: str | None
    callback: str
    state: str | None
    subject: str
    details: Mapping[str, Json]
    pending: bool
    reasons: tuple[str, ...]
    created: datetime
    changed: datetime

    @property
    def machine(self) -> Machine:
        return MACHINES[self.kind]

    @property
    def ended(self) -> bool:
        return self.state in self.machine.final

    @property
    def provider_pid(self) -> str:
        """Our or the peer's identifier, whoever provides; empty while unknown."""
        return self.id if self.role == "provider" else self.peer_pid or ""

    @property
    def consumer_pid(self) -> str:
        """Our or the peer's identifier, whoever consumes; empty while unknown."""
        return self.id if self.role == "consumer" else self.peer_pid or ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A finalised contract, the same on both sides.

    ``id`` is its IRI, made by the provider; ``dataset`` what it is about;
    ``policy`` the ODRL agreement as it stood on the wire; ``role`` is our part.
    """

    id: str
    negotiation: str
    dataset: str
    provider: str
    consumer: str
    policy: Mapping[str, Json]
    agreed: datetime
    role: Party

    @property
    def digest(self) -> str:
        """``sha256:…`` over the wire form: equal on both sides exactly when both hold the same text."""
        return digest(dict(self.policy))

    @property
    def peer(self) -> str:
        """The counterparty's did."""
        return self.provider if self.role == "consumer" else self.consumer


@dataclass(frozen=True, slots=True)
class OfferQuestion:
    """What is asked of the party that has to answer an offer.

    ``counterparty`` and ``role`` (our part) say who asks whom. ``offer`` is the
    text on the table, ``reference`` the text we know of: for a provider its own
    catalogue's offer, for a consumer the offer it asked for (None when the
    provider came first). ``same`` tells whether both mean the same.
    """

    process: str
    role: Party
    counterparty: str
    dataset: str
    offer: Mapping[str, Json]
    reference: Mapping[str, Json] | None
    same: bool


@dataclass(frozen=True, slots=True)
class Accept:
    """Agree to the offer."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Answer with another text (wire form without ``target``)."""

    offer: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Refuse:
    """End the process; the reasons are told to the counterparty."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until a person decides; ``reason`` is for our people only."""

    reason: str


Verdict = Accept | Counter | Refuse | Hold


@dataclass(frozen=True, slots=True)
class Offered:
    """One offer of the catalogue: a policy in wire form under which a dataset can be had."""

    id: str
    policy: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A dataset as the catalogue port gives it to one caller: its HealthDCAT-AP description, and how it can be had.

    ``offers`` are those that the caller may see, ``formats`` those of transfers.
    ``record`` is a JSON-LD node without ``hasPolicy`` and ``distribution``; its
    terms must be absolute IRIs or terms of the protocol's context.
    """

    id: str
    record: Mapping[str, Json]
    formats: tuple[str, ...] = (PULL,)
    offers: tuple[Offered, ...] = ()


@dataclass(frozen=True, slots=True)
class Artefact:
    """Bytes that an agreement lets the consumer have; ``digest`` is their ``sha256:<hex>``."""

    id: str
    content: bytes | Path
    digest: str
    media_type: str = "application/octet-stream"
