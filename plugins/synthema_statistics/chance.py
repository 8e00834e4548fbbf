"""The few distributions that the figures need."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""Standard normal quantile of 97.5 %: half-width of a 95 % interval in standard errors."""


def chi_square_tail(value: float, degrees: int) -> float:
    """Probability that a χ² variable of whole ``degrees`` exceeds ``value`` (closed form)."""
    if value <= 0:
        return 1.0
    half = value / 2
    if degrees % 2 == 0:
        term = total = 1.0
        for index in range(1, degrees // 2):
            term *= half / index
            total += term
        return math.exp(-half) * total
    total, term = 0.0, math.sqrt(half) / math.gamma(1.5)
    for index in range(1, (degrees - 1) // 2 + 1):
        total += term
        term *= half / (index + 0.5)
    return math.erfc(math.sqrt(half)) + math.exp(-half) * total
