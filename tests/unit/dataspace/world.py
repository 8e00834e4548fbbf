"""Two connectors over real HTTP on loopback: a hospital that provides and a hub that consumes."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fastapi import FastAPI
from sqlalchemy import Connection

from synthema.canonical import digest_bytes
from synthema.clock import Clock, SystemClock
from synthema.config import Peer, Settings, did_web
from synthema.dataspace import (
    COMPUTE,
    PULL,
    Agreement,
    Artefact,
    Caller,
    CatalogueEntry,
    Dataspace,
    Offered,
    OfferQuestion,
    Pace,
    PeerClient,
    Ports,
    Verdict,
    fetch_did_document,
)
from synthema.dataspace.dataplane import (
    ControlPlane,
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartedNotificationMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
    DataPlane,
    FlowState,
)
from synthema.dataspace.policy_wire import to_wire
from synthema.dataspace.ports import CautiousContracts
from synthema.errors import DeniedError, NotFoundError
from synthema.identity import FileSigner
from synthema.identity.did import DidResolver, did_document
from synthema.identity.keys import KEY_IDS
from synthema.identity.tokens import ReplayStore
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from synthema.web.protocol import protocol_router
from synthema.web.security import Security, install_guards
from tests.databases import new_database

ODRL = "http://www.w3.org/ns/odrl/2/"
EHDS = "https://w3id.org/dpv/legal/eu/ehds#"
SYN = "https://w3id.org/synthema/ns#"
DATASET = "http://hospital.example/id/dataset/dataset-aml"
HIDDEN = "http://hospital.example/id/dataset/dataset-hidden"
OFFER = "http://hospital.example/id/offer/offer-research"
PATIENCE = 20.0

POLICY: dict[str, Any] = {
    "@type": "Set",
    "uid": OFFER,
    "profile": SYN + "profile",
    "conflict": "prohibit",
    "target": [DATASET],
    "syn:layer": "L3",
    "permission": [
        {
            "uid": OFFER + "#1",
            "action": [SYN + "synthesise", ODRL + "use"],
            "constraint": [
                {
                    "and": [
                        {
                            "leftOperand": ODRL + "purpose",
                            "operator": "isA",
                            "rightOperand": {"@id": EHDS + "HealthcareScientificResearch"},
                        },
                        {
                            "leftOperand": SYN + "epsilonRequested",
                            "operator": "lteq",
                            "rightOperand": {"@value": "1.5", "@type": "xsd:double"},
                        },
                    ]
                }
            ],
            "duty": [{"action": SYN + "publishResults", "syn:dutyTiming": "post", "syn:deadline": "P548D"}],
        }
    ],
    "prohibition": [{"uid": OFFER + "#2", "action": [SYN + "reidentify"]}],
}


@dataclass
class Shelf:
    """A catalogue port: one dataset for all, one for nobody."""

    entries: dict[str, CatalogueEntry] = field(default_factory=dict)
    offers: dict[str, tuple[Offered, ...]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def visible(
        self, caller: Caller, *, dataset: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[CatalogueEntry]:
        found = [e for _, e in sorted(self.entries.items()) if e.id not in self.hidden]
        chosen = [e for e in found if dataset in (None, e.id) and (after is None or e.id > after)][:limit]
        return [replace(entry, offers=self.offers.get(entry.id, ())) for entry in chosen]


def shelf() -> Shelf:
    record = {"http://purl.org/dc/terms/title": "AML cohort", "http://purl.org/dc/terms/identifier": "aml"}
    entries = {d: CatalogueEntry(d, record, (PULL, COMPUTE)) for d in (DATASET, HIDDEN)}
    offers: dict[str, tuple[Offered, ...]] = {
        DATASET: (Offered(OFFER, to_wire(POLICY, DATASET)),),
        HIDDEN: (Offered(OFFER + "-hidden", to_wire({**POLICY, "target": [HIDDEN]}, HIDDEN)),),
    }
    return Shelf(entries, offers, {HIDDEN})


@dataclass
class Office(CautiousContracts):
    """A contracts port that remembers, and answers with a verdict if it was given one."""

    verdict: Verdict | None = None
    asked: list[OfferQuestion] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        self.asked.append(question)
        return self.verdict or super().decide_offer(question)

    def on_agreement(self, connection: Connection, agreement: Agreement) -> None:
        self.agreements.append(agreement)


@dataclass
class Store:
    """An artefacts port; ``lies`` hands out bytes that do not fit their digest."""

    artefacts: dict[str, bytes | Path] = field(default_factory=dict)
    lies: bool = False

    def open_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        if artefact_id not in self.artefacts:
            raise NotFoundError("no such artefact", fix="ask for another")
        content = self.artefacts[artefact_id]
        body = content.read_bytes() if isinstance(content, Path) else content
        return Artefact(artefact_id, content, digest_bytes(body + b"!" if self.lies else body))

    def reopen_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        return self.open_artefact(agreement, artefact_id)


@dataclass
class Computer:
    """A data plane for computations that takes on what it can, refuses ``{"refuse": true}`` and hands nothing out."""

    profiles = (COMPUTE,)
    consumes = False
    started_flows: list[DataFlowStartMessage] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    control: ControlPlane | None = None
    slow: bool = False

    def attach(self, control: ControlPlane) -> None:
        self.control = control

    def prepare(self, message: DataFlowPrepareMessage) -> DataFlowStatusMessage:
        return DataFlowStatusMessage(data_flow_id=message.data_flow_id, state=FlowState.PREPARED)

    def start(self, message: DataFlowStartMessage) -> DataFlowStatusMessage:
        if ((message.metadata or {}).get("parameters") or {}).get("refuse"):
            raise DeniedError("the plugin is not approved", fix="ask for an approved one")
        self.started_flows.append(message)
        state = FlowState.STARTING if self.slow else FlowState.STARTED
        return DataFlowStatusMessage(data_flow_id=message.data_flow_id, state=state)

    def started(self, flow: str, message: DataFlowStartedNotificationMessage) -> None:
        self.told.append((flow, "started"))

    def suspend(self, flow: str, message: DataFlowSuspendMessage) -> None:
        self.told.append((flow, "suspend"))

    def resume(self, flow: str, message: DataFlowResumeMessage) -> DataFlowStatusMessage:
        self.told.append((flow, "resume" if message.data_address is None else "resume there"))
        return DataFlowStatusMessage(data_flow_id=flow, state=FlowState.STARTED)

    def terminate(self, flow: str, message: DataFlowTerminateMessage) -> None:
        self.told.append((flow, "terminate"))

    def completed(self, flow: str) -> None:
        self.told.append((flow, "completed"))


def lasting_signer(home: Path) -> FileSigner:
    """The same keys each time for the same home, so that a restarted connector is who it was."""

    def seed(name: str) -> bytes:
        return hashlib.sha256(f"{home}/{name}".encode()).digest()

    keys = {key: Ed25519PrivateKey.from_private_bytes(seed(key)) for key in KEY_IDS}
    return FileSigner(keys, X25519PrivateKey.from_private_bytes(seed("master")))


@dataclass
class Node:
    """One connector with its server."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    peers: PeerClient
    dataspace: Dataspace
    app: FastAPI
    signer: FileSigner
    office: Office
    store: Store
    computer: Computer
    shelf: Shelf

    @property
    def did(self) -> str:
        return self.settings.did

    def entries(self) -> int:
        return self.log.size()


