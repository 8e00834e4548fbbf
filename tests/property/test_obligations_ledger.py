"""Whatever happens in whatever order: tasks walk the table, what is late blocks, and nothing done is ever undone."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from synthema.clock import FixedClock
from synthema.errors import SynthemaError
from synthema.obligations import TRANSITIONS, TaskState
from tests.databases import new_database
from tests.unit.obligations.support import HUB, make_desk
from tests.unit.policy import sample

EVIDENCE = ("https://journal.example/1", "sha256:" + "1" * 64, "http://127.0.0.1:8101/log/0")
COMPILED = sample.compiled()
FINAL = {TaskState.FULFILLED, TaskState.SETTLED, TaskState.WAIVED, TaskState.VOID}


def reachable(start: TaskState) -> set[TaskState]:
    found = {start}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in found} - found:
        found |= more
    return found


class ObligationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = new_database(Path(self.folder.name) / "state.sqlite")
        self.desk = make_desk(self.database, FixedClock(datetime(2026, 11, 21, tzinfo=UTC)))
        self.runs = 0
        self.seen: dict[str, TaskState] = {}

    @rule(basis=st.sampled_from(["a", "b"]))
    def decide(self, basis: str) -> None:
        self.runs += 1
        self.desk.take_on_under(COMPILED, sample.request(), f"run-{self.runs}", basis)

    @rule(number=st.integers(1, 8), released=st.booleans())
    def end(self, number: int, released: bool) -> None:
        self.desk.end(f"run-{number}", released=released)

    @rule(number=st.integers(1, 8), started=st.booleans())
    def fail(self, number: int, started: bool) -> None:
        self.desk.fail(f"run-{number}", started=started)

    @rule(basis=st.sampled_from(["a", "b"]), state=st.sampled_from(["PermitSuspended", "PermitRevoked"]))
    def expire(self, basis: str, state: str) -> None:
        self.desk.expire(basis, state)

    @rule(days=st.sampled_from([1, 20, 200, 600]))
    def wait(self, days: int) -> None:
        self.desk.wait(days)

    @rule()
    def sweep(self) -> None:
        self.desk.ledger.sweep()
        self.desk.ledger.remind()

    @rule(which=st.integers(0, 50), evidence=st.sampled_from(EVIDENCE), officer=st.booleans())
    def fulfil(self, which: int, evidence: str, officer: bool) -> None:
        tasks = self.desk.ledger.tasks()
        if tasks:
            task = tasks[which % len(tasks)]
            person = self.desk.officer if officer else self.desk.steward
            try:
                self.desk.ledger.fulfil([task.id], evidence, by=person.person)
            except SynthemaError:
                assert self.desk.ledger.task(task.id) == task

    @invariant()
    def every_task_walks_the_table(self) -> None:
        now = self.desk.clock.now()
        for task in self.desk.ledger.tasks():
            before = self.seen.get(task.id)
            assert before is None or task.state in reachable(before)
            assert before not in FINAL or task.state is before
            assert task.state is not TaskState.OPEN or task.due is None or task.due >= now
            assert (
                task.state not in (TaskState.FULFILLED, TaskState.SETTLED) or task.evidence or task.reason or task.holds
            )
            self.seen[task.id] = task.state

    @invariant()
    def exactly_what_was_not_kept_blocks(self) -> None:
        violated = {t.id for t in self.desk.ledger.tasks(party=HUB) if t.state is TaskState.VIOLATED}
        told = self.desk.ledger.fulfilments(HUB, "mgus", "a", self.desk.clock.now())
        assert {str(done.evidence).rpartition("/")[2] for done in told if done.state == "violated"} == violated

    def teardown(self) -> None:
        self.desk.log.verify()
        self.database.close()
        self.folder.cleanup()


TestObligations = ObligationMachine.TestCase
TestObligations.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
