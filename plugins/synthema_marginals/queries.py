"""Queries of a round: which counts are asked, at which coarseness, and how a site answers them.

A query counts one node, or two nodes together, after their cells were put into
groups. A row adds the query's weight to exactly one entry of a full query. A
query may be silent about one group of a node, the usual one (unmutated, not
missing): a row in it adds nothing. Silent queries are put into pools. What one
row may add to all queries of a pool together is limited: where the sum of its
squared weights is more than the pool's limit, these entries are made smaller in
proportion. So a row changes the vector of a round by at most
``sqrt(squared weights of full queries + limits)``, and a table with many rare
features needs far less noise than one count for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_marginals.nodes import Cells, Floats, Shape

MAX_LENGTH = 200_000
MAX_CELLS = 1_000
MAX_WEIGHT = 64
POOLS = 4
ALL_COUNTED = -1


@dataclass(frozen=True, slots=True)
class Query:
    """A table of counts over one or two nodes; ``groups[i]`` maps each cell of node ``i`` to its group.

    ``silent[i]`` is the group of node ``i`` that is not counted, ``ALL_COUNTED`` where there is none;
    an empty ``silent`` counts everything. ``pool`` says which limit a silent query falls under.
    ``signs[i]`` gives each cell of node ``i`` a sign: such a query is a contrast, of one entry only, to which a row
    adds the product of its two signs instead of one.
    """

    nodes: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    weight: int = 1
    silent: tuple[int, ...] = ()
    pool: int = 0
    signs: tuple[tuple[int, ...], ...] = ()

    @property
    def sides(self) -> tuple[int, ...]:
        """Number of groups of each node."""
        return tuple(max(group) + 1 for group in self.groups)

    @property
    def length(self) -> int:
        """Number of entries."""
        return int(np.prod(self.counted_sides))

    @property
    def counted_sides(self) -> tuple[int, ...]:
        """Number of groups of each node that are counted."""
        return tuple(side - int(out != ALL_COUNTED) for side, out in zip(self.sides, self.left_out, strict=True))

    @property
    def left_out(self) -> tuple[int, ...]:
        """The group of each node that is not counted, ``ALL_COUNTED`` for none."""
        return self.silent or (ALL_COUNTED,) * len(self.nodes)

    @property
    def is_silent(self) -> bool:
        """Whether there are rows that add nothing: any group is left out, or has no sign."""
        return any(out != ALL_COUNTED for out in self.left_out) or any(0 in signs for signs in self.signs)

    @property
    def is_contrast(self) -> bool:
        """Whether there is one entry, and a sign for every cell of two nodes."""
        fits = [(len(signs), set(signs) <= {-1, 0, 1}) for signs in self.signs]
        return self.length == 1 and fits == [(len(group), True) for group in self.groups] and len(fits) == 2

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the state."""
        return {
            "nodes": list(self.nodes),
            "groups": [list(g) for g in self.groups],
            "weight": self.weight,
            "silent": list(self.silent),
            "pool": self.pool,
            "signs": [list(s) for s in self.signs],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any], shapes: dict[str, Shape]) -> Query:
        """Read a query from a state that may come from elsewhere; raises ``ValueError`` on what we would not ask."""
        query = cls(
            tuple(str(name) for name in value["nodes"]),
            tuple(tuple(int(cell) for cell in group) for group in value["groups"]),
            int(value["weight"]),
            tuple(int(out) for out in value["silent"]),
            int(value["pool"]),
            tuple(tuple(int(sign) for sign in signs) for signs in value["signs"]),
        )
        fits = len(query.nodes) == len(query.groups) in (1, 2) and len(set(query.nodes)) == len(query.nodes)
        if not fits or not set(query.nodes) <= set(shapes) or not 1 <= query.weight <= MAX_WEIGHT:
            raise ValueError("the round asks for a count that this codebook does not have: check the study's plan")
        for name, group in zip(query.nodes, query.groups, strict=True):
            if len(group) != shapes[name].cells or min(group) < 0 or max(group) >= len(group):
                raise ValueError(f"the round's groups for '{name}' do not fit the codebook: check the study's plan")
        known = len(query.left_out) == len(query.nodes) and all(
            ALL_COUNTED <= out < side for out, side in zip(query.left_out, query.sides, strict=False)
        )
        if not known or query.length == 0 or not 0 <= query.pool < POOLS:
            raise ValueError("the round leaves out a group that the codebook does not have: check the study's plan")
        if query.signs and not query.is_contrast:
            raise ValueError("the round asks for a contrast that the codebook does not have: check the study's plan")
        return query


