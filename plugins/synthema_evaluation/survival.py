"""Survival figures in numpy: Kaplan–Meier, restricted mean, Cox regression, concordance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema_evaluation.columns import Floats, numbers, texts

Flags = NDArray[np.bool_]
AT_RISK = 10
RIDGE = 1.0
MOST_STEPS = 60
SETTLED = 1e-7  # of every log hazard ratio, each of one standard deviation
LOWEST_LOG_RISK = -600.0


@dataclass(frozen=True, slots=True)
class Followed:
    """Times and events of the rows in which both are known."""

    times: Floats
    events: Flags

    def pick(self, rows: NDArray[np.int64]) -> Followed:
        """Some of the rows, repeats allowed."""
        return Followed(self.times[rows], self.events[rows])


def known_rows(table: pl.DataFrame, outcome: SurvivalOutcome, codebook: Codebook) -> Flags:
    """Rows in which time and event are both known."""
    time = numbers(table, codebook.variable(outcome.time))
    known = np.array([text is not None for text in texts(table, outcome.event)], dtype=bool)
    return np.asarray(np.isfinite(time) & known)


def followed(table: pl.DataFrame, outcome: SurvivalOutcome, codebook: Codebook) -> Followed:
    """Times and events of a table for one outcome."""
    known = known_rows(table, outcome, codebook)
    happened = np.array([text == outcome.event_value for text in texts(table, outcome.event)], dtype=bool)
    return Followed(numbers(table, codebook.variable(outcome.time))[known], happened[known])


def kaplan_meier(sample: Followed, grid: Floats) -> Floats:
    """The product-limit estimate of survival at the grid's times (Kaplan and Meier 1958)."""
    if len(sample.times) == 0:
        return np.ones(len(grid))
    times, starts = np.unique(sample.times, return_inverse=True)
    deaths = np.bincount(starts, sample.events.astype(np.float64), minlength=len(times))
    leaving = np.bincount(starts, minlength=len(times))
    at_risk = len(sample.times) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    curve = np.concatenate([[1.0], np.cumprod(1 - deaths / at_risk)])
    return np.asarray(curve[np.searchsorted(times, grid, side="right")])


def horizon(sample: Followed) -> float:
    """The last time at which at least ten are still followed: beyond it a curve would show single people."""
    if len(sample.times) < AT_RISK:
        return 0.0
    return float(np.sort(sample.times)[-AT_RISK])


def greenwood(sample: Followed, grid: Floats) -> Floats:
    """Standard error of the product-limit estimate at the grid's times (Greenwood 1926)."""
    if len(sample.times) == 0:
        return np.zeros(len(grid))
    times, starts = np.unique(sample.times, return_inverse=True)
    deaths = np.bincount(starts, sample.events.astype(np.float64), minlength=len(times))
    leaving = np.bincount(starts, minlength=len(times))
    at_risk = len(sample.times) - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    terms = deaths / np.maximum(at_risk * (at_risk - deaths), 1e-12)
    total = np.concatenate([[0.0], np.cumsum(np.where(at_risk > deaths, terms, 0.0))])
    return np.asarray(kaplan_meier(sample, grid) * np.sqrt(total[np.searchsorted(times, grid, side="right")]))


def restricted_mean(curve: Floats, grid: Floats) -> float:
    """Area under a survival curve over the grid (trapezium rule)."""
    return float(((curve[1:] + curve[:-1]) / 2 * np.diff(grid)).sum())


class Design:
    """How a table becomes the covariates of a Cox model: learned from the rows the model is trained on.

    Missing numbers become the training median, categories indicators of all but the first.
    Times and events of outcomes are no covariates.
    """

    def __init__(self, table: pl.DataFrame, variables: tuple[Variable, ...]) -> None:
        self._variables = variables
        self._medians = {
            v.name: float(np.nanmedian(known)) if np.isfinite(known := numbers(table, v)).any() else 0.0
            for v in variables
            if v.type != "category"
        }
        raw = self._raw(table)
        self._centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, np.inf)

    @property
    def labels(self) -> list[str]:
        """What each covariate stands for."""
        return [
            label
            for v in self._variables
            for label in ([f"{v.name} = {c}" for c in v.categories[1:]] if v.type == "category" else [v.name])
        ]

    @property
    def usable(self) -> Flags:
        """Covariates that differ between training rows at all."""
        return np.isfinite(self._scale)

    def matrix(self, table: pl.DataFrame) -> Floats:
        """Standardised covariates, shape (rows, covariates)."""
        return np.asarray((self._raw(table) - self._centre) / self._scale)

    def _raw(self, table: pl.DataFrame) -> Floats:
        columns: list[Floats] = []
        for variable in self._variables:
            if variable.type == "category":
                values = texts(table, variable.name)
                columns += [
                    np.array([value == category for value in values], dtype=np.float64)
                    for category in variable.categories[1:]
                ]
            else:
                values_ = numbers(table, variable)
                columns.append(np.where(np.isfinite(values_), values_, self._medians[variable.name]))
        return np.stack(columns, axis=1) if columns else np.zeros((table.height, 0))


