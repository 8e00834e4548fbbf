"""Synthetic rows from a finished state.

The tree is walked from its root; at each edge the rows of a parent's cell get
their child cells by systematic sampling, which keeps the shares to within one
row instead of adding the scatter of independent draws. Inside a bin, numbers
follow a smooth curve through the cumulative shares (Fritsch and Carlson 1980),
so that a wide last bin thins out as its neighbours suggest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.model import Parameters, State
from synthema.spi.sampling import balanced, keep_rules, rows_of, subgroup
from synthema_marginals.gaps import GAPS
from synthema_marginals.nodes import SHARE_BINS, Cells, Floats, Node, nodes_of, number_edges
from synthema_marginals.pairs import clique_shares
from synthema_marginals.rounds import Evidence, shapes_of

GRID = 65
GOLDEN = (math.sqrt(5) - 1) / 2
Columns = dict[str, Floats | list[str | None]]


def sample_rows(state: State, codebook: Codebook, rows: int, parameters: Parameters) -> pl.DataFrame:
    """``rows`` synthetic rows that keep the codebook's rules, of everybody or of the subgroup that is asked for.

    The same state gives the same rows. Identifiers are not made up: they have no column.
    """
    if not state.finished:
        raise ValueError("the study is not finished: absorb the remaining rounds before sampling")
    if rows < 1:
        raise ValueError("at least one synthetic row must be asked for")
    random = np.random.Generator(np.random.PCG64(_seed(state)))
    evidence = Evidence(shapes_of(state), state.values)
    tree, siblings = ([(pair[0], pair[1]) for pair in state.values[kind]] for kind in ("tree", "siblings"))
    drawer = _Drawer(codebook, evidence, tree, siblings, random)

    def draw(number: int) -> pl.DataFrame:
        return keep_rules(drawer.draw, codebook, number)

    where = dict(parameters.get("where") or {})
    wanted = subgroup(codebook, where)
    if parameters.get("balance"):
        made = balanced(draw, codebook, str(parameters["balance"]), wanted, rows)
        return made.select(pl.all().gather(random.permutation(rows).tolist()))
    return rows_of(draw, wanted, rows) if where else draw(rows)


def _seed(state: State) -> int:
    """Public numbers make a public seed: sampling is post-processing, so it needs no secret."""
    text = json.dumps(state.values, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


@dataclass(frozen=True, slots=True)
class Step:
    """How one node is drawn: from its parent's cell, or from its parent's and its sibling's.

    All of it is about known cells; which values are missing is drawn afterwards where gaps have their own node.

    ``shares`` has one row for each cell of the parent (times cells of the sibling), one column for each of the child.
    """

    child: str
    parent: str
    sibling: str | None
    shares: Floats


def steps_of(root: str, tree: list[tuple[str, str]], siblings: list[tuple[str, str]], evidence: Evidence) -> list[Step]:
    """The nodes after the root in an order in which every parent and sibling comes before its child."""
    near: dict[str, list[str]] = defaultdict(list)
    beside: dict[str, list[str]] = defaultdict(list)
    for links, pairs in ((near, tree), (beside, siblings)):
        for first, second in pairs:
            links[first].append(second)
            links[second].append(first)
    placed, steps, parents = {root}, [], [root]
    for parent in parents:
        waiting = [name for name in near[parent] if name not in placed]
        while waiting:
            # who has a sibling that is already drawn comes first, so that each sibling edge is used once
            child = next((name for name in waiting if placed & set(beside[name])), waiting[0])
            waiting.remove(child)
            sibling = next((name for name in beside[child] if name in placed), None)
            steps.append(_step(child, parent, sibling, evidence))
            placed.add(child)
            parents.append(child)
    return steps


def _step(child: str, parent: str, sibling: str | None, evidence: Evidence) -> Step:
    down = evidence.joint((parent, child))
    if sibling is None:
        return Step(child, parent, None, down)
    joint = clique_shares(evidence.joint((parent, sibling)), down, evidence.joint((sibling, child)))
    return Step(child, parent, sibling, joint.reshape(-1, joint.shape[2]))


class _Drawer:
    def __init__(
        self,
        codebook: Codebook,
        evidence: Evidence,
        tree: list[tuple[str, str]],
        siblings: list[tuple[str, str]],
        random: np.random.Generator,
    ) -> None:
        self._codebook = codebook
        self._nodes = nodes_of(codebook)
        self._evidence = evidence
        self._random = random
        self._steps = steps_of(self._nodes[0].name, tree, siblings, evidence)

    def draw(self, rows: int) -> pl.DataFrame:
        cells = self._draw_cells(rows)
        columns: Columns = {}
        for node in self._in_order_of_time():
            self._fill(node, cells[node.name], columns)
        made = [_series(v, columns[v.name]) for v in self._codebook.variables if v.name in columns]
        return pl.DataFrame(made)

    def _draw_cells(self, rows: int) -> dict[str, Cells]:
        root = self._nodes[0].name
        cells = {root: self._systematic(self._evidence.known[root], rows)}
        for step in self._steps:
            key = cells[step.parent]
            shares = step.shares
            if step.sibling is not None:
                side = len(self._evidence.known[step.sibling])
                key = key * side + cells[step.sibling]
            drawn = np.zeros(rows, dtype=np.int64)
            start = self._random.random()
            for turn, value in enumerate(np.unique(key)):
                here = np.nonzero(key == value)[0]
                drawn[here] = self._systematic(shares[value], len(here), (start + turn * GOLDEN) % 1.0)
            cells[step.child] = drawn
        for name, chances in self._evidence.chances.items():
            cells[name] = self._with_gaps(name, cells[name], chances, cells[GAPS])
        return cells

    def _with_gaps(self, name: str, cells: Cells, chances: Floats, gaps: Cells) -> Cells:
        """A variable's cells, some of them turned into missing, by the number of gaps of each row."""
        left = cells.copy()
        for number in np.unique(gaps):
            here = np.nonzero(gaps == number)[0]
            lost = self._systematic(np.array([1 - chances[number], chances[number]]), len(here)) == 1
            left[here[lost]] = self._evidence.shapes[name].cells - 1
        return left

    def _systematic(self, shares: Floats, rows: int, start: float | None = None) -> Cells:
        """``rows`` cells with these shares, each within one row of its expectation, in random order.

        Starts that are spread evenly from one group of rows to the next keep the shares over many small groups too.
        """
        start = self._random.random() if start is None else start
        total = shares.sum()
        ends = np.cumsum(shares) / total if total > 0 else np.arange(1, len(shares) + 1) / len(shares)
        points = (np.arange(rows) + start) / max(rows, 1)
        chosen = np.minimum(np.searchsorted(ends, points, side="right"), len(shares) - 1)
        return np.asarray(self._random.permutation(chosen), dtype=np.int64)

    def _in_order_of_time(self) -> list[Node]:
        """Nodes so that a time comes after the later time it is a share of."""
        ordered: list[Node] = []
        waiting = list(self._nodes)
        while waiting:
            done = {variable.name for node in ordered for variable in node.variables}
            ready = [node for node in waiting if node.anchor is None or node.anchor.name in done]
            ordered += ready
            waiting = [node for node in waiting if node not in ready]
        return ordered

    def _fill(self, node: Node, cells: Cells, columns: Columns) -> None:
        shape = node.shape
        body = shape.bins * shape.levels
        shares = self._evidence.shares[node.name][:body]
        missing = cells == body
        # a column that may not be missing gets a value even where the other half of its node is missing
        filled = cells.copy()
        filled[missing] = self._systematic(shares, int(missing.sum()))
        bins, levels = np.divmod(filled, shape.levels)
        if node.axis is None:
            bins, levels = np.zeros_like(bins), bins
        if node.events is not None:
            names = node.events.categories
            columns[node.events.name] = [
                None if lost and node.events.may_be_missing else names[level]
                for level, lost in zip(levels, missing, strict=True)
            ]
        if node.axis is None:
            return
        if node.anchor is not None:
            until = np.asarray(columns[node.anchor.name], dtype=np.float64)
            values = self._shares_of(node, bins, until)
        else:
            values = np.zeros(len(cells))
            for level in np.unique(levels):
                here = np.nonzero(levels == level)[0]
                values[here] = self._inside(node.axis, bins[here], shares.reshape(shape.bins, -1)[:, level])
        columns[node.axis.name] = np.where(missing & node.axis.may_be_missing, np.nan, values)

    def _shares_of(self, node: Node, bins: Cells, until: Floats) -> Floats:
        assert node.axis is not None  # noqa: S101 - an anchored node has an axis
        low, high = float(node.axis.minimum or 0.0), float(node.axis.maximum or 0.0)
        until = np.where(np.isfinite(until), np.minimum(until, high), high)
        share = (bins + self._random.random(len(bins))) / SHARE_BINS
        values = low + share * (until - low)
        values = np.floor(values) if node.axis.type == "integer" else rounded_down(values, node.axis)
        return np.where(bins == SHARE_BINS, until, np.clip(values, low, np.maximum(until, low)))

    def _inside(self, variable: Variable, bins: Cells, shares: Floats) -> Floats:
        """Numbers inside their bins, along a smooth monotone curve through the cumulative shares."""
        edges = number_edges(variable)
        total = max(float(shares.sum()), 1e-12)
        ends = np.concatenate([[0.0], np.cumsum(shares) / total])
        slopes = monotone_slopes(edges, ends)
        values = np.zeros(len(bins))
        for number in np.unique(bins):
            here = np.nonzero(bins == number)[0]
            places = self._random.permutation((np.arange(len(here)) + self._random.random()) / len(here))
            values[here] = _along(edges, ends, slopes, int(number), places)
        return in_codebook(values, edges, bins, variable)


