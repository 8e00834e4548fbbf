"""Rounds between five sites and a coordinator, each a process of its own, over TLS: one killed, one slow, one hostile.

The classes are the product's own; the gate and the sandbox stay out, so that it runs in seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scipy import stats

from synthema.clock import FixedClock
from synthema.demo.processes import free_ports
from synthema.federation import StudyPlan, kept_vector
from tests.crash.coordinating import NOW, ROUNDS
from tests.e2e.misbehaving.reasons import refused_for_its_reason
from tests.e2e.misbehaving.site import PATIENCE, vector_of
from tests.e2e.tls import Authority, TlsWire
from tests.unit.federation.world import World, site, world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 25.0
HOW = {site(2): "dies", site(3): "slow", site(4): "hostile"}
HONEST = [site(0), site(1), site(3)]


@pytest.mark.article("GDPR 32(1)")
def test_one_killed_one_slow_one_hostile_and_the_rest_finish(tmp_path: Path) -> None:
    with world(tmp_path, FixedClock(NOW), sites=5) as w:
        plan = w.plan(rounds=ROUNDS, minimum_sites=3, tolerated_colluders=0)
        processes, wire = _started(tmp_path, w, plan)
    try:
        found = _until(tmp_path / "result.json", processes)
        ended = {did: _until(tmp_path / f"{_name(did)}.json", processes) for did in plan.dids if did != site(2)}
        assert processes[site(2)].wait(30) == -signal.SIGKILL
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        wire.close()

    assert found.get("error") is None
    assert found["rounds"] == list(range(1, ROUNDS + 1))
    for did in HONEST:
        assert (ended[did]["state"], ended[did]["rounds"]) == ("finished", found["rounds"]), ended[did]
        rounds = ["RoundStart", "RoundContribution", "RoundUnmasking"] * ROUNDS
        assert ended[did]["log"] == ["StudyAcceptance", *rounds, "StudyCompletion"]
    # The hostile site's vectors were as they should be, so they are in the sums; the dead site's never came.
    exact = sum(vector_of(plan.dids, did) for did in plan.dids if did != site(2))
    for total in found["totals"]:
        assert np.abs(np.array(total) - exact).max() < 40
    assert ended[site(4)]["log"].count("RoundUnmasking") == ROUNDS - 1, "it did not help to open the last sum"
    assert ended[site(4)]["log"].count("RoundAbsence") == 1
    answers = refused_for_its_reason(tmp_path / "told.jsonl")
    assert answers["the same again"] == "taken", "what was said before changes nothing, and is no error"
    _single_vectors_look_uniform(tmp_path / "received" / plan.id, len(plan.dids) - 1)


def _started(folder: Path, w: World, plan: StudyPlan) -> tuple[dict[str, subprocess.Popen[bytes]], TlsWire]:
    secrets = {did: keys._key.private_bytes_raw().hex() for did, keys in w.keys.items()}
    (folder / "keys.json").write_text(json.dumps(secrets))
    (folder / "plan.json").write_text(plan.model_dump_json())
    authority = Authority(folder / "authority")
    wire = TlsWire(authority.server())
    edge, inner = free_ports(2)
    wire.listen(edge, inner)
    hub = json.dumps({"die": 0, "before": False, "answer_seconds": ANSWER_SECONDS, "acceptance_seconds": PATIENCE})
    processes = {"hub": _process("tests.crash.coordinating", str(folder), str(inner), hub)}
    for did in plan.dids:
        order = {
            "url": f"https://127.0.0.1:{edge}", "authority": str(authority.file), "how": HOW.get(did, ""),
            "told": str(folder / "told.jsonl"),
        }  # fmt: skip
        processes[did] = _process("tests.e2e.misbehaving.site", str(folder), did, json.dumps(order))
    with pytest.raises(httpx.ConnectError):  # who does not know the authority does not get through
        httpx.get(f"https://127.0.0.1:{edge}/", trust_env=False, timeout=10)
    return processes, wire


def _process(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    modest = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, env={**os.environ, **modest})


def _until(file: Path, processes: dict[str, subprocess.Popen[bytes]]) -> Any:
    """What a process has written when it was done."""
    end = time.monotonic() + PATIENCE
    while not file.exists() or not file.read_bytes():
        assert time.monotonic() < end, file
        assert processes["hub"].poll() is None, "the coordinator has ended"
        time.sleep(0.1)
    return json.loads(file.read_bytes())


def _name(did: str) -> str:
    return did.rpartition(":")[2]


def _single_vectors_look_uniform(received: Path, sites: int) -> None:
    """All that the coordinator received of one site: its bytes cannot be told from uniform ones."""
    vectors = [np.load(path, allow_pickle=False) for path in sorted(received.rglob("*.npy"))]
    assert len(vectors) == sites * ROUNDS
    bits = np.unpackbits(np.concatenate([vector.view(np.uint8) for vector in vectors]))
    assert stats.binomtest(int(bits.sum()), len(bits), 0.5).pvalue > 1e-6
    for vector in vectors:
        assert np.any(vector.astype(float) > 2**20), "no vector is small numbers"
    assert kept_vector(received.parent, received.name, "r", site(0)).suffix == ".npy"
