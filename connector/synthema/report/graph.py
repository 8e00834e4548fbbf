"""Draws a directed graph in numbered columns, from origins on the left to results on the right, as SVG.

The method is the classical one of Sugiyama, Tagawa and Toda (1981): break
cycles, give each node the column after its last cause, route long arrows
through waypoints, reduce crossings by sorting each column by its neighbours'
mean position. It needs no outside program.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from synthema.report.model import GraphEdge, GraphNode, ProvenanceGraph, Shape

_NODE_WIDTH = 168
_NODE_HEIGHT = 54
_COLUMN_GAP = 56
_ROW_GAP = 18
_MARGIN = 12
_HEADER = 26
_LETTERS = 23
_SWEEPS = 8

Slot = str  # a node's id, or a waypoint's made-up id
_WAYPOINT = "\x00"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies: columns of slots from left to right, and each arrow's way through them."""

    columns: tuple[tuple[Slot, ...], ...]
    routes: Mapping[tuple[str, str], tuple[Slot, ...]]


def lay_out(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge]) -> Layout:
    """Columns and routes; arrows that name an unknown node are left out, and so are arrows of a node to itself."""
    order = [node.id for node in nodes]
    known = set(order)
    pairs = list(dict.fromkeys((e.source, e.target) for e in edges if {e.source, e.target} <= known))
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    forward = _without_cycles(order, pairs)
    rank = _ranks(order, forward)
    columns, routes = _with_waypoints(order, forward, rank)
    columns = _fewer_crossings(columns, routes)
    turned = {pair: routes[pair] if pair in routes else routes[pair[1], pair[0]][::-1] for pair in pairs}
    return Layout(tuple(tuple(column) for column in columns), turned)


