"""One connector, put together: every room once, each given what it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from synthema.assembly.claims import CREDENTIAL_SERVICE, Claims
from synthema.assembly.conductor import Conductor
from synthema.assembly.doubting import Doubting
from synthema.assembly.duties import StandingDuties
from synthema.assembly.flows import Flows
from synthema.assembly.housekeeping import Housekeeping
from synthema.assembly.hub_acts import HubActs
from synthema.assembly.joining.client import AuthorityClient
from synthema.assembly.joining.membership import Membership, Surroundings
from synthema.assembly.log_rotation import finish_rotation
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
from synthema.dataspace import Dataspace, PeerClient, fetch_did_document
from synthema.dpia import DpiaStore
from synthema.federation import Coordinator
from synthema.identity import DidResolver, FileSigner, People, did_document, read_passphrase_file
from synthema.identity.parties import Live, Parties
from synthema.identity.rotation import KeyBook
from synthema.obligations import ObligationLedger
from synthema.permits import Attestations, PermitStore
from synthema.policy import PolicyStore, member_state_law, standing_facts
from synthema.provenance import (
    EmbeddedTriples,
    EndpointTriples,
    Heads,
    Lineage,
    LogKeys,
    ProvenanceIndex,
    ProvenanceLog,
    Triples,
    Witness,
    former_methods,
    log_keys,
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
    flows: Flows
    coordinator: Coordinator
    participation: Participation
    conductor: Conductor
    trust: Trust
    witness: Witness
    heads: Heads
    housekeeping: Housekeeping
    reviewing: Reviewing
    withdrawals: Withdrawals
    claims: Claims
    keys: KeyBook
    parties: Parties
    membership: Membership

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """Open a connector's state and settle what a crash may have left. The caller holds the home lock."""
        clock = clock or SystemClock()
        database = open_database(settings.database)
        signer = FileSigner.open(settings.home / KEYS, read_passphrase_file(settings.home / PASSPHRASE))
        keys = KeyBook(database, signer, settings.home / KEYS, clock)
        log = ProvenanceLog(database, signer, settings.public_url, clock)
        parties = Parties(settings.peers, _read_origins(settings))
        finish_rotation(signer, log)
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
        countersigning = Countersigning(database, log, people, settings.did, clock)
        resolver = _resolver(settings, parties, signer, clock, countersigning, log)
        witness = Witness(database, signer, settings.public_url, clock, _log_keys(parties, resolver))
        names = Live(lambda: {peer.did: witness_name(peer.url) for peer in parties.values()})
        heads = Heads(log, witness, names, lambda did: resolver.verification_key(f"{did}#witness"))
        peers = PeerClient(settings, signer, clock, heads, parties=parties, origins=parties.origins)
        trust = Trust(settings, database, log, signer, resolver, peers, clock, countersigning=countersigning, parties=parties)
        claims = Claims.make(
            settings, database, log, signer, resolver, peers, clock, origins=parties.origins, own_list=trust.status_list
        )
        facts = FactFinder(
            settings, log, vocabulary, datasets, consents, dpias, permits, attestations, budget, obligations, sandbox,
            roles=claims.role_of, parties=parties,
        )  # fmt: skip
        governor = Governor(rooms, facts)
        acts = HubActs(rooms, facts, governor, trust)
        participation = Participation(governor, peers, resolver, trust)
        shelf = Shelf(rooms, governor, acts)
        flows = Flows.make(governor, participation, shelf, peers)
        dataspace = flows.dataspace
        coordinator = Coordinator(
            database, log, signer, resolver, clock, settings.did, answer_seconds=settings.answer_seconds,
            folder=settings.home / "received",
        )  # fmt: skip
        conductor = Conductor(rooms, governor, dataspace, peers, coordinator, trust, shelf, acts)
        index = ProvenanceIndex(log, _triples(settings))
        standing = StandingDuties(settings.did, database, obligations, datasets, dpias)
        housekeeping = Housekeeping(parties, log, permits, governor, trust, peers, resolver, standing)
        authorities = AuthorityClient(settings, signer, clock)
        around = Surroundings(settings, database, log, resolver, parties, peers, permits, authorities, claims.wallet, clock)
        membership = Membership(around)
        claims.anchors.also(membership.trusts)
        reviewing = Reviewing.make(governor, people, participation.measure_reviewed)
        connector = cls(
            settings, clock, database, signer, resolver, log, index, Lineage(index), vocabulary, people, policies,
            consents, dpias, permits, attestations, budget, obligations, datasets, plugins, sandbox, governor, peers,
            shelf, dataspace, flows, coordinator, participation, conductor, trust, witness, heads, housekeeping,
            reviewing,
            Withdrawals(
                WithdrawalRooms(
                    settings, database, log, clock, signer, resolver, peers, datasets, governor, obligations, trust
                ),
                Sources(settings, database, log, index, Lineage(index), datasets, dataspace, facts),
                consents,
                housekeeping,
            ),
            claims, keys=keys, parties=parties, membership=membership,
        )  # fmt: skip
        housekeeping.also(lambda: follow_issuers(connector))
        housekeeping.also(consents.expire_due)
        housekeeping.also(Doubting(dpias, governor, trust.doubts, peers, clock).watch)
        housekeeping.also(claims.counterparties.refresh)
        housekeeping.also(reviewing.reviews.clear)
        housekeeping.also(membership.follow_quietly)
        trust.evidence.seal_with(housekeeping.witness_quietly)
        connector._settle_after_restart()
        flows.begin()
        housekeeping.start()
        return connector

    @property
    def reviews(self) -> Reviews:
        """The clinical reviews of this connector."""
        return self.reviewing.reviews

    def did_document(self) -> dict[str, object]:
        """Who this connector is: its public keys, served under ``/.well-known/did.json``."""
        officers = self.trust.countersigning.published_keys()
        return own_did_document(self.settings, self.signer, officers, self.log.keys)

    def close(self) -> None:
        """Finish what is being written and stop."""
        self.housekeeping.stop()
        self.withdrawals.close()
        self.conductor.close()
        self.participation.close()
        self.flows.close()
        self.membership.rooms.authorities.close()
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
    settings: Settings,
    signer: FileSigner,
    officers: Mapping[str, bytes] | None = None,
    log: LogKeys | None = None,
) -> dict[str, object]:
    """The DID document of a connector as it is now.

    Officers' keys are in it, since certificates may carry theirs, and the log's former keys with the
    proof of what followed them, so that what they signed in their time can be checked.
    """
    # The protocol's schema wants the address of the catalogue here, not the base of all its addresses.
    endpoint = f"{settings.public_url}/dsp/catalog"
    former = former_methods(settings.did, log) if log is not None else ()
    services = [
        {"id": "dsp", "type": "CatalogService", "serviceEndpoint": endpoint},
        {
            "id": "credentials",
            "type": "CredentialService",
            "serviceEndpoint": settings.public_url + CREDENTIAL_SERVICE,
        },
    ]
    return did_document(settings.did, signer, settings.public_url, services, people=officers, former=former)


