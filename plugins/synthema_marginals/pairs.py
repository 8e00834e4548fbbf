"""How pairs of nodes hang together, from noisy counts: post-processing, as in :mod:`synthema_marginals.estimate`.

The table of a pair is written as ``p q (1 + sum c_ab f_a g_b)`` with functions ``f, g`` that are orthonormal under the
shares ``p, q`` (Lancaster 1958): indicators, cosines of the rank for ordered bins and, first of all for an outcome, the
score of its event. That score, one for an event less the hazard lived through, is how an outcome leans on anything that
multiplies its hazard (a martingale residual; Therneau, Grambsch and Fleming 1990). Every count of a pair is a known sum
of the coefficients and a known amount of noise, and the coefficients are likely to be the smaller the wavier their
functions are: so their mean given all counts is one linear solution. ``sum c_ab^2`` is Pearson's phi^2, twice the
mutual information to second order; less its noise it is the weight by which the tree is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthema_marginals.estimate import Measured
from synthema_marginals.nodes import Floats, Shape
from synthema_marginals.queries import ALL_COUNTED

MAX_WAVES = 11
LIKELY_CORRELATION = 0.15
STRENGTHS = np.geomspace(1 / 16, 64, 21)  # of a pair's dependence, as a multiple of what is likely beforehand
LIKELY_STRENGTH = 1.0  # standard deviation of its logarithm
LIKELY_USUAL = 3.0  # the same of what is usual in a table
SMALLEST_SIGMA = 3.0  # rows: with less noise than that, what the shares are off by counts for more
CLIQUE_ROUNDS = 20
RARE = 0.25  # a category with less beside the usual one is compared with nothing, since that loads few rows


@dataclass(frozen=True, slots=True)
class Basis:
    """Functions of a node's cells, orthonormal under its shares: ``values`` has shape (cells, functions)."""

    values: Floats
    orders: Floats


@dataclass(frozen=True, slots=True)
class Dependence:
    """The likely coefficients of a pair, shape (functions of one, functions of the other), and the pair's phi^2."""

    coefficients: Floats
    strength: float


def basis(shape: Shape, shares: Floats) -> Basis:
    """Orthonormal functions of a node's cells, the likeliest to matter first; the constant is left out."""
    weights = np.maximum(shares, 1e-6)
    weights = weights / weights.sum()
    body = shape.bins * shape.levels
    table = weights[:body].reshape(shape.bins, shape.levels)
    along = table.sum(axis=1)
    rank = (np.cumsum(along) - along / 2) / along.sum()
    bins, levels = np.divmod(np.arange(body), shape.levels)
    raw: list[tuple[float, Floats]] = []
    if shape.missing:
        raw.append((1.0, np.append(np.zeros(body), 1.0)))
    scored = _has_score(shape)
    if scored:
        ranked = sorted(range(shape.levels), key=lambda level: level != shape.event)
        raw += [(1.0 + (level != shape.event), _padded(event_score(table, level), shape)) for level in ranked]
    tests = [np.ones(body)] + [(levels == level).astype(np.float64) for level in range(1, shape.levels)]
    for number, test in enumerate(tests):
        extra = float(number > 0) + float(scored)
        if number:
            raw.append((1.0 + float(scored), _padded(test, shape)))
        raw += [
            (wave + extra, _padded(test * np.cos(np.pi * wave * rank[bins]), shape))
            for wave in range(1, min(shape.bins - 1, MAX_WAVES) + 1)
        ]
    raw.sort(key=lambda pair: pair[0])
    return _orthonormal(raw, weights)


def _has_score(shape: Shape) -> bool:
    """Whether a node is an outcome with a hazard: one in its own time, not as a share of another."""
    return shape.outcome and shape.ordered and shape.event >= 0


def event_score(shares: Floats, level: int) -> Floats:
    """One where a row ends with the event, less the hazard of it that the row has lived through; by cells.

    ``shares`` has shape (bins, levels). Within a bin half of those who end there count as under observation.
    """
    ends = shares.sum(axis=1)
    watched = np.cumsum(ends[::-1])[::-1] - ends / 2
    hazard = shares[:, level] / np.maximum(watched, 1e-12)
    lived = np.cumsum(hazard) - hazard / 2
    event = np.arange(shares.shape[1]) == level
    return np.asarray((event[None, :] - lived[:, None]).ravel(), dtype=np.float64)


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


def contrast_signs(shape: Shape, shares: Floats) -> tuple[int, ...]:
    """A sign for each cell of a node, so that one sum tells most about what it has to do with another node.

    An outcome: who has died earlier than expected against the others. A number: the higher half against the lower. A
    category that is nearly always the same: what is rarer, counted alone. Missing values have no sign.
    """
    body = shape.bins * shape.levels
    weights = np.maximum(shares[:body], 1e-6)
    weights = weights / weights.sum()
    if _has_score(shape):
        score = event_score(weights.reshape(shape.bins, shape.levels), shape.event)
        signs = np.where(score > float(weights @ score), 1, -1)
    else:
        bins = np.arange(body) // shape.levels if not shape.outcome else np.arange(body) % shape.levels
        along = np.bincount(bins, weights)
        usual = int(along.argmax())
        if along[usual] >= 1 - RARE and not shape.ordered:
            signs = np.sign(bins - usual)
        else:
            middle = (np.cumsum(along) - along / 2)[bins]
            cut = min(np.unique(middle)[:-1], key=lambda one: abs(float(weights[middle <= one].sum()) - 0.5), default=0)
            signs = np.where(middle > cut, 1, -1)
    return (*(int(sign) for sign in signs), *((0,) if shape.missing else ()))


