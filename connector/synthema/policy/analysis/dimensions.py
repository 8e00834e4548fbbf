"""The dimensions of a request space: each fact, act, dataset, party and duty with its classes of values.

Two values that no comparison tells apart are one cell. Which comparisons hold in a
cell is asked of the compiled comparison itself, with a value of the cell: the
analysis cannot read a policy differently from the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from synthema.policy.analysis.diagram import TooLarge
from synthema.policy.analysis.order import Interval
from synthema.policy.model import Fact, Value
from synthema.vocabulary import Datatype, Operand

MAX_STATES: Final = 4096
UNKNOWN: Final = "urn:unknown-term"
OTHER: Final = "urn:other-text"
STARTING_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)

Kind = Literal["ordered", "set", "boolean", "relation", "action", "name", "duty"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One class of values of a dimension.

    ``value`` is one of them (``None``: not stated). Ordered cells have an ``interval``;
    cells of sets tell which ``singles`` (classes of items) they take alone, and which
    is the largest set of classes ``most`` they take together (``None``: no several values).
    """

    value: Value | None
    interval: Interval | None = None
    missing: bool = False
    singles: frozenset[int] = frozenset()
    most: frozenset[int] | None = None

    @property
    def fact(self) -> Fact | None:
        return None if self.value is None else Fact(self.value)


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension with its cells.

    ``items`` are the classes a set is made of, each with all its members, ``judge`` what
    comparisons say of several of them; with ``tells_single`` one value is told apart from several.
    """

    kind: Kind
    key: str
    cells: tuple[Cell, ...]
    operand: Operand | None = None
    items: tuple[tuple[str, ...], ...] = ()
    judge: Any = field(default=None, repr=False, compare=False)
    tells_single: bool = False

    @property
    def full(self) -> int:
        return (1 << len(self.cells)) - 1

    def mask(self, wanted: Callable[[Cell], bool]) -> int:
        """The cells that are as wanted, as a bit mask."""
        return sum(1 << number for number, cell in enumerate(self.cells) if wanted(cell))

    def chosen(self, mask: int) -> list[Cell]:
        """The cells of a bit mask."""
        return [cell for number, cell in enumerate(self.cells) if mask >> number & 1]


# ordered -----------------------------------------------------------------------------------


def ordered(operand: Operand, bounds: Iterable[Any], *, always_known: bool = False) -> Dimension:
    """Numbers, counts, times or durations, cut at every bound that is named."""
    points = sorted(set(bounds))
    cells = [] if always_known else [Cell(None, missing=True)]
    for low, high in zip([None, *points], [*points, None], strict=True):
        between = sample(operand.datatype, low, high)
        if between is not None:
            is_open = Interval(low, low is not None, high, high is not None)
            cells.append(Cell(between, is_open))
        if high is not None:
            cells.append(Cell(high, Interval(high, high=high)))
    return Dimension("ordered", operand.iri, tuple(cells), operand)


_DAY, _HOUR, _TICK = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
_STEPS: Mapping[Datatype, tuple[Any, ...]] = {
    Datatype.NUMBER: (1, 0.5, 0.1, 0.01),
    Datatype.COUNT: (1,),
    Datatype.DATE: (_DAY, _HOUR, timedelta(seconds=1), _TICK),
    Datatype.DURATION: (_DAY, _HOUR, timedelta(seconds=1), _TICK),
}
_ANY: Mapping[Datatype, Any] = {
    Datatype.NUMBER: 1.0,
    Datatype.COUNT: 1,
    Datatype.DATE: STARTING_AT,
    Datatype.DURATION: _HOUR,
}


_ZERO: Mapping[Datatype, Any] = {Datatype.NUMBER: 0.0, Datatype.COUNT: 0, Datatype.DURATION: timedelta(0)}


def sample(datatype: Datatype, low: Any, high: Any) -> Any:
    """A value strictly between two bounds that people read easily; ``None`` where there is none."""
    if low is None and high is None:
        return _ANY[datatype]
    zero = _ZERO.get(datatype)
    if low is None and zero is not None and zero < high:
        return sample(datatype, zero, high) or zero  # nobody asks for less than nothing
    for step in _STEPS[datatype]:
        try:
            value = high - step if low is None else low + step
        except OverflowError:
            continue
        value = float(value) if datatype is Datatype.NUMBER else value
        if (low is None or value > low) and (high is None or value < high):
            return round(value, 10) if datatype is Datatype.NUMBER and _inside(round(value, 10), low, high) else value
    if datatype is Datatype.NUMBER:
        middle = float(low + (high - low) / 2 if low is not None and high is not None else (low or high))
        return middle if _inside(middle, low, high) else None
    return None


def _inside(value: Any, low: Any, high: Any) -> bool:
    return (low is None or value > low) and (high is None or value < high)


# sets --------------------------------------------------------------------------------------

Signature = Callable[[tuple[str, ...]], Hashable]
"""What all comparisons say of several items at once; of one item alone, of a tuple of one."""


def classes_of(items: Iterable[str], named: frozenset[str], signature: Signature) -> tuple[tuple[str, ...], ...]:
    """Items that nothing tells apart, those that are named first in each class."""
    found: dict[Hashable, list[str]] = {}
    for item in sorted(items, key=lambda item: (item not in named, item)):
        found.setdefault(signature((item,)), []).append(item)
    return tuple(tuple(members) for members in found.values())


def set_cells(
    items: Sequence[tuple[str, ...]], signature: Signature, *, tell_single: bool, empty: Cell | None = None
) -> tuple[Cell, ...]:
    """The cells of a fact that may have one value or several, or of a name that may belong to several collections.

    Two sets that all comparisons judge alike are one cell, and with two sets their union
    is in it too: so each cell has one largest set. ``empty`` is what stands for no value;
    with ``tell_single`` one value alone is told apart from several.
    """
    picks = [members[0] for members in items]
    states: dict[Hashable, Cell] = {}
    if empty is not None:
        states[signature(()), False] = empty
    waiting: list[tuple[int, ...]] = []
    for number, pick in enumerate(picks):
        _add(states, (signature((pick,)), False), number, pick)
        if tell_single:
            waiting.append((number,))
    seen: set[Hashable] = set()
    waiting = waiting or [(number,) for number in range(len(picks))]
    while waiting:
        group = waiting.pop(0)
        mark = signature(tuple(picks[number] for number in group))
        if mark in seen:
            continue
        seen.add(mark)
        if len(seen) > MAX_STATES:
            raise TooLarge(f"more than {MAX_STATES} ways in which several values are judged")
        most = frozenset(n for n in range(len(picks)) if signature(tuple(picks[g] for g in {*group, n})) == mark)
        key = (mark, tell_single)
        known = states.get(key)
        value = _several(items, group)
        states[key] = replace(known, most=most) if known else Cell(value, most=most)
        waiting += [tuple(sorted({*group, n})) for n in range(len(picks)) if n not in most]
    return tuple(states.values())


def _add(states: dict[Hashable, Cell], key: Hashable, number: int, pick: str) -> None:
    known = states.get(key)
    before = Cell(pick) if known is None else known
    states[key] = replace(before, singles=before.singles | {number})


def _several(items: Sequence[tuple[str, ...]], group: tuple[int, ...]) -> tuple[str, ...]:
    if len(group) > 1:
        return tuple(items[number][0] for number in group)
    members = items[group[0]]
    return members[:2] if len(members) > 1 else (members[0], members[0])


def boolean(operand: Operand) -> Dimension:
    """A truth value, or none."""
    return Dimension("boolean", operand.iri, (Cell(None, missing=True), Cell(value=True), Cell(value=False)), operand)


RELATIONS: Final = ("unknown", "<", "=", ">")


def relation(first: str, second: str) -> Dimension:
    """How two operands compare; unknown where one of them is."""
    return Dimension(
        "relation", f"{first} {second}", tuple(Cell(word, missing=word == "unknown") for word in RELATIONS)
    )


def sample_pair(datatype: Datatype) -> tuple[Any, Any]:
    """Two values of a kind, the lesser first."""
    low = _ANY[datatype]
    return low, low + _STEPS[datatype][0]
