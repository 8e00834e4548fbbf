"""Survival beyond the curve: medians, competing risks, hazard ratios, and the log-rank test with its caveat."""

from __future__ import annotations

from math import erfc, sqrt
from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.model import Metric
from synthema_evaluation.columns import Codes, Floats, Tables, numbers, texts
from synthema_evaluation.intervals import Z95
from synthema_evaluation.survival import (
    Design,
    Flags,
    Followed,
    Hazards,
    covariates,
    fit_hazards,
    followed,
    horizon,
    kaplan_meier,
    known_rows,
)

RESAMPLES = 60
POINTS = 120
FEWEST_EVENTS = 10
FEWEST_IN_CLASS = 5
MOST_SHOWN = 30


def median_metric(tables: Tables, codebook: Codebook, random: np.random.Generator) -> Metric | None:
    """Difference of median survival times for the outcome where it is largest."""
    found: list[Metric] = []
    for outcome in codebook.outcomes:
        real, held, synthetic = _three(tables, outcome, codebook)
        end = horizon(real)
        if end <= 0 or not len(synthetic.times):
            continue

        def gap(first: Followed, second: Followed, end: float = end) -> float:
            return abs(_median(first, end) - _median(second, end)) / end

        draws = [gap(_again(real, random), _again(synthetic, random)) for _ in range(RESAMPLES)]
        found.append(
            _figure("medianDifference", len(real.times), gap(real, synthetic), draws, gap(real, held),
                    "absolute difference of the median survival times of real and synthetic rows as a share of the "
                    "horizon (the last time with ten real patients at risk; a median not reached by then counts as "
                    "the horizon), for the worst outcome; control: training against held-out rows")
        )  # fmt: skip
    return max(found, key=lambda m: m.value) if found else None


def _three(tables: Tables, outcome: SurvivalOutcome, codebook: Codebook) -> tuple[Followed, Followed, Followed]:
    real, held, synthetic = (followed(t, outcome, codebook) for t in (tables.train, tables.holdout, tables.synthetic))
    return real, held, synthetic


def _median(sample: Followed, end: float) -> float:
    times = np.unique(sample.times[sample.times <= end])
    below = np.nonzero(kaplan_meier(sample, times) <= 0.5)[0]
    return float(times[below[0]]) if len(below) else end


def _again(sample: Followed, random: np.random.Generator) -> Followed:
    return sample.pick(random.integers(0, max(len(sample.times), 1), size=len(sample.times)))


def _figure(name: str, n: int, value: float, draws: list[float], control: float, definition: str) -> Metric:
    half = Z95 * float(np.std(draws, ddof=1))
    return Metric(name, value, n, max(0.0, value - half), min(1.0, value + half), control, definition)


def log_rank_metric(tables: Tables, codebook: Codebook) -> Metric | None:
    """The log-rank test of real against synthetic rows, for the outcome with the smallest p."""
    found = []
    for outcome in codebook.outcomes:
        real, held, synthetic = _three(tables, outcome, codebook)
        if not len(real.times) or not len(synthetic.times):
            continue
        found.append((log_rank(real, synthetic), log_rank(real, held), len(real.times) + len(synthetic.times)))
    if not found:
        return None
    value, control, n = min(found)
    return Metric(
        "logRankP",
        value,
        n,
        None,
        None,
        control,
        "p-value of the log-rank test (Mantel 1966) between training and synthetic rows, for the outcome where it is "
        "smallest. Shown because readers ask for it: it falls with the number of rows for the slightest difference, "
        "and a high p shows nothing, so no gate should rest on it; it has no interval; control: held-out rows",
    )


def log_rank(first: Followed, second: Followed) -> float:
    """Two-sided p-value of the log-rank test; 1 where there is nothing to compare."""
    times = np.unique(np.concatenate([first.times[first.events], second.times[second.events]]))
    risk = [len(s.times) - np.searchsorted(np.sort(s.times), times, side="left") for s in (first, second)]
    dead = [
        np.searchsorted(np.sort(s.times[s.events]), times, side="right")
        - np.searchsorted(np.sort(s.times[s.events]), times, side="left")
        for s in (first, second)
    ]
    all_risk, all_dead = np.maximum(risk[0] + risk[1], 1), dead[0] + dead[1]
    expected = all_dead * risk[0] / all_risk
    spread = expected * (1 - risk[0] / all_risk) * (all_risk - all_dead) / np.maximum(all_risk - 1, 1)
    variance = float(spread.sum())
    if variance <= 0:
        return 1.0
    return erfc(abs(float((dead[0] - expected).sum())) / sqrt(2 * variance))


