"""kill -9 at every step of a run, then a restart: the run has ended, its budget counts, nothing is half released."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from synthema.assembly import home_lock
from synthema.clock import FixedClock
from synthema.config import load_settings
from tests.crash import child
from tests.crash.state import Promises, assert_extends, assert_whole, workers_of
from tests.e2e.house import NOW, House, Settled, opened, settle

pytestmark = [pytest.mark.crash, pytest.mark.timeout(280)]

BUDGET = 200.0  # more than fifty runs spend
Kill = dict[str, Any]


def at(target: str, when: str, nth: int = 1, **more: Any) -> Kill:
    return {"target": target, "when": when, "nth": nth} | more


GOVERNOR, STORE = "synthema.runs.governor:Governor", "synthema.runs.governor:store"
GROUP = "synthema.storage.database:Database._commit"
APPEND = "synthema.provenance.log:ProvenanceLog.append"
# A run's transactions: 1 decision and grant, 2 start, 3 opening, 4 preparation, 5 quarantine, 6 verdict.
NAMED: list[Kill] = [
    *[at("commit", "before", n) for n in range(1, 7)],
    *[at(GROUP, "after", n) for n in range(1, 7)],
    *[at(APPEND, "after", n) for n in (1, 2, 3, 4, 5, 8, 9)],
    at(f"{STORE}.move", "after", 2),
    at(f"{STORE}.consume_grant", "after"),
    at("synthema.budget:BudgetLedger.spend", "after"),
    at("synthema.budget:BudgetLedger.reserve", "before"),
    at("synthema.budget:BudgetLedger.reserve", "after"),
    at("synthema.budget.ledger:store.insert_reservation", "after"),
    at("synthema.obligations:ObligationLedger.take_on", "before"),
    at("synthema.obligations:ObligationLedger.take_on", "after"),
    at("synthema.obligations.ledger:store.insert_task", "after", 2),
    at("synthema.obligations:ObligationLedger.run_ended", "after"),
    at("synthema.runs.sandbox:Sandbox.open_session", "before"),
    at("synthema.runs.sandbox:Sandbox.open_session", "after"),
    at("synthema.datasets:DatasetStore._unseal", "before"),
    at("synthema.datasets:DatasetStore._unseal", "after"),
    at("synthema.runs.sandbox:Session.call", "before", 2),
    at("synthema.runs.sandbox:Session.call", "after", 4),
    at("synthema.runs.sandbox:Session.call", "after", 5),
    at("synthema.runs.sandbox:Session.close", "before"),
    at(f"{GOVERNOR}.keep_file", "before", 2),
    at(f"{GOVERNOR}.keep_file", "after", 3),
    at("pathlib:Path.replace", "before", 2),
    at(f"{STORE}.settle_artefacts", "after"),
    at(f"{GOVERNOR}._forget", "before", work="withheld"),
    at(f"{GOVERNOR}._forget", "after", work="withheld"),
    at("synthema.assembly.operations.datasets:read_source", "after", work="adding"),
    at("synthema.datasets.store:write_durably", "after", work="adding"),
    at("synthema.consent:ConsentStore.enrol_within", "before", work="adding"),
    at("synthema.consent:ConsentStore.enrol_within", "after", work="adding"),
]
# While the next start settles what an earlier kill left: the start after that must do it.
OPENING: list[list[Kill]] = [
    [at(GROUP, "after", 2), at(f"{GOVERNOR}.fail", "before", opening=True)],
    [at(GROUP, "after", 1), at(APPEND, "after", 1, opening=True)],
    [at(GROUP, "after", 5), at(f"{GOVERNOR}._forget", "before", opening=True)],
]
RANDOM, EACH = 4, 3


def chunks(kills: list[Kill], size: int) -> list[list[Kill]]:
    return [kills[start : start + size] for start in range(0, len(kills), size)]


NAMED_CHUNKS = chunks(NAMED, 5)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    return settle(tmp_path_factory.mktemp("settled"), FixedClock(NOW), BUDGET)


@dataclass(slots=True)
class Victim:
    """A connector's home that is killed again and again."""

    home: Path
    order: dict[str, Any]
    promises: Promises
    said: Path
    complaints: Path
    size: int = 0
    root: bytes = b""

    def start(self, order: Kill) -> BaseProcess:
        return child.start(self.home, self.order | order, self.said, self.complaints)

    def dies_at(self, order: Kill) -> None:
        """Let the connector kill itself at a step."""
        process = self.start(order)
        process.join(timeout=120)
        if process.is_alive():
            process.kill()
            pytest.fail(f"it lives on: {self.complaints.read_text()}")
        assert process.exitcode == -signal.SIGKILL, self.complaints.read_text()
        said = self.said.read_text()
        self.promises.take(said.splitlines())
        assert order.get("opening") or "ready" in said

    def is_killed_after(self, seconds: float) -> None:
        """Kill the connector some time after it began to work."""
        self.said.unlink(missing_ok=True)
        process = self.start({})
        while not self.said.exists() or "ready\n" not in self.said.read_text():
            assert process.is_alive(), self.complaints.read_text()
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.join()
        self.promises.take(self.said.read_text().splitlines())

    def stands_up_whole(self) -> None:
        """Start again and look at everything."""
        self.workers_are_gone()
        with home_lock(self.home), opened(load_settings(self.home), FixedClock(NOW)) as connector:
            assert_whole(connector, self.promises)
            if self.root:
                assert_extends(connector, self.size, self.root)
            self.size, self.root = connector.log.size(), connector.log.root()

    def workers_are_gone(self) -> None:
        """Plugin processes die with their connector."""
        end = time.monotonic() + 20
        while left := workers_of(self.home):
            assert time.monotonic() < end, f"still working: {left}"
            time.sleep(0.05)

    def still_works(self) -> None:
        """After all that, a run goes through as on the first day."""
        with opened(load_settings(self.home), FixedClock(NOW)) as connector:
            house = House(connector)
            house.permit = self.order["permit"]
            assert house.call("request/submit", {"request": house.wish()})["verdict"]["released"]


@pytest.fixture
def victim(settled: Settled, tmp_path: Path) -> Victim:
    home = tmp_path / "home"
    shutil.copytree(settled.home, home)
    home.chmod(0o700)
    table = tmp_path / "mgus.csv"
    table.write_text(settled.patients.table, encoding="utf-8")
    return Victim(
        home, {"permit": settled.permit, "table": str(table)}, Promises(), tmp_path / "said", tmp_path / "complaints"
    )


@pytest.mark.article("GDPR 32(1)")
@pytest.mark.parametrize("number", range(len(NAMED_CHUNKS)))
def test_killed_at_a_named_step(victim: Victim, number: int) -> None:
    for kill in NAMED_CHUNKS[number]:
        victim.dies_at(kill)
        victim.stands_up_whole()
    victim.still_works()


@pytest.mark.parametrize("number", range(len(OPENING)))
def test_killed_while_settling_what_a_kill_left(victim: Victim, number: int) -> None:
    for kill in OPENING[number]:
        victim.dies_at(kill)
    victim.stands_up_whole()
    victim.still_works()


@pytest.mark.parametrize("number", range(RANDOM))
def test_killed_at_any_moment(victim: Victim, number: int) -> None:
    moments = random.Random(number)  # noqa: S311 - moments, not secrets
    for _ in range(EACH):
        victim.is_killed_after(moments.uniform(0.0, 2.0))
        victim.stands_up_whole()
    victim.still_works()


def test_these_are_fifty_kills() -> None:
    assert len(NAMED) + sum(map(len, OPENING)) + RANDOM * EACH >= 50
