"""From a choice of cells to a request that has it: the proof that a class is not empty."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from synthema.policy.analysis.build import TIME, duty_keys, names_of
from synthema.policy.analysis.diagram import Node
from synthema.policy.analysis.dimensions import STARTING_AT, Cell
from synthema.policy.analysis.possible import groups, levels_of, values_in_order
from synthema.policy.analysis.space import Space
from synthema.policy.model import AccessRequest, Fact, Fulfilment
from synthema.vocabulary.namespaces import SYN

SOME_DATASET: Final = "urn:example:another-dataset"
SOME_PARTY: Final = "urn:example:another-party"


def find(space: Space, truth: Node) -> AccessRequest | None:
    """A request for which a truth diagram holds, stating no more than it must; ``None`` where no request can."""
    diagrams = space.diagrams
    box = diagrams.some_box(diagrams.all_of([truth, space.possible]), prefer=preference(space))
    return None if box is None else request_in(space, slim(space, truth, box))


def slim(space: Space, truth: Node, box: Mapping[int, int]) -> dict[int, int]:
    """The box without the dimensions that do not matter in it; impossible choices do not matter either."""
    diagrams = space.diagrams
    allowed = diagrams.any_of([truth, diagrams.minus(diagrams.yes, space.possible)])
    kept = dict(box)
    for level in sorted(box, reverse=True):
        if diagrams.room(allowed, kept, level) == diagrams.full[level]:
            del kept[level]
    return kept


def request_in(space: Space, box: Mapping[int, int]) -> AccessRequest:
    """A request in a box of which some choice is possible; what the box leaves open is not stated."""
    chosen = {level: min(space.dimensions[level].chosen(mask), key=_oddness) for level, mask in box.items()}
    named = {space.dimensions[level].key: cell for level, cell in chosen.items()}
    facts = {
        space.dimensions[level].key: cell.value
        for level, cell in chosen.items()
        if space.dimensions[level].operand is not None
    }
    for group in groups(space):
        if not group.isdisjoint(facts) or any(
            space.dimensions[level].kind == "relation" for level in levels_of(space, group) if level in box
        ):
            facts |= _together(space, levels_of(space, group), box)
    at = facts.pop(TIME, None)
    target, in_target = _named(named.get("target"), SOME_DATASET)
    assignee, in_assignee = _named(named.get("assignee"), SOME_PARTY)
    keys = [key for key in duty_keys(space.rules) if (cell := named.get(str(key))) is not None and cell.value is True]
    moment = at if isinstance(at, datetime) else STARTING_AT
    return AccessRequest(
        id="witness",
        action=str(named["action"].value) if "action" in named else SYN + "analyse",
        target=target,
        assignee=assignee,
        at=moment,
        facts={
            operand: Fact(value)
            for operand, value in sorted(facts.items())
            if value is not None and operand not in space.standing
        },
        fulfilled=tuple(
            Fulfilment(key.action, moment, assignee, "urn:example:evidence" if key.shown else None) for key in keys
        ),
        collections={**in_target, **in_assignee},
    )


def _together(space: Space, levels: list[int], box: Mapping[int, int]) -> dict[str, Any]:
    """Values for operands that are compared with each other, from the cells that a box leaves them."""
    dimensions = [space.dimensions[level] for level in levels]
    choices = [
        sorted(d.chosen(box.get(level, d.full)), key=lambda cell, level=level: _first(cell, wanted=level in box))  # type: ignore[misc]
        for level, d in zip(levels, dimensions, strict=True)
    ]
    for cells in itertools.product(*choices):
        values = values_in_order(list(zip(dimensions, cells, strict=True)))
        if values is not None:
            unstated = [d.key for d, cell in zip(dimensions, cells, strict=True) if d.operand and cell.missing]
            return {**values, **dict.fromkeys(unstated)}
    raise ValueError("the box holds no possible choice")


def _first(cell: Cell, *, wanted: bool) -> tuple[bool, ...]:
    """What a box names is stated if it can be; anything else is not, if it need not be."""
    return _oddness(cell) if wanted else (not cell.missing, *_oddness(cell))


def _named(cell: Cell | None, other: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """A dataset or party that goes by exactly the names of a cell."""
    names = sorted(names_of(cell.value)) if cell is not None else []
    if len(names) < 2:
        return (names[0] if names else other), {}
    return other, {other: tuple(names)}


def _oddness(cell: Cell) -> tuple[bool, bool, bool]:
    return cell.missing, not cell.singles and cell.most is not None, isinstance(cell.value, tuple)


def preference(space: Space) -> Callable[[int, int], Any]:
    """Rates the edges of a diagram: what reads most naturally comes first."""

    def rate(level: int, mask: int) -> tuple[int, ...]:
        return tuple(map(int, min(_oddness(cell) for cell in space.dimensions[level].chosen(mask))))

    return rate