def monotone_slopes(edges: Floats, ends: Floats) -> Floats:
    """Slopes of a monotone cubic through ``(edges, ends)``; at both ends the density falls to zero where it may."""
    width = np.diff(edges)
    density = np.diff(ends) / width
    slopes = np.zeros(len(edges))
    if len(width) > 1:
        before, after = density[:-1], density[1:]
        heavy, light = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = (heavy + light) / (heavy / before + light / after)
        slopes[1:-1] = np.where((before > 0) & (after > 0), inner, 0.0)
        slopes[0] = _end_slope(width[0], width[1], density[0], density[1])
        slopes[-1] = _end_slope(width[-1], width[-2], density[-1], density[-2])
    else:
        slopes[:] = density[0]
    return slopes


def _end_slope(width: float, next_width: float, density: float, next_density: float) -> float:
    slope = ((2 * width + next_width) * density - width * next_density) / (width + next_width)
    return float(np.clip(slope, 0.0, 3 * density))


def _along(edges: Floats, ends: Floats, slopes: Floats, number: int, places: Floats) -> Floats:
    """Invert the curve inside one bin at given shares (0 to 1) of the bin's mass."""
    width, mass = edges[number + 1] - edges[number], ends[number + 1] - ends[number]
    grid = np.linspace(0.0, 1.0, GRID)
    if mass <= 0:
        return np.asarray(edges[number] + places * width)
    first, last = slopes[number] * width / mass, slopes[number + 1] * width / mass
    curve = grid * (first + grid * (3 - 2 * first - last + grid * (first + last - 2)))
    curve = np.maximum.accumulate(np.clip(curve, 0.0, 1.0))
    return np.asarray(edges[number] + width * np.interp(places, curve, grid))


