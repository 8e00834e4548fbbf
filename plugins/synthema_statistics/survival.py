"""Survival from sums: Kaplan–Meier, cumulative incidence, log-rank, each with the noise of the sums in its variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthema.spi.axes import Floats
from synthema_statistics.chance import Z, chi_square_tail

DRAWS = 200
LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class LifeTable:
    """How many leave in each bin of time: ``leaving`` has shape (bins, causes + 1), the first column for no event.

    ``exact`` says that a bin holds one time only; else those who leave without an event count as followed for half
    of their bin (Cutler and Ederer 1958). ``sigma`` is the standard deviation of the noise in each entry.
    """

    leaving: Floats
    exact: bool
    sigma: float = 0.0

    @property
    def entering(self) -> Floats:
        """Patients still followed at the beginning of each bin."""
        return np.asarray(np.cumsum(self.leaving.sum(axis=1)[::-1])[::-1])

    @property
    def at_risk(self) -> Floats:
        """Patients among whom the bin's events happen; at least one, so that noise cannot divide by nothing."""
        half = 0.0 if self.exact else 0.5
        return np.asarray(np.maximum(self.entering - half * self.leaving[:, 0], 1.0 if self.sigma else LEAST))

    @property
    def events(self) -> Floats:
        """Events of any cause in each bin."""
        return np.asarray(self.leaving[:, 1:].sum(axis=1))

    def trusted(self, fewest: int) -> int:
        """How many bins may be shown: to the last that at least ``fewest`` enter, and that four noises cannot empty."""
        cells = self.leaving.shape[1] * np.arange(len(self.leaving), 0, -1)
        enough = self.entering >= np.maximum(fewest, 4 * self.sigma * np.sqrt(cells))
        return len(enough) if enough.all() else int(np.argmin(enough))

    def noisy_copies(self, number: int = 0) -> list[LifeTable]:
        """The same table under fresh noise of the same size; tables of another ``number`` get noise of their own."""
        random = np.random.default_rng((20_240_229, number))  # no secret: it only measures how far noise moves a figure
        draws = random.normal(size=(DRAWS, *self.leaving.shape))
        return [LifeTable(self.leaving + self.sigma * draw, self.exact, self.sigma) for draw in draws]


@dataclass(frozen=True, slots=True)
class Curve:
    """A share at the end of each bin with its 95 % interval."""

    share: Floats
    lower: Floats
    upper: Floats


