"""The accounting of private training: how much noise each step needs.

Every step takes each row with probability ``rate`` by itself (Poisson sampling), clips its gradient to length 1 and
adds normal noise of scale ``sigma`` to the sum. Neighbours are tables that differ by one row, added or removed. The
number of rows appears nowhere: rate, steps and noise are the same whatever the table.
"""

from __future__ import annotations

import math
import warnings


def row_promise(epsilon: float, delta: float, stability: int) -> tuple[float, float]:
    """The (epsilon, delta) for one row that gives the wanted one for ``stability`` rows (group privacy).

    An (e, d) mechanism is (k e, d (1 + exp(e) + … + exp((k-1) e))) for groups of k (Dwork and Roth 2014, Theorem 2.2).
    """
    own = epsilon / stability
    return own, delta / sum(math.exp(place * own) for place in range(stability))


def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The noise multiplier for ``steps`` steps at (epsilon, delta), by Opacus' numerical (PRV) accountant."""
    if not (epsilon > 0 and 0 < delta < 1):
        raise ValueError("private training needs epsilon above 0, and delta above 0 and below 1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants.utils import get_noise_multiplier  # noqa: PLC0415 - an extra

        return float(
            get_noise_multiplier(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant="prv"
            )
        )


def spent(sigma: float, delta: float, rate: float, steps: int) -> float:
    """The epsilon that such training costs at this delta: the upper bound of the same accountant."""
    from opacus.accountants import PRVAccountant  # noqa: PLC0415 - an extra

    accountant = PRVAccountant()
    accountant.history = [(sigma, rate, steps)]
    return float(accountant.get_epsilon(delta))
