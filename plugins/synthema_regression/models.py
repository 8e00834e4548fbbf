"""The models: what a site adds up in one Newton step, and by how much one patient can change it.

Every model gives a vector of patients, gradient, and Hessian (the entries that are not zero by construction), the
Hessian weighted so that it takes no more of the sensitivity than the gradient. In the logistic, Poisson and
piecewise models each patient's part stands alone, so its L2 norm is bounded by the model and cut to that bound. In
Cox's model it does not: see :mod:`synthema_regression.cox`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from synthema.datasets.codebook import Variable
from synthema.spi.columns import numbers, texts
from synthema.spi.sums import Whole, patients_summed
from synthema_regression.covariates import Covariates, Flags, Floats

Pairs = list[tuple[int, int]]
MAX_COLUMNS = 400
MOST_WEIGHT = 4.0  # p(1 − p) is at most ¼, so a weighted entry is still at most 1


class Model(ABC):
    """What all models share. ``nuisance`` parameters (a baseline) come first and are not reported."""

    kind: str
    ratio: str

    def __init__(self, covariates: Covariates, names: tuple[str, ...], nuisance: int) -> None:
        self.covariates = covariates
        self.names = names
        self.nuisance = nuisance
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"the model has {len(names)} parameters, more than {MAX_COLUMNS}: use fewer covariates")

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return len(self.names)

    @cached_property
    def pairs(self) -> Pairs:
        """The Hessian's entries that are summed: the upper triangle unless the model knows some to be zero."""
        return [(i, j) for i in range(self.dimension) for j in range(i, self.dimension)]

    @property
    def length(self) -> int:
        """Entries of a round's vector: patients, gradient, Hessian."""
        return 1 + self.dimension + len(self.pairs)

    @property
    def start(self) -> list[float]:
        """Where Newton's method begins."""
        return [0.0] * self.dimension

    @property
    @abstractmethod
    def gradient_change(self) -> float:
        """The most one patient can change the gradient (L2)."""

    @property
    @abstractmethod
    def hessian_change(self) -> float:
        """The most one patient can change the summed entries of the Hessian (L2)."""

    @property
    @abstractmethod
    def largest(self) -> float:
        """The largest single entry that one patient can have."""

    @property
    def weight(self) -> float:
        """How the Hessian is weighted against the gradient: so that it takes no more of the sensitivity."""
        return min(MOST_WEIGHT, self.gradient_change / self.hessian_change)

    @property
    def change(self) -> float:
        """The most one patient can change the whole vector (L2), before scaling."""
        return math.sqrt(1 + self.gradient_change**2 + (self.weight * self.hessian_change) ** 2)

    def sensitivity(self, scale: int) -> float:
        """L2 change of the vector of integers when one row comes or goes; rounding moves each entry by up to ½."""
        return scale * self.change / self.largest + 0.5 * math.sqrt(self.length)

    @abstractmethod
    def add_up(self, table: pl.DataFrame, beta: Floats, scale: int) -> Whole:
        """A site's vector at these parameters."""

    def _rows(self, gradient: Floats, hessian: Floats) -> Floats:
        return np.concatenate([np.ones((len(gradient), 1)), gradient, self.weight * hessian], axis=1)

    def _products(self, columns: Floats) -> Floats:
        left, right = np.array(self.pairs).T
        return np.asarray(columns[:, left] * columns[:, right])


class PatientByPatient(Model):
    """A model in which each patient's part stands alone: it is cut to the bound and rounded before it is summed."""

    def add_up(self, table: pl.DataFrame, beta: Floats, scale: int) -> Whole:
        """A site's vector at these parameters."""
        return patients_summed(self.figures(table, beta), scale, largest=self.largest, bound=self.change)

    @abstractmethod
    def figures(self, table: pl.DataFrame, beta: Floats) -> Floats:
        """One row for each patient: 1, gradient, weighted Hessian."""


class Logistic(PatientByPatient):
    """The odds of a category's value: |y − p| ≤ 1 and p(1 − p) ≤ ¼, so a patient's part is bounded as it is."""

    kind, ratio = "logistic", "oddsRatio"

    def __init__(self, covariates: Covariates, outcome: Variable, positive: str) -> None:
        super().__init__(covariates, ("intercept", *(term.words for term in covariates.terms)), 0)
        if outcome.type != "category" or positive not in outcome.categories:
            raise ValueError("a logistic model needs a category as outcome, and 'positive' as one of its values")
        self.outcome, self.positive = outcome, positive

    @property
    def _square(self) -> float:
        return 1 + self.covariates.square

    @property
    def gradient_change(self) -> float:
        return math.sqrt(self._square)

    @property
    def hessian_change(self) -> float:
        return 0.25 * math.sqrt((self._square**2 + self._square) / 2)

    @property
    def largest(self) -> float:
        return 1.0

    def figures(self, table: pl.DataFrame, beta: Floats) -> Floats:
        answers = texts(table, self.outcome)
        known = self.covariates.known(table) & np.array([a in self.outcome.categories for a in answers], dtype=bool)
        x = with_intercept(self.covariates.matrix(table))[known]
        y = np.array([answer == self.positive for answer in answers], dtype=np.float64)[known]
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        return self._rows((y - p)[:, None] * x, (p * (1 - p))[:, None] * self._products(x))


