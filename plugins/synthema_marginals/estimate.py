"""From noisy counts to a model: shares of each node, and how pairs of nodes hang together.

Every figure here is computed from released noisy counts, so it is post-processing
and costs no privacy (Dwork and Roth 2014, Proposition 2.1).

Shares: all counts that speak of a node are combined by inverse variance (a Kalman
update for each table), tied to one common total, and made not negative in the
metric of their errors; numbers and outcomes are smoothed along their bins as far
as noise calls for. Pairs: the table of a pair is written as ``p q (1 + sum c_ab f_a g_b)``
with functions ``f, g`` that are orthonormal under the shares ``p, q`` (Lancaster 1958):
cosines of the rank for ordered bins, indicators for events and missing. Each
coefficient has a known noise variance and is shrunk towards zero, the wavier the
function the harder. ``sum c_ab^2`` is Pearson's phi², twice the mutual information
to second order; less its noise it is the weight by which the tree is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthema_marginals.nodes import Floats, Shape
from synthema_marginals.queries import ALL_COUNTED, Query

MAX_WAVES = 11
KEPT_VARIANCE = 0.3
LIKELY_CORRELATION = 0.15
STRENGTHS = np.geomspace(1 / 16, 64, 21)  # of a pair's dependence, as a multiple of what is likely beforehand
LIKELY_STRENGTH = 1.0  # standard deviation of its logarithm
SMALLEST_SIGMA = 1e-3
SMALLEST_SPREAD = 0.3  # of a count: below a whole person there is nothing to know
LIKELY_STEP = 1.0  # of the logarithm of a count, from one bin to the next
MOST_SMOOTHED = 150
CLIQUE_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """A query with its noisy answer and the noise in each entry.

    ``counts`` has the shape of the query's sides; what a silent query left out is zero there.
    """

    query: Query
    counts: Floats
    sigma: float


@dataclass(frozen=True, slots=True)
class Basis:
    """Functions of a node's cells, orthonormal under its shares: ``values`` has shape (cells, functions)."""

    values: Floats
    orders: Floats


@dataclass(frozen=True, slots=True)
class Interaction:
    """Estimated coefficients of a pair, shape (functions of one, functions of the other), and their variances."""

    coefficients: Floats
    variances: Floats


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
    return Measured(replace(table.query, groups=tuple(groups), silent=tuple(silent)), counts, table.sigma)


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
        if table is alone or name not in table.query.nodes:
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


def basis(shape: Shape, shares: Floats) -> Basis:
    """Orthonormal functions of a node's cells, from smooth to wavy; the constant is left out."""
    weights = np.maximum(shares, 1e-6)
    weights = weights / weights.sum()
    body = shape.bins * shape.levels
    along = weights[:body].reshape(shape.bins, shape.levels).sum(axis=1)
    rank = (np.cumsum(along) - along / 2) / along.sum()
    bins, levels = np.divmod(np.arange(body), shape.levels)
    raw: list[tuple[float, Floats]] = []
    if shape.missing:
        raw.append((1.0, np.append(np.zeros(body), 1.0)))
    tests = [np.ones(body)] + [(levels == level).astype(np.float64) for level in range(1, shape.levels)]
    for number, test in enumerate(tests):
        extra = 1.0 if number else 0.0
        if number:
            raw.append((1.0, _padded(test, shape)))
        raw += [
            (wave + extra, _padded(test * np.cos(np.pi * wave * rank[bins]), shape))
            for wave in range(1, min(shape.bins - 1, MAX_WAVES) + 1)
        ]
    raw.sort(key=lambda pair: pair[0])
    return _orthonormal(raw, weights)


def _padded(values: Floats, shape: Shape) -> Floats:
    return np.append(values, 0.0) if shape.missing else values


def _orthonormal(raw: list[tuple[float, Floats]], weights: Floats) -> Basis:
    columns = [np.ones(len(weights))]
    orders = []
    for order, function in raw:
        scale = np.sqrt(float(weights @ function**2))
        rest = function / max(scale, 1e-12)
        for _ in range(2):  # twice is enough for orthogonality to rounding
            for known in columns:
                rest = rest - known * float(weights @ (rest * known))
        length = np.sqrt(float(weights @ rest**2))
        if length > 1e-3:
            columns.append(rest / length)
            orders.append(order)
    return Basis(np.array(columns[1:]).T.reshape(len(weights), len(orders)), np.array(orders))


def interaction(
    pair: tuple[str, str], shares: dict[str, Floats], bases: dict[str, Basis], rows: float, measured: list[Measured]
) -> Interaction:
    """The coefficients of a pair from every table of it, combined by inverse variance; unknown ones have no weight."""
    sizes = tuple(len(bases[name].orders) for name in pair)
    total, precision = np.zeros(sizes), np.zeros(sizes)
    for table in measured:
        if set(table.query.nodes) != set(pair) or len(table.query.nodes) != 2:
            continue
        turned = table.query.nodes != pair
        counts = table.counts.T if turned else table.counts
        groups = table.query.groups[::-1] if turned else table.query.groups
        left = _reader(bases[pair[0]], shares[pair[0]], np.asarray(groups[0]))
        right = _reader(bases[pair[1]], shares[pair[1]], np.asarray(groups[1]))
        out = table.query.left_out[::-1] if turned else table.query.left_out
        # the functions have mean zero, so what was left out is what the margins say less what was counted
        gone = [
            side[:, place] if place != ALL_COUNTED else None for side, place in zip((left, right), out, strict=True)
        ]
        left = left if gone[0] is None else left - gone[0][:, None]
        right = right if gone[1] is None else right - gone[1][:, None]
        found = left @ counts @ right.T / rows
        if gone[0] is not None and gone[1] is not None:
            found = found - np.outer(gone[0], gone[1])
        noise = (
            np.outer((left**2).sum(axis=1), (right**2).sum(axis=1)) * max(table.sigma, SMALLEST_SIGMA) ** 2 / rows**2
        )
        usable = noise > 0
        total[usable] += found[usable] / noise[usable]
        precision[usable] += 1.0 / noise[usable]
    variances = np.where(precision > 0, 1.0 / np.maximum(precision, 1e-300), np.inf)
    return Interaction(np.where(precision > 0, total / np.maximum(precision, 1e-300), 0.0), variances)