def competing_metric(
    tables: Tables, codebook: Codebook, random: np.random.Generator
) -> tuple[Metric | None, dict[str, Any]]:
    """Distance of the cumulative incidences of the first event, the worst cause."""
    if len(codebook.outcomes) < 2:
        return None, {}
    rarest = np.argsort([int(followed(tables.train, o, codebook).events.sum()) for o in codebook.outcomes])
    real, held, synthetic = (
        _first_event(t, codebook, rarest) for t in (tables.train, tables.holdout, tables.synthetic)
    )
    causes = len(codebook.outcomes)
    end = horizon(Followed(real[0], real[1] > 0))
    if end <= 0 or not len(synthetic[0]):
        return None, {}
    grid = np.linspace(0.0, end, POINTS)

    def gap(first: tuple[Floats, Codes], second: tuple[Floats, Codes]) -> float:
        pairs = zip(_incidence(*first, causes, grid), _incidence(*second, causes, grid), strict=True)
        return max(float(np.abs(one - two).mean()) for one, two in pairs)

    def again(sample: tuple[Floats, Codes]) -> tuple[Floats, Codes]:
        rows = random.integers(0, len(sample[0]), size=len(sample[0]))
        return sample[0][rows], sample[1][rows]

    draws = [gap(again(real), again(synthetic)) for _ in range(RESAMPLES)]
    metric = _figure(
        "competingRisksDistance", len(real[0]), gap(real, synthetic), draws, gap(real, held),
        "mean over time of the distance between the real and the synthetic cumulative incidence (Aalen and Johansen "
        "1978) of whichever of the codebook's outcomes comes first, for the worst outcome; on a tie the rarer "
        "outcome counts; control: training against held-out rows",
    )  # fmt: skip
    curves = zip(codebook.outcomes, _incidence(*real, causes, grid), _incidence(*synthetic, causes, grid), strict=True)
    series = {
        outcome.name: {
            "unit": outcome.unit,
            "times": [round(float(t), 2) for t in grid],
            "real": [round(float(v), 3) for v in one],
            "synthetic": [round(float(v), 3) for v in two],
        }
        for outcome, one, two in curves
    }
    return metric, series


def _first_event(table: pl.DataFrame, codebook: Codebook, rarest: Codes) -> tuple[Floats, Codes]:
    """Time until the first of all outcomes and which it was, counted from 1 (0: none); rows with all of them known.

    Where two happen at the same time, the one that is rarer in training counts: a death does not hide the
    progression found with it.
    """
    known = np.all([known_rows(table, outcome, codebook) for outcome in codebook.outcomes], axis=0)
    times = np.stack([numbers(table, codebook.variable(o.time))[known] for o in codebook.outcomes])
    happened = np.stack(
        [np.array([t == o.event_value for t in texts(table, o.event)], dtype=bool)[known] for o in codebook.outcomes]
    )
    at = np.where(happened, times, np.inf)
    cause = np.where(happened.any(axis=0), rarest[at[rarest].argmin(axis=0)] + 1, 0)
    return np.where(cause > 0, at.min(axis=0), times.min(axis=0)), cause


def _incidence(times: Floats, causes: Codes, number: int, grid: Floats) -> list[Floats]:
    """Cumulative incidence of each cause at the grid's times."""
    moments, starts = np.unique(times, return_inverse=True)
    leaving = np.bincount(starts, minlength=len(moments))
    at_risk = len(times) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    free = np.bincount(starts, causes > 0, minlength=len(moments)) / at_risk
    before = np.concatenate([[1.0], np.cumprod(1 - free)[:-1]])
    place = np.searchsorted(moments, grid, side="right")
    found = []
    for cause in range(1, number + 1):
        here = np.bincount(starts, causes == cause, minlength=len(moments)) / at_risk
        found.append(np.concatenate([[0.0], np.cumsum(before * here)])[place])
    return found