def _without_cycles(order: list[str], pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same arrows with those that close a cycle turned round (depth first, without recursion)."""
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        following[source].append(target)
    state: dict[str, int] = {}
    turned: set[tuple[str, str]] = set()
    for root in order:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(following[root]))]
        while stack:
            here, targets = stack[-1]
            for target in targets:
                if state.get(target) == 1:
                    turned.add((here, target))
                elif target not in state:
                    state[target] = 1
                    stack.append((target, iter(following[target])))
                    break
            else:
                state[here] = 2
                stack.pop()
    return list(dict.fromkeys((t, s) if (s, t) in turned else (s, t) for s, t in pairs))


def _ranks(order: list[str], pairs: list[tuple[str, str]]) -> dict[str, int]:
    """The column of each node: after its last cause, and origins right before their first result."""
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        before[target].append(source)
        after[source].append(target)
    rank: dict[str, int] = {}
    waiting = {node: len(before[node]) for node in order}
    ready = [node for node in order if not waiting[node]]
    for node in ready:
        rank[node] = max((rank[cause] + 1 for cause in before[node]), default=0)
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in reversed(ready):
        if not before[node] and after[node]:
            rank[node] = min(rank[target] for target in after[node]) - 1
    return rank


def _with_waypoints(
    order: list[str], pairs: list[tuple[str, str]], rank: Mapping[str, int]
) -> tuple[list[list[Slot]], dict[tuple[str, str], tuple[Slot, ...]]]:
    columns: list[list[Slot]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for node in order:
        columns[rank[node]].append(node)
    routes: dict[tuple[str, str], tuple[Slot, ...]] = {}
    for number, (source, target) in enumerate(pairs):
        way = []
        for column in range(rank[source] + 1, rank[target]):
            slot = f"{_WAYPOINT}{number}/{column}"
            columns[column].append(slot)
            way.append(slot)
        routes[source, target] = (source, *way, target)
    return columns, routes


def _fewer_crossings(columns: list[list[Slot]], routes: Mapping[tuple[str, str], tuple[Slot, ...]]) -> list[list[Slot]]:
    left: dict[Slot, list[Slot]] = defaultdict(list)
    right: dict[Slot, list[Slot]] = defaultdict(list)
    for way in routes.values():
        for here, there in pairwise(way):
            right[here].append(there)
            left[there].append(here)
    for sweep in range(_SWEEPS):
        neighbours, indices = (
            (left, range(1, len(columns))) if sweep % 2 == 0 else (right, range(len(columns) - 2, -1, -1))
        )
        for index in indices:
            beside = columns[index - 1] if sweep % 2 == 0 else columns[index + 1]
            position = {slot: place for place, slot in enumerate(beside)}
            own = {slot: place for place, slot in enumerate(columns[index])}
            columns[index].sort(key=lambda slot: (_mean(neighbours[slot], position, own[slot]), own[slot]))
    return columns


def _mean(slots: Sequence[Slot], position: Mapping[Slot, int], otherwise: int) -> float:
    places = [position[slot] for slot in slots if slot in position]
    return sum(places) / len(places) if places else float(otherwise)


def draw_graph(graph: ProvenanceGraph, *, prefix: str) -> str:
    """The graph as one SVG element; ``prefix`` keeps its ids apart from those of other drawings on the page."""
    layout = lay_out(graph.nodes, graph.edges)
    middle = _middles(layout.columns)
    bottom = max((y for _, y in middle.values()), default=_HEADER) + _NODE_HEIGHT / 2 + _MARGIN
    width = 2 * _MARGIN + len(layout.columns) * (_NODE_WIDTH + _COLUMN_GAP) - _COLUMN_GAP
    labels = {(edge.source, edge.target): edge.label for edge in graph.edges}
    by_id = {node.id: node for node in graph.nodes}
    opening = (
        f'<svg class="graph" viewBox="0 0 {max(width, 1)} {bottom:.0f}" width="{max(width, 1)}" '
        f'height="{bottom:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f'<defs><marker id="{prefix}-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="tip" d="M0,0.5 L8,4 L0,7.5 z"/></marker></defs>'
    )
    parts = [opening, *(_column_number(index) for index in range(len(layout.columns)))]
    parts += [_arrow(way, middle, labels.get(pair, ""), prefix) for pair, way in layout.routes.items()]
    parts += [_box(by_id[slot], *middle[slot]) for column in layout.columns for slot in column if slot in by_id]
    return "".join([*parts, "</svg>"])


def _middles(columns: Sequence[Sequence[Slot]]) -> dict[Slot, tuple[float, float]]:
    """The middle of each slot; shorter columns are centred beside the tallest."""
    heights = [sum(_height(slot) for slot in column) + _ROW_GAP * (len(column) - 1) for column in columns]
    tallest = max(heights, default=0)
    middle: dict[Slot, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        x = _MARGIN + index * (_NODE_WIDTH + _COLUMN_GAP) + _NODE_WIDTH / 2
        y = _MARGIN + _HEADER + (tallest - heights[index]) / 2
        for slot in column:
            middle[slot] = x, y + _height(slot) / 2
            y += _height(slot) + _ROW_GAP
    return middle


def _height(slot: Slot) -> int:
    return 6 if slot.startswith(_WAYPOINT) else _NODE_HEIGHT


def _column_number(index: int) -> str:
    x = _MARGIN + index * (_NODE_WIDTH + _COLUMN_GAP) + _NODE_WIDTH / 2
    return f'<text class="column" x="{x:.0f}" y="{_MARGIN + 6}" text-anchor="middle">{index + 1}</text>'


def _arrow(way: Sequence[Slot], middle: Mapping[Slot, tuple[float, float]], label: str, prefix: str) -> str:
    half = _NODE_WIDTH / 2
    forward = middle[way[0]][0] <= middle[way[-1]][0]
    towards = 1 if forward else -1
    points = [(middle[way[0]][0] + towards * half, middle[way[0]][1])]
    for slot in way[1:-1]:
        x, y = middle[slot]
        points += [(x - towards * half, y), (x + towards * half, y)]
    points.append((middle[way[-1]][0] - towards * half, middle[way[-1]][1]))
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (x0 + x1) / 2
        path += f" C{bend:.1f},{y0:.1f} {bend:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
    title = f"<title>{escape(label)}</title>" if label else ""
    return f'<path class="arrow" d="{path}" marker-end="url(#{prefix}-tip)">{title}</path>'


def _box(node: GraphNode, x: float, y: float) -> str:
    lines = _two_lines(node.label)
    first = y + (10 if node.type else 4) - (5 if len(lines) == 2 else 0)
    text = "".join(
        f'<text class="label" x="{x:.1f}" y="{first + 14 * index:.1f}" text-anchor="middle">{escape(line)}</text>'
        for index, line in enumerate(lines)
    )
    kind = (
        f'<text class="type" x="{x:.1f}" y="{y - _NODE_HEIGHT / 2 + 13:.1f}" text-anchor="middle">'
        f"{escape(_shorten(node.type, _LETTERS + 3))}</text>"
        if node.type
        else ""
    )
    return f"<g><title>{escape(node.label)}</title>{_outline(node.shape, x, y)}{kind}{text}</g>"


def _outline(shape: Shape, x: float, y: float) -> str:
    left, top = x - _NODE_WIDTH / 2, y - _NODE_HEIGHT / 2
    if shape == "agent":
        right, bottom, cut = left + _NODE_WIDTH, top + _NODE_HEIGHT, 12
        points = (
            f"{left + cut:.1f},{top:.1f} {right - cut:.1f},{top:.1f} {right:.1f},{y:.1f} "
            f"{right - cut:.1f},{bottom:.1f} {left + cut:.1f},{bottom:.1f} {left:.1f},{y:.1f}"
        )
        return f'<polygon class="node agent" points="{points}"/>'
    radius = 3 if shape == "activity" else 18
    return (
        f'<rect class="node {shape}" x="{left:.1f}" y="{top:.1f}" width="{_NODE_WIDTH}" '
        f'height="{_NODE_HEIGHT}" rx="{radius}"/>'
    )


def _two_lines(label: str) -> list[str]:
    """The label on at most two lines that fit the box; what is cut off stays in the title and the table."""
    lines = [""]
    for word in label.split():
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= _LETTERS:
            lines[-1] = joined
        else:
            lines.append(word)
    lines = [line for line in lines if line]
    if len(lines) > 2:
        lines = [lines[0], " ".join(lines[1:])]
    return [_shorten(line, _LETTERS) for line in lines]


def _shorten(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
