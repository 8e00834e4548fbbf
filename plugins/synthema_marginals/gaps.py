"""What is missing together: how many of a row's values are missing, and how that decides which.

A laboratory that failed leaves a dozen columns empty in the same rows. No tree of pairs keeps that, so a wide
table gets one node more, the number of missing values in a row, in bins that double. Whether a variable is
missing is drawn from that number; what it would be is drawn from the other variables. The codebook alone
decides which variables may be missing.
"""

from __future__ import annotations

import math

import numpy as np

from synthema_marginals.nodes import Cells, Floats, Shape
from synthema_marginals.queries import Query, every_cell

GAPS = "(gaps)"  # no variable can have this name
POOL = 1  # of the silent queries that count gaps
SPREAD = 0.5  # how far a chance may lie from what the number of gaps alone lets expect, in its own standard deviations
COVERED = 0.97  # rows with more gaps than this share of rows has count less


def has_gaps(shape: Shape) -> bool:
    """Whether a node's missing values are drawn from the number of gaps: not where they mean something."""
    return shape.missing and not shape.outcome and not shape.telling


def gaps_shape(shapes: dict[str, Shape]) -> Shape | None:
    """The node of the number of gaps; ``None`` where fewer than two variables may be missing."""
    most = sum(has_gaps(shape) for shape in shapes.values())
    return Shape(GAPS, _bin(most) + 1, 1, missing=False, outcome=False, ordered=False) if most > 1 else None


def _bin(number: int) -> int:
    """Bins 0, 1, 2, 3 to 4, 5 to 8, 9 to 16 and so on."""
    return 0 if number == 0 else 1 + math.ceil(math.log2(number))


def gap_cells(cells: dict[str, Cells], shapes: dict[str, Shape]) -> Cells:
    """The bin of each row's number of missing values."""
    lost = [cells[name] == shape.cells - 1 for name, shape in shapes.items() if has_gaps(shape)]
    bins = np.array([_bin(number) for number in range(len(lost) + 1)], dtype=np.int64)
    return np.asarray(bins[np.sum(lost, axis=0)], dtype=np.int64)


def gap_queries(shapes: dict[str, Shape], shares: dict[str, Floats], visible: float) -> tuple[Query, ...]:
    """Each variable's missing values by the number of gaps; those whose share is below ``visible`` are not asked for.

    Rows without gaps, and values that are there, add nothing.
    """
    asked = [name for name, shape in shapes.items() if has_gaps(shape) and shares[name][-1] > visible]
    number = every_cell(shapes[GAPS])
    return tuple(
        Query((GAPS, name), (number, (*(0,) * (shapes[name].cells - 1), 1)), 1, (0, 0), POOL) for name in asked
    )


def gap_limit(shares: Floats, asked: int) -> int:
    """How many gaps of a row are counted in full: as many as all but few rows have, by the noisy shares."""
    last = int(np.searchsorted(np.cumsum(shares), COVERED))
    most = 1 << max(min(last, len(shares) - 1) - 1, 0)
    return max(1, min(most, asked))


def gap_chances(
    shapes: dict[str, Shape], shares: dict[str, Floats], counted: dict[str, tuple[Floats, float]], rows: float
) -> dict[str, Floats]:
    """For each variable that may be missing: the chance that it is, for each bin of the number of gaps.

    ``counted`` holds a variable's noisy counts in each bin but the first, and their noise. They are weighed against
    what the number of gaps alone lets expect: that gaps fall on variables in proportion to how often each is missing.
    """
    number = np.arange(shapes[GAPS].cells)
    middle = np.where(number < 2, number, 0.75 * 2.0 ** (number - 1) + 0.5)
    lost = {name: float(shares[name][-1]) for name, shape in shapes.items() if has_gaps(shape)}
    mean = max(sum(lost.values()), 1e-9)
    here = shares[GAPS] * rows
    found = {}
    for name, share in lost.items():
        expected = np.clip(middle * share / mean, 0.0, 0.95)
        counts = expected * here
        if name in counted:
            seen, noise = counted[name]
            likely = (SPREAD * here[1:]) ** 2 * expected[1:] * (1 - expected[1:]) + 1e-9
            counts[1:] += likely / (likely + noise**2) * (seen - counts[1:])
        found[name] = _filled(counts, here, share * rows)
    return found


def _filled(counts: Floats, most: Floats, total: float) -> Floats:
    """Chances ``counts / most`` between 0 and 1, scaled so that all together are ``total``; no gap without gaps."""
    chances = np.clip(counts / np.maximum(most, 1e-9), 0.0, 1.0)
    chances[0] = 0.0
    odds = chances / np.maximum(1.0 - chances, 1e-6)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        scaled = odds * math.exp(middle)
        low, high = (middle, high) if float((scaled / (1 + scaled) * most).sum()) < total else (low, middle)
    scaled = odds * math.exp(low)
    return np.asarray(scaled / (1 + scaled), dtype=np.float64)
