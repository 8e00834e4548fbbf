"""Scales: how a number becomes a normal score and back, and how a time becomes one of some intervals.

Without privacy the knots of a scale are the data's quantiles, the outermost three values at either end replaced by
their mean. With it they are the codebook's edges, so that nothing of the data decides where they lie.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from synthema.datasets.codebook import Variable

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST_KNOTS = 64
PATIENTS_PER_KNOT = 10
EQUAL_KNOTS = 20
OUTERMOST = 3
_SCORES = np.linspace(0.0, 1.0, 2049)[1:-1]
_NORMAL = np.array([NormalDist().inv_cdf(float(share)) for share in _SCORES])


def normal_score(shares: Floats) -> Floats:
    """Quantiles of the standard normal distribution, flat beyond 1 in 2048."""
    return np.asarray(np.interp(shares, _SCORES, _NORMAL))


def share_below(scores: Floats) -> Floats:
    """The reverse of :func:`normal_score`."""
    return np.asarray(np.interp(scores, _NORMAL, _SCORES))


class Scale:
    """A rising, piecewise linear map between values and shares of patients below them."""

    def __init__(self, knots: Floats, shares: Floats) -> None:
        self.knots = knots
        self.shares = shares

    @classmethod
    def of_data(cls, values: Floats, *, most: int = MOST_KNOTS) -> Scale:
        """Knots at the quantiles of known values; one knot for a value that many share."""
        inner = np.sort(values)
        few = min(OUTERMOST, len(inner))
        low, high = float(inner[:few].mean()), float(inner[-few:].mean())
        inner = np.clip(inner, low, high)
        steps = np.linspace(0.0, 1.0, max(2, min(most, len(inner) // PATIENTS_PER_KNOT)) + 1)
        knots, place = np.unique(np.quantile(inner, steps), return_inverse=True)
        shares = np.bincount(place, weights=steps) / np.bincount(place)
        if len(knots) == 1:
            return cls(np.repeat(knots, 2), np.array([0.0, 1.0]))
        return cls(knots, shares)

    @classmethod
    def of_codebook(cls, variable: Variable, low: float, high: float) -> Scale:
        """Knots at the codebook's edges, else twenty equal steps; each bin counts as equally full."""
        edges = np.array([edge for edge in variable.edges if low < edge < high])
        knots = np.concatenate([[low], edges, [high]]) if len(edges) else np.linspace(low, high, EQUAL_KNOTS + 1)
        return cls(knots, np.linspace(0.0, 1.0, len(knots)))

    def scores(self, values: Floats) -> Floats:
        """Values as normal scores."""
        return normal_score(np.asarray(np.interp(values, self.knots, self.shares)))

    def values(self, scores: Floats) -> Floats:
        """Normal scores as values between the outermost knots."""
        return np.asarray(np.interp(share_below(scores), self.shares, self.knots))

    def interval(self, values: Floats) -> Codes:
        """The number of the interval between two knots that each value lies in."""
        place = np.searchsorted(self.knots, values, side="left") - 1
        return np.asarray(np.clip(place, 0, len(self.knots) - 2), dtype=np.int64)

    def within(self, interval: Codes, random: np.random.Generator) -> Floats:
        """A value drawn evenly from each interval."""
        low, high = self.knots[interval], self.knots[interval + 1]
        return np.asarray(low + (high - low) * random.random(len(interval)))