def covariates(codebook: Codebook, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """The variables a Cox model may use: no time, no event, nothing of any outcome."""
    used = {name for outcome in codebook.outcomes for name in (outcome.time, outcome.event)}
    return tuple(v for v in variables if v.name not in used and v.role not in ("time", "event", "site"))


@dataclass(frozen=True, slots=True)
class Hazards:
    """A fitted Cox model: log hazard ratios and their standard errors."""

    beta: Floats
    errors: Floats


def fit_cox(features: Floats, sample: Followed) -> Floats:
    """Log hazard ratios: the maximum of Breslow's partial likelihood less a ridge penalty (Cox 1972)."""
    return fit_hazards(features, sample).beta


def fit_hazards(features: Floats, sample: Followed) -> Hazards:
    """Log hazard ratios as :func:`fit_cox` finds them, with standard errors from the penalised information.

    By Newton's method. What is maximised is concave, but its curvature dies away where a few rows with extreme values
    make up the whole risk set: a full step may then lead downhill, and step after step back and forth. So a step is
    halved until the likelihood rises, which finds the maximum from anywhere (Dennis and Schnabel 1983, section 6.3).
    """
    partial = _Partial(features, sample)
    beta = np.zeros(features.shape[1])
    reached = partial.value(beta)
    for _ in range(MOST_STEPS):
        slope, bend = partial.slope_and_bend(beta)
        step = np.linalg.solve(bend, slope)
        while float(np.abs(step).max(initial=0.0)) >= SETTLED and not (tried := partial.value(beta + step)) > reached:
            step = step / 2
        if float(np.abs(step).max(initial=0.0)) < SETTLED:
            break
        beta, reached = beta + step, tried
    errors = np.sqrt(np.maximum(np.diag(np.linalg.inv(partial.slope_and_bend(beta)[1])), 0.0))
    return Hazards(beta, errors)


class _Partial:
    """Breslow's partial likelihood less the ridge penalty: its logarithm, slope and curvature."""

    def __init__(self, features: Floats, sample: Followed) -> None:
        order = np.argsort(-sample.times, kind="stable")
        self._x, times, self._events = features[order], sample.times[order], sample.events[order]
        # rows tied in time share the risk set that ends with the last of them
        self._ends = np.searchsorted(-times, -times, side="right")[self._events] - 1

    def value(self, beta: Floats) -> float:
        """The logarithm of the likelihood."""
        risk = self._risk(beta)
        total = np.cumsum(np.exp(risk))[self._ends]
        return float((risk[self._events] - np.log(total)).sum() - RIDGE / 2 * beta @ beta)

    def slope_and_bend(self, beta: Floats) -> tuple[Floats, Floats]:
        """The first derivative, and minus the second."""
        x, weight = self._x, np.exp(self._risk(beta))
        total = np.cumsum(weight)[self._ends]
        first = np.cumsum(weight[:, None] * x, axis=0)[self._ends] / total[:, None]
        # each row counts in the risk set of every event that ends at or after it
        share = np.cumsum(np.bincount(self._ends, 1 / total, minlength=len(x))[::-1])[::-1]
        slope = (x[self._events] - first).sum(axis=0) - RIDGE * beta
        bend = (x * (weight * share)[:, None]).T @ x - first.T @ first + RIDGE * np.eye(len(beta))
        return slope, bend

    def _risk(self, beta: Floats) -> Floats:
        """Each row's log risk beside the highest one, so that no exponential overflows."""
        risk = self._x @ beta
        return np.asarray(np.maximum(risk - risk.max(initial=-np.inf), LOWEST_LOG_RISK))


class Concordance:
    """Harrell's C (Harrell 1982) of fixed risk scores: how often the one of two who dies first has the higher."""

    def __init__(self, risk: Floats, sample: Followed) -> None:
        times, events = sample.times, sample.events
        earlier = (times[:, None] < times[None, :]) | (
            (times[:, None] == times[None, :]) & ~events[None, :] & ~np.eye(len(times), dtype=bool)
        )
        self._comparable = (earlier & events[:, None]).astype(np.float64)
        higher = (risk[:, None] > risk[None, :]) + 0.5 * (np.abs(risk[:, None] - risk[None, :]) < 1e-12)
        self._right = self._comparable * higher

    def value(self, weights: Floats | None = None) -> float:
        """C, the rows weighted (for a bootstrap); 0.5 where no pair can be compared."""
        w = np.ones(len(self._right)) if weights is None else weights
        pairs = float(w @ self._comparable @ w)
        return float(w @ self._right @ w) / pairs if pairs > 0 else 0.5
