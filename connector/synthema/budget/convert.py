"""From zero-concentrated differential privacy (ρ) to (ε, δ) and back.

The ledger adds ρ, which composes by plain addition (Bun and Steinke 2016, Lemma 1.7).
People read ε at a δ. The conversion is the tight one of Canonne, Kamath and Steinke,
"The Discrete Gaussian for Differential Privacy" (2020), Proposition 12: a ρ-zCDP
mechanism is (ε, δ)-differentially private for

    δ = inf over α > 1 of  exp((α−1)(αρ−ε)) / (α−1) · (1 − 1/α)^α.

Any α gives a true bound, so a numerically imperfect minimum errs on the safe side.
"""

from __future__ import annotations

from fractions import Fraction
from math import exp, floor, isfinite, log, log1p, sqrt

from synthema.errors import InputError

UNIT = Fraction(1, 10**12)
"""The smallest privacy loss the ledger can tell apart, in ρ."""

_STEPS = 200  # halvings of an interval of doubles: more than their 64 bits can tell apart


def delta_of(rho: float, epsilon: float) -> float:
    """The smallest δ at which ρ-zCDP implies (ε, δ)-DP; at most 1."""
    _require_loss(rho, "rho")
    _require_loss(epsilon, "epsilon")
    if rho == 0:
        return 0.0
    return min(1.0, exp(min(0.0, _log_delta(rho, epsilon))))


def epsilon_of(rho: float, delta: float) -> float:
    """The smallest ε at which ρ-zCDP implies (ε, δ)-DP, rounded up; 0 for ρ = 0."""
    _require_loss(rho, "rho")
    _require_delta(delta)
    if rho == 0 or delta_of(rho, 0.0) <= delta:
        return 0.0
    # Bun and Steinke 2016, Proposition 1.3: ρ + 2√(ρ ln 1/δ) always suffices, so it bounds the search.
    low, high = 0.0, rho + 2 * sqrt(rho * log(1 / delta))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _log_delta(rho, middle) <= log(delta):
            high = middle
        else:
            low = middle
    return high


def rho_of(epsilon: float, delta: float) -> float:
    """The largest ρ whose ρ-zCDP implies (ε, δ)-DP, rounded down to a whole :data:`UNIT`; 0 for ε = 0."""
    _require_loss(epsilon, "epsilon")
    _require_delta(delta)
    if epsilon == 0:
        return 0.0
    low, high = 0.0, epsilon
    while _log_delta(high, epsilon) <= log(delta):
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _log_delta(middle, epsilon) <= log(delta):
            low = middle
        else:
            high = middle
    return float(floor(Fraction(low) / UNIT) * UNIT)


def _log_delta(rho: float, epsilon: float) -> float:
    """The minimum over α of the logarithm of Proposition 12; its derivative rises, so bisection finds it."""

    def slope(excess: float) -> float:  # at α = 1 + excess
        return (2 * excess + 1) * rho - epsilon + log(excess) - log1p(excess)

    low, high = 1e-12, 1.0
    while slope(high) < 0 and high < 1e15:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return min(_log_bound(rho, epsilon, low), _log_bound(rho, epsilon, high))


def _log_bound(rho: float, epsilon: float, excess: float) -> float:
    alpha = 1 + excess
    return excess * (alpha * rho - epsilon) + alpha * (log(excess) - log1p(excess)) - log(excess)


def _require_loss(value: float, name: str) -> None:
    if not isfinite(value) or value < 0:
        raise InputError(f"{name} must be a finite number of 0 or more", fix=f"give {name} as a number such as 0.5")


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InputError(
            "delta must lie between 0 and 1, both excluded",
            fix="give a delta well below one over the number of patients, e.g. 1e-6",
        )
