"""From opened sums to what a clinician reads: counts, means, quantiles, tables, curves, tests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema.spi.axes import MISSING, Axis, Floats
from synthema.spi.model import Evaluation, Json, Metric
from synthema_statistics.blocks import Counts, Design, Followed, Moments
from synthema_statistics.chance import Z, chi_square_tail
from synthema_statistics.suppression import hidden_cells
from synthema_statistics.survival import Curve, LifeTable, cumulative_incidence, kaplan_meier, log_rank

QUANTILES = (0.25, 0.5, 0.75)
SIMULATIONS = 1000


@dataclass(frozen=True, slots=True)
class Opened:
    """The opened sums of one block, back in patients, and the noise in each entry."""

    values: Floats
    sigma: float
    fewest: int


def report(design: Design, total: Floats, sigma: float, fewest: int) -> Evaluation:
    """All figures of a study; ``total`` and ``sigma`` in the units of the secure sum."""
    metrics: list[Metric] = []
    series: dict[str, Json] = {}
    start = 0
    for block in design.blocks:
        opened = Opened(total[start : start + block.length] / design.scale, sigma / design.scale, fewest)
        start += block.length
        if isinstance(block, Moments):
            metrics += moments(block, opened)
        elif isinstance(block, Followed):
            found, plotted = followed(block, opened)
            metrics += found
            series[f"survival:{block.name}"] = plotted
        elif isinstance(block, Counts) and len(block.axes) == 2:
            found, shown = contingency(block, opened)
            metrics += found
            series[f"table:{block.name}"] = shown
        elif isinstance(block, Counts):
            found, shown = counted(block, opened)
            metrics += found
            series[f"counts:{block.name}"] = shown
    return Evaluation(tuple(metrics), series, notes=_notes(sigma / design.scale, fewest))


def _notes(sigma: float, fewest: int) -> tuple[str, ...]:
    hidden = f"Counts below {fewest}, and those that would give one away, are left out."
    if sigma == 0:
        return hidden, "The sums hold no noise: they are protected by the secure sum and by leaving out small counts."
    return (
        hidden,
        f"Each count holds noise with a standard deviation of {sigma:.3g} patients; the intervals include it.",
    )


def counted(block: Counts, opened: Opened) -> tuple[list[Metric], Json]:
    """Patients in each cell of one axis; quantiles as well where the axis is a number."""
    axis = block.axes[0]
    hidden = hidden_cells(opened.values, opened.fewest)
    total = max(0, round(float(opened.values.sum())))
    half = Z * opened.sigma
    metrics, shown = [], []
    for label, value, gone in zip((*axis.labels, MISSING), opened.values.tolist(), hidden.tolist(), strict=True):
        shown.append({"value": label, "patients": None if gone else round(value), "noise": opened.sigma})
        if not gone:
            size, lower, upper = max(0.0, value), max(0.0, value - half), max(0.0, value + half)
            metrics.append(Metric("groupSize", size, total, lower, upper, definition=f"{block.name}: {label}"))
    if axis.edges:
        metrics += quantiles(axis, opened)
    return metrics, shown


def quantiles(axis: Axis, opened: Opened) -> list[Metric]:
    """Quartiles by linear interpolation in the bins.

    The interval runs from the lower edge of the bin that holds the lowest plausible share to the upper edge of the bin
    that holds the highest: it covers sampling, noise, and that a bin does not say where in it a patient lies.
    """
    inside = opened.values[:-1]
    known = float(inside.sum())
    if known < opened.fewest or known <= 4 * opened.sigma * math.sqrt(len(inside)):
        return []
    edges = np.asarray(axis.edges)
    ends = np.clip(np.maximum.accumulate(np.cumsum(inside) / known), 0.0, 1.0)
    metrics = []
    for quantile in QUANTILES:
        spread = Z * math.sqrt(quantile * (1 - quantile) / known + opened.sigma**2 * len(inside) / known**2)
        value = float(np.interp(quantile, np.concatenate([[0.0], ends]), edges))
        low = float(edges[np.searchsorted(ends, max(quantile - spread, 0.0), side="left")])
        high = float(edges[min(int(np.searchsorted(ends, quantile + spread, side="left")), len(inside) - 1) + 1])
        metrics.append(
            Metric("quantile", value, round(known), min(low, value), max(high, value),
                   definition=f"{axis.variable.name}: {100 * quantile:g} %")
        )  # fmt: skip
    return metrics


def moments(block: Moments, opened: Opened) -> list[Metric]:
    """Mean and variance of a number, with 95 % intervals by the delta method, noise included."""
    known, first, second = opened.values.tolist()
    if known < opened.fewest or known <= 4 * opened.sigma:
        return []
    mean = first / known
    spread = max(second / known - mean**2, 0.0)
    noise = opened.sigma**2 / known**2
    half = Z * math.sqrt(spread / known + noise * (1 + mean**2))
    value, width = block.middle + block.half * mean, block.half * half
    count, unit = round(known), f"{block.name}, in {block.variable.unit}" if block.variable.unit else block.name
    metrics = [Metric("mean", value, count, value - width, value + width, definition=unit)]
    unbiased = spread * known / max(known - 1, 1)
    # a fourth moment is not asked for: for values between -1 and 1, (u - mean)² varies by at most (1 + |mean|)² spread
    wide = Z * math.sqrt(spread * (1 + abs(mean)) ** 2 / known + noise * (1 + 4 * mean**2 + (spread - mean**2) ** 2))
    low, high = max(unbiased - wide, 0.0), unbiased + wide
    square = block.half**2
    metrics.append(Metric("variance", square * unbiased, count, square * low, square * high, definition=unit))
    return metrics


def contingency(block: Counts, opened: Opened) -> tuple[list[Metric], Json]:
    """A two-way table with small cells left out, and Pearson's test of independence over recorded values."""
    shape = (block.axes[0].cells, block.axes[1].cells)
    table = opened.values.reshape(shape)
    hidden = hidden_cells(table, opened.fewest)
    shown: dict[str, Any] = {
        "rows": [*block.axes[0].labels, MISSING],
        "columns": [*block.axes[1].labels, MISSING],
        "patients": [
            [None if gone else round(value) for value, gone in zip(values, line, strict=True)]
            for values, line in zip(table.tolist(), hidden.tolist(), strict=True)
        ],
        "noise": opened.sigma,
    }
    tested = independence(table[:-1, :-1], opened.sigma)
    if tested is None or float(table[:-1, :-1].sum()) < opened.fewest:
        return [], shown
    statistic, p = tested
    count = max(0, round(float(table[:-1, :-1].sum())))
    return [Metric("independenceP", p, count, definition=f"{block.name}: chi-square {statistic:.3f}")], shown


