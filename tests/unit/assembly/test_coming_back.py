"""Which of a site's runs in studies are taken up after a restart, by what is kept of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly import coming_back
from synthema.assembly.coming_back import interrupted, unsettled
from synthema.budget.model import ReservationState
from synthema.clock import FixedClock
from synthema.federation import SiteLimits, StudyPlan
from synthema.federation.store import add_participation, move_participation
from synthema.runs import store
from synthema.runs.model import RunRequest
from synthema.storage import Database
from tests.unit.federation.world import world

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EXACT = {"output": "report", "action": "query aggregate", "epsilon": 0.0, "delta": 0.0, "rho": 0.0, "rows": 0}


@pytest.fixture
def exact(tmp_path: Any, clock: FixedClock) -> StudyPlan:
    with world(tmp_path, clock) as w:
        return w.plan(**EXACT)


@pytest.fixture
def noisy(tmp_path: Any, clock: FixedClock) -> StudyPlan:
    with world(tmp_path, clock) as w:
        return w.plan()


def taking_part(
    database: Database, plan: StudyPlan, *steps: str, reservation: str | None = None, **changes: Any
) -> str:
    """A run of the site in rounds, and how far it has come in its study; returns the run's id."""
    kind, output = ("federated-analysis", "aggregate") if plan.exact else ("federated-algorithm", "masked")
    request = RunRequest.model_validate(
        {
            "id": f"run-{plan.id}", "requester": plan.coordinator, "dataset": "data", "purpose": plan.purpose,
            "action": plan.action, "anonymise": {"plugin": "minimise"}, "compute": {"plugin": "summing"}, "kind": kind,
            "output": output, "epsilon": plan.epsilon, "delta": plan.delta, "study": plan.id,
            "plan_digest": plan.digest, "contributing_parties": 3, **changes,
        }
    )  # fmt: skip

    def write(connection: Any) -> None:
        store.insert_run(connection, request, AT)
        store.move(connection, request.id, "grant", AT, reservation=reservation)
        store.move(connection, request.id, "start", AT)
        add_participation(connection, plan, SiteLimits.of_plan(plan), AT)
        for step in steps:
            move_participation(connection, plan.id, step, "coordinator", AT)

    database.write(write)
    return request.id


def rooms(database: Database) -> Any:
    return SimpleNamespace(database=database)


def test_exact_sums_need_no_budget_to_go_on(database: Database, exact: StudyPlan) -> None:
    run = taking_part(database, exact, "round")
    assert interrupted(rooms(database)) == {run: exact}
    assert unsettled(rooms(database)) == {}


def test_a_run_whose_rounds_are_over_waits_to_be_settled(database: Database, exact: StudyPlan) -> None:
    run = taking_part(database, exact, "round", "finish")
    assert interrupted(rooms(database)) == {}
    assert unsettled(rooms(database)) == {run: exact}
    database.write(lambda connection: store.move(connection, run, "quarantine", AT))
    assert unsettled(rooms(database)) == {}, "its files are there already, and are deleted"


def test_a_run_of_another_plan_is_none_of_the_study(database: Database, exact: StudyPlan) -> None:
    taking_part(database, exact, "round", plan_digest="sha256:" + "0" * 64)
    assert interrupted(rooms(database)) == {}


@pytest.mark.parametrize(("state", "taken"), [(ReservationState.OPEN, True), (ReservationState.SPENT, False)])
def test_noisy_sums_go_on_as_far_as_their_budget_is_open(
    database: Database, noisy: StudyPlan, monkeypatch: pytest.MonkeyPatch, state: ReservationState, taken: bool
) -> None:
    monkeypatch.setattr(coming_back, "find_reservation", lambda *_: SimpleNamespace(state=state))
    taking_part(database, noisy, "round", reservation="reservation-1")
    assert bool(interrupted(rooms(database))) is taken


def test_noisy_sums_without_any_budget_do_not(database: Database, noisy: StudyPlan) -> None:
    taking_part(database, noisy, "round")
    assert interrupted(rooms(database)) == {}
