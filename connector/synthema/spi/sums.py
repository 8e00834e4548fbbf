"""Whole numbers for the secure sum: how a plugin's figures become integers, and why their sum cannot overflow.

Every figure is divided by the largest that one patient can have, multiplied by a power of two, and rounded: patient by
patient where a patient's part of the sum stands alone, so that the sum over sites is, bit for bit, the sum over one
table that holds all patients; once for each site where it does not. The power follows from the greatest number of
patients a site may have: no entry of a site then exceeds ``2^40``, the greatest count that a study's plan lets a site
report unless it says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_size", "patients_summed", "scale_for", "site_rounded", "whole_sensitivity"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

BOUND_BITS = 40
MOST_ALLOWED = 2**30
SMALLEST_NORM = 1e-300


def scale_for(most_patients: int, most_allowed: int = MOST_ALLOWED) -> int:
    """The factor that makes figures whole, for at most this many patients at a site; raises ``ValueError``."""
    if not 1 <= most_patients <= most_allowed:
        raise ValueError(f"most_patients must lie between 1 and {most_allowed}")
    return int(2 ** (BOUND_BITS - math.ceil(math.log2(most_patients))))


def check_size(rows: int, most_patients: int) -> None:
    """Refuse a table whose sum could exceed the bound; raises ``ValueError``."""
    if rows > most_patients:
        raise ValueError("the table has more rows than 'most_patients' allows: plan the study with a greater number")


def patients_summed(figures: Floats, scale: int, *, largest: float = 1.0, bound: float | None = None) -> Whole:
    """Column sums of one row of figures for each patient, shape ``(columns,)``.

    Each row is cut to the L2 norm ``bound`` if one is given, each figure to ±``largest``; then it is divided by
    ``largest`` and rounded to a multiple of ``1/scale``.
    """
    if bound is not None:
        norms = np.linalg.norm(figures, axis=1, keepdims=True)
        figures = figures * np.minimum(1.0, bound / np.maximum(norms, SMALLEST_NORM))
    whole = np.rint(np.clip(figures / largest, -1.0, 1.0) * scale)
    return np.asarray(whole.astype(np.int64).sum(axis=0), dtype=np.int64)


def site_rounded(figures: Floats, largest: float, scale: int, most_patients: int) -> Whole:
    """A site's figures as integers, rounded once; none exceeds ``most_patients * scale``."""
    whole = np.rint(np.clip(figures / largest, -most_patients, most_patients) * scale)
    return np.asarray(whole, dtype=np.int64)


def whole_sensitivity(change: float, rounded: int, scale: int) -> float:
    """L2 change of a vector of integers when one row comes or goes.

    ``change`` is that of the figures before rounding; ``rounded`` the entries that rounding moves, by at most ½ each.
    """
    return scale * change + 0.5 * math.sqrt(rounded)
