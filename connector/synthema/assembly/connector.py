"""One connector, put together: every room once, each given what it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from synthema.assembly.conductor import Conductor
from synthema.assembly.duties import StandingDuties
from synthema.assembly.housekeeping import Housekeeping
from synthema.assembly.hub_acts import HubActs
from synthema.assembly.participation import Participation
from synthema.assembly.permitting import follow_issuers
from synthema.assembly.plugin_states import plugin_states
from synthema.assembly.reviewing import Reviewing
from synthema.assembly.setup import INCOMING, KEYS, PASSPHRASE
from synthema.assembly.shelf import Shelf
from synthema.assembly.trust import Trust
from synthema.assembly.withdrawal import Rooms as WithdrawalRooms
from synthema.assembly.withdrawal import Sources, Withdrawals
from synthema.budget import BudgetLedger
from synthema.canonical import canonical_json
from synthema.certification.countersign import Countersigning
from synthema.certification.review import Reviews
from synthema.clock import Clock, SystemClock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dataspace import Dataspace, PeerClient, Ports, fetch_did_document
from synthema.dpia import DpiaStore
from synthema.federation import Coordinator
from synthema.identity import DidResolver, FileSigner, People, did_document, read_passphrase_file
from synthema.obligations import ObligationLedger
from synthema.permits import Attestations, PermitStore
from synthema.policy import PolicyStore, member_state_law, standing_facts
from synthema.provenance import (
    EmbeddedTriples,
    EndpointTriples,
    Heads,
    Lineage,
    ProvenanceIndex,
    ProvenanceLog,
    Triples,
    Witness,
    log_name,
    witness_name,
)
from synthema.provenance.accounts import PeopleLog
from synthema.runs.facts import FactFinder
from synthema.runs.governor import Governor
from synthema.runs.rooms import Rooms
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
    attestations: Attestations
    budget: BudgetLedger
    obligations: ObligationLedger
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
    heads: Heads
    housekeeping: Housekeeping
    reviewing: Reviewing
    withdrawals: Withdrawals

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Open a connector's state and settle what a crash may have left. The caller holds the home lock."""
        clock = clock or SystemClock()
        database = open_database(settings.database)
        signer = FileSigner.open(settings.home / KEYS, read_passphrase_file(settings.home / PASSPHRASE))
        log = ProvenanceLog(database, signer, settings.public_url, clock)
        people = People(database, PeopleLog(log), clock)
        vocabulary = load_vocabulary()
        pack = member_state_law(settings.member_state_pack, settings.home, vocabulary)
        law = standing_facts(pack)
        policies = PolicyStore(database, log, clock, people, vocabulary, member_state=pack, standing=law)
        consents = ConsentStore(database, log, clock, signer, ages=settings.age_of_majority)
        plugins = PluginRegistry(database, log, clock, people)
        dpias = DpiaStore(database, log, clock, people, plugin_states(plugins))
        permits = PermitStore(database, log, clock)
        attestations = Attestations(database, log, clock, people)
        budget = BudgetLedger(database, log, clock)
        obligations = ObligationLedger(database, log, clock, people, settings.did)
        permits.on_end(obligations.basis_ended)
        datasets = DatasetStore(database, log, clock, signer, settings.home / "datasets")
        sandbox = Sandbox(settings.limits, settings.minimum_isolation)
        rooms = Rooms(
            settings, database, log, clock, signer, policies, consents, dpias, permits, budget, obligations,
            datasets, plugins, sandbox,
        )  # fmt: skip
        facts = FactFinder(
            settings, log, vocabulary, datasets, consents, dpias, permits, attestations, budget, obligations, sandbox
        )
        governor = Governor(rooms, facts)
        countersigning = Countersigning(database, log, people, settings.did, clock)
        resolver = _resolver(settings, signer, clock, countersigning)
        witness = Witness(database, signer, settings.public_url, clock, _log_keys(settings, resolver))
        names = {peer.did: witness_name(peer.url) for peer in settings.peers}
        heads = Heads(log, witness, names, lambda did: resolver.verification_key(f"{did}#witness"))
        peers = PeerClient(settings, signer, clock, heads)
        trust = Trust(settings, database, log, signer, resolver, peers, clock, countersigning=countersigning)
        acts = HubActs(rooms, facts, governor, trust)
        shelf = Shelf(rooms, acts)
        dataspace = Dataspace(settings, database, log, peers, clock, Ports(shelf, shelf, shelf))
        coordinator = Coordinator(
            database, log, signer, resolver, clock, settings.did, answer_seconds=settings.answer_seconds,
            folder=settings.home / "received",
        )  # fmt: skip
        participation = Participation(governor, peers, resolver, trust)
        conductor = Conductor(rooms, governor, dataspace, peers, coordinator, trust, shelf, acts)
        index = ProvenanceIndex(log, _triples(settings))
        standing = StandingDuties(settings.did, database, obligations, datasets, dpias)
        housekeeping = Housekeeping(settings, log, permits, governor, trust, peers, resolver, standing)
        reviewing = Reviewing.make(governor, people, participation.measure_reviewed)
        connector = cls(
            settings, clock, database, signer, resolver, log, index, Lineage(index), vocabulary, people, policies,
            consents, dpias, permits, attestations, budget, obligations, datasets, plugins, sandbox, governor, peers,
            shelf, dataspace, coordinator, participation, conductor, trust, witness, heads, housekeeping,
            reviewing,
            Withdrawals(
                WithdrawalRooms(
                    settings, database, log, clock, signer, resolver, peers, datasets, governor, obligations, trust
                ),
                Sources(settings, database, log, index, Lineage(index), datasets, dataspace, facts),
                consents,
                housekeeping,
            ),
        )  # fmt: skip
        housekeeping.also(lambda: follow_issuers(connector))
        housekeeping.also(consents.expire_due)
        housekeeping.also(reviewing.reviews.clear)
        trust.evidence.seal_with(housekeeping.witness_quietly)
        connector._settle_after_restart()
        dataspace.start()
        housekeeping.start()
        return connector

    @property
    def reviews(self) -> Reviews:
        """The clinical reviews of this connector."""
        return self.reviewing.reviews

    def did_document(self) -> dict[str, object]:
        """Who this connector is: its public keys, served under ``/.well-known/did.json``."""
        return own_did_document(self.settings, self.signer, self.trust.countersigning.published_keys())

    def close(self) -> None:
        """Finish what is being written and stop."""
        self.housekeeping.stop()
        self.withdrawals.close()
        self.conductor.close()
        self.participation.close()
        self.dataspace.stop()
        self.peers.close()
        self.index.close()
        self.database.close()

    def _settle_after_restart(self) -> None:
        shutil.rmtree(self.settings.home / INCOMING, ignore_errors=True)
        self.datasets.recover()
        self.governor.recover()
        self.reviews.clear()
        self.budget.settle_after_restart()
        self.coordinator.recover()
        self.participation.recover()
        self.conductor.recover()
        self.withdrawals.start()