def independence(table: Floats, sigma: float) -> tuple[float, float] | None:
    """Pearson's χ² and its p; with noise, p is the share of tables without association that look as dependent.

    None where a row or column is empty, or is no more than noise.
    """
    margins = table.sum(axis=1), table.sum(axis=0)
    kept = [side > (4 * sigma * math.sqrt(table.size / len(side)) if sigma else 0.0) for side in margins]
    table = table[kept[0]][:, kept[1]]
    if min(table.shape, default=0) < 2:
        return None
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    statistic = float(_pearson(table[None])[0])
    if sigma == 0:
        return statistic, chi_square_tail(statistic, degrees)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    random = np.random.default_rng(20_240_512)  # no secret: it only makes tables without association
    drawn = random.poisson(expected, size=(SIMULATIONS, *table.shape)) + random.normal(
        0, sigma, (SIMULATIONS, *table.shape)
    )
    return statistic, float((1 + (_pearson(drawn) >= statistic).sum()) / (SIMULATIONS + 1))


def _pearson(tables: Floats) -> Floats:
    rows, columns = tables.sum(axis=2, keepdims=True), tables.sum(axis=1, keepdims=True)
    everyone = tables.sum(axis=(1, 2), keepdims=True)
    expected = np.maximum(rows * columns / np.maximum(everyone, 1.0), 1e-9)
    return np.asarray(((tables - expected) ** 2 / expected).sum(axis=(1, 2)))