@dataclass(frozen=True, slots=True)
class Signal:
    """All that was counted of a pair, turned so that each entry speaks of one direction of the coefficients.

    ``entries`` have unit noise, ``power`` is what the prior lets expect of each beside it, and ``spread`` leads back
    to the coefficients of shape ``sides``.
    """

    entries: Floats
    power: Floats
    spread: Floats
    sides: tuple[int, int]

    def likelihoods(self) -> Floats:
        """The logarithm of how likely the entries are at each of ``STRENGTHS``."""
        factor = STRENGTHS[:, None] * self.power + 1.0
        return np.asarray(-(np.log(factor) + self.entries**2 / factor).sum(axis=1) / 2, dtype=np.float64)


def signal(
    pair: tuple[str, str], shares: dict[str, Floats], bases: dict[str, Basis], rows: float, measured: list[Measured]
) -> Signal:
    """What every count of a pair says of its coefficients.

    Beforehand a coefficient is normal about nought, of a size that falls with the product of the two orders (a
    hyperbolic cross).
    """
    orders = [bases[name].orders for name in pair]
    sides = (len(orders[0]), len(orders[1]))
    read = [_readings(pair, shares, bases, rows, table) for table in measured if set(table.query.nodes) == set(pair)]
    if not read or not sides[0] * sides[1]:
        return Signal(np.zeros(0), np.zeros(0), np.zeros((sides[0] * sides[1], 0)), sides)
    design, seen = np.concatenate([one for one, _ in read]), np.concatenate([other for _, other in read])
    likely = LIKELY_CORRELATION * _greatest(pair, shares, bases) / np.outer(orders[0], orders[1])
    spread = design * (likely**2).ravel()
    power, turn = np.linalg.eigh(spread @ design.T)
    return Signal(turn.T @ seen, np.maximum(power, 0.0), spread.T @ turn, sides)


def _greatest(pair: tuple[str, str], shares: dict[str, Floats], bases: dict[str, Basis]) -> Floats:
    """How large each coefficient could be at most.

    A coefficient is the mean of a product ``f g``. As the mean of ``f`` is nought, the product's is at most half the
    range of ``g`` times the mean size of ``f``, and the other way round; both have a mean square of one. So what nearly
    nobody has cannot tell much of what half of the rows have, whatever a noisy count says.
    """
    sizes, ranges = [], []
    for name in pair:
        weights, values = np.maximum(shares[name], 1e-6), bases[name].values
        sizes.append(weights @ np.abs(values) / weights.sum())
        ranges.append((values.max(axis=0) - values.min(axis=0)) / 2)
    bound = np.minimum(np.outer(sizes[0], ranges[1]), np.outer(ranges[0], sizes[1]))
    return np.asarray(np.minimum(bound, 1.0), dtype=np.float64)


def usual_strength(signals: list[Signal]) -> float:
    """The strength about which those of all these pairs lie most likely, each a factor of about e away."""
    if not signals:
        return 1.0
    likelihoods = np.stack([one.likelihoods() for one in signals])
    logs = np.log(STRENGTHS)
    apart = -(((logs[:, None] - logs[None, :]) / LIKELY_STRENGTH) ** 2) / 2
    apart -= np.log(np.exp(apart).sum(axis=1, keepdims=True))
    joint = likelihoods[:, None, :] + apart[None, :, :]
    highest = joint.max(axis=2, keepdims=True)
    total = (np.log(np.exp(joint - highest).sum(axis=2)) + highest[:, :, 0]).sum(axis=0)
    total -= (logs / LIKELY_USUAL) ** 2 / 2
    return float(STRENGTHS[int(total.argmax())])


def dependence(found: Signal, usual: float) -> Dependence:
    """The mean of a pair's coefficients given every count of it, and the phi^2 that they show.

    How strong a pair's dependence is as a whole, its counts say together, in the light of what is ``usual``
    (empirical Bayes, Efron and Morris 1973): the mean is over all ``STRENGTHS``, by how likely each is.
    """
    weights = found.likelihoods() - (np.log(STRENGTHS / usual) / LIKELY_STRENGTH) ** 2 / 2
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    believed = (weights[:, None] * STRENGTHS[:, None] / (STRENGTHS[:, None] * found.power + 1.0)).sum(axis=0)
    gain = found.spread * believed
    mean = gain @ found.entries
    return Dependence(mean.reshape(found.sides), float(mean @ mean - (gain**2).sum()))


def _readings(
    pair: tuple[str, str], shares: dict[str, Floats], bases: dict[str, Basis], rows: float, table: Measured
) -> tuple[Floats, Floats]:
    """What each entry of a table says of the coefficients, and its value less what independence lets expect.

    Both are divided by the entry's noise; shapes (entries, coefficients) and (entries,).
    """
    sides, counts = [], table.counts
    for axis, name in enumerate(table.query.nodes):
        weights = np.maximum(shares[name], 1e-6)
        weights = weights / weights.sum()
        if table.query.signs:
            member = np.asarray([table.query.signs[axis]], dtype=np.float64)
        else:
            groups, out = np.asarray(table.query.groups[axis]), table.query.left_out[axis]
            asked = np.array([g for g in range(table.query.sides[axis]) if g != out])
            member = (groups[None, :] == asked[:, None]).astype(np.float64)
            counts = counts if out == ALL_COUNTED else np.delete(counts, out, axis=axis)
        sides.append((member @ weights, (member * weights) @ bases[name].values))
    if table.query.nodes != pair:
        sides, counts = sides[::-1], counts.T
    noise = max(table.sigma, SMALLEST_SIGMA) / rows
    design = np.einsum("ia,jb->ijab", sides[0][1], sides[1][1])
    expected = np.outer(sides[0][0], sides[1][0])
    return (
        design.reshape(expected.size, -1) / noise,
        np.asarray((counts / rows - expected).ravel() / noise, dtype=np.float64),
    )


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