def settings_for(home: Path, name: str, url: str, peers: Sequence[tuple[str, str, str]]) -> Settings:
    """Settings of a connector; ``peers`` are (name, url, role)."""
    return Settings(
        home=home,
        mode="demo",
        name=name,
        role="site" if name == "hospital" else "hub",
        public_url=url,
        management_url="http://127.0.0.1:1",
        peers=tuple(Peer(did=did_web(u), url=u, role=r, name=n) for n, u, r in peers),
    )


def make_node(
    settings: Settings,
    *,
    clock: Clock | None = None,
    pace: Pace | None = None,
    guard: Any = None,
    planes: Sequence[DataPlane] = (),
) -> Node:
    """A connector on its database, not yet serving; made again on the same home, it goes on where it stopped."""
    clock = clock or SystemClock()
    settings.home.mkdir(parents=True, exist_ok=True)
    database = new_database(settings.home / "state.sqlite")
    keys = lasting_signer(settings.home)
    log = ProvenanceLog(database, keys, settings.public_url, clock)
    peers = PeerClient(settings, keys, clock)
    office, store, computer, catalogue = Office(), Store(), Computer(), shelf()
    ports = Ports(catalogue, office, store, (computer, *planes), guard)
    fast = pace or Pace(first=timedelta(milliseconds=20), longest=timedelta(milliseconds=200))
    dataspace = Dataspace(settings, database, log, peers, clock, ports, fast)
    document = did_document(settings.did, keys, settings.public_url)
    resolver = DidResolver(
        fetch_did_document, {p.did: p.url for p in settings.peers}, clock, own={settings.did: document}
    )
    app = FastAPI()
    install_guards(app)
    security = Security(settings, resolver, ReplayStore(database), clock)
    app.include_router(protocol_router(dataspace, security, lambda: document))
    return Node(settings, database, log, peers, dataspace, app, keys, office, store, computer, catalogue)


@contextlib.contextmanager
def serving(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """Serve an application on a listening socket while the block runs."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def listener() -> socket.socket:
    """A socket on a free port of loopback."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def url_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def running(node: Node, listening: socket.socket) -> Iterator[Node]:
    """A connector that serves and works while the block runs."""
    with serving(node.app, listening):
        node.dataspace.start()
        try:
            yield node
        finally:
            node.dataspace.stop()
    node.peers.close()
    node.database.close()


@dataclass
class World:
    """A hospital and a hub that know each other, and a stranger that both do not talk to about these two."""

    hospital: Node
    hub: Node


@contextlib.contextmanager
def world(folder: Path, **hospital: Any) -> Iterator[World]:
    """Both connectors, serving."""
    with listener() as one, listener() as two, listener() as three:
        urls = [url_of(one), url_of(two)]
        third = ("third", url_of(three), "site")
        first = make_node(
            settings_for(folder / "hospital", "hospital", urls[0], [("hub", urls[1], "hub"), third]), **hospital
        )
        second = make_node(settings_for(folder / "hub", "hub", urls[1], [("hospital", urls[0], "site"), third]))
        with running(first, one), running(second, two):
            yield World(first, second)


def offer_of(node: Node) -> dict[str, Any]:
    """The hospital's offer, as its catalogue shows it."""
    return dict(node.shelf.offers[DATASET][0].policy) | {"@id": OFFER, "@type": "Offer"}
