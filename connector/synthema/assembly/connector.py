"""One connector, put together: every room once, each given what it rests on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Self

from synthema.assembly.claims import Claims
from synthema.assembly.conductor import Conductor
from synthema.assembly.doubting import Doubting
from synthema.assembly.duties import StandingDuties
from synthema.assembly.engines import HubEngine
from synthema.assembly.flows import Flows
from synthema.assembly.housekeeping import Housekeeping
from synthema.assembly.hub_acts import HubActs
from synthema.assembly.inside import Inside
from synthema.assembly.joining.membership import Membership
from synthema.assembly.measuring import Measuring
from synthema.assembly.outside import Outside, own_did_document
from synthema.assembly.participation import Participation
from synthema.assembly.permitting import follow_issuers
from synthema.assembly.reviewing import Reviewing
from synthema.assembly.setup import INCOMING
from synthema.assembly.shelf import Shelf
from synthema.assembly.trust import Trust
from synthema.assembly.withdrawal import Rooms as WithdrawalRooms
from synthema.assembly.withdrawal import Sources, Withdrawals
from synthema.budget import BudgetLedger
from synthema.certification.review import Reviews
from synthema.clock import Clock, SystemClock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dataspace import Dataspace, PeerClient
from synthema.dpia import DpiaStore
from synthema.federation import Coordinator
from synthema.identity import DidResolver, FileSigner, People
from synthema.identity.parties import Parties
from synthema.identity.rotation import KeyBook
from synthema.obligations import ObligationLedger
from synthema.permits import Attestations, PermitStore
from synthema.policy import PolicyStore
from synthema.provenance import (
    EmbeddedTriples,
    EndpointTriples,
    Heads,
    Lineage,
    ProvenanceIndex,
    ProvenanceLog,
    Triples,
    Witness,
)
from synthema.runs.facts import FactFinder
from synthema.runs.governor import Governor
from synthema.runs.sandbox import Sandbox
from synthema.spi import PluginRegistry
from synthema.storage import Database
from synthema.vocabulary import Vocabulary


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
    measuring: Measuring
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
        inside = Inside.open(settings, clock or SystemClock())
        rooms, keys, people = inside.rooms, inside.keys, inside.people
        database, log, signer, clock = rooms.database, rooms.log, rooms.signer, rooms.clock
        outside = Outside.open(inside)
        peers, resolver, trust, claims = outside.peers, outside.resolver, outside.trust, outside.claims
        facts = FactFinder(
            settings, log, inside.vocabulary, rooms.datasets, rooms.consents, rooms.dpias, rooms.permits,
            inside.attestations, rooms.budget, rooms.obligations, rooms.sandbox,
            roles=claims.role_of, parties=outside.parties,
        )  # fmt: skip
        governor = Governor(rooms, facts)
        acts = HubActs(rooms, facts, governor, trust)
        participation = Participation(governor, peers, resolver)
        measuring = Measuring(governor, peers, trust)
        shelf = Shelf(rooms, governor, acts)
        flows = Flows.make(governor, participation, shelf, peers)
        coordinator = Coordinator(
            database, log, signer, resolver, clock, settings.did, answer_seconds=settings.answer_seconds,
            folder=settings.home / "received",
        )  # fmt: skip
        conductor = Conductor(
            rooms, governor, flows.dataspace, peers, coordinator, trust, shelf, acts,
            engine=HubEngine(rooms, coordinator, resolver),
        )  # fmt: skip
        index = ProvenanceIndex(log, _triples(settings))
        lineage = Lineage(index)
        duties = StandingDuties(settings.did, database, rooms.obligations, rooms.datasets, rooms.dpias)
        housekeeping = Housekeeping(outside.parties, log, rooms.permits, governor, trust, peers, resolver, duties)
        withdrawals = Withdrawals(
            WithdrawalRooms(
                settings, database, log, clock, signer, resolver, peers, rooms.datasets, governor, rooms.obligations,
                trust,
            ),
            Sources(settings, database, log, index, lineage, rooms.datasets, flows.dataspace, facts),
            rooms.consents,
            housekeeping,
        )  # fmt: skip
        connector = cls(
            settings=settings, clock=clock, database=database, signer=signer, resolver=resolver, log=log, index=index,
            lineage=lineage, vocabulary=inside.vocabulary, people=people, policies=rooms.policies,
            consents=rooms.consents, dpias=rooms.dpias, permits=rooms.permits, attestations=inside.attestations,
            budget=rooms.budget, obligations=rooms.obligations, datasets=rooms.datasets, plugins=rooms.plugins,
            sandbox=rooms.sandbox, governor=governor, peers=peers, shelf=shelf, dataspace=flows.dataspace, flows=flows,
            coordinator=coordinator, participation=participation, measuring=measuring, conductor=conductor, trust=trust,
            witness=outside.witness, heads=outside.heads, housekeeping=housekeeping,
            reviewing=Reviewing.make(governor, people, measuring.measure_reviewed), withdrawals=withdrawals,
            claims=claims, keys=keys, parties=outside.parties, membership=outside.membership,
        )  # fmt: skip
        connector._begin()
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
        self.measuring.close()
        self.flows.close()
        self.membership.rooms.authorities.close()
        self.peers.close()
        self.index.close()
        self.database.close()

    def _begin(self) -> None:
        """Settle what a crash may have left, then start what works by itself."""
        follow_up = (
            lambda: follow_issuers(self),
            self.consents.expire_due,
            Doubting(self.dpias, self.governor, self.trust.doubts, self.peers, self.clock).watch,
            self.claims.counterparties.refresh,
            self.reviews.clear,
            self.membership.follow_quietly,
        )
        for task in follow_up:
            self.housekeeping.also(task)
        self.trust.evidence.seal_with(self.housekeeping.witness_quietly)
        self._settle_after_restart()
        self.flows.begin()
        self.housekeeping.start()

    def _settle_after_restart(self) -> None:
        shutil.rmtree(self.settings.home / INCOMING, ignore_errors=True)
        self.datasets.recover()
        self.participation.recover()
        self.reviews.clear()
        self.budget.settle_after_restart()
        self.coordinator.recover()
        self.conductor.recover()
        self.withdrawals.start()


def _triples(settings: Settings) -> Triples:
    """Where the log's triples are kept, as the settings say."""
    chosen = settings.index
    if chosen.query is not None and chosen.update is not None:
        return EndpointTriples(chosen.query, chosen.update, f"{settings.public_url}/log")
    return EmbeddedTriples(settings.home / "index" if chosen.store == "disk" else None)
