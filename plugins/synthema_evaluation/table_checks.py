"""Figures that follow from the tables alone: broken clinical rules, and the smallest class of patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, Rule
from synthema.datasets.rules import broken
from synthema.spi.model import Metric
from synthema_evaluation.columns import Tables
from synthema_evaluation.intervals import wilson

Flags = NDArray[np.bool_]


def _broken(rule: Rule, table: pl.DataFrame) -> Flags:
    return np.asarray(broken(table, rule).to_numpy(), dtype=bool)


def rule_metric(tables: Tables, codebook: Codebook) -> tuple[Metric, dict[str, Any]]:
    """Share of synthetic rows that break a rule of the codebook, and the share for each rule."""
    names = set(tables.synthetic.columns) & set(tables.train.columns)
    rules = [r for r in codebook.rules if r.variables <= names]
    flags = {rule.id: (_broken(rule, tables.synthetic), _broken(rule, tables.train)) for rule in rules}
    n = tables.synthetic.height
    any_synthetic = np.any([f[0] for f in flags.values()], axis=0) if flags else np.zeros(n, dtype=bool)
    any_real = np.any([f[1] for f in flags.values()], axis=0) if flags else np.zeros(tables.train.height, dtype=bool)
    share = _share(any_synthetic)
    lower, upper = wilson(share * n, n)
    metric = Metric(
        "ruleViolations",
        share,
        n,
        lower,
        upper,
        _share(any_real),
        "share of synthetic rows that break at least one of the codebook's rules; control: training rows",
    )
    each = {name: {"synthetic": round(_share(f[0]), 4), "real": round(_share(f[1]), 4)} for name, f in flags.items()}
    return metric, each


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