def followed(block: Followed, opened: Opened) -> tuple[list[Metric], Json]:
    """Curves for each group (or incidences, where causes compete), medians, and the log-rank test."""
    cells = opened.values[:-1].reshape(block.shape)
    tables = [LifeTable(cells[number], block.endpoint.exact, opened.sigma) for number in range(len(block.groups))]
    metrics: list[Metric] = []
    curves = []
    for label, table in zip(block.groups, tables, strict=True):
        until = table.trusted(opened.fewest)
        if until:
            found, drawn = _group(block, label, table, shown_bins(table, until, opened.fewest))
            metrics += found
            curves.append(drawn)
    alone = len(block.endpoint.causes) == 1
    test = log_rank(tables) if alone and len(tables) > 1 else None
    if test is not None:
        count = max(0, round(float(sum(table.entering[0] for table in tables))))
        metrics.append(Metric("logRankP", test.p, count, definition=f"{block.name}: chi-square {test.statistic:.3f}"))
    return metrics, curves


def shown_bins(table: LifeTable, until: int, fewest: int) -> list[int]:
    """The bins after which a curve is shown: at least ``fewest`` patients leave between one and the next.

    A curve drawn at every time would show when single patients died.
    """
    shown, waiting = [], 0.0
    for number, leaving in enumerate(table.leaving[:until].sum(axis=1).tolist()):
        waiting += leaving
        if waiting >= fewest:
            shown.append(number)
            waiting = 0.0
    return shown


def _group(block: Followed, label: str, table: LifeTable, bins: list[int]) -> tuple[list[Metric], Json]:
    ends = np.asarray(block.endpoint.edges)[1:]
    count = max(0, round(float(table.entering[0])))
    name = block.name if block.group is None else f"{block.name}, {block.group.variable.name} {label}"
    drawn: dict[str, Any] = {"group": label, "unit": block.endpoint.unit, "before": [float(ends[b]) for b in bins]}
    drawn["patients"] = count
    metrics: list[Metric] = []
    if len(block.endpoint.causes) == 1:
        curve = kaplan_meier(table)
        drawn["survival"] = _points(curve, bins)
        if bins:
            metrics.append(_at_end("survivalProbability", curve, bins, count, f"{name}, before {ends[bins[-1]]:g}"))
            metrics += _median(curve, bins, ends, count, name)
        return metrics, drawn
    for number, cause in enumerate(block.endpoint.causes, start=1):
        curve = cumulative_incidence(table, number)
        drawn[f"incidence of {cause}"] = _points(curve, bins)
        if bins:
            said = f"{name}: {cause}, before {ends[bins[-1]]:g}"
            metrics.append(_at_end("cumulativeIncidence", curve, bins, count, said))
    return metrics, drawn


def _points(curve: Curve, bins: list[int]) -> Json:
    return [[float(side[b]) for b in bins] for side in (curve.share, curve.lower, curve.upper)]


def _at_end(metric: str, curve: Curve, bins: list[int], count: int, said: str) -> Metric:
    last = bins[-1]
    return Metric(
        metric, float(curve.share[last]), count, float(curve.lower[last]), float(curve.upper[last]), definition=said
    )


def _median(curve: Curve, bins: list[int], ends: Floats, count: int, name: str) -> list[Metric]:
    """The first shown time at which half have had the event, if the curve falls so far while it is shown."""
    below = [b for b in bins if curve.share[b] <= 0.5]
    if not below:
        return []
    sure, perhaps = [b for b in bins if curve.upper[b] <= 0.5], [b for b in bins if curve.lower[b] <= 0.5]
    upper = float(ends[sure[0]]) if sure else None
    lower = float(ends[perhaps[0] - 1]) if perhaps[0] else 0.0
    return [Metric("medianSurvival", float(ends[below[0]]), count, lower, upper, definition=name)]
