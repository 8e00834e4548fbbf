"""A ledger with real people, and decisions of the demo's policies to take on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema.clock import FixedClock
from synthema.identity import People, Person
from synthema.obligations import ObligationLedger, Task
from synthema.policy import AccessRequest, Policy, decide
from synthema.policy.compile import CompiledPolicies
from synthema.provenance import ProvenanceLog
from synthema.provenance.accounts import PeopleLog
from synthema.storage import Database
from tests.unit.datasets.support import make_log
from tests.unit.policy import sample

SITE = "did:web:hospital.example"
HUB = sample.HUB
BASIS = "agreement-1"


@dataclass(frozen=True, slots=True)
class Signing:
    """A person with the key they keep."""

    person: Person
    key: Ed25519PrivateKey

    def over(self, data: bytes) -> tuple[str, bytes]:
        return self.person.id, self.key.sign(data)


@dataclass(slots=True)
class Desk:
    """A site's obligations ledger with its people."""

    database: Database
    clock: FixedClock
    log: ProvenanceLog
    ledger: ObligationLedger
    officer: Signing
    steward: Signing
    runs: int = 0

    def take_on(
        self, *extra: Policy, asked: AccessRequest | None = None, run: str | None = None, basis: str | None = BASIS
    ) -> list[Task]:
        """Decide a request as of now and take on what the decision imposes."""
        self.runs += 1
        compiled = sample.compiled(*extra)
        return self.take_on_under(compiled, asked or sample.request(), run or f"run-{self.runs}", basis)

    def take_on_under(
        self, compiled: CompiledPolicies, asked: AccessRequest, run: str, basis: str | None = BASIS
    ) -> list[Task]:
        at = self.clock.now()
        told = (*asked.fulfilled, *self.ledger.fulfilments(asked.assignee, "mgus", basis, at))
        decision = decide(compiled, sample.moved(asked, at=at, fulfilled=told))
        return self.database.write(
            lambda connection: self.ledger.take_on(connection, decision, compiled, run=run, dataset="mgus", basis=basis)
        )

    def end(self, run: str, *, released: bool = True) -> None:
        now = self.clock.now()
        self.database.write(lambda c: self.ledger.run_ended(c, run, now, released=released))

    def fail(self, run: str, *, started: bool) -> None:
        now = self.clock.now()
        self.database.write(lambda c: self.ledger.run_failed(c, run, now, started=started))

    def expire(self, basis: str = BASIS, state: str = "PermitExpired") -> None:
        self.database.write(lambda c: self.ledger.basis_ended(c, basis, state))

    def one(self, action: str) -> Task:
        """The only task of an action (local name)."""
        (found,) = [task for task in self.ledger.tasks() if task.action.rpartition("#")[2].rpartition("/")[2] == action]
        return found

    def wait(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))


def make_desk(database: Database, clock: FixedClock) -> Desk:
    log = make_log(database, clock)
    people = People(database, PeopleLog(log), clock)

    def person(*roles: str) -> Signing:
        key = Ed25519PrivateKey.generate()
        return Signing(people.register(roles, key.public_key().public_bytes_raw()), key)

    ledger = ObligationLedger(database, log, clock, people, SITE)
    return Desk(database, clock, log, ledger, person("dpo"), person("data steward"))
