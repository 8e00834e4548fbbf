"""How fast the secure sum is, beside what it cannot be faster than, and against the time that was agreed.

Three kinds of line, all measured in one run, in time of the processor (all of it runs in one thread, so on a machine
that does nothing else this is the time that passes):

* ``vs. its cipher alone`` (for the opening: and a plain sum): ``peer`` is the time the cipher needs for the same
  keystreams; with few sites and short vectors, fixed work weighs more, and there is no goal;
* ``vs. a plain numpy sum``: ``peer`` is the sum of the same vectors without any secrecy;
* ``within the time agreed``: ``peer`` is that time in milliseconds, so the ratio must not be above 1.

And memory at a client, in vectors; and the noise a site adds, beside OpenDP's exact sampler. Run it alone:
``python -m tests.benchmarks secure_sum``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema.federation.noise import discrete_gaussian
from synthema_secure_sum import Member, masks, open_sum
from synthema_secure_sum.roll import Roll

ATTEMPTS = 3
MANY = 10
BOUND_FOR_32_BITS = 2**24
LARGEST_NUMBER = 2**20


@dataclass(frozen=True, slots=True)
class Case:
    """One size: how many sites and numbers, how wide, how many drop out, and what was agreed."""

    sites: int
    length: int
    bound: int | None = BOUND_FOR_32_BITS
    threshold: int = 0
    dropped: int = 0
    colluders: int | None = None
    masking_goal: float | None = None
    opening_goal: float | None = None

    @property
    def needed(self) -> int:
        return self.threshold or self.sites * 2 // 3 + 1

    @property
    def name(self) -> str:
        width = "uint64" if self.bound is None else "uint32"
        lost = f", {self.dropped} drop out" if self.dropped else ""
        return f"secure sum, {self.sites} sites × 10^{len(str(self.length)) - 1} {width}{lost}"


CASES = (
    Case(3, 1_000_000),
    Case(30, 1_000_000, masking_goal=40.0, opening_goal=100.0),
    Case(30, 1_000_000, bound=None),
    Case(30, 1_000_000, threshold=27, dropped=3),
    Case(30, 1_000_000, threshold=20, dropped=10),
    Case(100, 1_000_000, bound=2**20),
    Case(100, 1_000_000, bound=2**20, threshold=90, dropped=10, colluders=10),
    Case(10, 10_000_000),
)


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of keys and shares, of masking, of opening, of a plain sum; keystreams of a site and the opener."""

    setup: float
    masking: float
    opening: float
    plain: float
    site_streams: int
    opening_streams: int


def run() -> Iterator[dict[str, Any]]:
    """One line for each comparison; the best of three attempts each."""
    for case in CASES:
        yield from _compare(case)
    yield _setup_of_all(30)
    yield _memory()
    yield from _noise()


def _compare(case: Case) -> Iterator[dict[str, Any]]:
    vector = np.random.default_rng(0).integers(-LARGEST_NUMBER, LARGEST_NUMBER, case.length)
    attempts = [_one_round(case, vector, f"round-{attempt}") for attempt in range(ATTEMPTS)]
    masking = min(times.masking for times in attempts)
    opening = min(times.opening for times in attempts)
    plain = min(times.plain for times in attempts)
    ring_bytes = 8 if case.bound is None else 4
    cipher = min(_milliseconds(lambda: _keystream(case.length * ring_bytes)) for _ in range(5 * ATTEMPTS))
    site, opener = attempts[0].site_streams, attempts[0].opening_streams
    goal = 2.0 if case.sites >= MANY else None
    name = f"{case.name}: masking at a site"
    yield _line(f"{name} ({site} keystreams) vs. its cipher alone", masking, site * cipher, goal)
    if case.masking_goal:
        yield _line(f"{name} within the time agreed", masking, case.masking_goal, goal=1.0)
    name = f"{case.name}: opening"
    least = opener * cipher + plain
    yield _line(f"{name} ({opener} keystreams) vs. its cipher and a plain sum alone", opening, least, goal)
    yield _line(f"{name} vs. a plain numpy sum", opening, plain, goal=None)
    if case.opening_goal:
        yield _line(f"{name} within the time agreed", opening, case.opening_goal, goal=1.0)


