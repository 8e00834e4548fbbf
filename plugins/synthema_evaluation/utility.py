"""Does the synthetic table say what the real one says? Each figure beside the same figure for held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.model import Metric
from synthema_evaluation.columns import Codes, Floats, Tables, bin_count, bin_labels, binned
from synthema_evaluation.intervals import RESAMPLES, around
from synthema_evaluation.survival import (
    Concordance,
    Design,
    Followed,
    covariates,
    fit_cox,
    followed,
    greenwood,
    horizon,
    kaplan_meier,
    known_rows,
    restricted_mean,
)

POINTS = 120
SMALL_COUNT = 5
FEW_RESAMPLES = 60
MOST_RANKED = 2000
SURVIVAL_FIGURES = {
    "survivalDistance": "mean over time of the distance between the real and the synthetic Kaplan–Meier curve, up to "
    "the last time with ten real patients at risk, for the worst outcome; control: training against held-out rows",
    "restrictedMeanDifference": "difference of the restricted mean survival times of real and synthetic rows as a "
    "share of the horizon, for the worst outcome (Royston and Parmar 2013); control: training against held-out rows",
}


def shares(codes: Codes, number: int) -> Floats:
    """Relative frequencies of codes."""
    return np.bincount(codes, minlength=number) / max(len(codes), 1)


def overlap(first: Floats, second: Floats) -> float:
    """One minus the total variation distance of two distributions."""
    return 1.0 - float(np.abs(first - second).sum()) / 2


def marginal_similarity(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[Metric, dict[str, Any]]:
    """Mean overlap of the variables one by one, and the shares for plots."""
    codes = {v.name: [binned(t, v) for t in (tables.train, tables.holdout, tables.synthetic)] for v in variables}
    sizes = {v.name: bin_count(v) for v in variables}

    def mean_overlap(first: int, second: int) -> float:
        return float(
            np.mean([overlap(shares(c[first], sizes[n]), shares(c[second], sizes[n])) for n, c in codes.items()])
        )

    def resampled(generator: np.random.Generator) -> float:
        rows = _picks(generator, len(tables.train)), _picks(generator, len(tables.synthetic))
        return float(
            np.mean(
                [overlap(shares(c[0][rows[0]], sizes[n]), shares(c[2][rows[1]], sizes[n])) for n, c in codes.items()]
            )
        )

    value = mean_overlap(0, 2)
    lower, upper = around(value, resampled, random, (0.0, 1.0), FEW_RESAMPLES)
    metric = Metric(
        "marginalSimilarity",
        value,
        len(tables.train),
        lower,
        upper,
        mean_overlap(0, 1),
        "mean over the variables of 1 minus the total variation distance between real and synthetic shares in the "
        "codebook's bins; control: training against held-out rows",
    )
    return metric, {v.name: _marginal_series(v, codes[v.name]) for v in variables}


def _picks(generator: np.random.Generator, rows: int) -> Codes:
    return generator.integers(0, max(rows, 1), size=rows)


def _marginal_series(variable: Variable, codes: list[Codes]) -> dict[str, Any]:
    number = bin_count(variable)
    return {
        "labels": bin_labels(variable),
        "real": suppressed(np.bincount(codes[0], minlength=number)),
        "synthetic": [round(float(share), 4) for share in shares(codes[2], number)],
    }


def suppressed(counts: Codes) -> list[float | None]:
    """Shares of counts, those of fewer than five people left out, and never exactly one left out.

    One hole could be filled from the rest, so the next smallest count goes too.
    """
    hidden = (counts > 0) & (counts < SMALL_COUNT)
    if hidden.sum() == 1 or (hidden.any() and counts[hidden].sum() < SMALL_COUNT):
        rest = np.where(hidden | (counts == 0), np.iinfo(np.int64).max, counts)
        if (rest < np.iinfo(np.int64).max).any():
            hidden[int(np.argmin(rest))] = True
    total = max(int(counts.sum()), 1)
    return [None if lost else round(float(count) / total, 4) for count, lost in zip(counts, hidden, strict=True)]


def survival_metrics(
    tables: Tables, codebook: Codebook, outcomes: tuple[SurvivalOutcome, ...], random: np.random.Generator
) -> tuple[list[Metric], dict[str, Any]]:
    """Distance of survival curves and difference of restricted means, the worst outcome of each; and the curves."""
    distances: list[Metric] = []
    differences: list[Metric] = []
    series: dict[str, Any] = {}
    for outcome in outcomes:
        real, held, synthetic = (
            followed(t, outcome, codebook) for t in (tables.train, tables.holdout, tables.synthetic)
        )
        end = horizon(real)
        if end <= 0 or len(synthetic.times) == 0:
            continue
        grid = np.linspace(0.0, end, POINTS)
        distance, difference_ = _compare(real, held, synthetic, grid, random)
        distances.append(distance)
        differences.append(difference_)
        curves = [kaplan_meier(sample, grid) for sample in (real, synthetic)]
        halves = [1.96 * greenwood(sample, grid) for sample in (real, synthetic)]
        series[outcome.name] = {
            "unit": outcome.unit,
            "times": [round(float(time), 2) for time in grid],
            "real": [round(float(value), 3) for value in curves[0]],
            "synthetic": [round(float(value), 3) for value in curves[1]],
            **{
                f"{source}{end}": [round(float(v), 3) for v in np.clip(curve + sign * half, 0.0, 1.0)]
                for source, curve, half in zip(("real", "synthetic"), curves, halves, strict=True)
                for end, sign in (("Lower", -1), ("Upper", 1))
            },
            "distance": round(distance.value, 4),
            "meanDifference": round(restricted_mean(curves[1], grid) - restricted_mean(curves[0], grid), 2),
        }
    worst = [max(found, key=lambda metric: metric.value) for found in (distances, differences) if found]
    return worst, series


def _compare(
    real: Followed, held: Followed, synthetic: Followed, grid: Floats, random: np.random.Generator
) -> tuple[Metric, Metric]:
    def figures(first: Followed, second: Followed) -> tuple[float, float]:
        one, two = kaplan_meier(first, grid), kaplan_meier(second, grid)
        gap = abs(restricted_mean(one, grid) - restricted_mean(two, grid)) / float(grid[-1])
        return float(np.abs(one - two).mean()), gap

    value, control = figures(real, synthetic), figures(real, held)
    draws = np.array(
        [
            figures(real.pick(_picks(random, len(real.times))), synthetic.pick(_picks(random, len(synthetic.times))))
            for _ in range(FEW_RESAMPLES)
        ]
    )
    half = 1.96 * draws.std(axis=0, ddof=1)
    first, second = (
        Metric(
            name,
            value[i],
            len(real.times),
            max(0.0, value[i] - float(half[i])),
            min(1.0, value[i] + float(half[i])),
            control[i],
            definition,
        )
        for i, (name, definition) in enumerate(SURVIVAL_FIGURES.items())
    )
    return first, second


def concordance_metrics(
    tables: Tables,
    codebook: Codebook,
    variables: tuple[Variable, ...],
    outcome: SurvivalOutcome,
    random: np.random.Generator,
) -> list[Metric]:
    """How well a Cox model ranks held-out patients when trained on synthetic, and when trained on real rows."""
    used = covariates(codebook, variables)
    tables = _bounded(tables, random)
    held = followed(tables.holdout, outcome, codebook)
    if not used or not held.events.any():
        return []
    found = {
        name: Concordance(_risk(source, tables.holdout, used, outcome, codebook), held)
        for name, source in (("Synthetic", tables.synthetic), ("Real", tables.train))
    }
    n = len(held.times)
    draws = np.array(
        [
            (found["Synthetic"].value(weights), found["Real"].value(weights))
            for weights in (np.bincount(_picks(random, n), minlength=n).astype(np.float64) for _ in range(RESAMPLES))
        ]
    )
    half = 1.96 * draws.std(axis=0, ddof=1)
    gap_half = 1.96 * float((draws[:, 1] - draws[:, 0]).std(ddof=1))
    synthetic, real = found["Synthetic"].value(), found["Real"].value()
    what = f"Harrell's C for '{outcome.name}' on held-out real patients of a ridge Cox model trained on"
    return [
        _concordance("concordanceSynthetic", synthetic, n, float(half[0]), f"{what} synthetic rows (Harrell 1982)"),
        _concordance("concordanceReal", real, n, float(half[1]), f"{what} the real training rows (Harrell 1982)"),
        Metric(
            "concordanceGap",
            real - synthetic,
            n,
            max(-1.0, real - synthetic - gap_half),
            min(1.0, real - synthetic + gap_half),
            0.0,
            "concordanceReal minus concordanceSynthetic: what ranking is lost by learning from synthetic rows",
        ),
    ]


def _bounded(tables: Tables, random: np.random.Generator) -> Tables:
    """The tables with a random choice of held-out rows where all pairs of them would be too many."""
    if tables.holdout.height <= MOST_RANKED:
        return tables
    rows = random.permutation(tables.holdout.height)[:MOST_RANKED].tolist()
    return Tables(tables.train, tables.holdout.select(pl.all().gather(rows)), tables.synthetic)


def _concordance(name: str, value: float, n: int, half: float, definition: str) -> Metric:
    return Metric(name, value, n, max(0.0, value - half), min(1.0, value + half), None, definition)


def _risk(
    source: pl.DataFrame,
    target: pl.DataFrame,
    used: tuple[Variable, ...],
    outcome: SurvivalOutcome,
    codebook: Codebook,
) -> Floats:
    known = source.filter(pl.Series(known_rows(source, outcome, codebook)))
    if known.height == 0:
        return np.zeros(int(known_rows(target, outcome, codebook).sum()))
    design = Design(known, used)
    beta = fit_cox(design.matrix(known), followed(known, outcome, codebook))
    return design.matrix(target.filter(pl.Series(known_rows(target, outcome, codebook)))) @ beta
