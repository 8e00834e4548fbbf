"""What each site enforces by itself, and what a coordinator that lies, and sites that side with it, can see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import synthema_secure_sum
from synthema.errors import DeniedError
from synthema.federation.round import SiteRound
from synthema_secure_sum import Member, SecureSumError, masks, shamir
from synthema_secure_sum.wire import octets
from tests.plugins.secure_round import Round, through_masking, vectors


@pytest.mark.parametrize("threshold", [1, 2])
def test_no_site_takes_part_where_fewer_than_three_could_survive(threshold: int) -> None:
    run = Round(vectors(3), threshold)
    with pytest.raises(SecureSumError, match="at least 3"):
        run.share()


def test_three_sites_and_one_drop_out_end_the_round_with_nothing_opened() -> None:
    run = Round(vectors(3), 3)
    run.share()
    run.mask("did:web:site0.example")
    with pytest.raises(SecureSumError, match="only 2 survivors; 3 are needed"):
        run.unmask()


def test_the_same_vector_is_never_summed_again_over_other_survivors() -> None:
    first = through_masking()
    first.open(first.unmask())
    again = Round(first.vectors, 3, "round-2", members=first.members)
    again.share()
    again.mask("did:web:site0.example")
    with pytest.raises(SecureSumError, match="difference would show single sites"):
        again.unmask()


def test_the_same_vector_may_be_summed_again_over_the_same_survivors() -> None:
    first = through_masking()
    total = first.open(first.unmask())
    again = Round(first.vectors, 3, "round-2", members=first.members)
    again.share()
    again.mask()
    assert np.array_equal(again.open(again.unmask()), total)


def test_another_vector_may_be_summed_over_other_survivors() -> None:
    first = through_masking()
    first.unmask()
    others = {name: vector + 1 for name, vector in first.vectors.items()}
    again = Round(others, 3, "round-2", members=first.members)
    again.share()
    again.mask("did:web:site0.example")
    assert again.open(again.unmask()).tolist() == again.total().tolist()


def _signed(body: dict[str, object]) -> dict[str, object]:
    return {"body": body}


def test_nobody_unmasks_before_enough_sites_signed_the_same_survivors() -> None:
    """The core's rule around the plugin, on the state machine that every site runs (signatures verified before it)."""
    names = ["a", "b", "c", "d"]

    def ready() -> SiteRound:
        site = SiteRound("a", frozenset(names), minimum=3)
        site.start(names, 3)
        roll = {name: _signed({"public": {"mask": name}}) for name in names}
        site.take_roll(roll, roll["a"])
        site.take_sealed(["b", "c", "d"])
        return site

    mine = ready().take_survivors({"survivors": ["a", "b", "c"], "dropped": ["d"]})
    lie = mine | {"survivors": ["a", "b", "d"], "dropped": ["c"]}
    for agreements, reason in [
        ({"a": _signed(mine), "b": _signed(mine)}, "only 2 sites signed"),
        ({"a": _signed(mine), "b": _signed(mine), "c": _signed(lie)}, "told different survivors"),
        ({"a": _signed(mine), "b": _signed(mine), "d": _signed(mine)}, "did not survive"),
    ]:
        site = ready()
        site.take_survivors({"survivors": ["a", "b", "c"], "dropped": ["d"]})
        with pytest.raises(DeniedError, match=reason):
            site.take_agreements(agreements)
    site = ready()
    site.take_survivors({"survivors": ["a", "b", "c"], "dropped": ["d"]})
    assert site.take_agreements({name: _signed(mine) for name in "abc"}).dropped == ("d",)


def test_a_coordinator_that_calls_the_living_dead_gets_no_second_kind_of_share() -> None:
    """With both kinds it could open one site; each site gives one kind in its only answer."""
    run = through_masking(5, 3)
    victim, *others = sorted(run.members)
    told_alive = [run.members[name].unmask(run.id, sorted(run.members), []) for name in others[:2]]
    told_dead = [run.members[name].unmask(run.id, others, [victim]) for name in others[2:]]
    assert len([answer for answer in told_alive if victim in answer["seeds"]]) < run.threshold
    assert len([answer for answer in told_dead if victim in answer["keys"]]) < run.threshold
    for name in others:
        with pytest.raises(SecureSumError, match="'answered'"):
            run.members[name].unmask(run.id, others, [victim])


