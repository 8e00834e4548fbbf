"""The rooms inside a connector: what it keeps and decides by, put together before anybody else comes into it."""

from __future__ import annotations

from dataclasses import dataclass

from synthema.assembly.log_rotation import finish_rotation
from synthema.assembly.plugin_states import plugin_states
from synthema.assembly.setup import KEYS, PASSPHRASE
from synthema.budget import BudgetLedger
from synthema.clock import Clock
from synthema.config import Settings
from synthema.consent import ConsentStore
from synthema.datasets import DatasetStore
from synthema.dpia import DpiaStore
from synthema.identity import FileSigner, People, read_passphrase_file
from synthema.identity.rotation import KeyBook
from synthema.obligations import ObligationLedger
from synthema.permits import Attestations, PermitStore
from synthema.policy import PolicyStore, member_state_law, standing_facts
from synthema.provenance import ProvenanceLog
from synthema.provenance.accounts import PeopleLog
from synthema.runs.rooms import Rooms
from synthema.runs.sandbox import Sandbox
from synthema.spi import PluginRegistry
from synthema.storage import open_database
from synthema.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True, slots=True)
class Inside:
    """The rooms a governor rests on, and beside them keys, people, terms and attestations."""

    rooms: Rooms
    keys: KeyBook
    people: People
    vocabulary: Vocabulary
    attestations: Attestations

    @classmethod
    def open(cls, settings: Settings, clock: Clock) -> Inside:
        """Open the database and the keys of a connector's home, and every room that needs nothing else."""
        database = open_database(settings.database)
        signer = FileSigner.open(settings.home / KEYS, read_passphrase_file(settings.home / PASSPHRASE))
        keys = KeyBook(database, signer, settings.home / KEYS, clock)
        log = ProvenanceLog(database, signer, settings.public_url, clock)
        finish_rotation(signer, log)
        people = People(database, PeopleLog(log), clock)
        vocabulary = load_vocabulary()
        pack = member_state_law(settings.member_state_pack, settings.home, vocabulary)
        law = standing_facts(pack)
        policies = PolicyStore(database, log, clock, people, vocabulary, member_state=pack, standing=law)
        plugins = PluginRegistry(database, log, clock, people)
        permits = PermitStore(database, log, clock)
        obligations = ObligationLedger(database, log, clock, people, settings.did)
        permits.on_end(obligations.basis_ended)
        rooms = Rooms(
            settings=settings,
            database=database,
            log=log,
            clock=clock,
            signer=signer,
            policies=policies,
            consents=ConsentStore(database, log, clock, signer, ages=settings.age_of_majority),
            dpias=DpiaStore(database, log, clock, people, plugin_states(plugins)),
            permits=permits,
            budget=BudgetLedger(database, log, clock),
            obligations=obligations,
            datasets=DatasetStore(database, log, clock, signer, settings.home / "datasets"),
            plugins=plugins,
            sandbox=Sandbox(settings.limits, settings.minimum_isolation),
        )
        return cls(rooms, keys, people, vocabulary, Attestations(database, log, clock, people))
