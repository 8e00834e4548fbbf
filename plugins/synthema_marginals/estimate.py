"""From noisy counts to the shares of each node; how nodes hang together is said by :mod:`synthema_marginals.pairs`.

Every figure here is computed from released noisy counts, so it is post-processing
and costs no privacy (Dwork and Roth 2014, Proposition 2.1).

Shares: all counts that speak of a node are combined by inverse variance (a Kalman
update for each table), tied to one common total, and made not negative in the
metric of their errors; numbers and outcomes are smoothed along their bins as far
as noise calls for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthema_marginals.nodes import Floats, Shape
from synthema_marginals.queries import ALL_COUNTED, Query

SMALLEST_SIGMA = 1e-3
SMALLEST_SPREAD = 0.3  # of a count: below a whole person there is nothing to know
LIKELY_STEP = 1.0  # of the logarithm of a count, from one bin to the next
MOST_SMOOTHED = 150


@dataclass(frozen=True, slots=True)
class Measured:
    """A query with its noisy answer and the noise in each entry.

    ``counts`` has the shape of the query's sides; what a silent query left out is zero there.
    """

    query: Query
    counts: Floats
    sigma: float


def read_measured(values: list[dict[str, Any]], shapes: dict[str, Shape]) -> list[Measured]:
    """The measured tables of a state, divided by their weights."""
    found = []
    for value in values:
        query = Query.from_dict(value, shapes)
        counts = np.asarray(value["counts"], dtype=np.float64).reshape(query.counted_sides) / query.weight
        for axis, out in enumerate(query.left_out):
            if out != ALL_COUNTED:
                counts = np.insert(counts, out, 0.0, axis=axis)
        found.append(Measured(query, counts, float(value["sigma"]) / query.weight))
    return found


def known_part(table: Measured, known: dict[str, int]) -> Measured:
    """A table of what both nodes of a pair are where they are known: only the first ``known`` cells of each."""
    counts, groups, silent = table.counts, [], []
    for axis, (name, group) in enumerate(zip(table.query.nodes, table.query.groups, strict=True)):
        kept, out = group[: known[name]], table.query.left_out[axis]
        gone = sorted(set(group) - set(kept), reverse=True)
        counts = np.delete(counts, gone, axis=axis)  # the last groups, so that the others keep their numbers
        groups.append(kept)
        silent.append(ALL_COUNTED if out in gone else out)
    signs = tuple(s[: known[name]] for name, s in zip(table.query.nodes, table.query.signs, strict=False))
    query = replace(table.query, groups=tuple(groups), silent=tuple(silent), signs=signs)
    return Measured(query, counts, table.sigma)


def estimate_shares(shapes: dict[str, Shape], measured: list[Measured]) -> tuple[dict[str, Floats], float]:
    """The shares of every node's cells, and the number of rows; from all tables together."""
    means, covariances = {}, {}
    for name, shape in shapes.items():
        means[name], covariances[name] = _combined(name, shape, measured)
    totals = np.array([mean.sum() for mean in means.values()])
    precision = np.array([1.0 / max(float(c.sum()), 1e-9) for c in covariances.values()])
    rows = max(float((totals * precision).sum() / precision.sum()), 1.0)
    shares = {}
    for name, shape in shapes.items():
        mean, covariance = means[name], covariances[name]
        pull = covariance.sum(axis=1)
        spread = max(float(pull.sum()), 1e-9)
        tied = mean + pull * (rows - mean.sum()) / spread
        held = covariance - np.outer(pull, pull) / spread
        possible = _not_negative(tied, held)
        if shape.bins > 2 and shape.ordered and shape.cells <= MOST_SMOOTHED:
            possible = _smooth(possible, tied, held, shape)
        shares[name] = to_simplex(possible / rows)
    return shares, rows


def _not_negative(mean: Floats, covariance: Floats) -> Floats:
    """The likeliest counts that are not negative: what falls below zero is known to be zero, and moves its kin.

    Cells that were counted together in a group have errors that cancel; setting one to zero by conditioning keeps
    the group's sum, which a projection of each cell alone would not.
    """
    zero = np.zeros(len(mean), dtype=bool)
    found = mean.copy()
    for _ in range(len(mean)):
        below = ~zero & (found < 0)
        if not below.any():
            break
        zero |= below
        if zero.all():
            return np.ones(len(mean))
        known = covariance[np.ix_(zero, zero)] + np.eye(int(zero.sum())) * SMALLEST_SIGMA**2
        found = mean - covariance[:, zero] @ np.linalg.solve(known, mean[zero])
        found[zero] = 0.0
    return found


