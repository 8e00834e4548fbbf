"""How well a model tells patients apart, from a table of counts: who of two patients has the event first.

A site puts each held-out patient into one cell: the bin of time in which follow-up ends, the bin of predicted risk,
and whether the event happened. One patient adds 1 to one cell, so the table is summed as any count, and the
coordinator learns the concordance without a single prediction leaving a site. Which patients are held out follows
from each row alone, so that a patient who comes or goes moves no one else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["RISK_BINS", "Concordance", "concordance", "held_out", "ranked"]

Floats = NDArray[np.float64]
RISK_BINS = 25
DRAWS = 200
WIDEST = 0.15
"""Half an interval of this width says next to nothing, and is not given."""


@dataclass(frozen=True, slots=True)
class Concordance:
    """The share of comparable pairs in which the higher risk has the event first, with a 95 % interval.

    ``patients`` are those held out, ``value`` counts equal risk as half.
    """

    value: float
    lower: float
    upper: float
    patients: int


def held_out(table: pl.DataFrame, columns: list[str], share: float) -> NDArray[np.bool_]:
    """Which rows are kept from training: a share of them by the digest of the row's own values, shape ``(rows,)``.

    Leave the outcome out of ``columns``: rows that are alike fall on the same side, and that must not tell what
    happened to them.
    """
    limit = int(share * 2**32)
    marks = []
    for row in table.select(sorted(columns)).iter_rows():
        digest = hashlib.sha256(repr(row).encode()).digest()
        marks.append(int.from_bytes(digest[:4], "big") < limit)
    return np.array(marks, dtype=bool)


def ranked(time: NDArray[np.int64], bins: int, risk: Floats, happened: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts of patients by bin of time, bin of risk, and event; ``risk`` lies between 0 and 1.

    Length ``bins * RISK_BINS * 2``.
    """
    place = np.clip((risk * RISK_BINS).astype(np.int64), 0, RISK_BINS - 1)
    cell = (time * RISK_BINS + place) * 2 + happened
    return np.bincount(cell, minlength=bins * RISK_BINS * 2).astype(np.int64)


def concordance(counts: Floats, bins: int, sigma: float) -> Concordance | None:
    """What :func:`ranked`'s summed counts say; None where noise or too few pairs leave its interval wider than ±0.15.

    The interval holds sampling, by the bound C (1 − C) / events on the variance of such a share, and noise, by how far
    the figure moves when fresh noise of the same size is added once more.
    """
    table = counts.reshape(bins, RISK_BINS, 2)
    patients, events = float(table.sum()), float(table[:, :, 1].sum())
    value, pairs = _share(table)
    if min(patients, events, pairs) < 10 or not 0 < value < 1:
        return None
    random = np.random.default_rng(20_240_917)  # no secret: it only measures how far the figure moves
    moved = [_share(table + random.normal(0, sigma, table.shape))[0] for _ in range(DRAWS)] if sigma else [value]
    half = 1.96 * float(np.sqrt(value * (1 - value) / events + np.var(moved)))
    if half > WIDEST:
        return None
    return Concordance(value, max(0.0, value - half), min(1.0, value + half), round(patients))


def _share(table: Floats) -> tuple[float, float]:
    """Concordance and the number of comparable pairs: an event, and a patient followed beyond its bin of time."""
    events, everyone = table[:, :, 1], table.sum(axis=2)
    later = np.cumsum(everyone[::-1], axis=0)[::-1] - everyone
    below = np.cumsum(later, axis=1) - later
    pairs = float((events * later.sum(axis=1, keepdims=True)).sum())
    right = float((events * (below + later / 2)).sum())
    return right / (pairs or 1.0), pairs
