"""Decision diagrams over dimensions with finitely many cells: the exact form in which conditions are compared.

A diagram maps each choice of one cell per dimension to a value. Two diagrams that
map alike are the same node, so "nothing changed" is one comparison. Cells of a
dimension are numbered; a set of them is a bit mask.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

MAX_NODES: Final = 200_000

Node = int
Join = Callable[[Any, Any], Hashable]
Box = tuple[int, ...]
"""One mask for each dimension: all choices that take each cell from its mask."""


class TooLarge(Exception):  # noqa: N818 - a limit that was met, not a mistake
    """A question has too many cases to be answered exactly; the text says which limit was met."""


class Diagrams:
    """All diagrams over the same dimensions. Values are hashable and compare by equality and type."""

    def __init__(self, widths: Sequence[int], *, limit: int = MAX_NODES) -> None:
        """``widths`` gives the number of cells of each dimension, in the order in which they are asked."""
        self.widths = tuple(widths)
        self.full: Box = tuple((1 << width) - 1 for width in widths)
        self._more = self._limit = limit
        self._level: list[int] = []
        self._edges: list[tuple[tuple[int, Node], ...]] = []
        self._value: list[Any] = []
        self._nodes: dict[Hashable, Node] = {}
        self.no = self.leaf(value=False)
        self.yes = self.leaf(value=True)

    def allow(self, more: int) -> None:
        """Let the next question make this many nodes; those of earlier questions are kept and do not count."""
        self._more, self._limit = more, len(self._level) + more

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self._level)

    def leaf(self, value: Hashable) -> Node:
        """The diagram that gives one value everywhere."""
        return self._keep(("leaf", type(value), value), len(self.widths), (), value)

    def atom(self, level: int, values: Mapping[int, Hashable]) -> Node:
        """The diagram that looks at one dimension: mask → value, the masks being a partition of its cells."""
        return self.node(level, [(mask, self.leaf(value)) for mask, value in values.items()])

    def value(self, node: Node) -> Any:
        """The value of a leaf."""
        return self._value[node]

    def is_leaf(self, node: Node) -> bool:
        return self._level[node] == len(self.widths)

    def node(self, level: int, edges: Sequence[tuple[int, Node]]) -> Node:
        """The diagram that looks at one dimension and goes on with the diagram of the mask its cell is in."""
        merged: dict[Node, int] = {}
        for mask, child in edges:
            if mask:
                merged[child] = merged.get(child, 0) | mask
        if len(merged) == 1:
            return next(iter(merged))
        ordered = tuple(sorted((mask, child) for child, mask in merged.items()))
        return self._keep((level, ordered), level, ordered, None)

    def _keep(self, key: Hashable, level: int, edges: tuple[tuple[int, Node], ...], value: Any) -> Node:
        node = self._nodes.get(key)
        if node is None:
            if len(self._level) >= self._limit:
                raise TooLarge(f"more than {self._more} nodes of a decision diagram")
            node = self._nodes[key] = len(self._level)
            self._level.append(level)
            self._edges.append(edges)
            self._value.append(value)
        return node

    def joined(
        self,
        first: Node,
        second: Node,
        join: Join,
        memo: dict[tuple[Node, Node], Node] | None = None,
        *,
        settles: Node | None = None,
    ) -> Node:
        """The diagram that gives ``join`` of what two diagrams give; the leaf ``settles`` decides alone."""
        if settles is not None and settles in (first, second):
            return settles
        memo = {} if memo is None else memo
        key = (first, second)
        found = memo.get(key)
        if found is not None:
            return found
        top, other = self._level[first], self._level[second]
        level = min(top, other)
        if level == len(self.widths):
            made = self.leaf(join(self._value[first], self._value[second]))
        elif top < other:
            made = self.node(
                level, [(mask, self.joined(c, second, join, memo, settles=settles)) for mask, c in self._edges[first]]
            )
        elif other < top:
            made = self.node(
                level, [(mask, self.joined(first, c, join, memo, settles=settles)) for mask, c in self._edges[second]]
            )
        else:
            made = self.node(
                level,
                [
                    (both, self.joined(a, b, join, memo, settles=settles))
                    for left, a in self._edges[first]
                    for right, b in self._edges[second]
                    if (both := left & right)
                ],
            )
        memo[key] = made
        return made

    def mapped(self, node: Node, function: Callable[[Any], Hashable]) -> Node:
        """The diagram with every value replaced."""
        memo: dict[Node, Node] = {}

        def walk(at: Node) -> Node:
            if at not in memo:
                memo[at] = (
                    self.leaf(function(self._value[at]))
                    if self.is_leaf(at)
                    else self.node(self._level[at], [(mask, walk(child)) for mask, child in self._edges[at]])
                )
            return memo[at]

        return walk(node)

    def where(self, node: Node, wanted: Callable[[Any], bool]) -> Node:
        """Truth diagram: where the value is as wanted."""
        return self.mapped(node, lambda value: bool(wanted(value)))

    def folded(self, nodes: Iterable[Node], join: Join, start: Hashable, *, settles: Hashable) -> Node:
        """``join`` of what many diagrams give, from a neutral value; the value ``settles`` decides alone."""
        found, end, memo = self.leaf(start), self.leaf(settles), dict[tuple[Node, Node], Node]()
        for node in nodes:
            found = self.joined(found, node, join, memo, settles=end)
        return found

    def all_of(self, nodes: Iterable[Node]) -> Node:
        """Truth diagram: where all hold."""
        return self.folded(nodes, _and, start=True, settles=False)

    def any_of(self, nodes: Iterable[Node]) -> Node:
        """Truth diagram: where at least one holds."""
        return self.folded(nodes, _or, start=False, settles=True)

    def minus(self, first: Node, second: Node) -> Node:
        """Truth diagram: where the first holds and the second does not."""
        return self.joined(first, second, _minus)

    def never(self, node: Node) -> bool:
        """Whether a truth diagram holds nowhere."""
        return node == self.no

    def values(self, node: Node) -> frozenset[Any]:
        """All values a diagram gives."""
        seen: set[Node] = set()
        found: set[Any] = set()
        waiting = [node]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if self.is_leaf(at):
                found.add(self._value[at])
            else:
                waiting += [child for _, child in self._edges[at]]
        return frozenset(found)

    def at(self, node: Node, choice: Sequence[int]) -> Any:
        """The value for one cell (its number) in each dimension."""
        while not self.is_leaf(node):
            bit = 1 << choice[self._level[node]]
            node = next(child for mask, child in self._edges[node] if mask & bit)
        return self._value[node]

    # boxes ---------------------------------------------------------------------------------

    def box(self, masks: Mapping[int, int]) -> Node:
        """Truth diagram of a box: the given masks, and anything in the other dimensions."""
        node = self.yes
        for level in sorted(masks, reverse=True):
            node = (
                self.node(level, [(masks[level], node), (self.full[level] & ~masks[level], self.no)])
                if masks[level] != self.full[level]
                else node
            )
        return node

    def some_box(self, node: Node, prefer: Callable[[int, int], int] | None = None) -> dict[int, int] | None:
        """One box in which a truth diagram holds; ``prefer`` rates an edge (dimension, mask), lower is taken first."""
        if self.never(node):
            return None
        found: dict[int, int] = {}
        while not self.is_leaf(node):
            level = self._level[node]
            edges = [edge for edge in self._edges[node] if edge[1] != self.no]
            mask, node = min(edges, key=lambda edge: prefer(level, edge[0])) if prefer else edges[0]
            found[level] = mask
        return found

    def boxes(self, node: Node) -> Iterator[dict[int, int]]:
        """Disjoint boxes that together are where a truth diagram holds."""
        if self.is_leaf(node):
            if self._value[node]:
                yield {}
            return
        for mask, child in self._edges[node]:
            for rest in self.boxes(child):
                yield {self._level[node]: mask, **rest}

    def contains(self, node: Node, box: Mapping[int, int]) -> bool:
        """Whether a truth diagram holds in a whole box."""
        return self._within(node, box, {})

    def _within(self, node: Node, box: Mapping[int, int], memo: dict[Node, bool]) -> bool:
        if self.is_leaf(node):
            return bool(self._value[node])
        if node not in memo:
            allowed = box.get(self._level[node], self.full[self._level[node]])
            memo[node] = all(self._within(child, box, memo) for mask, child in self._edges[node] if mask & allowed)
        return memo[node]

    def room(self, node: Node, box: Mapping[int, int], level: int) -> int:
        """The cells of one dimension that a box may take, its other masks unchanged, with the diagram still holding."""
        inside: dict[Node, bool] = {}
        memo: dict[Node, int] = {}
        full = self.full[level]

        def walk(at: Node) -> int:
            here = self._level[at]
            if here > level:
                return full if self._within(at, box, inside) else 0
            if at in memo:
                return memo[at]
            found = 0 if here == level else full
            for mask, child in self._edges[at]:
                if here == level:
                    found |= mask if self._within(child, box, inside) else 0
                elif mask & box.get(here, self.full[here]):
                    found &= walk(child)
            memo[at] = found
            return found

        return walk(node)

    def support(self, node: Node, level: int) -> int:
        """The cells of one dimension for which a truth diagram holds with some choice of the others."""
        memo: dict[Node, int] = {}
        no, full = self.no, self.full[level]

        def walk(at: Node) -> int:
            if at == no:
                return 0
            if self._level[at] > level:
                return full
            if at not in memo:
                here = self._level[at] == level
                memo[at] = 0
                for mask, child in self._edges[at]:
                    memo[at] |= (mask if child != no else 0) if here else walk(child)
            return memo[at]

        return walk(node)


def _and(first: bool, second: bool) -> bool:  # noqa: FBT001 - truth values are what it joins
    return first and second


def _or(first: bool, second: bool) -> bool:  # noqa: FBT001
    return first or second


def _minus(first: bool, second: bool) -> bool:  # noqa: FBT001
    return first and not second