def _combined(name: str, shape: Shape, measured: list[Measured]) -> tuple[Floats, Floats]:
    alone = next(table for table in measured if table.query.nodes == (name,))  # round 1 counts every cell
    mean = alone.counts.copy()
    covariance = np.eye(shape.cells) * max(alone.sigma, SMALLEST_SIGMA) ** 2
    for table in measured:
        if table is alone or name not in table.query.nodes or table.query.signs:
            continue
        axis = table.query.nodes.index(name)
        out = table.query.left_out
        if any(out[i] != ALL_COUNTED for i in range(len(out)) if i != axis):
            continue  # the sum over a node that was counted in part is no count of this one
        others = tuple(i for i in range(table.counts.ndim) if i != axis)
        seen = table.counts.sum(axis=others)
        noise = max(table.sigma, SMALLEST_SIGMA) ** 2 * table.counts.size / len(seen)
        groups = np.asarray(table.query.groups[axis])
        member = (groups[None, :] == np.arange(len(seen))[:, None]).astype(np.float64)
        if out[axis] != ALL_COUNTED:
            seen, member = np.delete(seen, out[axis]), np.delete(member, out[axis], axis=0)
        spread = covariance @ member.T
        gain = np.linalg.solve(member @ spread + np.eye(len(seen)) * noise, spread.T).T
        mean = mean + gain @ (seen - member @ mean)
        covariance = covariance - gain @ spread.T
    return mean, covariance


def _smooth(start: Floats, mean: Floats, covariance: Floats, shape: Shape) -> Floats:
    """The likeliest counts when neighbouring bins of one level are expected within a factor of about two.

    The logarithms of the counts follow a random walk along the bins, with steps of standard deviation ``LIKELY_STEP``:
    so nothing is negative, and where noise drowns a count its neighbours speak for it. Found by damped Newton steps.
    """
    bins, levels = shape.bins, shape.levels
    walk = np.zeros((max(bins - 1, 0) * levels, len(mean)))
    for row, (number, level) in enumerate((b, v) for b in range(bins - 1) for v in range(levels)):
        walk[row, number * levels + level], walk[row, (number + 1) * levels + level] = -1.0, 1.0
    roughness = walk.T @ walk / LIKELY_STEP**2
    precision = np.linalg.inv(covariance + np.eye(len(mean)) * SMALLEST_SPREAD**2)

    def cost(logs: Floats) -> float:
        gap = np.exp(logs) - mean
        return float(gap @ precision @ gap + logs @ roughness @ logs) / 2

    logs = np.log(np.maximum(start, 1.0))
    best = cost(logs)
    for _ in range(60):
        counts = np.exp(logs)
        pull = precision @ (counts - mean)
        slope = counts * pull + roughness @ logs
        bend = counts[:, None] * precision * counts[None, :] + roughness + np.diag(np.maximum(counts * pull, 0) + 1e-6)
        step = np.linalg.solve(bend, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        tried = [(cost(logs - step * 0.5**i), i) for i in range(12)]
        value, halvings = min(tried)
        if value >= best - 1e-9 * (1 + abs(best)):
            break
        best, logs = value, logs - step * 0.5**halvings
    return np.exp(logs)


def to_simplex(values: Floats) -> Floats:
    """The nearest shares (not negative, adding up to one) to given values, in Euclidean distance."""
    ordered = np.sort(values)[::-1]
    surplus = (np.cumsum(ordered) - 1.0) / np.arange(1, len(values) + 1)
    last = int(np.nonzero(ordered > surplus)[0][-1])
    return np.asarray(np.maximum(values - surplus[last], 0.0), dtype=np.float64)


def heaviest_tree(
    names: list[str], weights: dict[tuple[str, str], float], forced: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The spanning tree of greatest weight that holds the forced edges (Kruskal); unmeasured pairs weigh nothing."""
    ranked = [*forced, *sorted(weights, key=lambda pair: (-weights[pair], pair))]
    return _without_circles(names, [*ranked, *((names[0], other) for other in names[1:])])


def heaviest_forest(
    names: list[str], weights: dict[tuple[str, str], float], forced: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The forest of greatest weight that holds the forced edges."""
    return _without_circles(names, [*forced, *sorted(weights, key=lambda pair: (-weights[pair], pair))])


def _without_circles(names: list[str], ranked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    home = {name: name for name in names}

    def root(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    kept = []
    for pair in ranked:
        first, second = root(pair[0]), root(pair[1])
        if first != second:
            home[first] = second
            kept.append(pair)
    return kept
