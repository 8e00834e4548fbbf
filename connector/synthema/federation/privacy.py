"""Noise of a federated round: how much, in which shares, and what it costs.

Each site adds a discrete Gaussian to its integer vector before masking. With
``h`` honest surviving sites guaranteed, each adds variance ``sigma² / h``, where
``sigma² = Δ² / (2ρ)``: the noise of the honest alone is enough, whatever colluders
subtract and whoever drops out.

How far this is shown: that one discrete Gaussian gives ρ-zCDP is proven (Canonne,
Kamath, Steinke 2020, theorem 4). A *sum* of them is not one, but near it; the
price of the difference is proven too (Kairouz, Liu, Steinke 2021, "The
distributed discrete Gaussian mechanism for federated learning with secure
aggregation", proposition 14), and :func:`noise_share` adds noise until that
bound holds. The sampler is exact (:mod:`synthema.federation.noise`); ρ becomes (ε, δ) in the budget
room. Declared only: that floating point in these formulas errs by less than
the relative 1e-9 left as margin.

The unit of privacy is the patient: ``sensitivity`` is what all rows of one patient at one site can change. Sites
do not link patients, so one who is treated at two sites counts twice (and loses at most 4ρ, as the change doubles).

No amplification by sampling is ever claimed: it would need a sample that nobody but the site knows, and here the
coordinator knows who takes part in every round. A round's cost does not depend on who did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthema.errors import InputError, PluginError
from synthema.federation.noise import discrete_gaussian
from synthema.spi.model import State

if TYPE_CHECKING:
    from synthema.federation.model import StudyPlan

MARGIN = 1e-9
_STEP = 1.005
_TAIL = 64  # standard deviations: a discrete Gaussian goes beyond with probability below 2^-2900


@dataclass(frozen=True, slots=True)
class NoiseShare:
    """One site's part of a round's noise.

    ``sigma`` is the scale of its discrete Gaussian; ``rho`` what the
    honest sites' sum costs at that scale, at most what was asked for.
    """

    sigma: float
    rho: float

    def total_sigma(self, contributors: int) -> float:
        """Standard deviation of the noise inside the opened sum of this many sites."""
        return self.sigma * math.sqrt(contributors)


def noise_share(rho: float, sensitivity: float, honest: int, length: int) -> NoiseShare:
    """One site's noise so that the sum of ``honest`` such sites is ρ-zCDP.

    ``sensitivity`` is the L2 change of a vector of ``length`` integers when one patient's record changes.
    """
    if not (rho > 0 and sensitivity > 0 and honest >= 1 and length >= 1):
        raise InputError(
            "noise needs a positive rho, sensitivity, number of honest sites and length",
            fix="correct the algorithm's state or the plan's privacy",
        )
    sigma = sensitivity / math.sqrt(2 * rho * honest)
    while (cost := cost_of_sum(sigma, sensitivity, honest, length)) > rho * (1 + MARGIN):
        sigma *= _STEP
    return NoiseShare(sigma, cost)


def share_in(plan: StudyPlan, state: State) -> NoiseShare:
    """The noise each site of a study adds in the round that a state asks for; none where the plan's sums are exact."""
    if plan.exact:
        return NoiseShare(0.0, 0.0)
    return noise_share(state.rho, state.sensitivity * plan.stability, plan.honest_sites, state.length)


def cost_of_sum(sigma: float, sensitivity: float, sites: int, length: int) -> float:
    """ρ of the sum of ``sites`` discrete Gaussians of scale ``sigma`` (Kairouz et al. 2021, proposition 14)."""
    gap = 10 * sum(math.exp(-2 * (math.pi * sigma) ** 2 * k / (k + 1)) for k in range(1, sites))
    ratio = sensitivity / (sigma * math.sqrt(sites))
    return min(ratio**2 / 2 + gap * length, (ratio + gap * math.sqrt(length)) ** 2 / 2)


def clipped(vector: NDArray[np.int64], length: int, bound: int) -> NDArray[np.int64]:
    """The vector with each number cut to ±``bound``.

    Cutting never lets two vectors grow apart, so sensitivity stays; refusing
    instead would tell the coordinator something about the data. Raises
    :class:`PluginError` when it is not a row of ``length`` integers.
    """
    if getattr(vector, "dtype", None) != np.int64 or vector.shape != (length,):
        raise PluginError(
            f"the algorithm's contribution is not a row of {length} 64-bit integers",
            fix="ask the plugin's author; do not approve this version",
        )
    return np.clip(vector, -bound, bound)


def largest_number(sigma: float, bound: int, members: int) -> int:
    """The size that no number of any site's noised vector reaches, the same at every party.

    Rounded up to a power of two, so that the last digit of ``sigma`` on another machine does not matter.
    """
    return min(1 << (bound + math.ceil(_TAIL * sigma)).bit_length(), (2**63 - 1) // members)


def noised(vector: NDArray[np.int64], sigma: float, bound: int, members: int) -> NDArray[np.int64]:
    """The vector plus exact discrete Gaussian noise; none where ``sigma`` is 0, as in a plan whose sums are exact.

    Raises :class:`InputError` if a sum could overflow 63 bits.
    """
    if bound + _TAIL * sigma >= (2**63 - 1) // members:
        raise InputError("the sum of all sites could overflow", fix="lower the plan's bound on counts, or raise rho")
    if sigma == 0:
        return vector
    draws = discrete_gaussian(sigma, len(vector))
    draws += vector
    return draws
