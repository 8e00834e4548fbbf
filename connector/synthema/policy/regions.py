"""Interval and set algebra over conditions: whether one can ever hold, and with which values.

A condition becomes a list of cases (disjunctive normal form); each case gives
every operand a region. What the algebra cannot express (``isAllOf``, comparisons
between operands) narrows nothing, so "empty" is always right and "not empty" may
be too generous.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from synthema.policy.model import (
    Combination,
    Condition,
    Constraint,
    OperandReference,
    Operator,
    Value,
)
from synthema.vocabulary import Datatype, Operand, Vocabulary

MAX_CASES = 256

_COMPLEMENT = {
    Operator.LT: Operator.GTEQ,
    Operator.LTEQ: Operator.GT,
    Operator.GT: Operator.LTEQ,
    Operator.GTEQ: Operator.LT,
    Operator.EQ: Operator.NEQ,
    Operator.NEQ: Operator.EQ,
}

Case = tuple[Constraint, ...]


def cases(condition: Condition | None) -> list[Case] | None:
    """The condition as alternatives of plain conjunctions; ``None`` when there are too many of them."""
    if condition is None:
        return [()]
    if isinstance(condition, Constraint):
        return [(condition,)]
    if condition.joined == "and":
        found: list[Case] = [()]
        for part in condition.parts:
            inner = cases(part)
            if inner is None or len(found) * len(inner) > MAX_CASES:
                return None
            found = [left + right for left in found for right in inner]
        return found
    if condition.joined == "or":
        options = [cases(part) for part in condition.parts]
        joined = [case for option in options if option is not None for case in option]
        return None if None in options or len(joined) > MAX_CASES else joined
    return _exactly_one(condition)


def _exactly_one(condition: Combination) -> list[Case] | None:
    found: list[Case] = []
    for chosen, part in enumerate(condition.parts):
        others = [negate(other) for number, other in enumerate(condition.parts) if number != chosen]
        if any(other is None for other in others):
            return None
        inner = cases(Combination("and", (part, *(other for other in others if other is not None))))
        if inner is None:
            return None
        found += inner
    return found if len(found) <= MAX_CASES else None


def negate(condition: Condition) -> Condition | None:
    """The condition that holds when this one does not; ``None`` where the language has no word for it."""
    if isinstance(condition, Constraint):
        return _negate_constraint(condition)
    parts = tuple(negate(part) for part in condition.parts)
    if condition.joined == "xone" or any(part is None for part in parts):
        return None
    return Combination("or" if condition.joined == "and" else "and", tuple(part for part in parts if part is not None))


def _negate_constraint(constraint: Constraint) -> Constraint | None:
    right = constraint.right
    if isinstance(right, bool):
        return replace(constraint, right=not right)
    if constraint.operator in _COMPLEMENT:
        return replace(constraint, operator=_COMPLEMENT[constraint.operator])
    if constraint.operator in (Operator.IS_A, Operator.IS_PART_OF):
        return replace(constraint, operator=Operator.IS_NONE_OF, right=(str(right),))
    if constraint.operator is Operator.IS_ANY_OF:
        return replace(constraint, operator=Operator.IS_NONE_OF)
    if constraint.operator is Operator.IS_NONE_OF:
        return replace(constraint, operator=Operator.IS_ANY_OF)
    return None


@dataclass(frozen=True, slots=True)
class Region:
    """The values one operand may take: an interval without some points, or a set of terms (``None``: any)."""

    operand: Operand
    low: Any = None
    low_open: bool = False
    high: Any = None
    high_open: bool = False
    allowed: frozenset[Any] | None = None
    excluded: frozenset[Any] = field(default_factory=frozenset)

    @property
    def empty(self) -> bool:
        if self.allowed is not None and not self.allowed - self.excluded:
            return True
        if self.low is None or self.high is None:
            return False
        return bool(self.low > self.high) or (self.low == self.high and (self.low_open or self.high_open))

    def narrowed(self, constraint: Constraint, vocabulary: Vocabulary) -> Region:
        """The region after one more comparison."""
        right: Any = constraint.right
        if isinstance(right, OperandReference) or constraint.operator is Operator.IS_ALL_OF:
            return self
        if self.operand.datatype in (Datatype.TERM, Datatype.TEXT, Datatype.BOOLEAN):
            return self._among(constraint.operator, right, vocabulary)
        match constraint.operator:
            case Operator.EQ:
                above = self._above(right, is_open=False)
                return above._below(right, is_open=False)  # noqa: SLF001 - another value of this class
            case Operator.NEQ:
                return replace(self, excluded=self.excluded | {right})
            case Operator.GTEQ | Operator.GT:
                return self._above(right, is_open=constraint.operator is Operator.GT)
            case _:
                return self._below(right, is_open=constraint.operator is Operator.LT)

    def _above(self, value: Any, *, is_open: bool) -> Region:
        if self.operand.datatype is Datatype.COUNT and is_open:
            value, is_open = math.floor(value) + 1, False
        if self.low is None or value > self.low or (value == self.low and is_open):
            return replace(self, low=value, low_open=is_open)
        return self

    def _below(self, value: Any, *, is_open: bool) -> Region:
        if self.operand.datatype is Datatype.COUNT and is_open:
            value, is_open = math.ceil(value) - 1, False
        if self.high is None or value < self.high or (value == self.high and is_open):
            return replace(self, high=value, high_open=is_open)
        return self

    def _among(self, operator: Operator, right: Any, vocabulary: Vocabulary) -> Region:
        named = right if isinstance(right, tuple) else (right,)
        if operator in (Operator.NEQ, Operator.IS_NONE_OF):
            out = frozenset(named)
            if self.operand.datatype is Datatype.TERM and operator is Operator.IS_NONE_OF:
                scheme = vocabulary.terms_of(self.operand)
                out = frozenset().union(*(scheme.descendants(n) | scheme.ancestors(n) for n in named))
            return replace(self, excluded=self.excluded | out)
        meant = frozenset(named)
        if self.operand.datatype is Datatype.TERM and operator is not Operator.EQ:
            scheme = vocabulary.terms_of(self.operand)
            meant = frozenset().union(*(scheme.descendants(name) for name in named))
        return replace(self, allowed=meant if self.allowed is None else self.allowed & meant)

    def pick(self) -> Value | None:
        """One value of the region, near its bounds; ``None`` if none is found."""
        if self.allowed is not None:
            left = sorted(self.allowed - self.excluded, key=str)
            return left[0] if left else None
        return next((value for value in self._near() if self._holds(value)), None)

    def _near(self) -> Iterator[Any]:
        for bound in (self.high, self.low):
            if bound is not None:
                yield from (bound, *neighbours(bound, self.operand))
        if self.low is not None and self.high is not None:
            middle = self.low + (self.high - self.low) / 2
            yield math.floor(middle) if self.operand.datatype is Datatype.COUNT else middle
        yield _ANY[self.operand.datatype]

    def _holds(self, value: Any) -> bool:
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        below = self.high is None or (value < self.high if self.high_open else value <= self.high)
        return above and below and value not in self.excluded


_ANY: Mapping[Datatype, Any] = {
    Datatype.TERM: None,
    Datatype.TEXT: "urn:any",
    Datatype.BOOLEAN: True,
    Datatype.NUMBER: 0.0,
    Datatype.COUNT: 0,
    Datatype.DATE: datetime(2026, 1, 1, tzinfo=UTC),
    Datatype.DURATION: timedelta(0),
}


def neighbours(value: Any, operand: Operand) -> tuple[Any, Any]:
    """A value just below and just above a bound, at a step people can read."""
    match operand.datatype:
        case Datatype.COUNT:
            return value - 1, value + 1
        case Datatype.NUMBER:
            step = abs(value) / 100 or 0.01
            return value - step, value + step
        case Datatype.DATE:
            return value - timedelta(days=1), value + timedelta(days=1)
        case _:
            return value - timedelta(hours=1), value + timedelta(hours=1)


def regions_of(case: Case, vocabulary: Vocabulary) -> dict[str, Region]:
    """Every operand of a case with the region that is left for it."""
    found: dict[str, Region] = {}
    for constraint in case:
        operand = vocabulary.operands[constraint.left]
        region = found.get(operand.iri) or _whole(operand, vocabulary)
        found[operand.iri] = region.narrowed(constraint, vocabulary)
    return found


def _whole(operand: Operand, vocabulary: Vocabulary) -> Region:
    if operand.datatype is Datatype.TERM:
        return Region(operand, allowed=frozenset(vocabulary.terms_of(operand).terms))
    if operand.datatype is Datatype.BOOLEAN:
        return Region(operand, allowed=frozenset({True, False}))
    return Region(operand)


def can_hold(condition: Condition | None, vocabulary: Vocabulary, *, terms: bool = True) -> bool:
    """Whether some values satisfy the condition; ``True`` also where the algebra cannot tell.

    Each fact is taken to have one value; without ``terms`` only bounds are looked at,
    which is right for facts with several values too.
    """
    found = cases(condition)
    if found is None:
        return True
    if not terms:
        found = [tuple(c for c in case if not isinstance(c.right, str | tuple)) for case in found]
    return any(not any(region.empty for region in regions_of(case, vocabulary).values()) for case in found)


def implies(first: Condition | None, second: Condition | None, vocabulary: Vocabulary) -> bool:
    """Whether whatever satisfies the first condition satisfies the second; ``False`` where the algebra cannot tell."""
    if second is None:
        return True
    opposite = negate(second)
    if opposite is None:
        return False
    parts = (opposite,) if first is None else (first, opposite)
    return not can_hold(parts[0] if len(parts) == 1 else Combination("and", parts), vocabulary)
