"""Where something holds, as few and wide classes of requests as people can read."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from synthema.policy import words
from synthema.policy.analysis.diagram import Node
from synthema.policy.analysis.dimensions import Dimension
from synthema.policy.analysis.space import Space
from synthema.policy.analysis.witness import preference
from synthema.policy.analysis.wording import acts, clause, intervals
from synthema.policy.values import value_text
from synthema.vocabulary import Vocabulary

MAX_WEIGHED: Final = 150


@dataclass(frozen=True, slots=True)
class RequestClass:
    """A class of requests: the cells each dimension may take, in a space."""

    space: Space
    masks: Mapping[int, int]

    @property
    def act(self) -> str:
        """The acts as what follows "to"."""
        mask = self.masks.get(0, self.space.diagrams.full[0])
        return acts(self.space.dimensions[0], mask, self.space.vocabulary)

    def clauses(self, only: Callable[[Dimension], bool] = lambda _: True) -> list[str]:
        """What is said of each dimension that matters, the act apart."""
        return [
            clause(self.space.dimensions[level], mask, self.space.vocabulary)
            for level, mask in sorted(self.masks.items())
            if level and only(self.space.dimensions[level])
        ]

    def words(self, first: Container[str] = ()) -> str:
        """The class in words: "to synthesise, when the privacy loss ε is more than 6"; operands to tell ``first``."""
        matter = self.clauses(lambda dimension: any(key in first for key in dimension.key.split()))
        others = self.clauses(lambda dimension: not any(key in first for key in dimension.key.split()))
        when = f", when {words.listed(matter or others, 'and')}" if matter or others else ""
        provided = f"; this holds where {words.listed(others, 'and')}" if matter and others else ""
        return f"to {self.act}{when}{provided}"

    def record(self) -> dict[str, Any]:
        """The class for machines: dimension → the values it may take."""
        return {
            self.space.dimensions[level].key: _values(self.space, level, mask)
            for level, mask in sorted(self.masks.items())
        }


def maximal(space: Space, truth: Node, limit: int) -> tuple[list[RequestClass], bool]:
    """Classes, each as wide as can be, that together are where a truth diagram holds; whether these are all."""
    diagrams = space.diagrams
    allowed = diagrams.any_of([truth, diagrams.minus(diagrams.yes, space.possible)])
    rest = diagrams.all_of([truth, space.possible])
    found: list[dict[int, int]] = []
    while not diagrams.never(rest) and len(found) < limit:
        box = _widened(space, allowed, diagrams.some_box(rest, prefer=preference(space)) or {})
        found.append(box)
        rest = diagrams.minus(rest, diagrams.box(box))
    needed = _needed(space, found) if len(found) < limit else found
    return [RequestClass(space, _tightened(space, box)) for box in needed], diagrams.never(rest)


def _widened(space: Space, allowed: Node, box: dict[int, int]) -> dict[int, int]:
    """The box with every dimension as wide as can be; those that can be left out altogether come first."""
    diagrams = space.diagrams
    for whole in (True, False):
        for level in sorted(box, key=lambda level: _rank(space, level)):
            room = diagrams.room(allowed, box, level)
            if room == diagrams.full[level]:
                del box[level]
            elif not whole:
                box[level] |= room
    return box


def _tightened(space: Space, box: dict[int, int]) -> dict[int, int]:
    """The box without cells of its dimensions that no request has together with the others."""
    diagrams = space.diagrams
    for level, mask in box.items():
        inside = diagrams.all_of([diagrams.box({**box, level: diagrams.full[level]}), space.possible])
        box[level] = mask & diagrams.support(inside, level)
    return box


def _rank(space: Space, level: int) -> tuple[int, int]:
    """What is left out of a class first: what says least to a person."""
    order = ("relation", "duty", "ordered", "boolean", "set", "name", "action")
    return order.index(space.dimensions[level].kind), -level


def _needed(space: Space, boxes: list[dict[int, int]]) -> list[dict[int, int]]:
    """The classes without those that the others cover; with very many, all of them."""
    if len(boxes) > MAX_WEIGHED:
        return boxes
    diagrams = space.diagrams
    nodes = [diagrams.all_of([diagrams.box(box), space.possible]) for box in boxes]
    before = [diagrams.no]
    for node in nodes:
        before.append(diagrams.any_of([before[-1], node]))
    kept: list[dict[int, int]] = []
    after = diagrams.no
    for number in reversed(range(len(boxes))):
        others = diagrams.any_of([before[number], after])
        if not diagrams.never(diagrams.minus(nodes[number], others)):
            kept.append(boxes[number])
            after = diagrams.any_of([after, nodes[number]])
    return kept[::-1]


def _values(space: Space, level: int, mask: int) -> Any:
    dimension = space.dimensions[level]
    cells = dimension.chosen(mask)
    unstated = any(cell.missing for cell in cells)
    if dimension.kind == "ordered":
        return {
            "intervals": [
                {
                    "low": None if one.low is None else value_text(one.low),
                    "lowIncluded": one.low is not None and not one.low_open,
                    "high": None if one.high is None else value_text(one.high),
                    "highIncluded": one.high is not None and not one.high_open,
                }
                for one in intervals(dimension, mask)
            ],
            "unstated": unstated,
        }
    if dimension.kind in ("set", "name"):
        alone = frozenset().union(*(cell.singles for cell in cells))
        several = [cell for cell in cells if cell.most is not None]
        return {
            "one": _members(space, level, alone),
            # Sets that are judged like the example and lie within the given values.
            "several": [
                {
                    "like": list(cell.value) if isinstance(cell.value, tuple) else [cell.value],
                    "within": _members(space, level, cell.most or frozenset()),
                }
                for cell in several
                if cell.value
            ],
            "unstated": unstated or any(cell.value == () for cell in cells),
        }
    return {"values": [cell.value for cell in cells if cell.value is not None], "unstated": unstated}


def _members(space: Space, level: int, numbers: frozenset[int]) -> list[str]:
    return [item for number in sorted(numbers) for item in space.dimensions[level].items[number]]


def label(vocabulary: Vocabulary, iri: str) -> str:
    """A rule, policy or term for people."""
    return iri.rpartition("#")[2] if iri not in vocabulary.labels else vocabulary.labels[iri]
