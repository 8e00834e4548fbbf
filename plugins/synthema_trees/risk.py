"""How likely an outcome is for each row, relative to the cohort: boosted survival trees beside a ridge Cox model.

Small leaves of single trees lose the many weak effects that make up a prognosis. Trees are therefore
boosted: each is grown on the martingale residuals (Therneau, Grambsch and Fleming 1990) that those
before it leave, and a leaf adds a part of the log of its events over those expected (LeBlanc and
Crowley 1992), drawn towards none. A Cox model with a strong ridge penalty adds what is simply
proportional. Their mean is scaled by what patients who were left out confirm, so that the synthetic
cohort shows effects of the size that the real one has, not of the size that fits it best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthema_trees.bags import Settings, in_bag
from synthema_trees.growth import Codes, Flags, Floats, Limits, Tree, grow

RATE = 0.1
EVIDENCE = 6.0
SHRINK = 4.0
PENALTY = 100.0
FEW = 9
FOLDS = 4


@dataclass(frozen=True, slots=True)
class Followed:
    """What is known of each row's outcome, and its features: codes (rows, features) below their sizes."""

    times: Floats
    events: Flags
    codes: Codes
    sizes: Codes

    def pick(self, rows: Codes) -> Followed:
        """Some of the rows."""
        return Followed(self.times[rows], self.events[rows], self.codes[rows], self.sizes)


def expected_events(times: Floats, events: Flags, log_risk: Floats) -> Floats:
    """Each row's expected events up to its own time: its risk times the cumulative hazard (Breslow 1972)."""
    distinct, place = np.unique(times, return_inverse=True)
    happened = np.bincount(place, events.astype(np.float64), minlength=len(distinct))
    leaving = np.bincount(place, np.exp(log_risk), minlength=len(distinct))
    at_risk = np.cumsum(leaving[::-1])[::-1]
    return np.asarray(np.exp(log_risk) * np.cumsum(happened / at_risk)[place])


class Boosted:
    """Survival trees grown one after another on what those before them leave unexplained."""

    def __init__(self, followed: Followed, settings: Settings, random: np.random.Generator) -> None:
        self._held: list[tuple[Tree, Floats]] = []
        log_risk = np.zeros(len(followed.times))
        limits = Limits(settings.leaf, EVIDENCE)
        for _ in range(settings.risk_trees):
            expected = expected_events(followed.times, followed.events, log_risk)
            rows = in_bag(len(log_risk), settings, random)
            residuals = (followed.events[rows] - expected[rows])[:, None]
            tree = grow(followed.codes[rows], followed.sizes, residuals, limits)
            leaves = tree.leaves(followed.codes[rows])
            seen = np.bincount(leaves, followed.events[rows].astype(np.float64), minlength=tree.nodes)
            due = np.bincount(leaves, expected[rows], minlength=tree.nodes)
            step = RATE * np.log((seen + SHRINK) / (due + SHRINK))
            log_risk = np.clip(log_risk + step[tree.leaves(followed.codes)], -10, 10)
            self._held.append((tree, step))

    def log_risk(self, codes: Codes) -> Floats:
        """One figure for each row."""
        total = np.zeros(len(codes))
        for tree, step in self._held:
            total += step[tree.leaves(codes)]
        return total


class Ridge:
    """A Cox model under a ridge penalty, fitted as alternating Poisson regressions (Whitehead 1980)."""

    def __init__(self, followed: Followed) -> None:
        self._sizes = followed.sizes
        raw = self._raw(followed.codes)
        self._centre, spread = raw.mean(axis=0), raw.std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, np.inf)
        design = (raw - self._centre) / self._scale
        self._beta = np.zeros(design.shape[1])
        for _ in range(30):
            log_risk = np.clip(design @ self._beta, -10, 10)
            expected = expected_events(followed.times, followed.events, log_risk)
            upward = design.T @ (followed.events - expected) - PENALTY * self._beta
            bend = (design * expected[:, None]).T @ design + PENALTY * np.eye(len(self._beta))
            step = np.linalg.solve(bend, upward)
            self._beta = self._beta + step
            if np.abs(step).max(initial=0.0) < 1e-4:
                break

    def log_risk(self, codes: Codes) -> Floats:
        """One figure for each row."""
        return np.asarray(np.clip(self.design(codes) @ self._beta, -10, 10))

    def design(self, codes: Codes) -> Floats:
        """The covariates, standardised as in the rows learned from; shape (rows, covariates)."""
        return np.asarray((self._raw(codes) - self._centre) / self._scale)

    def _raw(self, codes: Codes) -> Floats:
        """A column of few codes as an indicator of each but one; one of many as its rank, and whether it is missing."""
        columns = [np.zeros(len(codes))]
        for index, size in enumerate(self._sizes):
            own = codes[:, index]
            columns.append(own == 0)
            if size <= FEW:
                columns += [own == code for code in range(2, size)]
            else:
                columns.append(np.where(own == 0, 0.5, own / (size - 1)))
        return np.stack(columns, axis=1).astype(np.float64)


class Risk:
    """The log risk of a row: the mean of both models, scaled by what rows left out of them confirm."""

    def __init__(self, followed: Followed, settings: Settings, random: np.random.Generator) -> None:
        rows = len(followed.times)
        fold = random.permutation(np.arange(rows) % FOLDS)
        confirmed = np.zeros(rows)
        for number in range(FOLDS):
            out, kept = np.nonzero(fold == number)[0], np.nonzero(fold != number)[0]
            if len(kept) and len(out):
                confirmed[out] = _Pair(followed.pick(kept), settings, random).log_risk(followed.codes[out])
        self.scale = slope(confirmed, followed.times, followed.events) if followed.events.any() else 0.0
        self._pair = _Pair(followed, settings, random)

    def log_risk(self, codes: Codes) -> Floats:
        """One figure for each row; higher means earlier."""
        return self.scale * self._pair.log_risk(codes)

    def effects(self, codes: Codes) -> Floats:
        """The standardised covariates that the risk may rest on; shape (rows, covariates)."""
        return self._pair.ridge.design(codes)


class _Pair:
    def __init__(self, followed: Followed, settings: Settings, random: np.random.Generator) -> None:
        self._trees, self.ridge = Boosted(followed, settings, random), Ridge(followed)

    def log_risk(self, codes: Codes) -> Floats:
        return (self._trees.log_risk(codes) + self.ridge.log_risk(codes)) / 2


def slope(scores: Floats, times: Floats, events: Flags) -> float:
    """The coefficient of one score in a Cox model (Breslow's ties, Newton's method), between 0 and 3."""
    order = np.argsort(-times, kind="stable")
    x, sorted_times, happened = scores[order], times[order], events[order]
    ends = np.searchsorted(-sorted_times, -sorted_times, side="right") - 1
    beta = 0.0
    for _ in range(30):
        weight = np.exp(np.clip(beta * x, -30, 30))
        total = np.cumsum(weight)[ends][happened]
        first = np.cumsum(weight * x)[ends][happened] / total
        second = np.cumsum(weight * x * x)[ends][happened] / total
        bend = float((second - first**2).sum()) + 1e-3
        step = float((x[happened] - first).sum()) / bend
        beta = float(np.clip(beta + np.clip(step, -1, 1), 0.0, 3.0))
        if abs(step) < 1e-6:
            break
    return beta