def _opened_by(run: Round, colluders: list[str], victim: str) -> NDArray[np.uint64]:
    """The victim's vector after removing all masks that the colluding sites know, with all they were sent."""
    roll = run.members[victim]._rounds[run.id].roll  # type: ignore[union-attr]
    assert roll is not None
    vector = run.masked[victim].copy()
    for name in colluders:
        private = run.members[name]._rounds[run.id].mask_key  # type: ignore[union-attr]
        key = masks.pair_key(private, roll.keys[victim].mask, roll.transcript, name, victim)
        masks.apply_masks(vector, [(key, -1 if victim < name else 1)])
    return vector


@pytest.mark.parametrize("colluders", [1, 2, 3])
def test_colluding_sites_and_the_coordinator_together_see_noise(colluders: int) -> None:
    """All pair masks of the colluders are taken away; two honest sites' masks, and the self mask, remain."""
    length = 100_000
    run = Round({f"s{i}": np.zeros(length, np.int64) for i in range(5)}, 5, colluders=3)
    run.share()
    run.mask()
    rest = _opened_by(run, [f"s{i}" for i in range(1, 1 + colluders)], "s0")
    counts = np.bincount(rest.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    assert abs(float((((counts - expected) ** 2) / expected).sum()) - 255) < 10 * np.sqrt(2 * 255)


def test_shares_of_colluders_up_to_the_tolerated_do_not_give_a_secret() -> None:
    run = Round(vectors(7), 5, colluders=2)
    run.share()
    victim, *others = sorted(run.members)
    current = run.members[victim]._rounds[run.id]
    assert current is not None
    held = {}
    for name in others[:2]:
        state = run.members[name]._rounds[run.id]
        assert state is not None
        share = run.members[name]._unseal(state, victim, run.sealed[victim][name])
        assert state.roll is not None
        held[state.roll.numbers[name]] = share[: shamir.SHARE_BYTES]
    with pytest.raises(SecureSumError, match="belong together"):
        shamir.join(held, shamir.weights_at_zero(list(held)))


def test_every_bit_of_a_32_bit_masked_vector_looks_like_a_coin() -> None:
    """Each bit's share of ones, the runs of neighbours, and the agreement of two sites' vectors of the same input.

    Tolerances are six standard deviations, so that a right program fails once in ten million runs.
    """
    length = 200_000
    run = Round({name: np.full(length, 5) for name in "abc"}, 3, bound=1000)
    run.share()
    run.mask()
    tolerance = 6 * 0.5 / np.sqrt(length)
    first, second = (run.masked[name] for name in "ab")
    for bit in range(32):
        ones = (first >> np.uint32(bit)) & np.uint32(1)
        again = (second >> np.uint32(bit)) & np.uint32(1)
        assert abs(ones.mean() - 0.5) < tolerance
        assert abs((ones[1:] == ones[:-1]).mean() - 0.5) < tolerance
        assert abs((ones == again).mean() - 0.5) < tolerance


def test_no_mask_comes_from_a_generator_that_is_not_for_cryptography() -> None:
    """Another framework seeded NumPy's generator with 28 bits; here no such generator is in the plugin at all."""
    folder = Path(synthema_secure_sum.__file__).parent
    for file in folder.glob("*.py"):
        source = file.read_text()
        assert "np.random" not in source
        assert "import random" not in source
        assert "RandomState" not in source


def test_seeds_that_differ_in_one_bit_give_unrelated_keystreams() -> None:
    key = bytes(32)
    streams = []
    for bit in (None, 0, 31, 32, 255):
        changed = key if bit is None else (int.from_bytes(key) ^ (1 << bit)).to_bytes(32)
        vector = np.zeros(4096, np.uint64)
        masks.apply_masks(vector, [(changed, 1)])
        streams.append(np.unpackbits(vector.view(np.uint8)))
    for other in streams[1:]:
        assert abs((streams[0] == other).mean() - 0.5) < 6 * 0.5 / np.sqrt(len(other))


def test_a_seed_uses_all_its_256_bits() -> None:
    seeds = [Member().advertise("round-1", "a")["seed"] for _ in range(300)]
    bits = np.array([np.unpackbits(np.frombuffer(octets(seed, 32, "seed"), np.uint8)) for seed in seeds])
    assert bits.shape == (300, 256)
    assert np.all((bits.mean(axis=0) > 0.3) & (bits.mean(axis=0) < 0.7))
