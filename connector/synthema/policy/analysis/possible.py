"""Which choices of cells some request really has: values that are compared with each other, duties, settled facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from synthema.policy.analysis.build import duty_keys
from synthema.policy.analysis.diagram import Node, TooLarge
from synthema.policy.analysis.dimensions import Cell, Dimension
from synthema.policy.analysis.order import ORDERS, Interval, Relation, solvable, solve
from synthema.policy.conditions import Tree
from synthema.policy.model import Fact
from synthema.vocabulary import Datatype

if TYPE_CHECKING:
    from synthema.policy.analysis.space import Space

MAX_COMBINATIONS: Final = 40_000


def possible(space: Space) -> Node:
    """Truth diagram: the choices that some request has; raises :class:`TooLarge`."""
    return space.diagrams.all_of([*_orders(space), *_duties(space), *_settled(space)])


def groups(space: Space) -> tuple[frozenset[str], ...]:
    """Operands that are compared with each other, directly or through others."""
    found: list[frozenset[str]] = []
    for dimension in space.dimensions:
        if dimension.kind == "relation":
            joined = frozenset(dimension.key.split())
            apart = [group for group in found if not group & joined]
            found = [*apart, joined.union(*(group for group in found if group & joined))]
    return tuple(found)


def levels_of(space: Space, group: frozenset[str]) -> list[int]:
    """The dimensions of a group of operands: themselves, and how they compare."""
    relations = [
        level for level, d in enumerate(space.dimensions) if d.kind == "relation" and set(d.key.split()) <= group
    ]
    return sorted([*(space.level[name] for name in group), *relations])


def _orders(space: Space) -> Iterator[Node]:
    for group in groups(space):
        levels = levels_of(space, group)
        size = 1
        for level in levels:
            size *= len(space.dimensions[level].cells)
        if size > MAX_COMBINATIONS:
            raise TooLarge(f"more than {MAX_COMBINATIONS} ways to order operands that are compared with each other")
        yield _orders_of(space, levels, {})


def _orders_of(space: Space, levels: Sequence[int], chosen: Mapping[int, int]) -> Node:
    if len(chosen) == len(levels):
        cells = [(space.dimensions[level], space.dimensions[level].cells[cell]) for level, cell in chosen.items()]
        system = _system(cells)
        return space.diagrams.leaf(system is not None and solvable(*system))
    level = levels[len(chosen)]
    numbers = range(len(space.dimensions[level].cells))
    edges = [(1 << number, _orders_of(space, levels, {**chosen, level: number})) for number in numbers]
    return space.diagrams.node(level, edges)


def values_in_order(chosen: Sequence[tuple[Dimension, Cell]]) -> dict[str, Any] | None:
    """Values for operands in the chosen cells that compare as chosen; ``None`` if there are none."""
    system = _system(chosen)
    return None if system is None else solve(*system)


def _system(
    chosen: Sequence[tuple[Dimension, Cell]],
) -> tuple[dict[str, Interval], list[tuple[str, Relation, str]], Datatype] | None:
    """The intervals and relations of a choice of cells; ``None`` where these do not fit."""
    operands = [dimension.operand for dimension, _ in chosen if dimension.operand is not None]
    intervals: dict[str, Interval] = {
        dimension.key: cell.interval for dimension, cell in chosen if cell.interval is not None
    }
    relations: list[tuple[str, Relation, str]] = []
    for dimension, cell in chosen:
        if dimension.kind != "relation":
            continue
        first, second = dimension.key.split()
        known = first in intervals and second in intervals
        if known is cell.missing:
            return None
        relations += [(first, word, second) for word in ORDERS if word == cell.value]
    return intervals, relations, operands[0].datatype


def _duties(space: Space) -> Iterator[Node]:
    """Who has done the narrower duty has done the wider one; who has shown it has done it."""
    keys = duty_keys(space.rules)
    is_a = space.vocabulary.duties.is_a
    for one in keys:
        for other in keys:
            if one != other and is_a(one.action, other.action) and (one.shown or not other.shown):
                done, also = (space.truth(space.level[str(key)], 0b10) for key in (one, other))
                yield space.diagrams.joined(done, also, lambda first, second: second or not first)


def _settled(space: Space) -> Iterator[Node]:
    """Facts that hold for every request leave only the cells they lie in."""
    for operand, fact in space.standing.items():
        level = space.level.get(operand)
        if level is not None:
            dimension = space.dimensions[level]
            leaves = [leaf for tree in space.trees for leaf in tree.leaves() if _left(leaf) == operand]
            wanted = _told(leaves, operand, fact)
            interval = next((c.interval for c in dimension.cells if c.interval and c.interval.holds(fact.value)), None)
            cells = [
                cell
                for cell in dimension.cells
                if (cell.interval == interval if interval else _told(leaves, operand, cell.fact) == wanted)
            ]
            yield space.truth(level, dimension.mask(lambda cell, cells=cells: cell in cells))  # type: ignore[misc]


def _told(leaves: Sequence[Tree], operand: str, fact: Fact | None) -> list[bool | None]:
    return [leaf.evaluate({} if fact is None else {operand: fact}) for leaf in leaves]


def _left(leaf: Tree) -> str | None:
    return None if leaf.constraint is None else leaf.constraint.left