def own_did_document(
    settings: Settings, signer: FileSigner, officers: Mapping[str, bytes] | None = None
) -> dict[str, object]:
    """The DID document of a connector as it is now; officers' keys are in it, since certificates may carry theirs."""
    # The protocol's schema wants the address of the catalogue here, not the base of all its addresses.
    endpoint = f"{settings.public_url}/dsp/catalog"
    service = {"id": f"{settings.did}#dsp", "type": "CatalogService", "serviceEndpoint": endpoint}
    return did_document(settings.did, signer, settings.public_url, [service], people=officers)


def _resolver(settings: Settings, signer: FileSigner, clock: Clock, officers: Countersigning) -> DidResolver:
    """Finds the keys of registered peers, and our own without asking the network."""
    trusted = {body.did: body.url for body in settings.access_bodies} | {peer.did: peer.url for peer in settings.peers}
    trusted[settings.did] = settings.public_url
    local = settings.mode == "demo"

    def fetch(url: str) -> bytes:
        if url.startswith(settings.public_url + "/"):
            return canonical_json(own_did_document(settings, signer, officers.published_keys()))
        return fetch_did_document(url, allow_http=local)

    return DidResolver(fetch, trusted, clock)


def _triples(settings: Settings) -> Triples:
    """Where the log's triples are kept, as the settings say."""
    chosen = settings.index
    if chosen.query is not None and chosen.update is not None:
        return EndpointTriples(chosen.query, chosen.update, f"{settings.public_url}/log")
    return EmbeddedTriples(settings.home / "index" if chosen.store == "disk" else None)


def _log_keys(settings: Settings, resolver: DidResolver) -> Callable[[str], bytes | None]:
    """Finds the key of a registered peer's log by the log's origin line; None for any other log."""
    dids = {log_name(peer.url): peer.did for peer in settings.peers}

    def key_of(origin: str) -> bytes | None:
        return resolver.verification_key(f"{dids[origin]}#log") if origin in dids else None

    return key_of