def kaplan_meier(table: LifeTable) -> Curve:
    """The product-limit estimate (Kaplan and Meier 1958); intervals by log(−log) of Greenwood's variance and noise."""
    share = _survival(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        risk, events = table.at_risk, np.clip(table.events, 0, None)
        greenwood = np.cumsum(np.where(risk > events, events / (risk * (risk - events)), 0.0))
    variance = greenwood + _noise_variance(table, lambda copy: np.log(np.maximum(_survival(copy), 1e-6)))
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = -np.log(share)
        width = Z * np.sqrt(variance) / hazard
        lower, upper = share ** np.exp(width), share ** np.exp(-width)
    open_ended = ~((share > 0) & (share < 1))
    spread = Z * np.sqrt(variance)
    lower = np.where(open_ended, np.clip(share - spread, 0, 1), lower)
    upper = np.where(open_ended, np.clip(share + spread, 0, 1), upper)
    return Curve(share, np.minimum(lower, share), np.maximum(upper, share))


def _survival(table: LifeTable) -> Floats:
    steps = np.clip(1 - table.events / table.at_risk, 0.0, None if table.sigma else 1.0)
    share: Floats = np.asarray(np.cumprod(steps), dtype=np.float64)
    return np.clip(falling(share), 0.0, 1.0) if table.sigma else share


def falling(values: Floats) -> Floats:
    """The nearest sequence that never rises (pool adjacent violators)."""
    levels: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        levels.append(value)
        sizes.append(1)
        while len(levels) > 1 and levels[-2] < levels[-1]:
            size = sizes[-2] + sizes[-1]
            levels[-2] = (levels[-2] * sizes[-2] + levels[-1] * sizes[-1]) / size
            sizes[-2] = size
            levels.pop()
            sizes.pop()
    return np.repeat(levels, sizes)


def cumulative_incidence(table: LifeTable, cause: int) -> Curve:
    """The share to whom one cause happened first (Aalen and Johansen 1978), ``cause`` counted from 1.

    The variance is the delta method's (Marubini and Valsecchi 1995, section 10.2) plus that of the noise.
    """
    share = _incidence(table, cause)
    risk, events, mine = table.at_risk, np.clip(table.events, 0, None), np.clip(table.leaving[:, cause], 0, None)
    before = np.concatenate([[1.0], _survival(table)[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(risk > events, events / (risk * (risk - events)), 0.0)
    own = before**2 * np.clip(risk - mine, 0, None) * mine / risk**3
    mixed = before * mine / risk**2
    variance = (
        share**2 * np.cumsum(each)
        - 2 * share * np.cumsum(each * share)
        + np.cumsum(each * share**2)
        + np.cumsum(own)
        - 2 * (share * np.cumsum(mixed) - np.cumsum(mixed * share))
    )
    variance = np.clip(variance, 0, None) + _noise_variance(table, lambda copy: _incidence(copy, cause))
    spread = Z * np.sqrt(variance)
    return Curve(share, np.clip(share - spread, 0, 1), np.clip(share + spread, 0, 1))


def _incidence(table: LifeTable, cause: int) -> Floats:
    before = np.concatenate([[1.0], _survival(table)[:-1]])
    rises = np.cumsum(before * table.leaving[:, cause] / table.at_risk)
    return np.clip(-falling(-rises), 0.0, 1.0) if table.sigma else rises


def _noise_variance(table: LifeTable, figure: Callable[[LifeTable], Floats]) -> Floats | float:
    """The variance that the noise of the sums alone gives a figure."""
    if table.sigma == 0:
        return 0.0
    return np.asarray(np.var([figure(copy) for copy in table.noisy_copies()], axis=0))


@dataclass(frozen=True, slots=True)
class LogRank:
    """The log-rank test (Mantel 1966): statistic, degrees of freedom, p."""

    statistic: float
    degrees: int
    p: float


def log_rank(tables: list[LifeTable]) -> LogRank | None:
    """Whether groups differ in survival; None where fewer than two groups can be compared.

    With noise in the sums, its covariance is added to the hypergeometric one, so noise alone is not taken for a
    difference.
    """
    sigma = tables[0].sigma if tables else 0.0
    floor = 4 * sigma * math.sqrt(tables[0].leaving.size) if tables else 0.0
    kept = [table for table in tables if table.entering[0] > floor]
    if len(kept) < 2:
        return None
    until = min(table.trusted(1) for table in kept) if sigma else len(kept[0].leaving)
    if until == 0:
        return None
    difference, covariance = _observed_less_expected(kept, until)
    if sigma:
        copies = zip(*(table.noisy_copies(number) for number, table in enumerate(kept)), strict=True)
        moved = np.array([_observed_less_expected(list(copy), until)[0] for copy in copies])
        covariance = covariance + np.atleast_2d(np.cov(moved.T))
    degrees = len(kept) - 1
    if np.linalg.matrix_rank(covariance) < degrees:
        return None
    statistic = float(difference @ np.linalg.solve(covariance, difference))
    return LogRank(statistic, degrees, chi_square_tail(statistic, degrees))


def _observed_less_expected(tables: list[LifeTable], until: int) -> tuple[Floats, Floats]:
    """Events beyond expectation in the first ``until`` bins, of all groups but the last, and their covariance."""
    events = np.stack([table.events[:until] for table in tables])
    risk = np.stack([table.entering[:until] for table in tables])
    if tables[0].sigma:
        risk = np.clip(risk, 0, None)
    everyone, deaths = risk.sum(axis=0), events.sum(axis=0)
    used = (everyone > 1) & (risk.min(axis=0) > 0 if tables[0].sigma else deaths > 0)
    events, risk, everyone, deaths = events[:, used], risk[:, used], everyone[used], deaths[used]
    if tables[0].sigma:
        deaths = np.clip(deaths, 0, everyone)
    share = risk / everyone
    difference = (events - share * events.sum(axis=0)).sum(axis=1)
    weight = deaths * (everyone - deaths) / (everyone - 1)
    covariance = np.diag((weight * share).sum(axis=1)) - (weight * share) @ share.T
    return np.asarray(difference[:-1]), np.asarray(covariance[:-1, :-1])