def in_codebook(values: Floats, edges: Floats, bins: Cells, variable: Variable) -> Floats:
    """Values written as the codebook would: whole numbers or few decimals, inside their bin and the bounds."""
    if variable.type == "integer":
        lowest, highest = np.ceil(edges[bins]), np.ceil(edges[bins + 1]) - 1
        values = np.clip(np.floor(values), lowest, np.maximum(lowest, highest))
    else:
        values = rounded_down(values, variable)
        values = np.maximum(values, edges[bins])
    return np.clip(values, variable.minimum, variable.maximum)


def rounded_down(values: Floats, variable: Variable) -> Floats:
    """Cut to as many decimals as give about a thousand steps over the variable's range."""
    span = float(variable.maximum or 0.0) - float(variable.minimum or 0.0)
    step = 10.0 ** min(0, int(np.floor(np.log10(span))) - 2)
    decimals = round(-np.log10(step))
    return np.asarray(np.round(np.floor(values / step + 1e-9) * step, decimals))


def _series(variable: Variable, values: Floats | list[str | None]) -> pl.Series:
    if isinstance(values, list):
        return pl.Series(variable.name, values, dtype=pl.String)
    series = pl.Series(variable.name, values, dtype=pl.Float64).fill_nan(None)
    return series.cast(pl.Int64) if variable.type == "integer" else series
