"""All that reaches the coordinator over the wire, recorded: of one site it says nothing but that it takes part.

Studies run through the real classes; every parcel that a site hands over is kept as bytes. The vectors
among them are put to tests of uniformity, each against a limit that chance passes with a probability
below 1e-12; the rest is read field by field. A site whose masks were switched off is found by the same tests.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthema.clock import FixedClock
from synthema.federation import Parcel, StudyPlan, StudyResult
from synthema.federation.messages import vector_from_bytes
from synthema.spi.model import Aggregate, Contribution, Plan, State
from tests.unit.federation.world import HUB, World

LENGTH = 30_000
Z_LIMIT = 8.0
BOUND_FOR_32_BITS, BOUND_FOR_64_BITS = 2**20, 2**40
EVERYONE_ILL = 900_001
"""A number so telling that it must not be found anywhere."""


class Long:
    """One round of a long vector, whose every number is the same at a site: as far from uniform as can be."""

    def federated_open(self, plan: Plan) -> State:
        return State(1, LENGTH, 0.1, 1.0, finished=False, values={})

    def federated_contribute(self, state: State, table: Any, codebook: Any) -> Contribution:
        return Contribution(np.asarray(table, dtype=np.int64))

    def federated_absorb(self, state: State, total: Aggregate) -> State:
        return State(2, LENGTH, 0.1, 1.0, finished=True, values={"first": total.total[:3].tolist()})


class Recorded(World):
    """A world in which each parcel to the coordinator is kept."""

    wire: list[bytes]

    def participant(self, did: str, *, silence_seconds: float = 30.0) -> Any:
        part = super().participant(did, silence_seconds=silence_seconds)
        inner = part.channel
        part.channel = Tapped(inner, self.wire)
        return part


class Tapped:
    def __init__(self, inner: Any, wire: list[bytes]) -> None:
        self._inner = inner
        self._wire = wire

    def post(self, study_id: str, data: bytes) -> None:
        self._wire.append(bytes(data))
        self._inner.post(study_id, data)

    def poll(self, study_id: str, after: int) -> bytes | None:
        answer: bytes | None = self._inner.poll(study_id, after)
        return answer


def recorded(
    folder: Path, clock: FixedClock, bound: int, change: Callable[[World], object] = lambda _w: None
) -> tuple[World, StudyPlan, StudyResult, list[Parcel]]:
    """Run a study; returns the world (closed), its plan, its result, and every parcel that reached the coordinator."""
    folder.mkdir(exist_ok=True)
    w = Recorded(folder, clock, sites=4)
    w.wire = []
    try:
        for number, did in enumerate(w.dids):
            w.sessions[did].table = np.full(LENGTH, EVERYONE_ILL + number)
        change(w)
        plan = w.plan(bound=bound)
        result = w.run(plan, algorithm=Long())
        assert isinstance(result, StudyResult), result
        return w, plan, result, [Parcel.from_bytes(data) for data in w.wire]
    finally:
        w.close()


def vectors(parcels: list[Parcel]) -> dict[str, NDArray[Any]]:
    return {p.message.sender: vector_from_bytes(p.attachment, LENGTH) for p in parcels if p.message.kind == "masked"}


def oddities(vector: NDArray[Any]) -> dict[str, float]:
    """How far a vector is from uniform, by tests that look at different things, each in standard deviations."""
    unit = vector / 2.0 ** (8 * vector.itemsize)
    count = len(vector)
    counts = np.bincount(vector.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    chi_square = float((((counts - expected) ** 2) / expected).sum())
    gap = np.abs(np.sort(unit) - (np.arange(count) + 0.5) / count).max() * math.sqrt(count)
    bits = np.unpackbits(vector.view(np.uint8)).reshape(count, -1)
    serial = max(abs(np.corrcoef(unit[:-s], unit[s:])[0, 1]) * math.sqrt(count - s) for s in (1, 2, 7))
    spectrum = np.abs(np.fft.rfft(unit - 0.5)[1:-1]) ** 2 / (count / 12)  # each exponential, of mean 1
    repeats = count - len(np.unique(vector))
    pairs = count**2 / 2 / 2.0 ** (8 * vector.itemsize)
    return {
        "bytes": (chi_square - 255) / math.sqrt(2 * 255),
        "shape": 2 * gap,  # Kolmogorov and Smirnov: above 4 by chance below 1e-13
        "each bit": float(np.abs(bits.mean(axis=0) - 0.5).max() * 2 * math.sqrt(count)),
        "serial": float(serial),
        "rhythm": float(max(0.0, spectrum.max() - math.log(len(spectrum))) / 4),  # above 32 by chance: e^-32
        "repeats": (repeats - pairs) / math.sqrt(pairs + 1),
    }


@pytest.mark.parametrize("bound", [BOUND_FOR_32_BITS, BOUND_FOR_64_BITS])
def test_a_single_sites_vector_cannot_be_told_from_uniform(tmp_path: Path, clock: FixedClock, bound: int) -> None:
    w, plan, result, parcels = recorded(tmp_path / "one", clock, bound)
    found = vectors(parcels)
    assert set(found) == set(plan.dids)
    wanted = np.uint32 if bound == BOUND_FOR_32_BITS else np.uint64
    for vector in found.values():
        assert vector.dtype == wanted
        assert max(oddities(vector).values()) < Z_LIMIT, oddities(vector)
    # Nor do any two, or any three, of the four say more together: only all of them add up to the sum.
    names = sorted(found)
    for group in (names[:2], names[1:3], names[:3], names[1:]):
        together = np.add.reduce([found[name] for name in group], dtype=wanted)
        assert max(oddities(together).values()) < Z_LIMIT
    assert max(oddities(found[names[0]] - found[names[1]]).values()) < Z_LIMIT
    # What was opened is the sum, and the noise is there.
    exact = sum(EVERYONE_ILL + number for number in range(len(w.dids)))
    assert all(abs(value - exact) < 40 * result.rounds[0].sigma for value in result.state.values["first"])


def test_whatever_a_site_has_its_vector_looks_the_same(tmp_path: Path, clock: FixedClock) -> None:
    """Two studies, in which one site has only ones and then only large numbers: two samples of one distribution."""
    seen = []
    for number, value in enumerate((1, EVERYONE_ILL)):
        change = lambda w, value=value: setattr(w.sessions[w.dids[0]], "table", np.full(LENGTH, value))  # noqa: E731
        w, _, _, parcels = recorded(tmp_path / str(number), clock, BOUND_FOR_32_BITS, change)
        seen.append(vectors(parcels)[w.dids[0]])
    first, second = (np.sort(vector) for vector in seen)
    both = np.concatenate([first, second])
    gap = np.abs(np.searchsorted(first, both, "right") - np.searchsorted(second, both, "right")).max() / LENGTH
    assert gap * math.sqrt(LENGTH / 2) < 4.0
    assert (seen[0] == seen[1]).sum() < 5  # by chance, one in 140,000 times, a single one
    assert max(oddities(seen[0] - seen[1]).values()) < Z_LIMIT


def test_the_same_tests_find_a_vector_without_masks(tmp_path: Path, clock: FixedClock) -> None:
    """As if a mask were too small, or used twice: each is found by far."""
    plain = np.full(LENGTH, EVERYONE_ILL, np.uint32)
    small = plain + np.random.default_rng(0).integers(0, 2**28, LENGTH).astype(np.uint32)
    stream = np.tile(np.random.default_rng(0).integers(0, 2**32, LENGTH // 2).astype(np.uint32), 2)
    for vector in (plain, small, plain + stream):
        with np.errstate(invalid="ignore", divide="ignore"):
            assert np.nanmax(list(oddities(vector).values())) > Z_LIMIT


def test_what_else_a_site_says_are_keys_sealed_shares_and_agreed_names(tmp_path: Path, clock: FixedClock) -> None:
    _, plan, _, parcels = recorded(tmp_path / "one", clock, BOUND_FOR_32_BITS)
    said: dict[str, list[dict[str, Any]]] = {}
    for parcel in parcels:
        said.setdefault(parcel.message.kind, []).append(parcel.message.body)
        assert bool(parcel.attachment) == (parcel.message.kind == "masked")
    assert {kind: len(bodies) for kind, bodies in said.items()} == dict.fromkeys(
        ("accept", "keys", "shares", "masked", "agreement", "answer"), len(plan.dids)
    )
    assert all(body == {} for body in said["accept"] + said["masked"])
    sealed = b""
    for body in said["keys"]:
        assert {name: length(value) for name, value in body["public"].items()} == {"mask": 32, "seal": 32, "seed": 32}
    for body in said["shares"]:
        assert {length(value) for value in body["sealed"].values()} == {2 * 66 + 16}
        sealed += b"".join(base64.b64decode(value) for value in body["sealed"].values())
    for body in said["agreement"]:
        assert set(body) == {"survivors", "dropped", "roll"}
        assert sorted(body["survivors"] + body["dropped"]) == sorted(plan.dids)
    for body in said["answer"]:
        assert set(body["answer"]) == {"dropped", "seeds", "keys"}
        assert body["answer"]["keys"] == {}  # nobody dropped, so nobody's mask key is given away
    ones = np.unpackbits(np.frombuffer(sealed, np.uint8))
    assert abs(ones.mean() - 0.5) * 2 * math.sqrt(len(ones)) < Z_LIMIT
    # The telling number is nowhere, in no form.
    everything = b"".join(json.dumps(p.message.as_json()).encode() + p.attachment for p in parcels)
    for number in range(len(plan.dids)):
        value = EVERYONE_ILL + number
        assert str(value).encode() not in everything
        for width in (4, 8):
            for order in ("little", "big"):
                row = value.to_bytes(width, order) * 2
                assert row not in everything


def test_the_coordinators_log_and_tables_hold_sums_only(tmp_path: Path, clock: FixedClock) -> None:
    w, plan, result, parcels = recorded(tmp_path / "one", clock, BOUND_FOR_32_BITS)
    logged = b"".join(activity.nquads("urn:g") for activity in w.logs[HUB].activities)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "one").glob(f"{HUB.replace(':', '-')}.sqlite*"))
    assert result.rounds[0].total_digest.encode() in logged + stored
    for did, vector in vectors(parcels).items():
        plain = np.full(LENGTH, EVERYONE_ILL + plan.dids.index(did))
        for held in (vector, plain, plain.astype(np.uint32)):
            assert held.tobytes()[:64] not in logged + stored
    assert str(EVERYONE_ILL).encode() not in logged + stored


def length(value: str) -> int:
    return len(base64.b64decode(value, validate=True))