def _resolver(
    settings: Settings,
    parties: Parties,
    signer: FileSigner,
    clock: Clock,
    officers: Countersigning,
    log: ProvenanceLog,
) -> DidResolver:
    """Finds the keys of registered peers, and our own without asking the network."""
    local = settings.mode == "demo"

    def fetch(url: str) -> bytes:
        if url.startswith(settings.public_url + "/"):
            return canonical_json(own_did_document(settings, signer, officers.published_keys(), log.keys))
        return fetch_did_document(url, allow_http=local)

    return DidResolver(fetch, parties.origins, clock)


def _read_origins(settings: Settings) -> dict[str, str]:
    """Where the documents lie of those whose signatures are read and who are no partners."""
    found = {body.did: body.url for body in settings.access_bodies}
    return found | {each.did: each.url for each in settings.trusted_issuers} | {settings.did: settings.public_url}


def _triples(settings: Settings) -> Triples:
    """Where the log's triples are kept, as the settings say."""
    chosen = settings.index
    if chosen.query is not None and chosen.update is not None:
        return EndpointTriples(chosen.query, chosen.update, f"{settings.public_url}/log")
    return EmbeddedTriples(settings.home / "index" if chosen.store == "disk" else None)


def _log_keys(parties: Parties, resolver: DidResolver) -> Callable[[str, str], LogKeys | None]:
    """Finds the keys of a registered peer's log by the log's origin line; None for any other log."""

    def keys_of(origin: str, note: str) -> LogKeys | None:
        dids = {log_name(peer.url): peer.did for peer in parties.values()}
        return log_keys(dids[origin], resolver, [note]) if origin in dids else None

    return keys_of
