"""Bags of trees: what is learned about one column from the columns before it, and how a value is drawn.

A bag holds several trees, each grown on its own random part of the rows. A synthetic row takes one
tree at random, falls into one of its leaves, and draws from that leaf. Over many rows this is a draw
from the mean of the trees, so that no single patient shapes a leaf that all rows see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from synthema_trees.growth import Codes, Floats, Limits, Tree, grow

Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Settings:
    """How trees are grown and leaves are smoothed; see the plugin's parameters."""

    leaf: int = 20
    trees: int = 5
    share: float = 0.632
    evidence: float = 2.0
    prior: float = 2.0
    risk_trees: int = 120

    @property
    def limits(self) -> Limits:
        """What stops a tree from growing."""
        return Limits(self.leaf, self.evidence)


def in_bag(rows: int, settings: Settings, random: np.random.Generator) -> Codes:
    """A random part of the rows, none twice; all of them where that would leave less than one leaf."""
    size = max(round(settings.share * rows), min(settings.leaf, rows))
    return random.permutation(rows)[:size]


class CategoryBag:
    """A category's shares in each leaf, drawn towards the column's own shares by ``prior`` rows."""

    def __init__(
        self,
        levels: Codes,
        number: int,
        codes: Codes,
        sizes: Codes,
        settings: Settings,
        random: np.random.Generator,
    ) -> None:
        self._trees: list[Tree] = []
        self._ends: list[Floats] = []
        indicators = np.eye(number)[levels]
        present = np.nonzero(indicators.any(axis=0))[0]
        targets = indicators[:, present[1:]] if len(present) == 2 else indicators[:, present]
        overall = indicators.mean(axis=0)
        for _ in range(settings.trees):
            rows = in_bag(len(levels), settings, random)
            tree = grow(codes[rows], sizes, targets[rows], settings.limits)
            leaves = tree.leaves(codes[rows])
            counts = np.bincount(leaves * number + levels[rows], minlength=tree.nodes * number)
            shares = counts.reshape(tree.nodes, number) + settings.prior * overall
            self._trees.append(tree)
            self._ends.append(np.cumsum(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12), axis=1))

    def draw(self, codes: Codes, random: np.random.Generator) -> Codes:
        """A level for each row."""
        drawn = np.zeros(len(codes), dtype=np.int64)
        for tree, ends, rows in _dealt(self._trees, self._ends, len(codes), random):
            leaves = tree.leaves(codes[rows])
            places = spread_within(leaves, random)
            drawn[rows] = np.minimum((places[:, None] >= ends[leaves]).sum(axis=1), ends.shape[1] - 1)
        return drawn


class NumberBag:
    """A number's values in each leaf; draws fall between neighbouring values, not on them.

    The outermost values of a leaf are replaced by the mean of the ``TAIL`` outermost, so that the
    largest value of a single patient does not mark the end of what can be drawn.
    """

    TAIL = 3

    def __init__(
        self, values: Floats, codes: Codes, sizes: Codes, settings: Settings, random: np.random.Generator
    ) -> None:
        self._trees: list[Tree] = []
        self._leaves: list[tuple[Floats, Codes, Codes]] = []
        scores = ranks(values)[:, None]
        for _ in range(settings.trees):
            rows = in_bag(len(values), settings, random)
            tree = grow(codes[rows], sizes, scores[rows], settings.limits)
            leaves = tree.leaves(codes[rows])
            order = np.lexsort((values[rows], leaves))
            counts = np.bincount(leaves, minlength=tree.nodes)
            starts = np.cumsum(counts) - counts
            self._trees.append(tree)
            self._leaves.append((self._soft_tails(values[rows][order], starts, counts), starts, counts))

    def _soft_tails(self, values: Floats, starts: Codes, counts: Codes) -> Floats:
        soft = values.copy()
        for start, count in zip(starts, counts, strict=True):
            if count >= 2 * self.TAIL:
                low, high = slice(start, start + self.TAIL), slice(start + count - self.TAIL, start + count)
                soft[low], soft[high] = values[low].mean(), values[high].mean()
        return soft

    def draw(self, codes: Codes, random: np.random.Generator) -> Floats:
        """A value for each row, along a straight line between the leaf's neighbouring values."""
        drawn = np.zeros(len(codes))
        for tree, (values, starts, counts), rows in _dealt(self._trees, self._leaves, len(codes), random):
            leaves = tree.leaves(codes[rows])
            drawn[rows] = between(values, starts[leaves], counts[leaves], spread_within(leaves, random))
        return drawn


def between(values: Floats, starts: Codes, counts: Codes, places: Floats) -> Floats:
    """The value at a share (0 to 1) of each row's stretch of sorted values."""
    position = places * np.maximum(counts - 1, 0)
    whole = np.floor(position).astype(np.int64)
    low = starts + whole
    high = np.minimum(low + 1, starts + np.maximum(counts - 1, 0))
    return np.asarray(values[low] + (position - whole) * (values[high] - values[low]))


def spread_within(leaves: Codes, random: np.random.Generator) -> Floats:
    """A random share for each row, evenly spread within its leaf: less scatter than independent draws."""
    order = np.lexsort((random.random(len(leaves)), leaves))
    _, starts, counts = np.unique(leaves[order], return_index=True, return_counts=True)
    rank = np.arange(len(leaves)) - np.repeat(starts, counts)
    places = np.empty(len(leaves))
    places[order] = (rank + np.repeat(random.random(len(counts)), counts)) / np.repeat(counts, counts)
    return places


def ranks(values: Floats) -> Floats:
    """Mid-ranks between 0 and 1, so that no heavy tail decides where a tree cuts."""
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((low + high) / (2 * max(len(values), 1)))


def _dealt(
    trees: list[Tree], held: list[Held], rows: int, random: np.random.Generator
) -> list[tuple[Tree, Held, Codes]]:
    """Each tree with what it holds and the rows it is dealt; every row gets one tree at random."""
    turn = random.permutation(np.arange(rows) % len(trees))
    return [(tree, held[i], np.nonzero(turn == i)[0]) for i, tree in enumerate(trees)]
