"""The noise sampler has exactly the law it should: against its formula, against OpenDP's exact one, bit by bit."""

from __future__ import annotations

import decimal
import math
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from synthema.errors import InputError, PluginError
from synthema.federation import noise
from synthema.federation.accounting import exact_epsilon, sum_probabilities
from synthema.federation.noise import DOUBT, SystemBits, discrete_gaussian
from synthema.federation.privacy import clipped, noised

Z_LIMIT = 9.0  # standard deviations of a statistic: passed by chance with a probability below 1e-15


def surprise(observed: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Pearson's chi-square, in standard deviations from what it should be; cells below 20 are put together."""
    rare = expected < 20
    seen = np.append(observed[~rare], observed[rare].sum())
    meant = np.append(expected[~rare], expected[rare].sum())
    seen, meant = seen[meant > 0], meant[meant > 0]
    free = len(meant) - 1
    return float((((seen - meant) ** 2 / meant).sum() - free) / math.sqrt(2 * free))


@pytest.mark.parametrize("sigma", [0.3, 0.75, 1.0, 2.0, 2.5, 17.3, 64.0])
def test_the_draws_have_the_probabilities_of_the_formula(sigma: float) -> None:
    count = 300_000
    draws = discrete_gaussian(sigma, count)
    chances = sum_probabilities(sigma, 1)
    reach = len(chances) // 2
    assert np.abs(draws).max() <= reach
    assert surprise(np.bincount(draws + reach, minlength=len(chances)), count * chances) < Z_LIMIT


@pytest.mark.parametrize("sigma", [0.8, 3.7, 40.0])
def test_the_draws_cannot_be_told_from_those_of_opendp(sigma: float) -> None:
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    count = 20_000
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    theirs = np.array(dp.m.make_gaussian(*space, scale=sigma)([0] * count), dtype=np.int64)
    ours = discrete_gaussian(sigma, count)
    reach = int(max(np.abs(theirs).max(), np.abs(ours).max()))
    one, other = (np.bincount(draws + reach, minlength=2 * reach + 1) for draws in (ours, theirs))
    both = one + other
    common = both >= 20
    gaps = (one[common] - other[common]) ** 2 / both[common]
    assert (gaps.sum() - len(gaps)) / math.sqrt(2 * len(gaps)) < Z_LIMIT


@pytest.mark.parametrize("sigma", [1e3, 1e6, 3.0**20, 2.0**52])
def test_wide_noise_is_a_normal_curve_on_whole_numbers(sigma: float) -> None:
    """Kolmogorov and Smirnov's gap to the normal distribution, which such a wide discrete one comes to."""
    count = 100_000
    draws = np.sort(discrete_gaussian(sigma, count) / sigma)
    curve = np.array([math.erfc(-draw / math.sqrt(2)) / 2 for draw in draws])
    gap = np.abs(curve - (np.arange(count) + 0.5) / count).max()
    assert gap * math.sqrt(count) < 4.0  # by chance: below 1e-13
    # No digit is favoured: the last bits of wide noise are as free as the first.
    if sigma > 2**10:
        assert surprise(np.bincount(np.abs(discrete_gaussian(sigma, count)) & 255), np.full(256, count / 256)) < Z_LIMIT


def test_neighbouring_draws_have_nothing_to_do_with_each_other() -> None:
    draws = discrete_gaussian(5.0, 200_000).astype(float)
    for apart in (1, 2, 16):
        assert abs(np.corrcoef(draws[:-apart], draws[apart:])[0, 1]) * math.sqrt(len(draws)) < Z_LIMIT


def test_floating_point_errs_by_far_less_than_what_counts_as_doubt() -> None:
    """The acceptance probability as computed, against 60 decimals, where it is largest and all over."""
    worst = 0.0
    for sigma in (0.31, 1.0, 1.5, 12.345, 1e6 / 3, 2.0**52 * 0.9):
        places = max(0, math.ceil(math.log2(sigma)))
        for layer in range(6):
            for part in np.linspace(0, 1, 40, endpoint=False):
                size = (layer << places) + int(part * 2**places)
                scaled = size / sigma
                found = float(np.exp(0.5 + (layer - 1) * math.log(2) - scaled * scaled / 2))
                with decimal.localcontext(decimal.Context(prec=60)):
                    ratio = decimal.Decimal(size) / decimal.Decimal(sigma)
                    exact = (decimal.Decimal("0.5") - ratio * ratio / 2).exp() * decimal.Decimal(2) ** (layer - 1)
                    worst = max(worst, abs(float(decimal.Decimal(found) - exact)))
                    assert exact <= 1
    assert worst < DOUBT / 16


class Scripted:
    """Bits as a test wants them: what is given first, then ``rest`` for ever."""

    def __init__(self, *first: int, rest: int = 0) -> None:
        self.first = list(first)
        self.rest = rest
        self.asked = 0

    def words(self, count: int) -> NDArray[np.uint64]:
        self.asked += count
        given = [self.first.pop(0) if self.first else self.rest for _ in range(count)]
        return np.array(given, np.uint64)


def test_a_layer_is_the_zeros_before_the_first_one_however_many() -> None:
    words = np.array([1, 2, 0b1000, 1 << 63, 0, 0], np.uint64)
    bits = Scripted(0b100, 0, 1)
    assert noise._layers(words, bits).tolist() == [0, 1, 3, 63, 66, 128]


@pytest.mark.parametrize(("size", "layer", "sigma"), [(0, 0, 1.7), (3, 0, 3.9), (5, 1, 3.9), (12, 3, 3.9)])
def test_in_doubt_more_bits_decide(size: int, layer: int, sigma: float) -> None:
    """The uniform number agrees with the probability in its first bits; the first bit that differs decides."""
    with decimal.localcontext(decimal.Context(prec=120)):
        ratio = decimal.Decimal(size) / decimal.Decimal(sigma)
        chance = (decimal.Decimal("0.5") - ratio * ratio / 2).exp() * decimal.Decimal(2) ** (layer - 1)
        bits = int(chance * 2 ** (53 + 192))
    first, *further = bits >> 192, *((bits >> shift) % 2**64 for shift in (128, 64, 0))
    for agreeing in range(3):
        same, decisive = further[:agreeing], further[agreeing]
        for step, kept in ((-2, True), (2, False)):
            source = Scripted(*same, decisive + step)
            assert noise._below(first, size, layer, sigma, source) is kept
            assert source.asked == agreeing + 1


def test_a_doubtful_candidate_is_decided_by_further_bits_and_not_by_floating_point() -> None:
    sigma = 1.7  # one candidate: 0 in layer 0, kept with probability e^½/2 = 0.8243…
    edge = int(decimal.Decimal("0.5").exp() / 2 * 2**53) << 11
    for rest, kept in ((0, True), (2**64 - 1, False)):
        # The words of places and sign, of the layer, of the uniform number; then the bits that decide.
        assert len(noise._kept(sigma, 1, Scripted(0, 1, edge, rest=rest))) == kept
    assert len(noise._kept(sigma, 1, Scripted(1 << 63, 1, 0))) == 0  # minus nought is no candidate
    assert noise._kept(sigma, 1, Scripted(1 << 63 | 1, 1, 0)).tolist() == [-1]


def test_the_bits_are_a_keystream_under_a_fresh_key_each_time() -> None:
    one, other = SystemBits(), SystemBits()
    first, second, third = one.words(4096), one.words(4096), other.words(4096)
    assert len(np.unique(np.concatenate([first, second, third]))) == 3 * 4096
    ones = np.unpackbits(np.concatenate([first, second]).view(np.uint8)).mean()
    assert abs(ones - 0.5) * 2 * math.sqrt(8192 * 64) < Z_LIMIT


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf, 2.0**53, 2.0**-53])
def test_noise_that_cannot_be_drawn_exactly_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="cannot be drawn"):
        discrete_gaussian(sigma, 1)


