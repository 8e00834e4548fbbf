"""The values worth trying for an operand: what the rules name, and what lies just beside it.

Any other value comes out of every comparison like one of these, so that nothing is missed by trying them
alone. For operands that are compared with one another, they include what the others may be, with as
many steps beside it as there are such operands. Several terms at once are tried only as the rules name them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from typing import Any, Final

from synthema.errors import InputError
from synthema.policy.aims import DUTY, Standpoint, Want, union
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Facts
from synthema.policy.model import Fact, OperandReference, Operator, Value, conditions_of, constraints_of
from synthema.policy.values import fits
from synthema.vocabulary import Datatype, Operand, Vocabulary

_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
_TOGETHER: Final = 4
"""At most so many lists of terms are tried in all their unions."""


_Company = tuple[tuple[Any, ...], int, tuple[Operand, ...]]
"""What an operand is compared with: the bounds of those that may move with it, how many they are, and all of them."""


@dataclass(slots=True, eq=False)
class Choice:
    """A value to try. ``meets`` are the wants that it meets whatever else is the case, as bits, where these are known.

    ``fact`` is the value as a fact, unless it is a duty that is done. A ``fine`` step is smaller than people count.
    """

    value: Value
    fact: Fact | None
    meets: int | None
    fine: bool = False

    def meets_want(self, want: Want, key: str, at: Standpoint) -> bool:
        """Whether it meets a want, or may still do so together with the change of another operand."""
        if self.fact is None or (self.meets is not None and not want.relative):
            return self.meets is not None and self.meets & want.bit == want.bit
        if want.relative and any(other != key and other not in at.fixes for other in want.keys):
            return True
        return want.test({**at.facts, key: self.fact}) is want.wanted

    def meets_all(self, wants: Sequence[Want], key: str, at: Standpoint) -> bool:
        """Whether it meets all these wants in this way."""
        return all(self.meets_want(want, key, at) for want in wants)


class Choices:
    """The values to try for the operands and duties of some wants."""

    def __init__(self, vocabulary: Vocabulary, wants: Sequence[Want], rules: Sequence[CompiledRule]) -> None:
        self._vocabulary = vocabulary
        self._rules = rules
        self._about: dict[str, list[Want]] = {}
        self._beside: dict[str, list[str]] = {}
        for want in wants:
            for key in want.keys:
                self._about.setdefault(key, []).append(want)
            if want.constraint is not None and isinstance(want.constraint.right, OperandReference):
                left, right = want.constraint.left, want.constraint.right.operand
                for one, other in ((left, right), (right, left)):
                    if other not in self._beside.setdefault(one, []):
                        self._beside[one].append(other)
        self._plain: dict[str, tuple[Choice, ...]] = {}
        self._company: dict[str, _Company] = {}

    def of(self, key: str, facts: Facts) -> Sequence[Choice]:
        """The values to try, nearest to the present one first; several may come out alike."""
        plain, operand = self._named(key), self._vocabulary.operands.get(key)
        if operand is None or operand.datatype not in _ORDERED:
            return plain
        others = self._next_to_others(operand, facts) if key in self._beside else ()
        return _nearest_first([*plain, *others], operand, facts)

    def meeting(self, key: str, wants: Sequence[Want], at: Standpoint) -> Choice | None:
        """The nearest value that meets all these wants, if there is one."""
        fixed = union([want.bit for want in wants if not want.relative])
        found = [choice for choice in self._named(key) if choice.meets is None or choice.meets & fixed == fixed]
        operand, relative = self._vocabulary.operands.get(key), [want for want in wants if want.relative]
        if operand is not None and relative:
            others = [c for c in self._next_to_others(operand, at.facts) if c.meets_all(wants, key, at)]
            found = [choice for choice in found if choice.meets_all(relative, key, at)] + others
        if len(found) > 1 and operand is not None and operand.datatype in _ORDERED:
            return _nearest_first(found, operand, at.facts)[0]
        return found[0] if found else None

    def _named(self, key: str) -> tuple[Choice, ...]:
        found = self._plain.get(key)
        if found is None:
            found = self._plain[key] = tuple(self._made(key))
        return found

    def distinct(self, key: str, choices: Iterator[Choice], facts: Facts) -> Iterator[Choice]:
        """Of values that come out alike in every comparison only the first."""
        first = next(choices, None)
        if first is None:
            return
        yield first  # mostly it is the only one that is asked for
        kinds = {self._kind(key, first, facts)}
        for choice in choices:
            kind = self._kind(key, choice, facts)
            if kind not in kinds:
                kinds.add(kind)
                yield choice

    def _kind(self, key: str, choice: Choice, facts: Facts) -> object:
        """How a value comes out; where what it is compared with may move too, only the same value is alike."""
        if choice.fact is None:
            return choice.meets
        relative = [want for want in self._about[key] if want.relative]
        if any(len(want.keys) > 1 for want in relative):
            return choice.value, choice.fact.unit
        alone, trial = {key: choice.fact}, {**facts, key: choice.fact}
        return union(
            want.bit for want in self._about[key] if want.test(trial if want.relative else alone) is want.wanted
        )

    def _made(self, key: str) -> Iterator[Choice]:
        about = self._about.get(key, [])
        if key.startswith(DUTY):
            yield Choice(value=True, fact=None, meets=union(want.bit for want in about))
            return
        known: list[Value] = []
        for value, fine in self._values(self._vocabulary.operands[key]):
            if value not in known:
                known.append(value)
                alone = {key: Fact(value, "changed")}
                meets = union(want.bit for want in about if want.test(alone) is want.wanted)
                yield Choice(value, alone[key], meets, fine)

    def _values(self, operand: Operand) -> Iterator[tuple[Value, bool]]:
        if operand.datatype is Datatype.BOOLEAN:
            yield from ((True, False), (False, False))
        elif operand.datatype in _ORDERED:
            for bound in self._bounds(operand.iri):
                yield from _around(bound, operand, 1)
        else:
            yield from ((value, False) for value in self._words(operand))

    def _bounds(self, key: str) -> Iterator[Any]:
        """What the wants compare an operand with, times in UTC."""
        for want in self._about.get(key, ()):
            right: Any = None if want.constraint is None else want.constraint.right
            if right is not None and not isinstance(right, OperandReference):
                yield right.astimezone(UTC) if type(right) is datetime else right

    def _words(self, operand: Operand) -> Iterator[Value]:
        """The terms or texts the rules name, permissions first, then all other terms, then several at once."""
        named = [
            constraint
            for rule in self._rules
            for condition in conditions_of(rule.rule)
            for constraint in constraints_of(condition)
            if constraint.left == operand.iri and not isinstance(constraint.right, OperandReference)
        ]
        for constraint in named:
            yield from constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
        if operand.datatype is Datatype.TERM:
            yield from (term.iri for term in self._vocabulary.terms_of(operand))
        lists = list(
            dict.fromkeys(
                each.right for each in named if each.operator is Operator.IS_ALL_OF and isinstance(each.right, tuple)
            )
        )[:_TOGETHER]
        for size in range(1, len(lists) + 1):
            for some in combinations(lists, size):
                yield tuple(dict.fromkeys(chain.from_iterable(some)))

    def _next_to_others(self, operand: Operand, facts: Facts) -> Iterator[Choice]:
        """Values at and beside those of the operands it is compared with, through others that may move too."""
        key = operand.iri
        found = self._company.get(key)
        if found is None:
            found = self._company[key] = self._company_of(key)
        bounds, steps, others = found
        for other in others:
            fact = facts.get(other.iri)
            if fact is not None and fits(fact.value, other.datatype) and fact.unit in (None, other.unit):
                bounds = (*bounds, fact.value)
        for bound in bounds:
            for beside, fine in _around(bound, operand, steps):
                yield Choice(beside, Fact(beside, "changed"), None, fine)

    def _company_of(self, key: str) -> _Company:
        group = [key]
        for each in group:
            group += [other for other in self._beside[each] if other in self._about and other not in group]
        bounds = tuple(bound for each in group for bound in self._bounds(each)) if len(group) > 1 else ()
        others = dict.fromkeys(other for each in group for other in (each, *self._beside[each]) if other != key)
        return bounds, len(group), tuple(self._vocabulary.operands[other] for other in others)


_ORDERED = frozenset({Datatype.NUMBER, Datatype.COUNT, Datatype.DATE, Datatype.DURATION})


def _nearest_first(choices: Sequence[Choice], operand: Operand, facts: Facts) -> Sequence[Choice]:
    """The nearest to what is stated first, whole seconds before fractions; as named where nothing is stated."""
    fact = facts.get(operand.iri)
    if fact is None or not fits(fact.value, operand.datatype):
        return sorted(choices, key=lambda choice: choice.fine)
    present = _measure(fact.value)

    def far(choice: Choice) -> tuple[bool, float]:
        return choice.fine, abs(_measure(choice.value) - present)

    return sorted(choices, key=far)


def _measure(value: Any) -> float:
    """A value as a number of its own kind, to tell what is nearer: times and durations in seconds."""
    if type(value) is datetime:
        value = value - _EPOCH
    return value.total_seconds() if type(value) is timedelta else value


_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _around(bound: Any, operand: Operand, steps: int) -> Iterator[tuple[Value, bool]]:
    """A value and so many steps below and above it; ``True`` marks a step finer than people count."""
    yield bound, False
    timed = operand.datatype in (Datatype.DATE, Datatype.DURATION)
    for size, fine in ((_SECOND, False), (_MICROSECOND, True)) if timed else ((1, False),):
        for down in (True, False):
            value = bound
            for _ in range(steps):
                value = _step(value, operand, size, down=down)
                if value is None:
                    break
                yield value, fine


def _step(value: Any, operand: Operand, size: Any, *, down: bool) -> Any:
    """The next value below or above; ``None`` where there is none that a fact can hold."""
    try:
        if operand.datatype is Datatype.NUMBER:
            found: Any = math.nextafter(float(value), -math.inf if down else math.inf)
            return found if math.isfinite(found) else None
        found = value - size if down else value + size
        return Fact(found).value
    except (OverflowError, InputError):
        return None
