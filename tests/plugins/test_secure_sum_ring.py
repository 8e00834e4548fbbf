"""The ring, the neighbours and the memory of the secure sum: no overflow, always connected, few vectors."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.spi.model import Json
from synthema_secure_sum import Member, SecureSumError, graph
from synthema_secure_sum.ring import Ring
from synthema_secure_sum.roll import Roll
from tests.plugins.secure_round import Round, vectors


@given(members=st.integers(3, 100), bound=st.integers(1, 2**64))
def test_the_widest_sum_fits_the_chosen_ring_or_no_ring_is_chosen(members: int, bound: int) -> None:
    try:
        ring = Ring.for_sum(members, bound)
    except SecureSumError:
        assert members * bound > 2**63 - 1
        return
    assert members * ring.bound <= 2 ** (ring.bits - 1) - 1
    assert ring.bits == 32 or members * bound > 2**31 - 1


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(3, 6))
def test_the_sum_in_32_bits_is_exact_at_the_edge_of_the_bound(data: st.DataObject, count: int) -> None:
    bound = (2**31 - 1) // count
    edge = st.sampled_from([-bound, bound, 0]) | st.integers(-bound, bound)
    numbers = st.lists(edge, min_size=3, max_size=3)
    inputs = {f"s{i}": np.array(data.draw(numbers), dtype=np.int64) for i in range(count)}
    run = Round(inputs, max(3, count // 2 + 1), bound=bound)
    run.share()
    run.mask(*data.draw(st.sampled_from([[], ["s0"]] if count > 3 else [[]])))
    assert {masked.dtype for masked in run.masked.values()} == {np.dtype(np.uint32)}
    opened = run.open(run.unmask())
    assert opened.dtype == np.int64
    assert opened.tolist() == run.total().tolist()


@pytest.mark.parametrize("beyond", [1001, -1001])
def test_a_number_beyond_the_agreed_bound_is_refused_before_anything_leaves(beyond: int) -> None:
    run = Round({name: np.array([0, beyond]) for name in "abc"}, 3, bound=1000)
    run.share()
    with pytest.raises(SecureSumError, match="beyond ±1000: the sum could overflow"):
        run.mask()
    assert not run.masked


@pytest.mark.parametrize(
    ("bound", "reason"), [(0, "positive"), (-1, "positive"), (1.5, "positive"), (2**62, "overflow 64")]
)
def test_a_bound_that_no_ring_can_hold_is_refused(bound: int, reason: str) -> None:
    run = Round(vectors(3), 3, bound=bound)
    with pytest.raises(SecureSumError, match=reason):
        run.share()


def test_members_told_different_bounds_cannot_read_each_other() -> None:
    run = Round(vectors(3), 3)
    for (name, member), bound in zip(run.members.items(), (2**20, 2**20, 2**21), strict=True):
        run.sealed[name] = member.share(run.id, run.keys, 3, bound=bound)
    with pytest.raises(SecureSumError, match="another bound"):
        run.members[next(iter(run.members))].mask(run.id, np.zeros(3, np.int64), run.inbox(next(iter(run.members))))


def test_a_masked_vector_of_another_ring_is_not_added() -> None:
    run = Round({name: np.arange(3) for name in "abc"}, 3, bound=1000)
    run.share()
    run.mask()
    answers = run.unmask()
    run.masked["b"] = run.masked["b"].astype(np.uint64)
    with pytest.raises(SecureSumError, match="another shape or type"):
        run.open(answers)


def _connected(left: set[str], near: dict[str, tuple[str, ...]]) -> bool:
    reached: set[str] = set()
    frontier = {next(iter(left))}
    while frontier:
        reached |= frontier
        frontier = {other for name in frontier for other in near[name]} & left - reached
    return reached == left


@pytest.mark.parametrize(("count", "degree"), [(7, 4), (8, 4), (9, 6), (12, 4)])
def test_no_choice_of_fewer_members_than_the_degree_takes_the_graph_apart(count: int, degree: int) -> None:
    """All choices, one by one; Harary's theorem says it for every size."""
    names = [f"s{number:02}" for number in range(count)]
    near = graph.neighbours(names, degree)
    assert all(len(set(others)) == degree and name not in others for name, others in near.items())
    assert all(name in near[other] for name, others in near.items() for other in others)
    for gone in itertools.combinations(names, degree - 1):
        assert _connected(set(names) - set(gone), near)
    assert not all(_connected(set(names) - set(gone), near) for gone in itertools.combinations(names, degree))


