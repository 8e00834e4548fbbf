"""Processes that die: what they held ends with them, and what can go on goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.federation import StudyResult
from synthema.federation.flare import FlareEnvironment
from tests.flare.federation import AGREEMENT, Federation
from tests.unit.federation.world import Summing
from tests.unit.federation_engine.contract import plain_sum, without_noise
from tests.waiting import until

pytestmark = pytest.mark.crash


def job_processes(parent: int) -> list[psutil.Process]:
    """FLARE's job processes below one of its parent processes."""
    return psutil.Process(parent).children(recursive=True)


def once(act: Callable[[], None], hook: str) -> Callable[[str], None]:
    """Do something the first time a hook is called."""
    left = [act]

    def before(called: str) -> None:
        if called == hook and left:
            left.pop()()

    return before


@pytest.fixture
def five(tmp_path: Path, environment: FlareEnvironment, clock: FixedClock) -> Iterator[Federation]:
    made = Federation(tmp_path, environment, clock, sites=5, answer_seconds=90.0)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_a_crashed_job_is_replaced_and_a_lost_host_is_left_out(
    five: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthema.federation.privacy.discrete_gaussian", without_noise)
    w = five.world
    unlucky, lost = w.dids[1], w.dids[4]

    def crash() -> None:
        for process in job_processes(five.sites[unlucky].pid or 0):
            process.kill()

    w.sessions[unlucky].before = once(crash, "secure_sum_share")
    first = five.run(w.plan(rounds=1, minimum_sites=4), Summing(rounds=1))
    assert isinstance(first, StudyResult), first
    assert first.state.values["totals"] == [plain_sum(w)]
    assert five.hub.jobs()[0].resumed >= 1

    for did in w.dids:  # the same vectors would be refused: they are never summed again over fewer sites
        w.sessions[did].table = w.sessions[did].table + 1
    host = psutil.Process(five.sites[lost].pid)

    def perish(hook: str) -> None:
        if hook == "secure_sum_share":  # from the next exchange on, the coordinator waits no longer than this
            w.coordinator._answer_seconds = 20.0
        if hook == "secure_sum_mask":
            for process in (*host.children(recursive=True), host):
                process.kill()

    w.sessions[lost].before = perish
    second = five.run(w.plan(rounds=1, minimum_sites=4), Summing(rounds=1))
    assert isinstance(second, StudyResult), (second, five.outcomes)
    assert second.rounds[0].dropped == (lost,)
    rest = sum(w.sessions[did].table for did in w.dids if did != lost)
    assert second.state.values["totals"] == [[int(number) for number in rest]]

    parent = five.sites[w.dids[0]].pid or 0
    jobs = job_processes(parent)
    assert jobs
    os.kill(parent, signal.SIGKILL)
    assert not psutil.wait_procs(jobs, timeout=10.0)[1]


LONE_SITE = """
import json, sys, time
from pathlib import Path
from synthema.federation.flare import FlareEnvironment, FlareSite

class Gate:
    def answer(self, question, payload):
        return {"permit": True}, b""

site = FlareSite(Path(sys.argv[1]), FlareEnvironment(Path(sys.argv[2])), Gate(), sys.argv[3])
site.start()
print(json.dumps(site.pid), flush=True)
time.sleep(600)
"""


def test_a_kill_of_the_connector_ends_flare_at_its_site(running: Federation, tmp_path: Path) -> None:
    did = "did:web:killed.example"
    running.world.keys[did] = running.world.keys[running.world.dids[0]]
    running.world.databases[did] = running.world.databases[running.world.dids[0]]
    running.world.logs[did] = running.world.logs[running.world.dids[0]]
    site = running.enrol(did)
    try:
        connector = subprocess.Popen(
            [sys.executable, "-c", LONE_SITE, str(site.folder), str(running.environment.folder), did],
            stdout=subprocess.PIPE,
        )
        assert connector.stdout is not None
        flare = psutil.Process(json.loads(connector.stdout.readline()))
        until(lambda: len(running.hub.ask("sites")), lambda count: count == 4, 60)
        connector.kill()
        connector.wait()
        connector.stdout.close()
        until(flare.is_running, lambda runs: not runs or flare.status() == psutil.STATUS_ZOMBIE, 10.0)
    finally:
        for table in (running.world.keys, running.world.databases, running.world.logs, running.sites):
            table.pop(did, None)  # type: ignore[attr-defined]


def test_a_connector_that_fails_says_no(running: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(question: object, payload: bytes) -> tuple[dict[str, object], bytes]:
        raise RuntimeError("no governor here")

    monkeypatch.setattr(running.sites[running.world.dids[0]].desk, "_answer", broken)
    with pytest.raises(DeniedError, match="the connector failed within"):
        running.hub.begin(dict.fromkeys(running.world.dids, AGREEMENT), enough=3)