def _reader(functions: Basis, shares: Floats, groups: Floats) -> Floats:
    """The matrix that reads a node's coefficients off grouped shares, shape (functions, groups).

    Functions that vary mostly inside the groups cannot be read; their rows are zero.
    """
    weights = np.maximum(shares, 1e-6)
    weights = weights / weights.sum()
    number = int(groups.max()) + 1
    mass = np.bincount(groups, weights, minlength=number)
    averages = np.stack(
        [np.bincount(groups, weights * column, minlength=number) / mass for column in functions.values.T]
        or [np.zeros(number)]
    )
    gram = (averages * mass) @ averages.T
    kept: list[int] = []
    for index in range(len(functions.orders)):
        rest = gram[index, index]
        if kept:
            known = gram[np.ix_(kept, kept)]
            rest = rest - gram[index, kept] @ np.linalg.solve(known, gram[kept, index])
        if rest >= KEPT_VARIANCE:
            kept.append(index)
    reader = np.zeros((len(functions.orders), number))
    if kept:
        reader[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], averages[kept])
    return reader


def _belief(found: Interaction, orders: tuple[Floats, Floats]) -> Floats:
    """How much of each coefficient to believe, 0 to 1: prior variance over prior plus noise variance.

    The prior says that dependence is smooth: a coefficient's likely size falls with
    the product of the two orders (a hyperbolic cross). How strong a pair's dependence is as a
    whole, its coefficients say together (empirical Bayes, Efron and Morris 1973).
    """
    prior = (LIKELY_CORRELATION / np.outer(orders[0], orders[1])) ** 2
    known = np.isfinite(found.variances)
    spread = STRENGTHS[:, None] * prior[known] + found.variances[known]
    likelihood = -(np.log(spread) + found.coefficients[known] ** 2 / spread).sum(axis=1) / 2
    likelihood -= (np.log(STRENGTHS) / LIKELY_STRENGTH) ** 2 / 2
    prior = prior * STRENGTHS[int(likelihood.argmax())]
    return np.asarray(prior / (prior + found.variances), dtype=np.float64)


def shrunk(found: Interaction, orders: tuple[Floats, Floats]) -> Floats:
    """Coefficients pulled towards zero as far as their noise and their waviness call for (a Wiener filter)."""
    return found.coefficients * _belief(found, orders)


def strength(found: Interaction, orders: tuple[Floats, Floats]) -> float:
    """Pearson's phi² of a pair, freed of the noise's own contribution: how much two nodes say about each other."""
    belief = _belief(found, orders)
    noise = np.where(np.isfinite(found.variances), found.variances, 0.0)
    return float((belief**2 * (found.coefficients**2 - noise)).sum())


def tilted(p: Floats, q: Floats, left: Basis, right: Basis, coefficients: Floats) -> Floats:
    """Joint shares as the coefficients say, nowhere negative, their margins not yet exact."""
    tilt = 1.0 + left.values @ coefficients @ right.values.T
    return np.asarray(np.outer(p, q) * np.maximum(tilt, 1e-3), dtype=np.float64)


def joint_shares(p: Floats, q: Floats, start: Floats) -> Floats:
    """The joint shares of a pair nearest to ``start`` with margins ``p`` and ``q`` (iterative proportional fitting).

    Cells that are nought stay so; where no table with such cells has both margins, it has ``q``.
    """
    joint = start.copy()
    for _ in range(100):
        joint *= (p / np.maximum(joint.sum(axis=1), 1e-300))[:, None]
        joint *= (q / np.maximum(joint.sum(axis=0), 1e-300))[None, :]
    return np.asarray(joint, dtype=np.float64)


def clique_shares(first: Floats, second: Floats, between: Floats) -> Floats:
    """Joint shares of a parent, a sibling and a child, shape (parent, sibling, child).

    ``first`` is (parent, sibling), ``second`` (parent, child), ``between`` (sibling, child): the joint with these
    margins that assumes nothing else (iterative proportional fitting).
    """
    joint = first[:, :, None] * second[:, None, :] * between[None, :, :]
    joint /= np.maximum(first.sum(axis=0)[None, :, None] * second.sum(axis=0)[None, None, :], 1e-300)
    joint += 1e-12
    for _ in range(CLIQUE_ROUNDS):
        joint *= (between / np.maximum(joint.sum(axis=0), 1e-300))[None, :, :]
        joint *= (second / np.maximum(joint.sum(axis=1), 1e-300))[:, None, :]
        joint *= (first / np.maximum(joint.sum(axis=2), 1e-300))[:, :, None]
    return np.asarray(joint, dtype=np.float64)


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
