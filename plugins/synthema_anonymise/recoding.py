"""The codebook of the result, known without data, and the table that is written by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema_anonymise.scales import Codes, Flags, Scale
from synthema_anonymise.wanted import Wanted


def result_codebook(codebook: Codebook, wanted: Wanted) -> Codebook:
    """The kept variables, each quasi-identifier in its new form.

    Rules that compare a quasi-identifier go: a step has no order to compare, and a mean obeys no rule about patients.
    """
    smaller = codebook.keep(wanted.kept)
    scales = {scale.variable.name: scale for scale in wanted.scales}
    form = _as_category if wanted.method == "generalise" else _as_mean
    plainly = frozenset(smaller.names()) - set(scales)
    variables = tuple(
        form(scales[v.name]) if v.name in scales else v.following_only(plainly) for v in smaller.variables
    )
    rules = tuple(rule for rule in smaller.rules if not rule.compared & set(scales))
    plain = smaller.model_dump(exclude={"variables", "rules", "outcomes"})
    return Codebook(**plain, variables=variables, rules=rules, outcomes=smaller.outcomes)


def _as_category(scale: Scale) -> Variable:
    before = scale.variable
    carried: dict[str, Any] = before.model_dump(include={"name", "role", "missing", "may_be_missing", "code"})
    unit = f", {before.unit}" if before.unit else ""
    label = f"{before.label} (steps{unit})" if scale.ordered else before.label
    steps = tuple(step for step in scale.steps if step is not None)
    return Variable(**carried, label=label, type="category", categories=steps)


def _as_mean(scale: Scale) -> Variable:
    before = scale.variable
    if not scale.ordered:
        return _as_category(scale)
    return Variable(**(before.model_dump() | {"label": f"{before.label} (mean of a class)", "derivation": None}))


def steps_of(scale: Scale, codes: Codes, groups: Codes, count: int) -> Codes:
    """The step of each row: the narrowest that covers all of its class."""
    present: Flags = np.zeros((count, scale.missing + 1), dtype=bool)
    present[groups, codes] = True
    return scale.steps_for(present)[groups]


def as_steps(scale: Scale, steps: Codes) -> pl.Series:
    """The labels of the steps as a column."""
    labels = pl.Series(scale.variable.name, scale.steps, dtype=pl.String)
    return labels.gather(steps)


def means_of(scale: Scale, series: pl.Series, groups: Codes, count: int) -> pl.Series:
    """The mean of each row's class; a class where any number is missing shows none.

    Whole numbers stay whole (halves are rounded up).
    """
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    gaps = np.bincount(groups, weights=~known, minlength=count) > 0
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, filled)
    np.maximum.at(high, groups, filled)
    # A mean cannot leave its class, but adding up floats can leave it by one bit.
    mean = np.clip(np.bincount(groups, weights=filled, minlength=count) / np.bincount(groups), low, high)
    whole = scale.variable.type == "integer"
    shown = np.where(gaps, np.nan, np.floor(mean + 0.5) if whole else mean)[groups]
    return pl.Series(series.name, shown).fill_nan(None).cast(pl.Int64 if whole else pl.Float64)
