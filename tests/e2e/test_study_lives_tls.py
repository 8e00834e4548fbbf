"""Five whole connectors and a hub over TLS: one killed and started again, one slow, one hostile; the rest finish.

``tests/e2e/test_study_five_sites.py`` has the same at the level of rounds, with what the hostile one is told.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from synthema.demo.patients import hospital_data
from tests.e2e.misbehaving.reasons import refused_for_its_reason
from tests.e2e.space import ended_run, log_text
from tests.e2e.tls_space import FIVE, TlsSpace, tls_space
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MISBEHAVING = Path(__file__).parent / "misbehaving"
DIES, SLOW, HOSTILE = (actor.key for actor in FIVE[2:])
ANSWER_SECONDS = 15.0
STOPPED_SECONDS = 4.0


@pytest.mark.article("GDPR 32(1)")
def test_one_killed_one_slow_one_hostile_and_the_rest_finish(tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    hostile = {"PYTHONPATH": str(MISBEHAVING), "SYNTHEMA_TEST_SITE": "hostile", "SYNTHEMA_TEST_TOLD": str(told)}
    patience: dict[str, Any] = {"answer_seconds": ANSWER_SECONDS, "tolerated_colluders": 0}
    with tls_space(tmp_path, hospital_data((1,) * 5), {HOSTILE: hostile}, **patience) as space:
        study = space.begin("Five hospitals over TLS", tolerated_colluders=0)
        space.reaches(study, lambda: space.rounds(study) >= 1, 300)
        space.kill(DIES)
        slow = space.houses[SLOW].running.process
        slow.send_signal(signal.SIGSTOP)
        space.restart(DIES)
        time.sleep(STOPPED_SECONDS)
        slow.send_signal(signal.SIGCONT)
        found = until(lambda: space.study(study), lambda seen: seen["state"] not in ("inviting", "running"), 300)
        assert found["state"] in ("quarantined", "released", "stopped"), found["reason"]
        _the_rest_finished(space, study)
        _the_dead_came_back(space, study)
        refused_for_its_reason(told)
        _nothing_was_said_in_the_clear(space)


def _the_rest_finished(space: TlsSpace, study: str) -> None:
    opened = space.hub.call("study/rounds", {"study": study})
    assert [each["round"] for each in opened] == list(range(1, len(opened) + 1))
    assert len(opened) >= 2
    for house in (*space.sites[:2], space.houses[SLOW]):
        assert ended_run(house, study, 120)["state"] == "released"
        assert house.did in {did for each in opened for did in each["survivors"]}
        (account,) = [gauge for gauge in house.call("budget/show") if gauge["basis"]]
        spent = account["rho"]["spent"]
        mine = [each["rho"] for each in opened if house.did in each["survivors"]]
        assert spent >= sum(mine) * (1 - 1e-9), "every round that holds its vector is paid"
        assert account["rho"]["reserved"] == 0, "what no round spent is free"


def _the_dead_came_back(space: TlsSpace, study: str) -> None:
    house = space.houses[DIES]
    run = ended_run(house, study, 120)
    said = log_text(house)
    assert run["state"] == "released", run["reason"]
    assert "this site was restarted and is back in the study" in said
    assert "run goes on in a new sandbox after the connector had stopped" in said
    (account,) = [gauge for gauge in house.call("budget/show") if gauge["basis"]]
    handed = said.count("handed over")
    assert handed >= 1
    assert said.count("Privacy budget spent: round-") == handed, "each vector is paid once"
    assert account["rho"]["reserved"] == 0
    assert house.call("log/verify")["size"] > 0


def _nothing_was_said_in_the_clear(space: TlsSpace) -> None:
    """What the proxies took from the connectors behind them is plain; what passed before them was TLS alone."""
    assert b"/federation/studies/" in space.wire.heard()
    assert all(house.running.settings.public_url.startswith("https://") for house in space.houses.values())
