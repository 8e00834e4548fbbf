"""Small cells: which counts are left out, so that neither they nor what they add up to shows a few people.

A count below ``fewest`` is left out (zero too: that nobody has a rare disease is also a statement about few people).
Only that a value is missing in nobody may be shown: it says nothing about anyone.
Where subtracting the visible cells of a line from its total would show a hidden cell, or that the hidden ones hold
fewer than ``fewest`` together, the smallest visible cell is hidden with them (complementary suppression).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def hidden_cells(counts: NDArray[np.float64], fewest: int) -> Flags:
    """Which cells of a list or a two-way table are left out; same shape as ``counts``.

    The last cell of each line counts those in whom the value is not recorded.
    """
    hidden = np.asarray(counts < fewest)
    nobody = np.rint(counts) <= 0
    hidden[-1:] &= ~nobody[-1:]
    hidden[..., -1:] &= ~nobody[..., -1:]
    lines = np.atleast_2d(hidden), np.atleast_2d(counts)
    changed = True
    while changed:
        changed = _hide_more(*lines, fewest)
        if counts.ndim == 2:
            changed = _hide_more(lines[0].T, lines[1].T, fewest) or changed
    return np.asarray(lines[0].reshape(counts.shape))


def _hide_more(hidden: Flags, counts: NDArray[np.float64], fewest: int) -> bool:
    """Hide one cell more in every line whose hidden cells are one or too few; says whether anything changed."""
    changed = False
    for line, values in zip(hidden, counts, strict=True):
        useful = ~line & (np.rint(values) > 0)  # an empty cell would hide nothing
        if line.any() and useful.any() and (line.sum() == 1 or values[line].sum() < fewest):
            line[int(np.argmin(np.where(useful, values, np.inf)))] = True
            changed = True
    return changed
