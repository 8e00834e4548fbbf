"""Cox's model, each site a stratum: its own baseline hazard, Breslow's treatment of ties.

The gradient and Hessian of the partial likelihood are sums over sites, so a federated fit is exactly the pooled fit
stratified by site. They are not sums over patients: a patient stands in the risk set of every earlier event of the
same site. What one patient can change is therefore larger, and this is the bound used:

- Fitted log hazards are cut to a range of ``spread``, so no patient weighs more than ``e^spread`` times another.
- At the m-th event from the end at least m others are at risk, so one more patient takes a share of at most
  ``a_m = 1 / (1 + m e^-spread)`` of the weight there.
- The weighted mean there moves by at most ``a_m D``, the weighted covariance by at most ``a_m D² √17 / 4``, with D the
  diameter of the covariates' range; the patient's own event adds at most ``D`` and ``D²/4``.

The sum of ``a_m`` grows like ``e^spread log(patients)``. Under noise the piecewise model is the better choice.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from synthema.spi.sums import Whole, site_rounded
from synthema_regression.covariates import Covariates, Flags, Floats
from synthema_regression.models import Model, Time


class Cox(Model):
    """Proportional hazards, stratified by site; ``spread`` bounds the range of fitted log hazards."""

    kind, ratio = "cox", "hazardRatio"

    def __init__(self, covariates: Covariates, time: Time, spread: float, most_patients: int) -> None:
        super().__init__(covariates, tuple(term.words for term in covariates.terms), 0)
        self.time, self.spread, self.most_patients = time, spread, most_patients

    @property
    def _diameter(self) -> float:
        return 2 * math.sqrt(self.covariates.square)

    @property
    def _shares(self) -> float:
        """Σ a_m for m = 1, 2, … up to the patients of a site."""
        events = np.arange(1, self.most_patients + 1)
        return float((1 / (1 + events * math.exp(-self.spread))).sum())

    @property
    def gradient_change(self) -> float:
        return self._diameter * (1 + self._shares)

    @property
    def hessian_change(self) -> float:
        return self._diameter**2 * (0.25 + math.sqrt(17) / 4 * self._shares)

    @property
    def largest(self) -> float:
        return 2.0

    def sensitivity(self, scale: int) -> float:
        """As for every model, but a site's vector is rounded once: two roundings may differ by 1 in each entry."""
        return scale * self.change / self.largest + math.sqrt(self.length)

    def add_up(self, table: pl.DataFrame, beta: Floats, scale: int) -> Whole:
        times, happened, known = self.time.read(table)
        known &= self.covariates.known(table)
        x, t, d = self.covariates.matrix(table)[known], times[known], happened[known]
        gradient, hessian = self._score(x, t, d, beta)
        entries = np.array([hessian[i, j] for i, j in self.pairs])
        figures = np.concatenate([[float(len(x))], gradient, self.weight * entries])
        return site_rounded(figures, self.largest, scale, self.most_patients)

    def _score(self, x: Floats, times: Floats, happened: Flags, beta: Floats) -> tuple[Floats, Floats]:
        """Gradient and negative Hessian of the site's log partial likelihood (Breslow 1974)."""
        order = np.argsort(-times, kind="stable")
        x, times, happened = x[order], times[order], np.asarray(happened, dtype=bool)[order]
        last = np.searchsorted(-times, -times, side="right") - 1  # the risk set of a time ends with its last tie
        weight = np.exp(np.clip(x @ beta, -self.spread / 2, self.spread / 2))
        at = last[happened]
        total = np.cumsum(weight)[at][:, None]
        mean = np.cumsum(weight[:, None] * x, axis=0)[at] / total
        gradient = (x[happened] - mean).sum(axis=0)
        times_at, counts = np.unique(at, return_counts=True)
        square = np.zeros((x.shape[1], x.shape[1]))
        if len(times_at):
            # Σ over events of S2/S0 = Σ over patients of w x xᵀ times the 1/S0 of the events whose risk set they are in
            share = np.zeros(len(x))
            np.add.at(share, times_at, counts / np.cumsum(weight)[times_at])
            within = np.cumsum(share[::-1])[::-1] * weight
            square = (x * within[:, None]).T @ x - mean.T @ mean
        return gradient, square