class Poisson(PatientByPatient):
    """The rate of a count. Count and expected count are cut at ``most``, the codebook's maximum unless said lower."""

    kind, ratio = "poisson", "rateRatio"

    def __init__(
        self, covariates: Covariates, outcome: Variable, exposure: Variable | None, most: float | None
    ) -> None:
        super().__init__(covariates, ("intercept", *(term.words for term in covariates.terms)), 0)
        if outcome.type == "category" or (outcome.minimum or 0.0) < 0 or (exposure and exposure.type == "category"):
            raise ValueError("a Poisson model needs a number of at least 0 as outcome, and a number as exposure")
        self.outcome, self.exposure = outcome, exposure
        self.most = min(most or math.inf, outcome.maximum or 1.0)

    @property
    def _square(self) -> float:
        return 1 + self.covariates.square

    @property
    def gradient_change(self) -> float:
        return self.most * math.sqrt(self._square)

    @property
    def hessian_change(self) -> float:
        return self.most * math.sqrt((self._square**2 + self._square) / 2)

    @property
    def largest(self) -> float:
        return max(1.0, self.most)

    def figures(self, table: pl.DataFrame, beta: Floats) -> Floats:
        count = np.minimum(numbers(table, self.outcome), self.most)
        known = self.covariates.known(table) & np.isfinite(count)
        share = np.ones(table.height)
        if self.exposure is not None:
            share = numbers(table, self.exposure) / (self.exposure.maximum or 1.0)
            known &= np.isfinite(share) & (share > 0)
        x = with_intercept(self.covariates.matrix(table))[known]
        expected = np.minimum(share[known] * np.exp(np.clip(x @ beta, -50, 50)), self.most)
        return self._rows((count[known] - expected)[:, None] * x, expected[:, None] * self._products(x))


@dataclass(frozen=True, slots=True)
class Time:
    """An outcome's time and event, and the edges that cut its time into intervals."""

    time: Variable
    event: Variable
    value: str
    edges: tuple[float, ...]

    def read(self, table: pl.DataFrame) -> tuple[Floats, Flags, Flags]:
        """Each row's time, whether the event happened, and whether both are known."""
        times, words = numbers(table, self.time), texts(table, self.event)
        known = np.isfinite(times) & np.array([word in self.event.categories for word in words], dtype=bool)
        return times, np.array([word == self.value for word in words], dtype=bool), known


class Piecewise(PatientByPatient):
    """Proportional hazards with a rate that is constant in each interval: a survival model whose patients stand alone.

    With short intervals its hazard ratios are those of Cox's model (Holford 1980). A patient's expected number of
    events is cut at ``most``.
    """

    kind, ratio = "piecewise", "hazardRatio"

    def __init__(self, covariates: Covariates, time: Time, most: float) -> None:
        self.bins = len(time.edges) - 1
        baseline = tuple(f"log rate from {edge:g}" for edge in time.edges[:-1])
        super().__init__(covariates, (*baseline, *(term.words for term in covariates.terms)), self.bins)
        self.time, self.most = time, max(1.0, most)

    @cached_property
    def pairs(self) -> Pairs:
        k, p = self.bins, self.dimension
        cross = [(i, j) for i in range(k) for j in range(k, p)]
        return [(i, i) for i in range(k)] + cross + [(i, j) for i in range(k, p) for j in range(i, p)]

    @property
    def start(self) -> list[float]:
        return [-2.0] * self.bins + [0.0] * len(self.covariates.terms)

    @property
    def gradient_change(self) -> float:
        return math.sqrt(self.most**2 * self.covariates.square + self.most**2 + 1)

    @property
    def hessian_change(self) -> float:
        square = self.covariates.square
        return self.most * math.sqrt(1 + square + (square**2 + square) / 2)

    @property
    def largest(self) -> float:
        return self.most

    def figures(self, table: pl.DataFrame, beta: Floats) -> Floats:
        times, happened, known = self.time.read(table)
        known &= self.covariates.known(table)
        x, t, d = self.covariates.matrix(table)[known], times[known], happened[known]
        edges = np.asarray(self.time.edges)
        share = np.clip((t[:, None] - edges[:-1]) / np.diff(edges), 0.0, 1.0)
        place = np.clip(np.searchsorted(edges, t, side="left") - 1, 0, self.bins - 1)
        events = np.zeros_like(share)
        events[np.arange(len(t)), place] = d
        rates = np.exp(np.clip(beta[: self.bins] + (x @ beta[self.bins :])[:, None], -50, 50))
        expected = share * rates
        expected *= np.minimum(1.0, self.most / np.maximum(expected.sum(axis=1, keepdims=True), 1e-300))
        total = expected.sum(axis=1, keepdims=True)
        gradient = np.concatenate([events - expected, (d[:, None] - total) * x], axis=1)
        cross = (expected[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        left, right = np.triu_indices(x.shape[1])
        return self._rows(gradient, np.concatenate([expected, cross, total * x[:, left] * x[:, right]], axis=1))


def with_intercept(columns: Floats) -> Floats:
    """The columns with a first one of ones."""
    return np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
