"""One regression tree, grown level by level in numpy.

Every kind of target is a matrix of scores: a number's ranks, a category's indicators, an outcome's
martingale residuals. A cut is chosen by how much it lowers the scores' variance (Breiman et al.
1984), which for indicators is the Gini index. All nodes of a level are searched at once, through
counts in the features' bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAF = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """When a node is not cut: fewer than ``leaf`` rows on a side, or too little ``evidence`` (n times R²)."""

    leaf: int
    evidence: float


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes as arrays: the feature and the last code that goes left, the left child (the right one follows it)."""

    feature: Codes
    cut: Codes
    child: Codes

    @property
    def nodes(self) -> int:
        """Number of nodes, inner ones included."""
        return len(self.feature)

    def leaves(self, codes: Codes) -> Codes:
        """The leaf of each row; ``codes`` has shape (rows, features)."""
        node = np.zeros(len(codes), dtype=np.int64)
        while True:
            inner = np.nonzero(self.feature[node] != LEAF)[0]
            if len(inner) == 0:
                return node
            at = node[inner]
            right = codes[inner, self.feature[at]] > self.cut[at]
            node[inner] = self.child[at] + right


def grow(codes: Codes, sizes: Codes, scores: Floats, limits: Limits) -> Tree:
    """A tree for ``scores`` (rows, targets) on ``codes`` (rows, features), each feature with codes below its size."""
    feature, cut, child = [LEAF], [0], [0]
    features = np.repeat(np.arange(len(sizes)), sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else np.zeros(0, dtype=np.int64)
    places = codes + offsets
    active = np.zeros(1, dtype=np.int64)
    at = np.zeros(len(codes), dtype=np.int64)  # a row's place among the active nodes; its rows are dropped when it ends
    while len(active) and len(features) and len(at):
        best, split = _best_cuts(places, at, scores, len(active), features, limits)
        following: list[int] = []
        left_of = np.full(len(active), LEAF, dtype=np.int64)
        for place in np.nonzero(split)[0]:
            node, cell = int(active[place]), int(best[place])
            feature[node], cut[node], child[node] = (
                int(features[cell]),
                cell - int(offsets[features[cell]]),
                len(feature),
            )
            left_of[place] = len(following)
            following += [len(feature), len(feature) + 1]
            feature += [LEAF, LEAF]
            cut += [0, 0]
            child += [0, 0]
        going = split[at]
        places, scores, at = places[going], scores[going], at[going]
        cell_of = best[at]
        right = places[np.arange(len(at)), features[cell_of]] > cell_of
        at = left_of[at] + right
        active = np.array(following, dtype=np.int64)
    return Tree(np.array(feature), np.array(cut), np.array(child))


def _best_cuts(
    places: Codes, at: Codes, scores: Floats, nodes: int, features: Codes, limits: Limits
) -> tuple[Codes, Flags]:
    """The best cell to cut after, for each active node, and whether cutting there is worth it."""
    cells, width = len(features), places.shape[1]
    index = (at[:, None] * cells + places).ravel()

    def summed(weights: Floats | None) -> tuple[Floats, Floats]:
        spread = None if weights is None else np.repeat(weights, width)
        table = np.bincount(index, spread, minlength=nodes * cells).reshape(nodes, cells)
        total = np.bincount(at, weights, minlength=nodes).astype(np.float64)
        # each feature's cells sum to the node's total, so that is what earlier features add to the running sum
        return np.cumsum(table, axis=1) - features * total[:, None], total

    left, rows = summed(None)
    right = rows[:, None] - left
    allowed = (left >= limits.leaf) & (right >= limits.leaf)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain: Floats = np.zeros((nodes, cells))
        variation: Floats = np.bincount(at, (scores**2).sum(axis=1), minlength=nodes).astype(np.float64)
        for target in range(scores.shape[1]):
            one, total = summed(scores[:, target])
            gain += one**2 / left + (total[:, None] - one) ** 2 / right - (total**2 / rows)[:, None]
            variation = variation - total**2 / rows
    gain = np.where(allowed, gain, 0.0)
    best = gain.argmax(axis=1)
    highest = gain[np.arange(nodes), best]
    worth = (highest > 1e-9) & (highest * rows >= limits.evidence * np.maximum(variation, 1e-12))
    return best, worth
