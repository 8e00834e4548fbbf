"""Queries of a round: which counts are asked, at which coarseness, and how a site answers them.

A query counts one node, or two nodes together, after their cells were put into
groups. A person adds 1 (times the query's weight) to exactly one entry of each
query, so the vector of a round changes by ``sqrt(sum of squared weights)`` in L2
when one row is added or removed, whatever the groups are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_marginals.nodes import Cells, Floats, Shape

MAX_LENGTH = 200_000
MAX_CELLS = 1_000
MAX_WEIGHT = 16


@dataclass(frozen=True, slots=True)
class Query:
    """A table of counts over one or two nodes; ``groups[i]`` maps each cell of node ``i`` to its group."""

    nodes: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    weight: int = 1

    @property
    def sides(self) -> tuple[int, ...]:
        """Number of groups of each node."""
        return tuple(max(group) + 1 for group in self.groups)

    @property
    def length(self) -> int:
        """Number of entries."""
        return int(np.prod(self.sides))

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the state."""
        return {"nodes": list(self.nodes), "groups": [list(g) for g in self.groups], "weight": self.weight}

    @classmethod
    def from_dict(cls, value: dict[str, Any], shapes: dict[str, Shape]) -> Query:
        """Read a query from a state that may come from elsewhere; raises ``ValueError`` on what we would not ask."""
        query = cls(
            tuple(str(name) for name in value["nodes"]),
            tuple(tuple(int(cell) for cell in group) for group in value["groups"]),
            int(value["weight"]),
        )
        fits = len(query.nodes) == len(query.groups) in (1, 2) and len(set(query.nodes)) == len(query.nodes)
        if not fits or not set(query.nodes) <= set(shapes) or not 1 <= query.weight <= MAX_WEIGHT:
            raise ValueError("the round asks for a count that this codebook does not have: check the study's plan")
        for name, group in zip(query.nodes, query.groups, strict=True):
            if len(group) != shapes[name].cells or min(group) < 0 or max(group) >= len(group):
                raise ValueError(f"the round's groups for '{name}' do not fit the codebook: check the study's plan")
        return query


def sensitivity(queries: tuple[Query, ...]) -> float:
    """L2 change of a round's vector when one row is added or removed."""
    return float(np.sqrt(sum(query.weight**2 for query in queries)))


def check_length(queries: tuple[Query, ...]) -> int:
    """Length of a round's vector; raises ``ValueError`` where it would explode."""
    length = sum(query.length for query in queries)
    if length > MAX_LENGTH:
        widest = max(queries, key=lambda query: query.length)
        raise ValueError(
            f"the round would count {length} cells, more than {MAX_LENGTH}, {widest.length} of them in "
            f"{' × '.join(widest.nodes)}: give these variables fewer bins or categories in the codebook"
        )
    return length


def check_cells(shapes: dict[str, Shape]) -> None:
    """Raise ``ValueError`` where one node alone has more cells than the estimates can carry."""
    for shape in shapes.values():
        if shape.cells > MAX_CELLS:
            raise ValueError(
                f"'{shape.name}' has {shape.cells} cells, more than {MAX_CELLS}: give it fewer bins or categories in "
                "the codebook"
            )


def count(queries: tuple[Query, ...], cells: dict[str, Cells]) -> NDArray[np.int64]:
    """Answer the queries: whole counts, one query after the other, shape ``(length,)``."""
    parts = []
    for query in queries:
        place = np.zeros(len(next(iter(cells.values()))), dtype=np.int64)
        for name, group, side in zip(query.nodes, query.groups, query.sides, strict=True):
            place = place * side + np.asarray(group, dtype=np.int64)[cells[name]]
        parts.append(np.bincount(place, minlength=query.length).astype(np.int64) * query.weight)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def every_cell(shape: Shape) -> tuple[int, ...]:
    """Groups that keep every cell apart."""
    return tuple(range(shape.cells))


def balanced_groups(shape: Shape, shares: Floats, wanted: int) -> tuple[int, ...]:
    """Groups of neighbouring bins with about equal shares, ``wanted`` in all; levels and missing stay apart.

    Equal groups carry the most information for their noise. ``shares`` are
    noisy estimates already released, so choosing by them costs nothing.
    """
    groups = np.zeros(shape.cells, dtype=np.int64)
    table = shares[: shape.bins * shape.levels].reshape(shape.bins, shape.levels)
    by_level = table.sum(axis=0)
    by_level = by_level / max(by_level.sum(), 1e-12)
    first = 0
    for level in range(shape.levels):
        parts = int(np.clip(round(wanted * by_level[level]), 1, shape.bins))
        if shape.levels > 1 and wanted >= 4:
            parts = max(parts, min(2, shape.bins))
        where = np.arange(shape.bins) * shape.levels + level
        groups[where] = first + _split(table[:, level], parts)
        first += parts
    if shape.missing:
        groups[-1] = first
    return tuple(int(group) for group in groups)


def _split(shares: Floats, parts: int) -> Cells:
    """Cut a row of bins into ``parts`` runs of about equal share, none of them empty of bins."""
    total = shares.sum()
    filled = shares if total > 0 else np.ones_like(shares)
    ends = np.cumsum(filled) / filled.sum()
    starts = [0]
    for part in range(1, parts):
        nearest = int(np.argmin(np.abs(ends - part / parts))) + 1
        lowest, highest = starts[-1] + 1, len(shares) - (parts - part)
        starts.append(int(np.clip(nearest, lowest, highest)))
    groups = np.zeros(len(shares), dtype=np.int64)
    for index, (start, end) in enumerate(pairwise([*starts, len(shares)])):
        groups[start:end] = index
    return groups
