"""A small learner for yes-or-no questions: boosted symmetric trees on the codebook's bins, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthema_evaluation.columns import Codes, Floats

ROUNDS = 60
DEPTH = 3
RATE = 0.15
RIDGE = 2.0


@dataclass(frozen=True, slots=True)
class _Tree:
    """One question per level, the same for all leaves, and a step for each leaf."""

    features: tuple[int, ...]
    limits: tuple[int, ...]
    steps: Floats


class Boosted:
    """Gradient boosting of the logistic loss (Friedman 2001) with symmetric trees of three questions.

    ``codes`` has shape (rows, variables); ``sizes`` says how many codes each variable has;
    ``labels`` are 0 or 1. Deterministic: nothing in it is drawn at random.
    """

    def __init__(self, codes: Codes, sizes: list[int], labels: Floats) -> None:
        share = float(np.clip(labels.mean(), 1e-3, 1 - 1e-3))
        self._start = float(np.log(share / (1 - share)))
        starts = np.concatenate([[0], np.cumsum(sizes)])
        score = np.full(len(labels), self._start)
        self._trees: list[_Tree] = []
        for _ in range(ROUNDS):
            chance = 1 / (1 + np.exp(-score))
            tree, leaf = _grow(codes, starts, labels - chance, chance * (1 - chance))
            self._trees.append(tree)
            score = score + tree.steps[leaf]

    def probability(self, codes: Codes) -> Floats:
        """The predicted chance of a yes for each row."""
        score = np.full(len(codes), self._start)
        for tree in self._trees:
            leaf = np.zeros(len(codes), dtype=np.int64)
            for feature, limit in zip(tree.features, tree.limits, strict=True):
                leaf = 2 * leaf + (codes[:, feature] > limit)
            score += tree.steps[leaf]
        return np.asarray(1 / (1 + np.exp(-score)))


def _grow(codes: Codes, starts: NDArray[np.int64], slope: Floats, bend: Floats) -> tuple[_Tree, Codes]:
    leaf = np.zeros(len(codes), dtype=np.int64)
    features, limits = [], []
    for level in range(DEPTH):
        feature, limit = _best_question(codes, starts, leaf, 2**level, slope, bend)
        features.append(feature)
        limits.append(limit)
        leaf = 2 * leaf + (codes[:, feature] > limit)
    weight = np.bincount(leaf, bend, minlength=2**DEPTH)
    steps = RATE * np.bincount(leaf, slope, minlength=2**DEPTH) / (weight + RIDGE)
    return _Tree(tuple(features), tuple(limits), steps), leaf


def _best_question(
    codes: Codes, starts: NDArray[np.int64], leaf: Codes, leaves: int, slope: Floats, bend: Floats
) -> tuple[int, int]:
    """The variable and the code up to which rows go left that lower the loss most over all leaves together."""
    bins, width = int(starts[-1]), codes.shape[1]
    place = (leaf[:, None] * bins + codes + starts[:-1]).ravel()
    sides = []
    for values in (slope, bend):
        sums = np.bincount(place, np.repeat(values, width), minlength=leaves * bins).reshape(leaves, bins)
        running = np.cumsum(sums, axis=1)
        before = np.concatenate([np.zeros((leaves, 1)), running], axis=1)[:, starts[:-1]]
        left = running - np.repeat(before, np.diff(starts), axis=1)
        total = np.bincount(leaf, values, minlength=leaves)[:, None]
        sides.append((left, total - left))
    (left_slope, right_slope), (left_bend, right_bend) = sides
    gain = (left_slope**2 / (left_bend + RIDGE) + right_slope**2 / (right_bend + RIDGE)).sum(axis=0)
    best = int(np.argmax(gain))
    feature = int(np.searchsorted(starts, best, side="right")) - 1
    return feature, best - int(starts[feature])
