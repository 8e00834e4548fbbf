"""The figures of one synthetic table beside the real rows, by the definitions of the evaluation plugin."""

from __future__ import annotations

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.spi.sampling import broken_rows
from synthema_evaluation.columns import Tables, compared_variables
from synthema_evaluation.membership import membership_metrics
from tests.plugins.marginals_quality import concordance, known_beforehand, sdmetrics_parts, survival_distance

MOST_COMPARED = 2000


def quality(
    train: pl.DataFrame, holdout: pl.DataFrame, made: pl.DataFrame, codebook: Codebook, seed: int
) -> dict[str, float]:
    """Quality, survival of the first outcome, logic, and the attack that needs one table only."""
    shapes, trends = sdmetrics_parts(train, made, codebook)
    found = {"shapes": shapes, "sdm": shapes if np.isnan(trends) else (shapes + trends) / 2}
    if codebook.outcomes:
        train_, holdout_, made_ = (_bounded(table, seed) for table in (train, holdout, made))
        before = known_beforehand(codebook)
        found["c"] = concordance(made_, holdout_, before)
        found["real_c"] = concordance(train_, holdout_, before)
        found["km"] = survival_distance(train, made, codebook)
        found["real_km"] = survival_distance(train, holdout, codebook)
    found["broken"] = float(broken_rows(made, codebook).mean())
    variables = compared_variables(codebook, train, holdout, made)
    names = [variable.name for variable in variables]
    metrics, _ = membership_metrics(
        Tables(*(_bounded(table, seed).select(names) for table in (train, holdout, made))),
        variables,
        np.random.default_rng(seed),
    )
    found["density_ratio"] = metrics[0].value
    return found


def _bounded(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """At most so many rows, at random: pairs of rows grow with the square."""
    if table.height <= MOST_COMPARED:
        return table
    rows = np.random.default_rng(seed).permutation(table.height)[:MOST_COMPARED]
    return table.select(pl.all().gather(rows.tolist()))
