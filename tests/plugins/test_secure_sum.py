"""The secure sum: exact, recovers from drop-outs, refuses what would reveal a vector, looks like noise."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pluggy
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import synthema_secure_sum
from synthema.spi.hookspecs import KINDS, PROJECT, Hooks
from synthema.spi.manifest import load_manifest
from synthema.spi.testing import AggregatorContract
from synthema_secure_sum import Member, SecureSumError, masks, shamir
from synthema_secure_sum.wire import octets
from tests.plugins.secure_round import Round, through_masking, vectors


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(3, 7), length=st.integers(1, 40))
def test_the_sum_is_exact_bit_for_bit_also_after_drop_outs(data: st.DataObject, count: int, length: int) -> None:
    threshold = data.draw(st.integers(max(3, count // 2 + 1), count))
    limit = (2**63 - 1) // count
    numbers = st.lists(st.integers(-limit, limit), min_size=length, max_size=length)
    inputs = {f"s{i}": np.array(data.draw(numbers), dtype=np.int64) for i in range(count)}
    names = data.draw(st.permutations(sorted(inputs)))
    losses = data.draw(st.lists(st.integers(0, 2), min_size=count - threshold, max_size=count - threshold))
    lost: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for name, step in zip(names, losses, strict=False):
        lost[step].append(name)
    run = Round(inputs, threshold)
    run.share(*lost[0])
    run.mask(*lost[1])
    opened = run.open(run.unmask(*lost[2]))
    assert opened.dtype == np.int64
    assert opened.tolist() == run.total().tolist()


@pytest.mark.parametrize(("count", "threshold"), [(3, 3), (4, 3), (30, 20), (31, 28), (100, 67)])
def test_three_to_a_hundred_members(count: int, threshold: int) -> None:
    run = Round(vectors(count, length=20), threshold)
    run.share()
    run.mask(*list(run.members)[: count - threshold])
    assert run.open(run.unmask()).tolist() == run.total().tolist()


def test_vectors_longer_than_a_cache_chunk() -> None:
    run = Round(vectors(3, length=2 * masks.CHUNK_BYTES // 8 + 7), 3)
    run.share()
    run.mask()
    assert np.array_equal(run.open(run.unmask()), run.total())


def test_below_the_threshold_nobody_answers_and_nothing_opens() -> None:
    run = Round(vectors(5), 3)
    run.share()
    names = list(run.members)
    run.mask(*names[:3])
    with pytest.raises(SecureSumError, match="only 2 survivors"):
        run.unmask()
    whole = through_masking()
    answers = whole.unmask(*list(whole.masked)[:3])
    with pytest.raises(SecureSumError, match="only 2 members answered"):
        whole.open(answers)


def test_too_few_members_that_shared_end_the_round_before_any_vector_is_masked() -> None:
    run = Round(vectors(5), 3)
    run.share(*list(run.members)[:3])
    with pytest.raises(SecureSumError, match="only 2 members shared"):
        run.mask()


def test_a_second_answer_is_refused() -> None:
    run = through_masking()
    run.unmask()
    with pytest.raises(SecureSumError, match="'answered'"):
        run.unmask()


def test_a_second_mask_of_the_same_round_is_refused() -> None:
    run = through_masking()
    with pytest.raises(SecureSumError, match="'masked'"):
        run.mask()


def test_overlapping_and_foreign_sets_are_refused() -> None:
    run = through_masking()
    first, *rest = sorted(run.members)
    member = run.members[rest[0]]
    for survivors, dropped, reason in [
        ([first, *rest], [first], "named twice"),
        ([first, first, *rest], [], "named twice"),
        (rest, [], "not the members this site masked for"),
        ([*rest, first, "did:web:stranger.example"], [], "not the members this site masked for"),
        ([first, *rest[1:]], [rest[0]], "cannot be among the dropped"),
    ]:
        with pytest.raises(SecureSumError, match=reason):
            member.unmask(run.id, survivors, dropped)
    assert member.unmask(run.id, sorted(run.members), [])


def test_a_round_id_is_never_used_again() -> None:
    member = Member()
    member.advertise("round-1", "a")
    with pytest.raises(SecureSumError, match="never used again"):
        member.advertise("round-1", "a")
    run = through_masking()
    run.unmask()
    with pytest.raises(SecureSumError, match="never used again"):
        next(iter(run.members.values())).advertise(run.id, "a")


def test_a_substituted_key_is_refused() -> None:
    run = Round(vectors(3), 3)
    victim, friend, other = sorted(run.members)
    forged = run.keys | {victim: Member().advertise("round-1", victim)}
    with pytest.raises(SecureSumError, match="own public keys"):
        run.members[victim].share(run.id, forged, 3)
    # Only one member is told the forged keys: those who were told the truth cannot open its shares.
    run.sealed[friend] = run.members[friend].share(run.id, forged, 3)
    run.sealed[other] = run.members[other].share(run.id, run.keys, 3)
    run.sealed[victim] = run.members[victim].share(run.id, run.keys, 3)
    with pytest.raises(SecureSumError, match="told other public keys"):
        run.members[victim].mask(run.id, run.vectors[victim], run.inbox(victim))


def test_the_same_key_for_two_members_is_refused() -> None:
    run = Round(vectors(3), 3)
    first, second, third = sorted(run.members)
    with pytest.raises(SecureSumError, match="same public key"):
        run.members[first].share(run.id, run.keys | {second: run.keys[third]}, 3)


@pytest.mark.parametrize("threshold", [1, 2, 6])
def test_a_threshold_that_two_groups_could_reach_is_refused(threshold: int) -> None:
    run = Round(vectors(5), 3)
    with pytest.raises(SecureSumError, match="majority"):
        next(iter(run.members.values())).share(run.id, run.keys, threshold)


def test_a_changed_share_is_found_by_its_reader() -> None:
    run = Round(vectors(3), 3)
    run.share()
    reader, writer, _ = sorted(run.members)
    inbox = run.inbox(reader)
    inbox[writer] = inbox[writer][:-6] + ("AAAAA=" if not inbox[writer].endswith("AAAAA=") else "BBBBB=")
    with pytest.raises(SecureSumError, match=r"cannot be opened|bytes|base64"):
        run.members[reader].mask(run.id, run.vectors[reader], inbox)


def test_a_wrong_answer_is_found_when_opening() -> None:
    run = through_masking(3)
    answers = copy.deepcopy(run.unmask())
    first, second, _ = sorted(answers)
    seeds = answers[first]["seeds"]
    seeds[first], seeds[second] = seeds[second], seeds[first]
    with pytest.raises(SecureSumError, match=r"belong together|committed to"):
        run.open(answers)


def test_numbers_that_could_overflow_are_refused() -> None:
    run = Round({name: np.full(3, 2**62, dtype=np.int64) for name in "abc"}, 3)
    run.share()
    with pytest.raises(SecureSumError, match="overflow"):
        run.mask()


@pytest.mark.parametrize("vector", [np.zeros(0, np.int64), np.zeros((2, 2), np.int64), np.zeros(3, np.float64)])
def test_a_vector_of_another_shape_or_type_is_refused(vector: NDArray[np.int64]) -> None:
    run = Round(dict.fromkeys("abc", vector), 3)
    run.share()
    with pytest.raises(SecureSumError, match="row of 64-bit integers"):
        run.mask()


def masked_zeros(length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The same input, all zeros, as it leaves a site in two rounds."""
    outputs = []
    for number in ("round-1", "round-2"):
        run = Round({name: np.zeros(length, np.int64) for name in "abc"}, 3, number)
        run.share()
        run.mask()
        outputs.append(run.masked["a"])
    return outputs[0], outputs[1]


