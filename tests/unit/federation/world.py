"""A small data space in one process: a coordinator, sites with databases and logs of their own, a summing algorithm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from synthema.budget import rho_of
from synthema.canonical import digest
from synthema.clock import FixedClock
from synthema.datasets.codebook import Codebook, Variable
from synthema.errors import PluginError, SynthemaError
from synthema.federation import (
    Coordinator,
    LoopbackChannel,
    Outcome,
    Parcel,
    Participant,
    PlanMember,
    PluginUse,
    SiteLimits,
    StudyPlan,
    StudyResult,
)
from synthema.federation.messages import Message, seal
from synthema.ids import new_id
from synthema.provenance.model import Activity
from synthema.spi.model import Aggregate, Contribution, Plan, State
from synthema.storage import Database
from synthema_secure_sum import Member, open_sum
from tests.databases import new_database

HUB = "did:web:hub.example"
LENGTH = 8
CODEBOOK = Codebook(
    id="test",
    version="1",
    title="Test",
    disease="http://www.orpha.net/ORDO/Orphanet_0",
    patient_key="id",
    variables=(Variable(name="sex", label="sex", type="category", categories=("F", "M")),),
)


def site(number: int) -> str:
    return f"did:web:site{number}.example"


class Keys:
    """One party's identity key."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def sign(self, key_id: str, data: bytes) -> bytes:
        assert key_id == "assertion"
        return self._key.sign(data)

    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()


class Resolver:
    """The registered identities."""

    def __init__(self, keys: dict[str, Keys]) -> None:
        self.keys = keys

    def verification_key(self, did_url: str) -> bytes:
        did, fragment = did_url.split("#")
        assert fragment == "assertion"
        return self.keys[did].public()


class Log:
    """A log in memory; it can be told to be broken."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.activities: list[Activity] = []
        self.broken_for: str | None = None

    def append(self, connection: Any, activity: Activity) -> int:
        if activity.type == self.broken_for:
            raise OSError("the log cannot be written")
        activity.nquads(f"{self.origin}/graph")  # must be writable as it is
        self.activities.append(activity)
        return len(self.activities)

    def iri(self, kind: str, identifier: str) -> str:
        return f"{self.origin}/id/{kind}/{identifier}"

    def types(self) -> list[str]:
        return [activity.type for activity in self.activities]


class Summing:
    """The plainest federated algorithm: each round asks for one vector of counts."""

    def __init__(self, rounds: int = 1, rho: float = 0.1) -> None:
        self.rounds = rounds
        self.rho = rho

    def federated_open(self, plan: Plan) -> State:
        return State(1, LENGTH, self.rho, 1.0, finished=False, values={"totals": []})

    def federated_contribute(self, state: State, table: NDArray[np.int64], codebook: Codebook) -> Contribution:
        return Contribution(np.asarray(table, dtype=np.int64))

    def federated_absorb(self, state: State, total: Aggregate) -> State:
        totals = [*state.values["totals"], total.total.tolist()]
        finished = state.round >= self.rounds
        return State(state.round + 1, LENGTH, self.rho, 1.0, finished=finished, values={"totals": totals})


class SecureSum:
    """The real aggregator, one object per party as each would have a process of its own."""

    def __init__(self) -> None:
        member = Member()
        self.secure_sum_advertise = member.advertise
        self.secure_sum_share = member.share
        self.secure_sum_mask = member.mask
        self.secure_sum_unmask = member.unmask
        self.secure_sum_open = open_sum


@dataclass
class Session:
    """Stands for the sandbox: adds the table, turns a plugin's failure into :class:`PluginError`."""

    plugins: dict[str, Any]
    table: Any = None
    before: Callable[[str], None] = lambda hook: None
    calls: list[str] = field(default_factory=list)

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        self.before(hook)
        self.calls.append(hook)
        if hook == "federated_contribute":
            arguments["table"] = self.table
        try:
            return getattr(self.plugins[plugin], hook)(**arguments)
        except ValueError as error:
            raise PluginError(str(error), fix="look at the plugin") from error


Tamper = Callable[[Message], dict[str, Any] | None]


class Meddling:
    """A channel whose coordinator lies: what ``tamper`` returns replaces fields, and is signed by the coordinator."""

    def __init__(self, inner: LoopbackChannel, signer: Keys, tamper: Tamper) -> None:
        self._inner = inner
        self._signer = signer
        self._tamper = tamper

    def post(self, study_id: str, data: bytes) -> None:
        self._inner.post(study_id, data)

    def poll(self, study_id: str, after: int) -> bytes | None:
        data = self._inner.poll(study_id, after)
        if data is None:
            return None
        message = Parcel.from_bytes(data).message
        changes = self._tamper(message)
        if changes is None:
            return data
        return seal(message.model_copy(update=changes), b"", self._signer).to_bytes()


class Gone(Exception):  # noqa: N818
    """The site's process has died."""