def _one_round(case: Case, vector: NDArray[np.int64], round_id: str) -> Times:
    """A whole round in which every site has the same vector; the total is checked."""
    names = [f"site-{number:03}" for number in range(case.sites)]
    agreed = {"bound": case.bound, "colluders": case.colluders}
    members = {name: Member() for name in names}
    start = time.thread_time()
    keys = {name: member.advertise(round_id, name) for name, member in members.items()}
    sealed = {name: member.share(round_id, keys, case.needed, **agreed) for name, member in members.items()}
    setup = 1000 * (time.thread_time() - start) / case.sites
    survivors = names[: case.sites - case.dropped]
    masked, times = {}, []
    for name in survivors:
        inbox = {writer: shares[name] for writer, shares in sealed.items() if writer != name}
        start = time.thread_time()
        masked[name] = members[name].mask(round_id, vector, inbox)
        times.append(1000 * (time.thread_time() - start))
    gone = names[len(survivors) :]
    answers = {name: members[name].unmask(round_id, survivors, gone) for name in survivors}
    start = time.thread_time()
    total = open_sum(round_id, keys, masked, answers, case.needed, **agreed)
    opening = 1000 * (time.thread_time() - start)
    plain = _milliseconds(lambda: _plain_sum(list(masked.values())))
    if not np.array_equal(total, vector * len(survivors)):
        raise ArithmeticError("the secure sum is not the sum")
    roll = Roll.call(round_id, keys, case.needed, **agreed)
    removed = sum(len(set(roll.neighbours[name]) & set(survivors)) for name in gone)
    return Times(setup, min(times), opening, plain, roll.degree + 1, len(survivors) + removed)


def _setup_of_all(sites: int) -> dict[str, Any]:
    times = [_one_round(Case(sites, 10), np.arange(10), f"round-{attempt}").setup for attempt in range(ATTEMPTS)]
    return _line(f"secure sum, {sites} sites: keys and shares of a site within the time agreed", min(times), 15.0, 1.0)


def _memory() -> dict[str, Any]:
    """The most memory a client holds while it masks, its own vector counted in, in vectors of the ring."""
    names = [f"site-{number}" for number in range(10)]
    members = {name: Member() for name in names}
    keys = {name: member.advertise("round-1", name) for name, member in members.items()}
    sealed = {name: member.share("round-1", keys, 7, bound=BOUND_FOR_32_BITS) for name, member in members.items()}
    inbox = {writer: shares[names[0]] for writer, shares in sealed.items() if writer != names[0]}
    tracemalloc.start()
    masked = members[names[0]].mask("round-1", np.ones(1_000_000, np.int64), inbox)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return _line("secure sum, memory at a client within four vectors", peak / masked.nbytes, 4.0, 1.0, "vectors")


def _noise() -> Iterator[dict[str, Any]]:
    """A million exact draws of a site's noise, narrow and wide: against a second, and the other exact sampler."""
    dp = importlib.import_module("opendp.prelude")
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    for sigma in (2.0, 1000.0):
        ours = min(_milliseconds(partial(discrete_gaussian, sigma, 1_000_000)) for _ in range(ATTEMPTS))
        theirs = dp.m.make_gaussian(*space, scale=sigma)
        peer = 20 * min(_milliseconds(partial(theirs, [0] * 50_000)) for _ in range(ATTEMPTS))
        name = f"noise of σ = {sigma:g}, 10^6 draws"
        yield _line(f"{name} vs. OpenDP's exact sampler", ours, peer, goal=0.1)
        yield _line(f"{name} within the time agreed", ours, 1000.0, goal=1.0)


def _line(name: str, ours: float, peer: float, goal: float | None, unit: str = "ms") -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": unit,
    }


def _keystream(length: int) -> None:
    """The cipher's work for one keystream of so many bytes, in the same pieces, and nothing else."""
    zeros = memoryview(bytes(masks.CHUNK_BYTES))
    buffer = bytearray(masks.CHUNK_BYTES + 15)
    cipher = masks.keystream(bytes(32))
    for start in range(0, length, masks.CHUNK_BYTES):
        cipher.update_into(zeros[: min(masks.CHUNK_BYTES, length - start)], buffer)


def _plain_sum(vectors: list[NDArray[Any]]) -> None:
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        np.add(total, vector, out=total)


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(list(run()), indent=2) + "\n")
