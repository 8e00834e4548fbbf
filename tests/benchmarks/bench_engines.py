"""What carrying a round costs: the same study on both engines, and beside its sums alone.

Three sites with the real secure sum and the real records on disk, all on this machine. A round is six
exchanges a site. ``embedded``: ``peer`` is the same keys, noise, masks and sums with nothing carried,
signed or written. ``FLARE``: ``peer`` is the embedded engine; its processes, TLS and the site's three log
entries an exchange are in the time. Without an environment of
FLARE (``make flare``) its lines are left out. Run it alone: ``python -m tests.benchmarks engines``.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from synthema.clock import FixedClock
from synthema.federation import StudyResult
from synthema.federation.flare import FlareEnvironment
from synthema.federation.privacy import noise_share, noised
from synthema.spi.model import Aggregate, Plan, State
from synthema_secure_sum import Member, open_sum
from tests.flare.conftest import DEFAULT, FOLDER
from tests.flare.federation import Federation
from tests.unit.federation.world import Summing, World
from tests.unit.federation_engine.test_embedded import OnOneMachine

LENGTHS = (1_000, 1_000_000)
ROUNDS = 5
PATIENCE = 120.0  # seconds that a coordinator waits for a site: a busy machine is no failure
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Timed(Summing):
    """Sums of vectors of any length, and when each was opened."""

    def __init__(self, length: int) -> None:
        super().__init__(ROUNDS + 1, rho=0.01)
        self.length = length
        self.opened: list[float] = []

    def federated_open(self, plan: Plan) -> State:
        return State(1, self.length, self.rho, 1.0, finished=False, values={})

    def federated_absorb(self, state: State, total: Aggregate) -> State:
        self.opened.append(time.perf_counter())
        return State(state.round + 1, self.length, self.rho, 1.0, finished=state.round >= self.rounds, values={})

    def milliseconds(self) -> float:
        """The median of the rounds after the first."""
        gaps = [1000 * (later - earlier) for earlier, later in zip(self.opened, self.opened[1:], strict=False)]
        return statistics.median(gaps)


def run() -> Iterator[dict[str, Any]]:
    """One line for each engine and length."""
    embedded = dict(_embedded())
    for length, took in embedded.items():
        yield _line(f"embedded engine, a round of 3 sites × {length:,} vs. its sums alone", took, _alone(length))
    environment = FlareEnvironment(Path(os.environ.get(FOLDER, DEFAULT)))
    if (environment.version() or "").startswith("2.9."):
        yield from _flare(environment, embedded)


def _embedded() -> Iterator[tuple[int, float]]:
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            made = OnOneMachine(Path(folder), FixedClock(NOW), PATIENCE)
            try:
                yield length, _round(made, length)
            finally:
                made.world.close()


def _flare(environment: FlareEnvironment, embedded: dict[int, float]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        made = Federation(Path(folder), environment, FixedClock(NOW), answer_seconds=PATIENCE)
        try:
            made.start()
            for length in LENGTHS:
                name = f"FLARE engine, a round of 3 sites × {length:,} vs. the embedded engine"
                yield _line(name, _round(made, length), embedded[length])
        finally:
            made.close()


def _round(made: OnOneMachine | Federation, length: int) -> float:
    algorithm = Timed(length)
    _widen(made.world, length)
    result = made.run(made.world.plan(rounds=ROUNDS + 1), algorithm)
    if not isinstance(result, StudyResult):
        raise result
    return algorithm.milliseconds()


def _widen(world: World, length: int) -> None:
    for did in world.dids:
        world.sessions[did].table = np.arange(length, dtype=np.int64) % 1000


def _alone(length: int) -> float:
    """Keys, shares, noise, masks and sum of one round, called one after the other."""
    sigma = noise_share(0.01, 1.0, 2, length).sigma
    names = ["one", "two", "three"]
    times = []
    for number in range(ROUNDS):
        round_id, members = f"round-{number}", {name: Member() for name in names}
        start = time.perf_counter()
        keys = {name: member.advertise(round_id, name) for name, member in members.items()}
        agreed: dict[str, Any] = {"bound": 2**45, "colluders": 1}
        sealed = {name: member.share(round_id, keys, 3, **agreed) for name, member in members.items()}
        vector = np.arange(length, dtype=np.int64) % 1000
        masked = {}
        for name, member in members.items():
            shares = {other: sealed[other][name] for other in names if other != name}
            masked[name] = member.mask(round_id, noised(vector, sigma, 2**40, len(names)), shares)
        answers = {name: member.unmask(round_id, names, []) for name, member in members.items()}
        open_sum(round_id, keys, masked, answers, 3, **agreed)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _line(name: str, ours: float, peer: float) -> dict[str, Any]:
    return {
        "name": name, "ours": round(ours, 1), "peer": round(peer, 1), "ratio": round(ours / peer, 2), "goal": None,
        "unit": "ms",
    }  # fmt: skip