class World:
    """All parties of one test."""

    def __init__(self, folder: Path, clock: FixedClock, sites: int = 3, answer_seconds: float = 20.0) -> None:
        self.folder = folder
        self.clock = clock
        self.dids = [site(number) for number in range(sites)]
        self.keys = {did: Keys() for did in [HUB, *self.dids]}
        self.resolver = Resolver(self.keys)
        self.logs = {did: Log(f"https://{did.removeprefix('did:web:')}") for did in [HUB, *self.dids]}
        self.databases = {did: self._database(did) for did in [HUB, *self.dids]}
        self.vectors = {did: np.arange(LENGTH) + 100 * number for number, did in enumerate(self.dids)}
        self.sessions = {
            did: Session({"summing": Summing(), "secure-sum": SecureSum()}, self.vectors[did]) for did in self.dids
        }
        self.coordinator = self.new_coordinator(answer_seconds)
        self.tampers: dict[str, Tamper] = {}
        self.checks: dict[str, Callable[[], None]] = {}
        self.tell: Callable[[SynthemaError], str] = lambda error: error.message
        self.outcomes: dict[str, Outcome] = {}

    def _database(self, did: str) -> Database:
        return new_database(self.folder / f"{did.replace(':', '-')}.sqlite")

    def new_coordinator(self, answer_seconds: float = 20.0) -> Coordinator:
        return Coordinator(
            self.databases[HUB], self.logs[HUB], self.keys[HUB], self.resolver, self.clock, HUB,
            answer_seconds=answer_seconds, acceptance_seconds=answer_seconds, folder=self.folder / "received",
        )  # fmt: skip

    def plan(self, **changes: Any) -> StudyPlan:
        epsilon, delta = 8.0, 1e-6
        values: dict[str, Any] = {
            "id": new_id("study"),
            "title": "A test study",
            "purpose": "syn:Research",
            "action": "synthesise",
            "coordinator": HUB,
            "members": tuple(PlanMember(did=did, dataset="data", agreement="agreement-1") for did in self.dids),
            "fields": ("sex",),
            "anonymiser": PluginUse(plugin="minimise", digest=digest("minimise")),
            "algorithm": PluginUse(plugin="summing", digest=digest("summing")),
            "aggregator": PluginUse(plugin="secure-sum", digest=digest("secure-sum")),
            "epsilon": epsilon,
            "delta": delta,
            "rho": rho_of(epsilon, delta),
            "rounds": 3,
            "minimum_sites": max(3, len(self.dids) - 1),
            "holdout": 0.2,
            "rows": 10,
            "codebook": CODEBOOK,
            "codebook_digest": CODEBOOK.digest,
        }
        return StudyPlan(**(values | changes))

    def participant(self, did: str, *, silence_seconds: float = 30.0) -> Participant:
        channel: Any = LoopbackChannel(self.coordinator, did, wait_seconds=0.2)
        if did in self.tampers:
            channel = Meddling(channel, self.keys[HUB], self.tampers[did])
        return Participant(
            self.databases[did], self.logs[did], self.keys[did], self.resolver, self.clock, did, channel,
            silence_seconds=silence_seconds, check=self.checks.get(did, lambda: None), tell=self.tell,
        )  # fmt: skip

    def run(
        self, plan: StudyPlan, *, algorithm: Any = None, limits: dict[str, dict[str, Any]] | None = None
    ) -> StudyResult | SynthemaError:
        """Run a study with all sites in threads; returns the result or the error that ended it."""
        algorithm = algorithm or Summing()
        for session in self.sessions.values():
            session.plugins["summing"] = algorithm
        self.coordinator.invite(plan)

        def take_part(did: str) -> None:
            allowed = replace_limits(SiteLimits.of_plan(plan), (limits or {}).get(did, {}))
            try:
                self.outcomes[did] = self.participant(did).run(plan, self.sessions[did], allowed)
            except (Gone, OSError):
                return

        threads = [threading.Thread(target=take_part, args=(did,), daemon=True) for did in self.dids]
        for thread in threads:
            thread.start()
        try:
            hub = Session({"summing": algorithm, "secure-sum": SecureSum()})
            result: StudyResult | SynthemaError = self.coordinator.run_study(plan.id, hub)
        except SynthemaError as error:
            result = error
        for thread in threads:
            thread.join(timeout=20)
            assert not thread.is_alive()
        return result

    def close(self) -> None:
        for database in self.databases.values():
            database.close()


def replace_limits(limits: SiteLimits, changes: dict[str, Any]) -> SiteLimits:
    return limits.model_copy(update=changes)


@contextmanager
def world(folder: Path, clock: FixedClock, sites: int = 3, answer_seconds: float = 20.0) -> Iterator[World]:
    made = World(folder, clock, sites, answer_seconds)
    try:
        yield made
    finally:
        made.close()


def changed(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**state, **changes}


__all__ = ["HUB", "LENGTH", "Gone", "Session", "Summing", "World", "changed", "replace", "site", "world"]
