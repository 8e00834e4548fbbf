"""What a round's noise really costs a patient, from the very distribution of the noise.

The ledger charges ρ, which is simple to add up and never too little. Where it is
known by how much one patient changes each number of a vector, the price can be
computed exactly: the noise of an opened sum is a convolution of discrete Gaussians, its privacy loss follows from
its probabilities, and the losses of independent numbers and rounds are convolved in turn by
``dp-accounting`` with pessimistic rounding (Koskela, Jälkö and Honkela 2020; Zhu, Dong and Wang 2022).

*Computed*, not proven: a published theorem, and floating-point numerics on top. It needs the extra ``dp``.

No study shows this figure: what a round tells is how far one patient moves a vector as a whole (its L2 sensitivity),
and not by how much each number, so that for a plugin in general it cannot be worked out. It is the oracle that the
claimed price is held against in ``tests/unit/federation/test_distributed_noise.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema.errors import InputError, PluginError

WIDEST = 2_000.0
"""Standard deviation of a sum up to which its probabilities are worked out one by one."""
_REACH = 37  # standard deviations: what lies beyond weighs less than 2^-980


def exact_epsilon(sigma: float, honest: int, changes: Mapping[int, int], delta: float, rounds: int = 1) -> float:
    """The smallest ε at ``delta`` for ``rounds`` sums that each carry ``honest`` discrete Gaussians of scale ``sigma``.

    ``changes`` says what one patient can do to a vector: size of a change → numbers
    of the vector so changed, e.g. ``{1: 3}`` for one cell in each of three tables when a patient is
    added. Raises :class:`InputError` for noise too wide to work out, :class:`PluginError` without the extra.
    """
    total = sigma * math.sqrt(honest)
    sound = sigma > 0 and honest >= 1 and rounds >= 1 and 0 < delta < 1 and total <= WIDEST
    if not sound or not changes or not all(size >= 1 and count >= 1 for size, count in changes.items()):
        raise InputError(
            "the exact price needs noise of a size above 0, whole changes, and a δ between 0 and 1",
            fix=f"use the ρ where the noise of a sum is wider than {WIDEST:g}",
        )
    distributions = _distributions()
    chances = sum_probabilities(sigma, honest)
    found = []
    for size, count in sorted(changes.items()):
        with np.errstate(divide="ignore"):
            logs = np.log(chances)
        one = {number: float(value) for number, value in enumerate(logs) if value > -math.inf}
        other = {number + size: value for number, value in one.items()}
        once = distributions.from_two_probability_mass_functions(one, other)
        found.append(once.self_compose(count * rounds))
    return max(0.0, float(reduce(lambda left, right: left.compose(right), found).get_epsilon_for_delta(delta)))


def sum_probabilities(sigma: float, honest: int) -> NDArray[np.float64]:
    """The probabilities of −w … w for the sum of ``honest`` discrete Gaussians of scale ``sigma``; outside, none.

    All terms are positive, so nothing cancels: the relative error is that of as many additions.
    """
    once = _trimmed(_one(sigma), sigma)
    total: NDArray[np.float64] | None = None
    power, left, together = once, honest, 1
    while left:
        if left & 1:
            total = power if total is None else np.convolve(total, power)
        left >>= 1
        together *= 2
        if left:
            power = _trimmed(np.convolve(power, power), sigma * math.sqrt(together))
    return _trimmed(once if total is None else total, sigma * math.sqrt(honest))


def _one(sigma: float) -> NDArray[np.float64]:
    reach = math.ceil(_REACH * sigma)
    numbers = np.arange(-reach, reach + 1, dtype=np.float64)
    weights: NDArray[np.float64] = np.exp(-((numbers / sigma) ** 2) / 2)
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


def _trimmed(chances: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    middle, reach = len(chances) // 2, math.ceil(_REACH * sigma)
    return chances[max(0, middle - reach) : middle + reach + 1]


def _distributions() -> Any:
    try:
        from dp_accounting.pld import privacy_loss_distribution  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise PluginError(
            "the exact accounting is not installed", fix="install the extra: pip install 'synthema[dp]'"
        ) from error
    return privacy_loss_distribution
