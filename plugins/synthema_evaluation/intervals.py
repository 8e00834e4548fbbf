"""95 % intervals: Wilson for shares, normal around the estimate for everything that is resampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthema_evaluation.columns import Floats

Z95 = 1.959964
RESAMPLES = 200


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    # at the ends the formula gives the end itself, but for rounding
    lower = 0.0 if successes <= 0 else max(0.0, float(centre - half))
    return lower, 1.0 if successes >= n else min(1.0, float(centre + half))


def difference(first: float, n_first: int, second: float, n_second: int) -> tuple[float, float]:
    """Interval of the difference of two independent shares (Newcombe 1998, method 10)."""
    low_1, high_1 = wilson(first * n_first, n_first)
    low_2, high_2 = wilson(second * n_second, n_second)
    gap = first - second
    lower = gap - np.sqrt((first - low_1) ** 2 + (high_2 - second) ** 2)
    upper = gap + np.sqrt((high_1 - first) ** 2 + (second - low_2) ** 2)
    return float(max(-1.0, lower)), float(min(1.0, upper))


def around(
    value: float,
    resampled: Callable[[np.random.Generator], float],
    random: np.random.Generator,
    bounds: tuple[float, float],
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Normal interval around ``value`` with the spread of a bootstrap.

    Percentiles are not used: a distance between samples rises with resampling
    noise, so their percentiles would lie above the estimate.
    """
    draws = np.array([resampled(random) for _ in range(resamples)])
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2 or not np.isfinite(value):
        return bounds
    half = Z95 * float(draws.std(ddof=1))
    return float(max(bounds[0], value - half)), float(min(bounds[1], value + half))


def area(positives: Floats, negatives: Floats) -> float:
    """Probability that a positive scores above a negative, ties counted half (Mann and Whitney 1947)."""
    if len(positives) == 0 or len(negatives) == 0:
        return 0.5
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    tied = np.searchsorted(ordered, positives, side="right") - below
    return float((below + tied / 2).mean() / len(negatives))
