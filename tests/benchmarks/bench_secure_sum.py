"""How fast the secure sum is, beside the two things it cannot be faster than.

``peer`` is a plain numpy sum of the same vectors (no secrecy), or the time the
cipher alone needs for the keystreams of one member (no protocol). Run it alone:
``python -m tests.benchmarks.bench_secure_sum``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_secure_sum import Member, masks, open_sum

LENGTH = 1_000_000
SITES = (3, 30)


def run() -> list[dict[str, Any]]:
    """One line for each comparison; times in milliseconds, best of two, for vectors of a million integers."""
    return [line for count in SITES for line in _compare(count)]


def _compare(count: int) -> list[dict[str, Any]]:
    vectors = {f"site-{i:03}": np.random.default_rng(i).integers(-(2**30), 2**30, LENGTH) for i in range(count)}
    site, coordinator = min(_one_round(vectors, f"round-{attempt}") for attempt in range(2))
    plain = min(_milliseconds(lambda: np.sum(list(vectors.values()), axis=0)) for _ in range(3))
    cipher = min(_milliseconds(lambda: _keystreams(count)) for _ in range(3))
    title = f"secure sum, {count} sites × 10^6"
    return [
        _line(f"{title}: masking at a site vs. its cipher alone", site, cipher, goal=2.0),
        _line(f"{title}: opening at the coordinator vs. plain numpy sum", coordinator, plain, goal=20.0),
    ]


def _line(name: str, ours: float, peer: float, goal: float) -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": "ms",
    }


def _one_round(vectors: dict[str, NDArray[np.int64]], round_id: str) -> tuple[float, float]:
    """Milliseconds of masking at one site, and of opening at the coordinator; the total is checked."""
    threshold = len(vectors) * 2 // 3 + 1
    members = {name: Member() for name in vectors}
    keys = {name: member.advertise(round_id, name) for name, member in members.items()}
    sealed = {name: member.share(round_id, keys, threshold) for name, member in members.items()}
    masked, times = {}, []
    for name, member in members.items():
        inbox = {writer: shares[name] for writer, shares in sealed.items() if writer != name}
        start = time.perf_counter()
        masked[name] = member.mask(round_id, vectors[name], inbox)
        times.append(1000 * (time.perf_counter() - start))
    answers = {name: member.unmask(round_id, sorted(vectors), []) for name, member in members.items()}
    start = time.perf_counter()
    total = open_sum(round_id, keys, masked, answers, threshold)
    opening = 1000 * (time.perf_counter() - start)
    if not np.array_equal(total, np.sum(list(vectors.values()), axis=0)):
        raise ArithmeticError("the secure sum is not the sum")
    return min(times), opening


def _keystreams(count: int) -> None:
    """The cipher's work of one member and nothing else: one keystream for each member, its own included."""
    zeros = bytes(masks.CHUNK * 8)
    buffer = bytearray(len(zeros) + 15)
    for number in range(count):
        cipher = masks.keystream(number.to_bytes(32))
        for start in range(0, LENGTH, masks.CHUNK):
            cipher.update_into(memoryview(zeros)[: 8 * min(masks.CHUNK, LENGTH - start)], buffer)


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=2) + "\n")
