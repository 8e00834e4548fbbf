"""One connector, put together: every room once, each given what it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from synthema.assembly.conductor import Conductor
from synthema.assembly.housekeeping import Housekeeping
from synthema.assembly.participation import Participation
from synthema.assembly.setup import INCOMING, KEYS, PASSPHRASE
from synthema.assembly.shelf import Shelf
from synthema.assembly.trust import Trust
from synthema.budget import BudgetLedger
from synthema.canonical import canonical_json
from synthema.clock import Clock, SystemClock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dataspace import Dataspace, PeerClient, Ports, fetch_did_document
from synthema.dpia import DpiaStore
from synthema.federation import Coordinator
from synthema.identity import DidResolver, FileSigner, People, did_document, read_passphrase_file
from synthema.permits import PermitStore
from synthema.policy import PolicyStore
from synthema.provenance import Lineage, ProvenanceIndex, ProvenanceLog, Witness, log_name
from synthema.provenance.accounts import PeopleLog
from synthema.runs.facts import FactFinder
from synthema.runs.governor import Governor, Rooms
from synthema.runs.sandbox import Sandbox
from synthema.spi import PluginRegistry
from synthema.storage import Database, open_database
from synthema.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True, slots=True)
class Connector:
    """All rooms of one connector. Made by :meth:`open`, ended by :meth:`close`."""

    settings: Settings
    clock: Clock
    database: Database
    signer: FileSigner
    resolver: DidResolver
    log: ProvenanceLog
    index: ProvenanceIndex
    lineage: Lineage
    vocabulary: Vocabulary
    people: People
    policies: PolicyStore
    consents: ConsentStore
    dpias: DpiaStore
    permits: PermitStore
    budget: BudgetLedger
    datasets: DatasetStore
    plugins: PluginRegistry
    sandbox: Sandbox
    governor: Governor
    peers: PeerClient
    shelf: Shelf
    dataspace: Dataspace
    coordinator: Coordinator
    participation: Participation
    conductor: Conductor
    trust: Trust
    witness: Witness
    housekeeping: Housekeeping

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Open a connector's state and settle what a crash may have left. The caller holds the home lock."""
        clock = clock or SystemClock()
        database = open_database(settings.database)
        signer = FileSigner.open(settings.home / KEYS, read_passphrase_file(settings.home / PASSPHRASE))
        log = ProvenanceLog(database, signer, settings.public_url, clock)
        people = People(database, PeopleLog(log), clock)
        vocabulary = load_vocabulary()
        policies = PolicyStore(database, log, clock, people, vocabulary)
        consents = ConsentStore(database, log, clock, signer)
        dpias = DpiaStore(database, log, clock, people)
        permits = PermitStore(database, log, clock)
        budget = BudgetLedger(database, log, clock)
        datasets = DatasetStore(database, log, clock, signer, settings.home / "datasets")
        plugins = PluginRegistry(database, log, clock, people)
        sandbox = Sandbox(settings.limits, settings.minimum_isolation)
        rooms = Rooms(
            settings, database, log, clock, signer, policies, consents, dpias, permits, budget, datasets, plugins,
            sandbox,
        )  # fmt: skip
        facts = FactFinder(settings, log, vocabulary, datasets, consents, dpias, permits, budget, sandbox)
        governor = Governor(rooms, facts)
        resolver = _resolver(settings, signer, clock)
        peers = PeerClient(settings, signer, clock)
        shelf = Shelf(rooms, governor)
        dataspace = Dataspace(settings, database, log, peers, clock, Ports(shelf, shelf, shelf))
        coordinator = Coordinator(
            database, log, signer, resolver, clock, settings.did, answer_seconds=settings.answer_seconds,
            folder=settings.home / "received",
        )  # fmt: skip
        trust = Trust(settings, database, log, signer, resolver, peers, clock)
        participation = Participation(governor, peers, resolver, trust)
        conductor = Conductor(rooms, governor, dataspace, peers, coordinator, trust, shelf)
        index = ProvenanceIndex(log)
        witness = Witness(database, signer, settings.public_url, clock, _log_keys(settings, resolver))
        housekeeping = Housekeeping(settings, log, permits, governor, trust, peers, resolver)
        connector = cls(
            settings, clock, database, signer, resolver, log, index, Lineage(index), vocabulary, people, policies,
            consents, dpias, permits, budget, datasets, plugins, sandbox, governor, peers, shelf, dataspace,
            coordinator, participation, conductor, trust, witness, housekeeping,
        )  # fmt: skip
        connector._settle_after_restart()
        dataspace.start()
        housekeeping.start()
        return connector

    def did_document(self) -> dict[str, object]:
        """Who this connector is: its public keys, served under ``/.well-known/did.json``."""
        return own_did_document(self.settings, self.signer)

    def close(self) -> None:
        """Finish what is being written and stop."""
        self.housekeeping.stop()
        self.conductor.close()
        self.participation.close()
        self.dataspace.stop()
        self.peers.close()
        self.database.close()

    def _settle_after_restart(self) -> None:
        shutil.rmtree(self.settings.home / INCOMING, ignore_errors=True)
        self.datasets.recover()
        self.governor.recover()
        self.budget.settle_after_restart()
        self.coordinator.recover()
        self.participation.recover()
        self.conductor.recover()


def own_did_document(settings: Settings, signer: FileSigner) -> dict[str, object]:
    """The DID document of a connector."""
    # The protocol's schema wants the address of the catalogue here, not the base of all its addresses.
    endpoint = f"{settings.public_url}/dsp/catalog"
    service = {"id": f"{settings.did}#dsp", "type": "CatalogService", "serviceEndpoint": endpoint}
    return did_document(settings.did, signer, settings.public_url, [service])


def _resolver(settings: Settings, signer: FileSigner, clock: Clock) -> DidResolver:
    """Finds the keys of registered peers, and our own without asking the network."""
    trusted = {peer.did: peer.url for peer in settings.peers} | {settings.did: settings.public_url}
    own = own_did_document(settings, signer)
    local = settings.mode == "demo"

    def fetch(url: str) -> bytes:
        if url.startswith(settings.public_url + "/"):
            return canonical_json(own)
        return fetch_did_document(url, allow_http=local)

    return DidResolver(fetch, trusted, clock)


def _log_keys(settings: Settings, resolver: DidResolver) -> Callable[[str], bytes | None]:
    """Finds the key of a registered peer's log by the log's origin line; None for any other log."""
    dids = {log_name(peer.url): peer.did for peer in settings.peers}

    def key_of(origin: str) -> bytes | None:
        return resolver.verification_key(f"{dids[origin]}#log") if origin in dids else None

    return key_of
