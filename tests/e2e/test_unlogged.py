"""What cannot be written into the log does not happen, at every step of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.config import load_settings
from synthema.datasets.seal import unseal
from synthema.errors import NotFoundError, StorageError
from synthema.provenance import Activity
from synthema.runs.execute import generate
from synthema.runs.model import RunState
from tests.e2e.house import NOW, House, Settled, copy_of, opened, refused

pytestmark = pytest.mark.e2e


class Full:
    """A log that cannot take entries of some types."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch, *types: str) -> None:
        append = house.connector.log.append

        def refuse(connection: Any, activity: Activity) -> Any:
            if activity.type in types or not types:
                raise StorageError("the log is full", fix="make room")
            return append(connection, activity)

        patch.setattr(house.connector.log, "append", refuse)


@pytest.mark.article("GDPR 5(2)")
@pytest.mark.parametrize("step", ["PolicyDecision", "Granting", "BudgetReservation"])
def test_a_decision_that_cannot_be_logged_was_not_made(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before, size = house.snapshot(), house.connector.log.size()
    Full(house, monkeypatch, step)
    with pytest.raises(StorageError, match="log is full"):
        house.request()
    assert house.snapshot() == before
    assert house.connector.log.size() == size


@pytest.mark.parametrize("step", ["Run", "BudgetSpend"])
def test_a_start_that_cannot_be_logged_uses_nothing_up(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    grant, request = house.granted()
    with monkeypatch.context() as patch:
        Full(house, patch, step)
        with refused(house, StorageError, "log is full"):
            house.connector.governor.start(grant, request)
    assert generate(house.connector.governor, grant, request).released


@pytest.mark.parametrize("step", ["DatasetOpening", "Preparation", "Quarantine", "Release"])
def test_a_later_step_that_cannot_be_logged_fails_the_run(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    grant, request = house.granted()
    opened: list[object] = []
    monkeypatch.setattr("synthema.datasets.store.unseal", unsealing(opened))
    Full(house, monkeypatch, step)
    with pytest.raises(StorageError, match="log is full"):
        generate(house.connector.governor, grant, request)
    after = house.snapshot()
    assert dict(after.states)[request.id] == "failed"
    assert (after.spent > 0, after.reserved, after.files) == (True, 0, ())
    assert bool(opened) == (step != "DatasetOpening")
    shown = house.call("request/show", {"run": request.id})
    assert {file["state"] for file in shown["artefacts"]} <= {"withheld"}
    assert "ns#Failure>" in house.log_text()[-1]


def unsealing(opened: list[object]) -> Callable[..., Any]:
    def note(*given: Any) -> Any:
        opened.append(given)
        return unseal(*given)

    return note


def test_with_no_log_at_all_nothing_is_released_and_the_next_start_settles_it(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copy_of(settled, tmp_path) as house:
        grant, request = house.granted()
        governor = house.connector.governor
        settle = governor.settle

        def settle_without_log(*given: Any) -> Any:
            Full(house, monkeypatch)
            return settle(*given)

        monkeypatch.setattr(governor, "settle", settle_without_log)
        with pytest.raises(StorageError, match="log is full"):
            generate(governor, grant, request)
        assert governor.run(request.id).state is RunState.QUARANTINED
        files = house.call("request/show", {"run": request.id})["artefacts"]
        assert {file["state"] for file in files} == {"quarantined"}
        for file in files:
            with pytest.raises(NotFoundError):
                governor.released(file["digest"])
    monkeypatch.undo()
    with opened(load_settings(house.connector.settings.home), FixedClock(NOW)) as connector:
        assert connector.governor.run(request.id).state is RunState.FAILED
        assert House(connector).snapshot().files == ()