@given(count=st.integers(31, 100), data=st.data())
def test_a_large_graph_stays_connected_for_any_drop_outs_and_colluders(count: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(count * 2 // 3, count))
    colluders = data.draw(st.integers(0, min(2 * threshold - count - 1, threshold - 2)))
    keys = {f"s{number:03}": _public(number) for number in range(count)}
    roll = Roll.call("round-1", keys, threshold, colluders=colluders)
    assert roll.degree >= min(count - 1, roll.drop_outs + colluders + 1)
    assert roll.shares_needed > colluders, "colluders alone must not open a secret"
    first = data.draw(st.integers(0, count - 1))
    # The worst case is a gap around one member: its nearest on both sides.
    names = list(keys)
    gap = [names[(first + step) % count] for reach in range(1, count) for step in (-reach, reach)]
    gone = set(gap[: roll.drop_outs + colluders])
    assert _connected(set(names) - gone, roll.neighbours)


def _public(number: int) -> Json:
    return Member().advertise(f"round-{number}", "x")


def test_beyond_thirty_members_each_shares_masks_with_a_few_only() -> None:
    run = Round(vectors(40, length=5), 36, colluders=3)
    run.share(*list(run.members)[:2])
    for sealed in run.sealed.values():
        assert sum(1 for share in sealed.values() if share) == 8  # 4 drop-outs + 3 colluders + 1
    run.mask(*list(run.sealed)[:2])
    assert run.open(run.unmask()).tolist() == run.total().tolist()


def test_all_drop_outs_around_one_member_still_let_the_sum_open() -> None:
    run = Round(vectors(40, length=5), 36, colluders=3)
    run.share()
    names = sorted(run.members)
    run.mask(names[9], names[11], names[12], names[8])
    assert run.open(run.unmask()).tolist() == run.total().tolist()


def test_a_share_from_one_who_is_no_neighbour_is_refused() -> None:
    run = Round(vectors(40, length=5), 36, colluders=3)
    run.share()
    names = sorted(run.members)
    inbox = run.inbox(names[0])
    inbox[names[20]] = inbox[names[1]]
    with pytest.raises(SecureSumError, match="not a neighbour"):
        run.members[names[0]].mask(run.id, run.vectors[names[0]], inbox)


@pytest.mark.parametrize(("threshold", "colluders"), [(21, 13), (30, 29), (21, -1)])
def test_more_colluders_than_the_threshold_withstands_are_refused(threshold: int, colluders: int) -> None:
    run = Round(vectors(30), threshold, colluders=colluders)
    with pytest.raises(SecureSumError, match="withstand 0 to"):
        run.share()


@pytest.mark.parametrize("bound", [None, 2**20])
def test_a_client_holds_at_most_four_vectors(bound: int | None) -> None:
    length = 1_000_000
    run = Round({f"s{i}": np.full(length, i) for i in range(6)}, 4, bound=bound)
    run.share()
    member, inbox = run.members["s0"], run.inbox("s0")
    tracemalloc.start()
    vector = np.ones(length, np.int64)
    masked = member.mask(run.id, vector, inbox)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 4 * masked.nbytes
    assert peak <= vector.nbytes + masked.nbytes + 2**20, "the vector, the masked one, and small change"


def test_drop_outs_within_the_threshold_never_keep_a_sum_from_opening() -> None:
    """What the README says of the probability: each neighbourhood keeps enough readers whoever is missing."""
    for count, threshold, colluders in itertools.product((31, 50, 100), (0.67, 0.8, 0.9), (1, 5, 9)):
        needed = math.ceil(count * threshold)
        keys = {f"s{number:03}": _public(number) for number in range(count)}
        roll = Roll.call("round-1", keys, needed, colluders=colluders)
        readers = roll.degree + 1
        assert readers - roll.drop_outs >= roll.shares_needed > colluders
