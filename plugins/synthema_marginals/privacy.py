"""Privacy accounting of the one-site generator: zero-concentrated loss and discrete Gaussian noise.

In a federated study the core does both; this is the same arithmetic for one site.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ORDERS = np.concatenate([np.linspace(1.0005, 2, 400), np.geomspace(2, 1e6, 4000)])


def delta_of(rho: float, epsilon: float) -> float:
    """The smallest delta for which ``rho``-zCDP gives (epsilon, delta): Canonne, Kamath and Steinke 2020, Prop. 12."""
    a = ORDERS
    exponent = (a - 1) * (a * rho - epsilon) + a * np.log1p(-1 / a) - np.log(a - 1)
    return float(min(1.0, math.exp(min(0.0, float(exponent.min())))))


def rho_for(epsilon: float, delta: float) -> float:
    """The greatest ``rho`` whose zCDP gives (epsilon, delta) differential privacy (bisection from below)."""
    if not (epsilon > 0 and 0 < delta < 1):
        raise ValueError("epsilon must be greater than 0, and delta between 0 and 1")
    low, high = 0.0, epsilon + 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, epsilon) <= delta else (low, middle)
    return low


def add_noise(vector: NDArray[np.int64], sigma: float) -> NDArray[np.int64]:
    """Exact discrete Gaussian noise of scale ``sigma`` on each count, from OpenDP's cryptographic source."""
    try:
        import opendp.prelude as dp  # noqa: PLC0415 - an extra, needed for noise only
    except ImportError as error:
        raise ValueError("noise needs the package opendp: install synthema[dp]") from error
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    mechanism = dp.m.make_gaussian(*space, scale=float(sigma))
    return np.asarray(mechanism([int(value) for value in vector]), dtype=np.int64)
