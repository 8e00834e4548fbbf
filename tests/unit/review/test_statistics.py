"""Every figure of a review against an independent computation, and its interval by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthema.certification.review import advise, expect
from synthema.certification.review.distributions import incomplete_beta, student_cdf, student_quantile
from synthema.certification.review.statistics import (
    agreement,
    clustered_share,
    cohen_kappa,
    difference,
    fleiss_kappa,
    pooled_auc,
    reader_auc,
    scores_of,
    single_auc,
    wilson,
)
from synthema.errors import InputError

stats = pytest.importorskip("scipy.stats")
special = pytest.importorskip("scipy.special")


# distributions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 4.5, 9.0, 30.0, 250.0, 1e5])
def test_students_t_is_scipys(freedom: float) -> None:
    for value in (0.1, 1.0, 2.5, 12.0):
        assert student_cdf(value, freedom) == pytest.approx(stats.t.cdf(value, freedom), abs=1e-9)
    assert student_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_the_incomplete_beta_function_is_scipys() -> None:
    random = np.random.default_rng(3)
    for a, b, x in zip(*random.uniform(0.05, 40, (2, 200)), random.uniform(0, 1, 200), strict=True):
        assert incomplete_beta(float(x), float(a), float(b)) == pytest.approx(special.betainc(a, b, x), abs=1e-11)
    assert (incomplete_beta(0.0, 2, 3), incomplete_beta(1.0, 2, 3)) == (0.0, 1.0)
    assert student_quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-6)


# shares ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (7, 20), (81, 263), (15, 148)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    expected = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    assert wilson(k / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert wilson(0.3, 0) == (0.0, 1.0)


def test_newcombes_difference_is_the_published_one() -> None:
    """Newcombe 1998, table II, 56/70 against 48/80 by method 10: 0.0524 to 0.3339."""
    ones = [clustered_share(np.array([[1]] * k + [[0]] * (n - k)))[0] for k, n in ((56, 70), (48, 80))]
    # A single reviewer and independent vignettes: the design effect is n/(n - 1), a hair above one.
    gap = difference(*ones)
    assert (gap.value, gap.lower, gap.upper) == pytest.approx((0.2, 0.0524, 0.3339), abs=2e-3)


def test_judgements_that_repeat_each_other_count_once() -> None:
    marks = np.repeat(np.array([[1], [0], [1], [1]] * 10), 5, axis=1)
    share, effective = clustered_share(marks)
    assert share.n == 200
    assert effective == pytest.approx(39, abs=1.1)  # 40 vignettes, not 200 judgements
    everybody, effective = clustered_share(np.ones((30, 3), dtype=int))
    assert (everybody.value, effective) == (1.0, 30.0)
    assert everybody.lower == pytest.approx(wilson(1.0, 30)[0])


# agreement ---------------------------------------------------------------------------------------


def _delta_method(table: np.ndarray, statistic: object) -> float:
    """The variance of a function of multinomial shares by numerical gradient: the oracle for both κ."""
    n, p = table.sum(), table / table.sum()
    gradient = np.zeros_like(p)
    for index in np.ndindex(*p.shape):
        step = np.zeros_like(p)
        step[index] = 1e-6
        gradient[index] = (statistic(p + step) - statistic(p - step)) / 2e-6  # type: ignore[operator]
    return float(((gradient**2 * p).sum() - (gradient * p).sum() ** 2) / n)


def _kappa(p: np.ndarray) -> float:
    p = p / p.sum()
    chance = float(p.sum(axis=1) @ p.sum(axis=0))
    return (float(np.trace(p)) - chance) / (1 - chance)


def test_cohens_kappa_and_its_variance() -> None:
    table = np.array([[44, 5, 1], [7, 20, 3], [9, 5, 6]], dtype=float)
    pairs = [(a, b) for a in range(3) for b in range(3) for _ in range(int(table[a, b]))]
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    found = cohen_kappa(first, second)
    assert found is not None
    assert found.value == pytest.approx(_kappa(table), abs=1e-9)
    half = 1.959964 * math.sqrt(_delta_method(table, _kappa))
    assert found.upper - found.value == pytest.approx(half, rel=1e-5)
    assert found.n == 100


def test_fleiss_kappa_is_the_published_one() -> None:
    """Fleiss 1971, ten subjects by fourteen raters in five categories: κ = 0.210."""
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    ratings = np.array([[c for c, n in enumerate(row) for _ in range(n)] for row in counts])
    found = fleiss_kappa(ratings)
    assert found is not None
    assert found.value == pytest.approx(0.210, abs=5e-4)
    assert found.lower < found.value < found.upper


def test_fleiss_variance_is_that_of_the_delta_method() -> None:
    random = np.random.default_rng(8)
    truth = random.random(300) < 0.4
    ratings = np.where(random.random((300, 4)) < 0.8, truth[:, None], ~truth[:, None]).astype(int)
    patterns = np.bincount(ratings.sum(axis=1), minlength=5).astype(float)

    def kappa(p: np.ndarray) -> float:
        p, ones = p / p.sum(), np.arange(5)
        share = float(p @ ones) / 4
        chance = share**2 + (1 - share) ** 2
        agreed = float(p @ ((ones * (ones - 1) + (4 - ones) * (3 - ones)) / 12))
        return (agreed - chance) / (1 - chance)

    found = fleiss_kappa(ratings)
    assert found is not None
    assert found.value == pytest.approx(kappa(patterns), abs=1e-9)
    expected = stats.t.ppf(0.975, 299) * math.sqrt(_delta_method(patterns, kappa) * 300 / 299)
    assert found.upper - found.value == pytest.approx(expected, rel=1e-4)


def test_where_all_say_the_same_there_is_no_kappa() -> None:
    assert agreement(np.ones((20, 2), dtype=int)) is None
    assert agreement(np.ones((20, 3), dtype=int)) is None
    assert agreement(np.zeros((20, 1), dtype=int)) is None


# telling apart -----------------------------------------------------------------------------------


def test_the_area_is_that_of_mann_and_whitney_and_its_variance_that_of_the_jackknife() -> None:
    random = np.random.default_rng(5)
    kinds = np.arange(60) < 28
    scores = random.integers(-3, 4, (60, 1)) + kinds[:, None]
    areas, covariance = reader_auc(scores.astype(float), kinds)
    u = stats.mannwhitneyu(scores[kinds, 0], scores[~kinds, 0]).statistic
    assert areas[0] == pytest.approx(u / (28 * 32), abs=1e-9)
    left_out = {
        kind: np.array([reader_auc(np.delete(scores, i, 0).astype(float), np.delete(kinds, i))[0][0]
                        for i in np.flatnonzero(kinds == kind)]) for kind in (True, False)
    }  # fmt: skip
    jackknife = sum((len(a) - 1) ** 2 / len(a) * a.var(ddof=1) for a in left_out.values())
    assert covariance[0, 0] == pytest.approx(jackknife, rel=1e-9)
    found = single_auc(scores.astype(float), kinds)
    assert found.upper - found.value == pytest.approx(1.959964 * math.sqrt(covariance[0, 0]), rel=1e-6)


def test_who_is_always_right_has_an_interval_all_the_same() -> None:
    kinds = np.arange(20) < 10
    perfect = np.where(kinds, 3.0, -3.0)[:, None]
    found = pooled_auc(np.repeat(perfect, 3, axis=1), kinds)
    assert found.value == found.upper == 1.0
    assert 0.75 < found.lower < 0.95
    blind = pooled_auc(np.zeros((20, 2)), kinds)
    assert blind.value == 0.5
    assert blind.lower < 0.35
    assert blind.upper > 0.65


def test_guess_and_confidence_are_one_scale() -> None:
    assert scores_of([[True, False]], [[3, 1]]).tolist() == [[3.0, -1.0]]


@pytest.mark.parametrize("reviewers", [2, 4])
def test_the_pooled_interval_holds_what_it_promises(reviewers: int) -> None:
    """Readers of scattering skill, vignettes that are easy or hard for all: 95 % of the intervals hold the truth."""
    random = np.random.default_rng(11)
    kinds, held, rounds = np.arange(40) < 20, 0, 400
    mean, between, shared = 0.5, 0.25, 0.7
    truth = float(stats.norm.cdf(mean / math.sqrt(2 + 2 * shared**2 + between**2)))
    for _ in range(rounds):
        skill = mean + between * random.standard_normal(reviewers)
        difficulty = shared * random.standard_normal((40, 1))
        scores = kinds[:, None] * skill + difficulty + random.standard_normal((40, reviewers))
        found = pooled_auc(scores, kinds)
        held += found.lower <= truth <= found.upper
    assert 0.92 <= held / rounds <= 0.995


# planning ----------------------------------------------------------------------------------------


def test_advice_says_what_a_design_will_tell() -> None:
    found = advise(3, 0.1)
    assert found.auc_half_width <= 0.1
    assert expect(3, found.vignettes - 2).auc_half_width > 0.1
    assert advise(6, 0.1).vignettes < found.vignettes
    assert any("chance" in sentence for sentence in found.sentences())


@pytest.mark.parametrize(("reviewers", "half_width"), [(1, 0.1), (2, 0.001)])
def test_what_cannot_be_known_is_said(reviewers: int, half_width: float) -> None:
    with pytest.raises(InputError):
        advise(reviewers, half_width)
    with pytest.raises(InputError):
        expect(2, 6)