def test_a_masked_vector_cannot_be_told_from_noise() -> None:
    """Chi-square over all bytes, and the largest gap to the uniform distribution (Kolmogorov-Smirnov).

    The tolerances are fixed at ten standard deviations, or a probability below 1e-12.
    """
    first, second = masked_zeros(200_000)
    for vector in (first, second, first - second):
        counts = np.bincount(vector.view(np.uint8), minlength=256)
        expected = counts.sum() / 256
        chi_square = float((((counts - expected) ** 2) / expected).sum())
        assert abs(chi_square - 255) < 10 * np.sqrt(2 * 255)
        ranks = np.sort(vector.astype(np.float64) / 2.0**64)
        gap = np.abs(ranks - np.arange(1, len(ranks) + 1) / len(ranks)).max()
        assert gap * np.sqrt(len(ranks)) < 4.0


def test_two_masked_vectors_of_one_input_differ_everywhere() -> None:
    first, second = masked_zeros(10_000)
    assert not np.any(first == second)
    correlation = np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1]
    assert abs(correlation) < 0.1


def test_keys_have_full_entropy_and_the_keystream_is_a_cipher() -> None:
    """256-bit keys from the system's generator; another framework's 28-bit mask seeds could be searched through."""
    assert AES256(masks.derive(b"secret", b"transcript", "self")).key_size == 256
    publics = [Member().advertise("round-1", "a") for _ in range(500)]
    for name in ("mask", "seal", "seed"):
        values = [octets(keys[name], 32, name) for keys in publics]
        assert len(set(values)) == len(values)
        bits = np.unpackbits(np.frombuffer(b"".join(values), np.uint8)).reshape(len(values), 256)
        share_of_ones = bits.mean(axis=0)
        # The top bit of an X25519 key is always 0 (RFC 7748); every other bit takes both values.
        free = share_of_ones if name == "seed" else np.delete(share_of_ones, 31 * 8)
        assert np.all(np.abs(free - 0.5) < 0.2)


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_shares_join_at_the_threshold_and_not_below(threshold: int) -> None:
    secret = bytes(range(32))
    shares = shamir.split(secret, range(1, 8), threshold)
    enough = dict(list(shares.items())[-threshold:])
    assert shamir.join(enough, shamir.weights_at_zero(list(enough))) == secret
    fewer = dict(list(enough.items())[1:])
    with pytest.raises(SecureSumError, match="belong together"):
        shamir.join(fewer, shamir.weights_at_zero(list(fewer)))


