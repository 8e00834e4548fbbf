"""What answers of several people amount to, each figure with a 95 % interval by a cited method.

Every reviewer sees every vignette, so all tables here are complete: one row a
vignette, one column a reviewer. Nothing here knows what a vignette is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from synthema.certification.review.distributions import LEVEL, Z, student_quantile

Ratings = NDArray[np.int64]
"""Shape (vignettes, reviewers); the categories are 0, 1, …"""
Scores = NDArray[np.float64]
"""Shape (vignettes, reviewers): how sure a reviewer is that a vignette is synthetic."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; ``n`` is the number of vignettes (or judgements) behind it."""

    value: float
    lower: float
    upper: float
    n: int


# shares ------------------------------------------------------------------------------------


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); ``n`` may be an effective number."""
    if n <= 0:
        return 0.0, 1.0
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def clustered_share(marks: Ratings) -> tuple[Estimate, float]:
    """The share of ones among all judgements, and the effective number of judgements behind its interval.

    Judgements on one vignette, and those of one reviewer, are alike; the judgements are therefore
    divided by the greater of the two design effects (Kish 1965), and Wilson's interval is taken
    with what is left (Dean and Pagano 2015).
    """
    vignettes, reviewers = marks.shape
    n = vignettes * reviewers
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0), 0.0
    share = float(marks.mean())
    alone = share * (1 - share) / n
    if alone == 0:
        effective = float(vignettes)  # all agree: the vignettes are what was sampled
    else:
        effects = [float(marks.mean(axis=axis).var(ddof=1)) / marks.shape[1 - axis] / alone
                   for axis in (0, 1) if marks.shape[1 - axis] > 1]  # fmt: skip
        effective = n / max([1.0, *effects])
    return Estimate(share, *wilson(share, effective), n), effective


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First share less second, from their score intervals (Newcombe 1998, method 10)."""
    gap = first.value - second.value
    lower = gap - math.hypot(first.value - first.lower, second.upper - second.value)
    upper = gap + math.hypot(first.upper - first.value, second.value - second.lower)
    return Estimate(gap, max(-1.0, lower), min(1.0, upper), first.n + second.n)


# agreement ---------------------------------------------------------------------------------


def agreement(ratings: Ratings) -> Estimate | None:
    """Cohen's κ for two reviewers, Fleiss' κ for more; None where κ is not defined (all say the same)."""
    if ratings.shape[1] < 2 or ratings.shape[0] < 2:
        return None
    return cohen_kappa(ratings[:, 0], ratings[:, 1]) if ratings.shape[1] == 2 else fleiss_kappa(ratings)


def cohen_kappa(first: Ratings, second: Ratings) -> Estimate | None:
    """Cohen's κ with the large-sample variance of Fleiss, Cohen and Everitt (1969)."""
    n = len(first)
    categories = np.unique(np.concatenate([first, second]))
    p = np.array([[np.mean((first == a) & (second == b)) for b in categories] for a in categories])
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    by_chance = float(rows @ columns)
    if by_chance >= 1:
        return None
    kappa = (float(np.trace(p)) - by_chance) / (1 - by_chance)
    off = ~np.eye(len(categories), dtype=bool)
    on_diagonal = float((np.diag(p) * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    beside = (1 - kappa) ** 2 * float((p * (columns[:, None] + rows[None, :]) ** 2)[off].sum())
    variance = (on_diagonal + beside - (kappa - by_chance * (1 - kappa)) ** 2) / (n * (1 - by_chance) ** 2)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)


def fleiss_kappa(ratings: Ratings) -> Estimate | None:
    """Fleiss' κ (1971) with the variance of Gwet (2014, §5.3), which holds for any true agreement.

    Fleiss' own variance holds only where there is no agreement at all, and so is no ground for an interval.
    """
    n, reviewers = ratings.shape
    categories = np.unique(ratings)
    counts = np.stack([(ratings == category).sum(axis=1) for category in categories], axis=1).astype(float)
    shares = counts.mean(axis=0) / reviewers
    by_chance = float((shares**2).sum())
    if by_chance >= 1:
        return None
    each = (counts * (counts - 1)).sum(axis=1) / (reviewers * (reviewers - 1))
    kappa = (float(each.mean()) - by_chance) / (1 - by_chance)
    chance_each = (counts * shares).sum(axis=1) / reviewers
    influence = (each - by_chance) / (1 - by_chance) - 2 * (1 - kappa) * (chance_each - by_chance) / (1 - by_chance)
    variance = float(((influence - kappa) ** 2).sum()) / (n * (n - 1))
    half = student_quantile(0.5 + LEVEL / 2, n - 1) * math.sqrt(variance)
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)


