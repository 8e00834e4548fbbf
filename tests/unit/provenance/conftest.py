"""A log with keys, and short ways to write activities."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synthema.clock import FixedClock
from synthema.identity import FileSigner
from synthema.provenance import Activity, Agent, Entity, ProvenanceLog
from synthema.storage import Database

ORIGIN = "http://127.0.0.1:8101"
PASSPHRASE = b"correct horse battery"


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("hospital") / "keys", PASSPHRASE)


@pytest.fixture(scope="session")
def other_signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("registry") / "keys", PASSPHRASE)


@pytest.fixture
def log(database: Database, signer: FileSigner, clock: FixedClock) -> ProvenanceLog:
    return ProvenanceLog(database, signer, ORIGIN, clock)


Step = Callable[..., Activity]


@pytest.fixture
def step(log: ProvenanceLog, clock: FixedClock) -> Step:
    """``step("run-1", used=["dataset-1"], made=["result-1"])``: things are named by their last part."""

    def make(name: str, *, used: tuple[str, ...] = (), made: tuple[str, ...] = (), by: str | None = None) -> Activity:
        def entity(thing: str, derived: tuple[str, ...] = ()) -> Entity:
            sources = tuple(log.iri("thing", source) for source in derived)
            return Entity(log.iri("thing", thing), ("Thing",), f"The {thing}", f"sha256:{thing}", sources)

        return Activity(
            iri=log.iri("step", name),
            type="Run",
            label=f"Step {name}",
            started=clock.now(),
            ended=clock.now(),
            agents=(Agent(log.iri("person", by), "Person", f"Account {by}", acts_for=f"{ORIGIN}/org"),) if by else (),
            used=tuple(entity(thing) for thing in used),
            generated=tuple(entity(thing, used) for thing in made),
        )

    return make


@pytest.fixture
def filled(log: ProvenanceLog, step: Step) -> ProvenanceLog:
    """A log of 13 entries with heads signed at 5 and 13."""
    for number in range(13):
        log.record(step(f"run-{number}"))
        if number == 4:
            log.checkpoint()
    log.checkpoint()
    return log