def test_the_smallest_noise_and_the_shortest_vector() -> None:
    assert discrete_gaussian(2.0**-52, 50).tolist() == [0] * 50
    assert discrete_gaussian(1.0, 0).shape == (0,)
    assert discrete_gaussian(1.0, 1).dtype == np.int64


def test_a_sum_that_could_overflow_is_refused() -> None:
    vector = np.zeros(3, np.int64)
    assert noised(vector, 1.0, 10, 3).shape == (3,)
    with pytest.raises(InputError, match="overflow"):
        noised(vector, 1.0, 2**62, 3)
    with pytest.raises(InputError, match="overflow"):
        noised(vector, 1e18, 10, 3)
    assert clipped(np.array([5, -5], np.int64), 2, 3).tolist() == [3, -3]


# What the noise costs ------------------------------------------------------------------


def test_the_probabilities_of_a_sum_are_those_of_adding_one_by_one() -> None:
    once = sum_probabilities(1.3, 1)
    assert once.sum() == pytest.approx(1, abs=1e-12)
    assert once[len(once) // 2 + 2] / once[len(once) // 2] == pytest.approx(math.exp(-(2**2) / (2 * 1.3**2)))
    slowly = once
    for _ in range(4):
        slowly = np.convolve(slowly, once)
    fast = sum_probabilities(1.3, 5)
    middle, reach = len(slowly) // 2, len(fast) // 2
    assert np.allclose(fast, slowly[middle - reach : middle + reach + 1], rtol=1e-10, atol=0)


def test_one_sites_noise_costs_what_the_library_says_of_the_discrete_gaussian() -> None:
    library = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution")
    for sigma, rounds, delta in ((3.0, 1, 1e-6), (9.0, 4, 1e-5)):
        theirs = library.from_discrete_gaussian_mechanism(sigma).self_compose(rounds).get_epsilon_for_delta(delta)
        assert exact_epsilon(sigma, 1, {1: 1}, delta, rounds) == pytest.approx(theirs, rel=1e-3)


def test_noise_too_wide_and_impossible_changes_are_refused() -> None:
    for sigma, honest, changes, delta in ((1e4, 2, {1: 1}, 1e-6), (1.0, 2, {}, 1e-6), (1.0, 2, {0: 1}, 1e-6)):
        with pytest.raises(InputError, match="exact price"):
            exact_epsilon(sigma, honest, changes, delta)
    with pytest.raises(InputError, match="exact price"):
        exact_epsilon(1.0, 2, {1: 1}, 0.0)


def test_without_the_accountant_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting.pld", None)
    with pytest.raises(PluginError, match=r"synthema\[dp\]"):
        exact_epsilon(1.0, 1, {1: 1}, 1e-6)