def test_the_manifest_names_the_hooks_the_plugin_has() -> None:
    manifest = load_manifest(Path(synthema_secure_sum.__file__).with_name("plugin.toml"))
    assert manifest.kinds == ("aggregator",)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(synthema_secure_sum, "secure-sum")
    manager.check_pending()
    hooks = manager.get_hookcallers(manager.get_plugin("secure-sum"))
    assert hooks is not None
    assert {hook.name for hook in hooks} == set(KINDS["aggregator"])


def test_the_hooks_run_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Round(vectors(3), 3)
    for name in run.members:
        monkeypatch.setattr(synthema_secure_sum, "_member", run.members[name])
        run.sealed[name] = synthema_secure_sum.secure_sum_share(run.id, run.keys, 3, 2**41, 1)
    for name in run.members:
        monkeypatch.setattr(synthema_secure_sum, "_member", run.members[name])
        run.masked[name] = synthema_secure_sum.secure_sum_mask(run.id, run.vectors[name], run.inbox(name))
    answers = {}
    for name in run.members:
        monkeypatch.setattr(synthema_secure_sum, "_member", run.members[name])
        answers[name] = synthema_secure_sum.secure_sum_unmask(run.id, sorted(run.members), [])
    opened = synthema_secure_sum.secure_sum_open(run.id, run.keys, run.masked, answers, 3, 2**41, 1)
    assert np.array_equal(opened, run.total())
    monkeypatch.setattr(synthema_secure_sum, "_member", Member())
    assert set(synthema_secure_sum.secure_sum_advertise("round-2", "a")) == {"mask", "seal", "seed"}


class TestContract(AggregatorContract):
    """What holds for every aggregator, its values crossing a process boundary."""

    plugin = "secure-sum"


class TestContractIn32Bits(AggregatorContract):
    """The same, for numbers that are small enough for the narrow ring."""

    plugin = "secure-sum"
    bound = 2**20