Limits = tuple[int, ...]


def limits_from(values: Any) -> Limits:
    """Read the pools' limits from a state that may come from elsewhere; raises ``ValueError`` unless each has one."""
    limits = tuple(int(limit) for limit in values)
    if len(limits) != POOLS or min(limits) < 0:
        raise ValueError("the round's limits do not fit its queries: check the study's plan")
    return limits


def sensitivity(queries: tuple[Query, ...], limits: Limits) -> float:
    """L2 change of a round's vector when one row is added or removed; ``limits`` bound the pools of silent queries."""
    squared = sum(query.weight**2 for query in queries if not query.is_silent)
    for pool, limit in enumerate(limits):
        squared += min(limit, sum(query.weight**2 for query in queries if query.is_silent and query.pool == pool))
    return math.sqrt(squared)


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


def count(queries: tuple[Query, ...], cells: dict[str, Cells], limits: Limits) -> NDArray[np.int64]:
    """Answer the queries: whole counts, one query after the other, shape ``(length,)``."""
    rows = len(next(iter(cells.values())))
    placed = [_places(query, cells, rows) for query in queries]
    loads = np.zeros((len(limits), rows), dtype=np.int64)
    for query, (_, counted) in zip(queries, placed, strict=True):
        if query.is_silent:
            loads[query.pool] += counted * query.weight**2
    parts = []
    for query, (place, counted) in zip(queries, placed, strict=True):
        weights = np.full(rows, query.weight)
        if query.is_silent:
            weights = _limited(query.weight, loads[query.pool], limits[query.pool])
        # sums of whole numbers this small are exact in floats
        signed = weights * _signs(query, cells, rows)
        found = np.bincount(place[counted], signed[counted], minlength=query.length)
        parts.append(np.rint(found).astype(np.int64))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _places(query: Query, cells: dict[str, Cells], rows: int) -> tuple[Cells, NDArray[np.bool_]]:
    """The entry of each row, and whether the row is counted at all."""
    place = np.zeros(rows, dtype=np.int64)
    counted = np.ones(rows, dtype=bool)
    for name, group, side, out in zip(query.nodes, query.groups, query.counted_sides, query.left_out, strict=True):
        here = np.asarray(group, dtype=np.int64)[cells[name]]
        if out != ALL_COUNTED:
            counted &= here != out
            here = here - (here > out)
        place = place * side + here
    if query.signs:
        counted &= _signs(query, cells, rows) != 0
    return place, counted


def _signs(query: Query, cells: dict[str, Cells], rows: int) -> Cells:
    """What each row's weight is multiplied by: the product of its signs in a contrast, else 1."""
    found = np.ones(rows, dtype=np.int64)
    for name, signs in zip(query.nodes, query.signs, strict=False):
        found *= np.asarray(signs, dtype=np.int64)[cells[name]]
    return found


def counted_share(query: Query, shares: dict[str, Floats]) -> float:
    """The share of rows that a silent query counts, or a contrast gives a sign, were its nodes independent."""
    if query.signs:
        sides = zip(query.nodes, query.signs, strict=True)
        return float(np.prod([shares[name][np.asarray(signs) != 0].sum() for name, signs in sides]))
    counted = 1.0
    for name, group, out in zip(query.nodes, query.groups, query.left_out, strict=True):
        if out != ALL_COUNTED:
            counted *= 1.0 - float(np.bincount(group, shares[name])[out])
    return counted


def _limited(weight: int, load: Cells, limit: int) -> Cells:
    """The weight each row has: less where its squared weights add up to more than the limit.

    The greatest whole number ``w`` with ``w² load <= weight² limit``, in whole numbers: no rounding exceeds the limit.
    """
    loads, where = np.unique(load, return_inverse=True)
    allowed = [weight if one <= limit else math.isqrt(weight * weight * limit // int(one)) for one in loads.tolist()]
    return np.asarray(allowed, dtype=np.int64)[where]


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
