"""Median survival by group, small groups left out (Kaplan and Meier, J. Am. Stat. Assoc. 53, 1958)."""

from __future__ import annotations

import numpy as np
import polars as pl
from synthema.datasets.codebook import Codebook
from synthema.spi import Evaluation, Metric, Parameters, Table, hookimpl


@hookimpl
def analyse(table: Table, codebook: Codebook, parameters: Parameters) -> Evaluation:
    """The median of the codebook's first survival outcome in each group that is large enough."""
    group, fewest = parameters["group"], parameters["minimum_group"]
    outcome = codebook.outcomes[0]
    metrics, left_out, without_median = [], 0, 0
    # The groups come from the codebook, not from the data: that a group is empty is nobody's secret.
    for value in codebook.variable(group).categories:
        rows = table.filter(pl.col(group) == value).drop_nulls([outcome.time, outcome.event])
        if rows.height < fewest:
            left_out += 1
            continue
        happened = (rows[outcome.event] == outcome.event_value).to_numpy()
        median = median_survival(rows[outcome.time].to_numpy(), happened)
        if median is None:
            without_median += 1
        else:
            metrics.append(
                Metric("medianSurvival", median, rows.height, definition=f"{group} = {value}, {outcome.unit}")
            )
    notes = (
        f"{left_out} groups with fewer than {fewest} patients are left out.",
        f"In {without_median} groups fewer than half had the event: there is no median.",
    )
    return Evaluation(tuple(metrics), notes=notes)


def median_survival(times: np.ndarray, happened: np.ndarray) -> float | None:
    """The first time at which the Kaplan–Meier curve is at or below one half; ``None`` when it stays above."""
    survival = 1.0
    for time in np.unique(times[happened]):
        at_risk, events = np.sum(times >= time), np.sum(happened & (times == time))
        survival *= 1 - events / at_risk
        if survival <= 0.5:
            return float(time)
    return None
