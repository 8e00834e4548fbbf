"""From noisy counts to a model: shares of each node, and how pairs of nodes hang together.

Every figure here is computed from released noisy counts, so it is post-processing
and costs no privacy (Dwork and Roth 2014, Proposition 2.1).

Shares: all counts that speak of a node are combined by inverse variance (a Kalman
update for each table), tied to one common total, and projected on the shares that
are not negative. Pairs: the table of a pair is written as ``p q (1 + sum c_ab f_a g_b)``
with functions ``f, g`` that are orthonormal under the shares ``p, q`` (Lancaster 1958):
cosines of the rank for ordered bins, indicators for events and missing. Each
coefficient has a known noise variance and is shrunk towards zero, the wavier the
function the harder. ``sum c_ab^2`` is Pearson's phi², twice the mutual information
to second order; less its noise it is the weight by which the tree is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema_marginals.nodes import Floats, Shape
from synthema_marginals.queries import Query

MAX_WAVES = 11
KEPT_VARIANCE = 0.3
LIKELY_CORRELATION = 0.15
SMALLEST_SIGMA = 1e-3


@dataclass(frozen=True, slots=True)
class Measured:
    """A query with its noisy answer (``counts`` has the shape of the query's sides) and the noise in each entry."""

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
        counts = np.asarray(value["counts"], dtype=np.float64).reshape(query.sides) / query.weight
        found.append(Measured(query, counts, float(value["sigma"]) / query.weight))
    return found


def estimate_shares(shapes: dict[str, Shape], measured: list[Measured]) -> tuple[dict[str, Floats], float]:
    """The shares of every node's cells, and the number of rows; from all tables together."""
    means, covariances = {}, {}
    for name, shape in shapes.items():
        means[name], covariances[name] = _combined(name, shape, measured)
    totals = np.array([mean.sum() for mean in means.values()])
    precision = np.array([1.0 / max(float(c.sum()), 1e-9) for c in covariances.values()])
    rows = max(float((totals * precision).sum() / precision.sum()), 1.0)
    shares = {}
    for name in shapes:
        pull = covariances[name].sum(axis=1)
        tied = means[name] + pull * (rows - means[name].sum()) / max(float(pull.sum()), 1e-9)
        shares[name] = to_simplex(tied / rows)
    return shares, rows


def _combined(name: str, shape: Shape, measured: list[Measured]) -> tuple[Floats, Floats]:
    alone = next(table for table in measured if table.query.nodes == (name,))
    mean = alone.counts.copy()
    covariance = np.eye(shape.cells) * max(alone.sigma, SMALLEST_SIGMA) ** 2
    for table in measured:
        if table is alone or name not in table.query.nodes:
            continue
        axis = table.query.nodes.index(name)
        others = tuple(i for i in range(table.counts.ndim) if i != axis)
        seen = table.counts.sum(axis=others)
        noise = max(table.sigma, SMALLEST_SIGMA) ** 2 * table.counts.size / len(seen)
        groups = np.asarray(table.query.groups[axis])
        member = (groups[None, :] == np.arange(len(seen))[:, None]).astype(np.float64)
        spread = covariance @ member.T
        gain = np.linalg.solve(member @ spread + np.eye(len(seen)) * noise, spread.T).T
        mean = mean + gain @ (seen - member @ mean)
        covariance = covariance - gain @ spread.T
    return mean, covariance


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
        found = left @ counts @ right.T / rows
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
    the product of the two orders (a hyperbolic cross).
    """
    prior = (LIKELY_CORRELATION / np.outer(orders[0], orders[1])) ** 2
    return np.asarray(prior / (prior + found.variances), dtype=np.float64)


def shrunk(found: Interaction, orders: tuple[Floats, Floats]) -> Floats:
    """Coefficients pulled towards zero as far as their noise and their waviness call for (a Wiener filter)."""
    return found.coefficients * _belief(found, orders)


def strength(found: Interaction, orders: tuple[Floats, Floats]) -> float:
    """Pearson's phi² of a pair, freed of the noise's own contribution: how much two nodes say about each other."""
    belief = _belief(found, orders)
    noise = np.where(np.isfinite(found.variances), found.variances, 0.0)
    return float((belief**2 * (found.coefficients**2 - noise)).sum())


def joint_shares(p: Floats, q: Floats, left: Basis, right: Basis, coefficients: Floats) -> Floats:
    """The joint shares of a pair with exactly the margins ``p`` and ``q`` (iterative proportional fitting)."""
    tilt = 1.0 + left.values @ coefficients @ right.values.T
    joint = np.outer(p, q) * np.maximum(tilt, 1e-3)
    for _ in range(100):
        joint *= (p / np.maximum(joint.sum(axis=1), 1e-300))[:, None]
        joint *= (q / np.maximum(joint.sum(axis=0), 1e-300))[None, :]
    return np.asarray(joint, dtype=np.float64)


def heaviest_tree(
    names: list[str], weights: dict[tuple[str, str], float], forced: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The spanning tree of greatest weight that holds the forced edges (Kruskal); unmeasured pairs weigh nothing."""
    home = {name: name for name in names}

    def root(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    ranked = [*forced, *sorted(weights, key=lambda pair: (-weights[pair], pair))]
    tree = []
    for pair in [*ranked, *((names[0], other) for other in names[1:])]:
        first, second = root(pair[0]), root(pair[1])
        if first != second:
            home[first] = second
            tree.append(pair)
    return tree
