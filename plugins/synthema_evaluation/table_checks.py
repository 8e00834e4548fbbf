"""Figures that follow from the tables alone: broken clinical rules, and the smallest class of patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.datasets.rules import violations
from synthema.spi.model import Metric
from synthema_evaluation.columns import Tables
from synthema_evaluation.intervals import wilson

Flags = NDArray[np.bool_]
SMALL_COUNT = 5


def rule_metric(tables: Tables, codebook: Codebook) -> tuple[Metric, dict[str, Any]]:
    """Share of synthetic rows that break a rule of the codebook, and the share for each rule."""
    n = tables.synthetic.height
    synthetic, real = _broken(tables.synthetic, codebook), _broken(tables.train, codebook)
    share = _share(_any(synthetic, n))
    lower, upper = wilson(share * n, n)
    metric = Metric(
        "ruleViolations",
        share,
        n,
        lower,
        upper,
        _share(_any(real, tables.train.height)),
        "share of synthetic rows that break at least one of the codebook's rules, or hold a derived value that does "
        "not follow from the others; control: training rows",
    )
    each = {
        name: {"synthetic": round(_share(flags), 4), "real": _told(real[name])} for name, flags in synthetic.items()
    }
    return metric, each


def _broken(table: pl.DataFrame, codebook: Codebook) -> dict[str, Flags]:
    return {name: np.asarray(flags.to_numpy(), dtype=bool) for name, flags in violations(table, codebook).items()}


def _any(flags: dict[str, Flags], rows: int) -> Flags:
    return np.asarray(np.any(list(flags.values()), axis=0)) if flags else np.zeros(rows, dtype=bool)


def _told(flags: Flags) -> float | None:
    """The share of real rows, unless it is about fewer than five of them."""
    return None if 0 < flags.sum() < SMALL_COUNT else round(_share(flags), 4)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def smallest_class_metric(tables: Tables, codebook: Codebook) -> Metric | None:
    """The fewest real patients who share all quasi-identifiers."""
    names = list(codebook.names("quasi-identifier"))
    real = pl.concat([tables.train, tables.holdout], how="vertical_relaxed")
    if real.height == 0:
        return None
    smallest = real.group_by(names).len()["len"].min() if names else real.height
    return Metric(
        "smallestClass",
        float(str(smallest)),
        real.height,
        definition="number of real patients in the smallest class of equal quasi-identifiers, training and held-out "
        "rows together (Samarati 2001)",
    )
