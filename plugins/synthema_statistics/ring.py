"""Whole numbers for the secure sum: how figures become integers, and why their sum cannot overflow.

Each patient's figures lie between −1 and 1 once the codebook's bounds are applied. They are multiplied by a power of
two and rounded *patient by patient*, so the sum over sites is, bit for bit, the sum over one table that holds all
patients. The power follows from the greatest number of patients a site may have: no entry of a site then exceeds
``2^40``, the greatest count that a study's plan lets a site report unless it says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BOUND_BITS = 40
MOST_PATIENTS = 2**20


def scale_for(most_patients: int) -> int:
    """The factor that makes figures whole, for at most this many patients at a site; raises ``ValueError``."""
    if not 1 <= most_patients <= 2**30:
        raise ValueError("most_patients must lie between 1 and 2^30")
    return int(2 ** (BOUND_BITS - math.ceil(math.log2(most_patients))))


def check_size(rows: int, most_patients: int) -> None:
    """Refuse a table that could exceed the ring's bound; raises ``ValueError``."""
    if rows > most_patients:
        raise ValueError("the table has more rows than 'most_patients' allows: plan the study with a greater number")


def summed(figures: NDArray[np.float64], scale: int) -> NDArray[np.int64]:
    """Column sums of figures between −1 and 1, each rounded to a multiple of ``1/scale``; shape ``(columns,)``."""
    whole = np.rint(np.clip(figures, -1.0, 1.0) * scale)
    return np.asarray(whole.astype(np.int64).sum(axis=0), dtype=np.int64)


def whole_sensitivity(change: float, rounded: int, scale: int) -> float:
    """L2 change of a vector of integers when one row comes or goes.

    ``change`` is that of the figures before rounding; ``rounded`` the entries that rounding moves, by at most ½ each.
    """
    return scale * change + 0.5 * math.sqrt(rounded)
