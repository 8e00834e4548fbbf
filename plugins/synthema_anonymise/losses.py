"""What a table has lost: how much is hidden, and what can still be learned from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_anonymise.promises import Sensitive
from synthema_anonymise.scales import Codes, Scale

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of one quasi-identifier is still shown, as shares of the rows that add up to one."""

    name: str
    exact: float
    wider: float
    hidden: float

    @property
    def sentence(self) -> str:
        """The report of this variable in words."""
        return (
            f"{self.name}: {self.exact:.0%} of the rows at the finest step, {self.wider:.0%} wider, "
            f"{self.hidden:.0%} not shown at all."
        )


def shown(scale: Scale, steps: Codes) -> Shown:
    """The report on generalisation and suppression of one variable, from each row's step."""
    width = scale.width[steps]
    hidden, exact = float((width >= 1).mean()), float((width <= 0).mean())
    return Shown(scale.variable.name, exact, max(0.0, 1 - hidden - exact), hidden)


def certainty_lost(scale: Scale, steps: Codes) -> float:
    """The normalised certainty penalty (Xu et al., KDD 2006): 0 when each row has its leaf, 1 when nothing is shown."""
    return float(scale.width[steps].mean())


def spread_lost(values: Numbers, means: Numbers) -> float:
    """SSE / SST of microaggregation: the share of a number's variance that the means no longer show.

    A number that was recorded and is no longer shown counts as the mean of all.
    """
    known = np.isfinite(values)
    if not known.any():
        return 0.0
    mean = float(values[known].mean())
    total = float(((values[known] - mean) ** 2).sum())
    shown_as = np.where(np.isfinite(means), means, mean)
    return float(((values[known] - shown_as[known]) ** 2).sum()) / total if total else 0.0


def class_losses(sizes: NDArray[np.int64], k: int) -> dict[str, float]:
    """Mean size of a class in units of k (LeFevre et al. 2006; 1 is best), and how alike rows have become.

    ``discernibility`` is the sum of squared class sizes over that of one single class (after Bayardo and Agrawal,
    ICDE 2005): 1 when no two rows differ.
    """
    total = float(sizes.sum())
    return {
        "averageClass": total / (len(sizes) * k),
        "discernibility": float((sizes.astype(np.float64) ** 2).sum()) / total**2,
    }


def similarity(scale: Scale, codes: Codes, steps: Codes, other: Sensitive | None = None) -> float:
    """How well a reader who spreads each row evenly over its step finds back the true shares: 1 is exact.

    One less the total variation distance, over the leaves of the variable, or over its pairs with a sensitive one.
    """
    column, width = (other.codes, other.leaves + 1) if other is not None else (np.zeros(len(codes), dtype=np.int64), 1)
    true = _table(codes, column, scale.missing + 1, width)
    seen = _table(steps, column, len(scale.steps), width)
    spread = scale.covers / scale.covers.sum(axis=1, keepdims=True)
    return 1.0 - float(np.abs(spread.T @ seen - true).sum()) / (2 * len(codes))


def _table(rows: Codes, columns: Codes, height: int, width: int) -> Numbers:
    flat = np.bincount(rows * width + columns, minlength=height * width)
    return flat.astype(np.float64).reshape(height, width)
