"""kill -9 of a study's coordinator all along its way: every round counts once, and no site contributes twice.

The coordinator is a process of its own with its own database, which kills itself at a commit, is started
again, and kills itself some commits later, until the study has ended. The sites stay: they wait for it.

By default it dies at two distances, and once when the study has ended; ``SYNTHEMA_CRASH=full pytest
tests/crash/test_rounds.py`` takes more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthema.clock import FixedClock
from synthema.demo.processes import free_ports
from synthema.federation import Outcome, Participant, ParticipationState, SiteLimits, StudyPlan
from tests.crash.calling import Calling
from tests.crash.coordinating import AT_ITS_END, NOW, ROUNDS
from tests.unit.federation.world import HUB, Session, Summing, World, world

pytestmark = [pytest.mark.crash, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
MOMENTS = [(13, True), (16, False), (AT_ITS_END, False)]
MORE = [(7, True), (9, False), (19, True), (23, False)] if os.environ.get("SYNTHEMA_CRASH") == "full" else []


class Killed:
    """The coordinator as its killer sees it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.deaths = folder, port, 0
        self._process: subprocess.Popen[bytes] | None = None

    def lives(self, die: int, *, before: bool) -> None:
        """Start it again and again, each time to die after so many commits, until the study has ended."""
        while not (self.folder / "result.json").exists():
            order = json.dumps({"die": die, "before": before})
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.coordinating", str(self.folder), str(self.port), order], cwd=ROOT
            )
            while self._process.poll() is None and not (self.folder / "result.json").exists():
                time.sleep(0.05)
            if self._process.poll() is not None:
                assert self._process.returncode == -signal.SIGKILL
                self.deaths += 1

    def end(self) -> None:
        """End the one that is left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.mark.article("GDPR 32(1)")
@pytest.mark.parametrize(("die", "before"), [*MOMENTS, *MORE])
def test_each_round_counts_once_whenever_the_coordinator_dies(tmp_path: Path, die: int, before: bool) -> None:
    with world(tmp_path, FixedClock(NOW)) as w:
        plan = w.plan(rounds=ROUNDS)
        killed = _prepare(tmp_path, w, plan)
        outcomes = _taking_part(w, plan, killed.port)
        try:
            killed.lives(die, before=before)
            found: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
            end = time.monotonic() + PATIENCE
            while len(outcomes) < len(w.dids) and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            killed.end()
        assert killed.deaths >= 1
        assert found.get("error") is None
        assert found["rounds"] == list(range(1, ROUNDS + 1))
        exact = np.sum(list(w.vectors.values()), axis=0)
        for total in found["totals"]:
            assert np.abs(np.array(total) - exact).max() < 40
        for did in w.dids:
            outcome = outcomes[did]
            assert outcome.state is ParticipationState.FINISHED, outcome.reason
            assert [left.number for left in outcome.rounds] == list(range(1, ROUNDS + 1))
            assert outcome.rho == pytest.approx(found["rho"]), "no budget is lost, none is spent twice"
            assert w.sessions[did].calls.count("federated_contribute") == ROUNDS
            types = w.logs[did].types()
            assert types == [
                "StudyAcceptance", *["RoundStart", "RoundContribution", "RoundUnmasking"] * ROUNDS, "StudyCompletion",
            ]  # fmt: skip


def _prepare(folder: Path, w: World, plan: StudyPlan) -> Killed:
    secrets = {did: keys._key.private_bytes_raw().hex() for did, keys in w.keys.items()}
    (folder / "keys.json").write_text(json.dumps(secrets))
    (folder / "plan.json").write_text(plan.model_dump_json())
    return Killed(folder, free_ports(1)[0])


def _taking_part(w: World, plan: StudyPlan, port: int) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}

    def take_part(did: str) -> None:
        session: Session = w.sessions[did]
        session.plugins["summing"] = Summing()
        site = Participant(
            w.databases[did], w.logs[did], w.keys[did], w.resolver, w.clock, did,
            Calling(f"http://127.0.0.1:{port}", did, PATIENCE),
            silence_seconds=PATIENCE,
        )  # fmt: skip
        outcomes[did] = site.run(plan, session, SiteLimits.of_plan(plan))

    for did in w.dids:
        assert did != HUB
        threading.Thread(target=take_part, args=(did,), daemon=True).start()
    return outcomes
