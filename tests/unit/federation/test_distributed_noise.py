"""The noise of all sites together: enough when sites drop out or collude, and an audit that tries to break the claim.

The audit is that of Jagielski, Ullman and Oprea (2020, "Auditing differentially private machine learning"): on
many runs over two neighbouring cohorts, an attacker guesses which one it was; from how well it
guesses follows, with a stated confidence, an ε that the noise cannot be better than.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from synthema.budget import epsilon_of
from synthema.federation.accounting import exact_epsilon
from synthema.federation.noise import discrete_gaussian
from synthema.federation.privacy import largest_number, noise_share, noised
from tests.plugins.secure_round import Round

DELTA = 1e-5
RUNS = 200_000
CERTAINTY = 1e-9
"""The chance that the audit's lower bound lies above the true ε."""

SITES, DROPPED, COLLUDERS = 6, 1, 1
HONEST = SITES - DROPPED - COLLUDERS
BOUND = 100


def what_is_left(vectors: dict[str, NDArray[np.int64]], sigma: float) -> NDArray[np.int64]:
    """A real secure sum in which one site drops out, less the vector that a colluding site knows to be its own."""
    sent = {name: noised(vector, sigma, BOUND, SITES) for name, vector in vectors.items()}
    *others, colluder, gone = sorted(sent)
    run = Round(sent, SITES - DROPPED, bound=largest_number(sigma, BOUND, SITES), colluders=COLLUDERS)
    run.share()
    run.mask(gone)
    total = run.open(run.unmask())
    assert np.array_equal(total, np.sum([sent[name] for name in (*others, colluder)], axis=0))
    return total - sent[colluder]


def cohorts(change: int) -> dict[str, NDArray[np.int64]]:
    """Each number of the vectors is one run of its own: a count, which one patient changes at the first site."""
    vectors = {f"site-{number}": np.full(RUNS, 7, np.int64) for number in range(SITES)}
    vectors["site-0"] = vectors["site-0"] + change
    return vectors


def lower_bound(without: NDArray[np.int64], present: NDArray[np.int64]) -> float:
    """The ε that the mechanism cannot be better than, by guessing "present" above each possible threshold."""
    best, thresholds = 0.0, range(int(np.median(without)), int(np.max(without)) + 2)
    for threshold in thresholds:  # a threshold chosen on the data: the certainty is shared among all of them
        sure = CERTAINTY / (2 * len(thresholds))
        right = bounded((present >= threshold).mean(), sure, upper=False)
        wrong = bounded((without >= threshold).mean(), sure, upper=True)
        if right > DELTA:
            best = max(best, math.log((right - DELTA) / wrong))
    return best


def bounded(share: float, sure: float, *, upper: bool) -> float:
    """A bound on a probability, of which this share of :data:`RUNS` was seen (Chernoff's, in its sharpest form)."""
    low, high = (share, 1.0) if upper else (0.0, share)
    for _ in range(60):
        middle = (low + high) / 2
        unlikely = RUNS * divergence(share, middle) > -math.log(sure)
        low, high = (low, middle) if unlikely == upper else (middle, high)
    return high if upper else low


def divergence(seen: float, true: float) -> float:
    """Of two coins (Kullback and Leibler)."""
    parts = ((seen, true), (1 - seen, 1 - true))
    return sum(a * math.log(a / b) if b > 0 else math.inf for a, b in parts if a > 0)


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_an_attacker_on_many_neighbouring_cohorts_never_beats_the_claim(rho: float) -> None:
    share = noise_share(rho, 1.0, HONEST, RUNS)
    claimed, exact = epsilon_of(share.rho, DELTA), exact_epsilon(share.sigma, HONEST, {1: 1}, DELTA)
    found = lower_bound(what_is_left(cohorts(0), share.sigma), what_is_left(cohorts(1), share.sigma))
    assert exact <= claimed
    assert found <= exact
    assert found > 0.4 * exact  # the attack is worth its name


def test_the_audit_notices_noise_that_is_too_small() -> None:
    """As it would be if the sites forgot that one drops out and one colludes, and one of them forgot its noise."""
    share = noise_share(0.5, 1.0, HONEST, RUNS)
    exact = exact_epsilon(share.sigma, HONEST, {1: 1}, DELTA)
    found = lower_bound(*(what_is_left(cohorts(change), share.sigma / 2) for change in (0, 1)))
    assert found > exact


def test_a_patient_at_two_sites_counts_twice() -> None:
    """Sites do not link patients: who is at two of them can be told better than ε says, and no better than 4ρ says."""
    share = noise_share(0.5, 1.0, HONEST, RUNS)
    once, twice = (exact_epsilon(share.sigma, HONEST, {size: 1}, DELTA) for size in (1, 2))
    found = lower_bound(*(what_is_left(cohorts(change), share.sigma) for change in (0, 2)))
    assert once < found <= twice <= epsilon_of(4 * share.rho, DELTA)


@pytest.mark.parametrize(
    ("sites", "minimum", "colluders"), [(3, 3, 1), (5, 4, 1), (10, 7, 3), (30, 21, 10), (100, 90, 10)]
)
def test_whoever_drops_out_or_colludes_the_honest_noise_is_enough(sites: int, minimum: int, colluders: int) -> None:
    """All sites draw their shares; then the most that may are taken away, and what they know is subtracted."""
    rho, length = 0.02, 20_000
    share = noise_share(rho, 3.0, minimum - colluders, length)
    draws = [discrete_gaussian(share.sigma, length) for _ in range(sites)]
    left = np.sum(draws[: minimum - colluders], axis=0)
    needed = 3.0 / math.sqrt(2 * rho)
    # The spread of a sample's variance is √(2/n) of it: 6 such steps below is a chance of one in a billion.
    assert left.std() > needed * (1 - 6 / math.sqrt(2 * length))
    assert share.total_sigma(minimum - colluders) >= needed
    # Nobody's share alone would do, and together all carry no more than they must.
    assert minimum - colluders == 1 or share.sigma < needed
    everyone = np.sum(draws, axis=0).std()
    assert everyone == pytest.approx(needed * math.sqrt(sites / (minimum - colluders)), rel=0.05)


@pytest.mark.parametrize(("rho", "honest"), [(0.001, 3), (0.05, 20), (0.1, 1), (0.1, 2), (0.3, 7)])
def test_the_exact_price_is_never_above_what_the_ledger_is_charged(rho: float, honest: int) -> None:
    for changes in ({1: 4}, {2: 1}):
        sensitivity = math.sqrt(sum(count * size**2 for size, count in changes.items()))
        share = noise_share(rho, sensitivity, honest, 4)
        exact = exact_epsilon(share.sigma, honest, changes, DELTA)
        assert 0 < exact <= epsilon_of(share.rho, DELTA)
        # More sites, more noise: what is promised for the fewest holds for all.
        assert exact_epsilon(share.sigma, honest + 1, changes, DELTA) < exact


def test_a_rounds_cost_does_not_fall_because_few_were_asked() -> None:
    """No amplification by sampling: the coordinator knows who took part, so the sample is no secret."""
    share = noise_share(0.1, 1.0, HONEST, 100)
    assert 0.099 < share.rho <= 0.1  # no share of sites or patients asked goes in, so none can come out
    apart, together = (exact_epsilon(share.sigma, HONEST, *how) for how in (({1: 1}, DELTA, 4), ({1: 4}, DELTA)))
    assert apart == pytest.approx(together, rel=1e-6)