def hazard_metrics(
    tables: Tables, codebook: Codebook, variables: tuple[Variable, ...]
) -> tuple[list[Metric], dict[str, Any]]:
    """Do the same things raise and lower the hazard as much? Correlation and interval overlap of log hazard ratios."""
    used = covariates(codebook, variables)
    if not codebook.outcomes or not used:
        return [], {}
    outcome = codebook.outcomes[0]
    known = tables.train.filter(pl.Series(known_rows(tables.train, outcome, codebook)))
    design = Design(known, used) if known.height else None
    if design is None:
        return [], {}
    models = [_hazards(t, design, outcome, codebook) for t in (tables.train, tables.holdout, tables.synthetic)]
    enough = _common(design, tables.train)
    real, held, synthetic = (None if m is None else Hazards(m.beta[enough], m.errors[enough]) for m in models)
    if real is None or synthetic is None or enough.sum() < 2:
        return [], {}
    n, size = int(enough.sum()), tables.train.height
    correlation = _correlated(real.beta, synthetic.beta)
    lower, upper = _fisher(correlation, n)
    overlaps = _overlaps(real, synthetic)
    half = Z95 * float(overlaps.std(ddof=1)) / sqrt(n)
    metrics = [
        Metric("hazardRatioCorrelation", correlation, n, lower, upper,
               None if held is None else _correlated(real.beta, held.beta),
               f"correlation of the log hazard ratios for '{outcome.name}' of a ridge Cox model learned from synthetic "
               "and from training rows, covariates standardised alike, Fisher's interval; n counts covariates; "
               "control: held-out rows, which are fewer"),
        Metric("hazardRatioOverlap", float(overlaps.mean()), n, max(0.0, float(overlaps.mean()) - half),
               min(1.0, float(overlaps.mean()) + half),
               None if held is None else float(_overlaps(real, held).mean()),
               "mean overlap of the 95 % intervals of the same hazard ratios (Karr et al. 2006; 1 the same, 0 apart); "
               "n counts covariates; control: held-out rows, whose intervals are wider"),
    ]  # fmt: skip
    labels = [label for label, is_in in zip(design.labels, enough, strict=True) if is_in]
    return metrics, {"outcome": outcome.name, "rows": size, "covariates": _forest(labels, real, synthetic)}


def _common(design: Design, train: pl.DataFrame) -> Flags:
    """Covariates that at least five training rows have and five lack: a ratio of fewer people would show them."""
    matrix = design.matrix(train)
    most = np.array([np.unique(column, return_counts=True)[1].max() for column in matrix.T])
    return np.asarray(design.usable & (len(matrix) - most >= FEWEST_IN_CLASS))


def _hazards(table: pl.DataFrame, design: Design, outcome: SurvivalOutcome, codebook: Codebook) -> Hazards | None:
    known = table.filter(pl.Series(known_rows(table, outcome, codebook)))
    sample = followed(table, outcome, codebook)
    if int(sample.events.sum()) < FEWEST_EVENTS:
        return None
    return fit_hazards(design.matrix(known), sample)


def _correlated(first: Floats, second: Floats) -> float:
    if float(first.std()) < 1e-12 or float(second.std()) < 1e-12:
        return 0.0
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))


def _fisher(value: float, n: int) -> tuple[float, float]:
    """Fisher's interval of a correlation of n pairs; all of it where n is below four."""
    if n < 4:
        return -1.0, 1.0
    middle, half = np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9)), Z95 / sqrt(n - 3)
    return min(value, float(np.tanh(middle - half))), max(value, float(np.tanh(middle + half)))


def _overlaps(first: Hazards, second: Hazards) -> Floats:
    """For each covariate the mean share of the two intervals that they have in common."""
    low = np.maximum(first.beta - Z95 * first.errors, second.beta - Z95 * second.errors)
    high = np.minimum(first.beta + Z95 * first.errors, second.beta + Z95 * second.errors)
    common = np.maximum(high - low, 0.0)
    widths = [np.maximum(2 * Z95 * h.errors, 1e-12) for h in (first, second)]
    return np.asarray((common / widths[0] + common / widths[1]) / 2)


def _forest(labels: list[str], real: Hazards, synthetic: Hazards) -> list[dict[str, Any]]:
    """The covariates whose real hazard ratio is furthest from 1 by its own standard error."""
    order = np.argsort(-np.abs(real.beta) / np.maximum(real.errors, 1e-12), kind="stable")[:MOST_SHOWN]
    return [
        {
            "label": labels[i],
            **{
                name: [round(float(np.exp(h.beta[i] + z * h.errors[i])), 3) for z in (0.0, -Z95, Z95)]
                for name, h in (("real", real), ("synthetic", synthetic))
            },
        }
        for i in order
    ]
