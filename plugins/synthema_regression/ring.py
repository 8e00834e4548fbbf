"""Whole numbers for the secure sum: how figures become integers, and why their sum cannot overflow.

Figures are divided by the largest that one patient can have, multiplied by a power of two, and rounded: patient by
patient where a patient's part of the sum stands alone, once for each site where it does not (Cox). The power follows
from the greatest number of patients a site may have, so no entry of a site exceeds ``2^40``, the greatest count that a
study's plan lets a site report unless it says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

BOUND_BITS = 40
MOST_PATIENTS = 2**14


def scale_for(most_patients: int) -> int:
    """The factor that makes figures whole, for at most this many patients at a site; raises ``ValueError``."""
    if not 1 <= most_patients <= 2**24:
        raise ValueError("most_patients must lie between 1 and 2^24")
    return int(2 ** (BOUND_BITS - math.ceil(math.log2(most_patients))))


def patients_summed(figures: Floats, bound: float, largest: float, scale: int) -> Whole:
    """Column sums of one row of figures for each patient, each row cut to the L2 norm ``bound`` and rounded."""
    norms = np.linalg.norm(figures, axis=1, keepdims=True)
    kept = figures * np.minimum(1.0, bound / np.maximum(norms, 1e-300))
    whole = np.rint(np.clip(kept / largest, -1.0, 1.0) * scale)
    return np.asarray(whole.astype(np.int64).sum(axis=0), dtype=np.int64)


def site_rounded(figures: Floats, largest: float, scale: int, most_patients: int) -> Whole:
    """A site's figures as integers; none exceeds ``most_patients * scale``."""
    whole = np.rint(np.clip(figures / largest, -most_patients, most_patients) * scale)
    return np.asarray(whole, dtype=np.int64)