# telling apart -----------------------------------------------------------------------------


def reader_auc(scores: Scores, synthetic: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each reviewer's area under the curve, and their covariance over vignettes (DeLong et al. 1988).

    0.5 is chance: the share of pairs (synthetic, real) that are ordered rightly, ties counting half.
    Needs two vignettes of each kind.
    """
    positive, negative = scores[synthetic], scores[~synthetic]
    pairs = (positive[:, None, :] > negative[None, :, :]) + 0.5 * (positive[:, None, :] == negative[None, :, :])
    by_positive, by_negative = pairs.mean(axis=1), pairs.mean(axis=0)
    covariance = np.atleast_2d(np.cov(by_positive, rowvar=False)) / len(positive)
    covariance = covariance + np.atleast_2d(np.cov(by_negative, rowvar=False)) / len(negative)
    return pairs.mean(axis=(0, 1)), covariance


def single_auc(scores: Scores, synthetic: NDArray[np.bool_]) -> Estimate:
    """One reviewer's area under the curve with DeLong's interval; ``scores`` has one column."""
    areas, covariance = reader_auc(scores, synthetic)
    return _auc_estimate(float(areas[0]), float(covariance[0, 0]), Z, synthetic)


def pooled_auc(scores: Scores, synthetic: NDArray[np.bool_]) -> Estimate:
    """The mean area over reviewers, for other reviewers and other vignettes like these.

    Obuchowski and Rockette's model for one test in many readers with the degrees of freedom of
    Hillis (2014): the variance between reviewers and the covariance that they share by judging the
    same vignettes (from DeLong) both count. With one reviewer it is DeLong's interval.
    """
    areas, covariance = reader_auc(scores, synthetic)
    reviewers = len(areas)
    mean = float(areas.mean())
    if reviewers == 1:
        return _auc_estimate(mean, float(covariance[0, 0]), Z, synthetic)
    between = float(areas.var(ddof=1))
    shared = float(np.mean([covariance[i, j] for i, j in combinations(range(reviewers), 2)]))
    spread = between + reviewers * max(shared, 0.0)
    # Never less than the reviewers taken as given: their own variances count even where they happen to agree.
    variance = max(spread / reviewers, float(covariance.mean()))
    freedom = spread**2 / (between**2 / (reviewers - 1)) if between > 0 else math.inf
    return _auc_estimate(mean, variance, student_quantile(0.5 + LEVEL / 2, freedom), synthetic)


def _auc_estimate(area: float, variance: float, quantile: float, synthetic: NDArray[np.bool_]) -> Estimate:
    positives, n = int(synthetic.sum()), len(synthetic)
    if variance <= 0:
        return Estimate(area, *_newcombe_auc(area, positives, n - positives), n)
    half = quantile * math.sqrt(variance)
    return Estimate(area, max(0.0, area - half), min(1.0, area + half), n)


def _newcombe_auc(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """The interval for an area without any scatter, e.g. 1 (Newcombe 2006, part 2, method 5)."""
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)
    inside = grid[np.abs(grid - area) <= Z * np.sqrt([hanley_mcneil(a, positives, negatives) for a in grid])]
    return (float(min(inside.min(), area)), float(max(inside.max(), area))) if len(inside) else (0.0, 1.0)


def hanley_mcneil(area: float, positives: float, negatives: float) -> float:
    """The variance of an area in Newcombe's symmetric form of Hanley and McNeil (1982); used for planning too."""
    n = (positives + negatives) / 2 - 1
    ends = 1 + n * (1 - area) / (2 - area) + n * area / (1 + area)
    return area * (1 - area) * ends / (positives * negatives)


def scores_of(guessed_synthetic: Sequence[Sequence[bool]], confidence: Sequence[Sequence[int]]) -> Scores:
    """Guess and confidence as one scale: surely real is lowest, surely synthetic highest."""
    sign = np.where(np.asarray(guessed_synthetic, dtype=bool), 1.0, -1.0)
    return np.asarray(sign * np.asarray(confidence, dtype=float), dtype=np.float64)
