"""kill -9 of a site in the midst of a study: it comes back, answers no round twice, and its budget is exact.

The site is a process of its own that kills itself at a commit, and is started again. The coordinator is another
process; the other sites stay, and no round ends, and none begins, before the one that died can be asked in the next.

By default it dies at the two commits between which a vector leaves; ``SYNTHEMA_CRASH=full pytest
tests/crash/test_sites.py`` takes the others of the first round as well.
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

from synthema.budget.model import units_up
from synthema.budget.store import budget_reservations
from synthema.canonical import digest_bytes
from synthema.clock import FixedClock
from synthema.demo.processes import free_ports
from synthema.federation import Outcome, Participant, ParticipationState, SiteLimits, StudyPlan
from synthema.federation.store import contributions
from synthema.storage import Database
from tests.crash.calling import Calling
from tests.crash.coordinating import NOW, RHO
from tests.e2e.misbehaving.site import vector_of
from tests.unit.datasets.support import log_text, make_log
from tests.unit.federation.world import Summing, World, world

pytestmark = [pytest.mark.crash, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[2]
ROUNDS = 3
PATIENCE = 90.0
ANSWER_SECONDS = 12.0
# A site's commits: 1 acceptance, then for each round 2 begun, 3 vector about to leave, 4 shares about to leave.
MOMENTS = [(3, True), (3, False)]
MORE = [(1, False), (2, True), (2, False), (4, True), (4, False)] if os.environ.get("SYNTHEMA_CRASH") == "full" else []


class Visitor:
    """The site that is killed, as its killer sees it."""

    def __init__(self, folder: Path, port: int, did: str) -> None:
        self.folder, self.did, self.deaths = folder, did, 0
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def lives(self, die: int, *, before: bool) -> None:
        """Let it die once, and start it again."""
        for order in ({"die": die, "before": before}, {"die": 0, "before": False}):
            arguments = [str(self.folder), str(self._port), self.did, json.dumps(order)]
            self._process = subprocess.Popen([sys.executable, "-m", "tests.crash.visiting", *arguments], cwd=ROOT)
            if order["die"]:
                assert self._process.wait(PATIENCE) == -signal.SIGKILL
                self.deaths += 1
                (self.folder / "back").unlink(missing_ok=True)
                (self.folder / "died").touch()

    def is_back(self) -> bool:
        """Whether it has heard everything since it died, or has ended."""
        return ((self.folder / "died").exists() and (self.folder / "back").exists()) or self.ended is not None

    @property
    def ended(self) -> Any:
        try:
            return json.loads((self.folder / "ended.json").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.mark.article("GDPR 32(1)")
@pytest.mark.parametrize(("die", "before"), [*MOMENTS, *MORE])
def test_no_round_is_answered_twice_and_none_is_paid_twice(tmp_path: Path, die: int, before: bool) -> None:
    with world(tmp_path, FixedClock(NOW), sites=4) as w:
        plan = w.plan(rounds=ROUNDS, minimum_sites=3)
        port = free_ports(1)[0]
        _write(tmp_path, w, plan)
        visitor = Visitor(tmp_path, port, w.dids[3])
        hub = _hub(tmp_path, port)
        try:
            outcomes = _staying(w, plan, port, visitor)
            visitor.lives(die, before=before)
            _until(lambda: (tmp_path / "result.json").exists() and visitor.ended is not None and len(outcomes) == 3)
        finally:
            visitor.end()
            hub.kill()
            hub.wait()
        found = json.loads((tmp_path / "result.json").read_text())
        ended = visitor.ended
    assert found.get("error") is None
    assert found["rounds"] == list(range(1, ROUNDS + 1))
    assert visitor.deaths == 1
    assert ended["state"] == "finished", ended["reason"]
    assert {outcome.state for outcome in outcomes.values()} == {ParticipationState.FINISHED}
    _each_vector_is_paid_once(tmp_path, plan, w.dids[3], ended, die, before=before)


def _each_vector_is_paid_once(folder: Path, plan: StudyPlan, did: str, ended: Any, die: int, *, before: bool) -> None:
    """Ledger, rounds, log and what the coordinator received tell one story."""
    database = Database(f"sqlite:///{folder}/visitor.sqlite")
    try:
        with database.read() as connection:
            left = contributions(connection, plan.id)
            kept = connection.execute(budget_reservations.select()).all()
        said = log_text(make_log(database, FixedClock(NOW)))
    finally:
        database.close()
    parts = {row.part: row for row in kept if row.part}
    assert {part: row.units for part, row in parts.items()} == {each.round_id: units_up(each.rho) for each in left}
    assert {row.state for row in parts.values()} <= {"spent"}
    (rest,) = [row for row in kept if not row.part]
    assert rest.state == "cancelled"
    assert rest.units == units_up(plan.rho) - sum(row.units for row in parts.values()), "the rest is free again"
    assert ended["rho"] == pytest.approx(sum(each.rho for each in left))
    assert ended["rho"] <= ROUNDS * RHO
    assert said.count("Privacy budget spent: round-") == said.count("masked vector of round") == len(left)
    numbers = [each.number for each in left]
    # What was about to leave when it was killed is paid; what had not come so far is not, and the round is lost,
    # unless nothing of it was begun.
    wanted = [2, 3] if (die, before) in ((2, False), (3, True)) else [1, 2, 3]
    assert numbers == wanted
    received = [path for path in (folder / "received" / plan.id).rglob("*.npy") if did.rpartition(":")[2] in path.name]
    sent = {each.digest for each in left}
    assert {digest_bytes(path.read_bytes()) for path in received} <= sent
    assert len(received) >= len(left) - 1, "at most the one it died over did not arrive"
    assert vector_of(plan.dids, did)[0] == 100 * plan.dids.index(did)


def _write(folder: Path, w: World, plan: StudyPlan) -> None:
    secrets = {did: keys._key.private_bytes_raw().hex() for did, keys in w.keys.items()}
    (folder / "keys.json").write_text(json.dumps(secrets))
    (folder / "plan.json").write_text(plan.model_dump_json())


def _hub(folder: Path, port: int) -> subprocess.Popen[bytes]:
    order = {
        "die": 0, "before": False, "rounds": ROUNDS, "answer_seconds": ANSWER_SECONDS, "acceptance_seconds": PATIENCE,
        "together": True,
    }  # fmt: skip
    arguments = [sys.executable, "-m", "tests.crash.coordinating", str(folder), str(port), json.dumps(order)]
    return subprocess.Popen(arguments, cwd=ROOT)


def _staying(w: World, plan: StudyPlan, port: int, visitor: Visitor) -> dict[str, Outcome]:
    """The three other sites, in threads; before they help to open a sum, they let the visitor come back."""
    outcomes: dict[str, Outcome] = {}

    def await_the_visitor(hook: str) -> None:
        if hook == "secure_sum_unmask":
            _until(visitor.is_back, seconds=ANSWER_SECONDS - 2)

    def take_part(did: str) -> None:
        session = w.sessions[did]
        session.plugins["summing"], session.before = Summing(rho=RHO), await_the_visitor
        session.table = np.asarray(vector_of(plan.dids, did))
        site = Participant(
            w.databases[did], w.logs[did], w.keys[did], w.resolver, w.clock, did,
            Calling(f"http://127.0.0.1:{port}", did, PATIENCE), silence_seconds=PATIENCE,
        )  # fmt: skip
        outcomes[did] = site.run(plan, session, SiteLimits.of_plan(plan))

    for did in plan.dids[:3]:
        threading.Thread(target=take_part, args=(did,), daemon=True).start()
    return outcomes


def _until(there: Any, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.05)
