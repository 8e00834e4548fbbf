"""Conditions as plain Python: every comparison becomes a function from facts to ``True``, ``False`` or ``None``.

``None`` means undetermined: a fact is missing, of another type or unit, an unknown term, or
a term too wide to tell. Undetermined never helps a request: a permission must be ``True``, and a
prohibition counts unless it is ``False``.

Values compare exactly. Numbers are doubles and have no tolerance: 0.1 + 0.2 is above 0.3,
and ``eq`` asks for the very same double. Times are moments, whatever their zones; what a day without
a time (``xsd:date``) means for each operator is settled where a policy is read. Durations are days, hours, minutes and
seconds. A count is no number with a fraction, a truth value is no count.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from synthema.policy.model import Condition, Constraint, Fact, OperandReference, Operator
from synthema.policy.values import PYTHON_TYPES
from synthema.vocabulary import Datatype, Operand, Vocabulary

Facts = Mapping[str, Fact]
Verdict = bool | None
Evaluate = Callable[[Facts], Verdict]

_COMPARE: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: operator.eq,
    Operator.NEQ: operator.ne,
    Operator.LT: operator.lt,
    Operator.LTEQ: operator.le,
    Operator.GT: operator.gt,
    Operator.GTEQ: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A compiled condition: a leaf has a constraint and its operand, an inner node has parts."""

    evaluate: Evaluate
    constraint: Constraint | None = None
    operand: Operand | None = None
    joined: Literal["and", "or", "xone"] | None = None
    parts: tuple[Tree, ...] = ()

    def leaves(self) -> Iterable[Tree]:
        """The comparisons from left to right."""
        if self.constraint is not None:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def supporting(self, facts: Facts) -> Iterable[Tree]:
        """The comparisons that make a condition hold, when it is known to hold."""
        if self.constraint is not None:
            yield self
        for part in self.parts:
            if self.joined == "and" or part.evaluate(facts) is True:
                yield from part.supporting(facts)


def compile_condition(condition: Condition, vocabulary: Vocabulary, *, permissive: bool) -> Tree:
    """Compile a condition.

    Where a fact has several values, a permissive condition must hold for each of
    them; a restrictive one holds as soon as it holds for one.
    """
    if isinstance(condition, Constraint):
        operand = vocabulary.operands[condition.left]
        return Tree(_comparison(condition, operand, vocabulary, permissive), condition, operand)
    return joined(
        condition.joined, [compile_condition(part, vocabulary, permissive=permissive) for part in condition.parts]
    )


def joined(how: Literal["and", "or", "xone"], parts: Sequence[Tree]) -> Tree:
    """Compiled conditions joined as one; one alone stays as it is."""
    if len(parts) == 1:
        return parts[0]
    functions = tuple(part.evaluate for part in parts)
    if how == "and":
        evaluate = _all(functions)
    elif how == "or":
        evaluate = _any(functions)
    else:
        lefts = frozenset(leaf.constraint.left for part in parts for leaf in part.leaves() if leaf.constraint)
        evaluate = _exactly_one(functions, lefts)
    return Tree(evaluate, joined=how, parts=tuple(parts))


def _all(functions: tuple[Evaluate, ...]) -> Evaluate:
    def evaluate(facts: Facts) -> Verdict:
        known = True
        for function in functions:
            verdict = function(facts)
            if verdict is False:
                return False
            if verdict is None:
                known = False
        return True if known else None

    return evaluate


def _any(functions: tuple[Evaluate, ...]) -> Evaluate:
    def evaluate(facts: Facts) -> Verdict:
        known = True
        for function in functions:
            verdict = function(facts)
            if verdict is True:
                return True
            if verdict is None:
                known = False
        return False if known else None

    return evaluate


def _exactly_one(functions: tuple[Evaluate, ...], lefts: frozenset[str]) -> Evaluate:
    def evaluate(facts: Facts) -> Verdict:
        # "Exactly one" over a fact with several values has no single reading, so it stays undetermined.
        if any(type(fact.value) is tuple and len(fact.value) > 1 for left in lefts if (fact := facts.get(left))):
            return None
        verdicts = [function(facts) for function in functions]
        if verdicts.count(True) > 1:
            return False
        return None if None in verdicts else verdicts.count(True) == 1

    return evaluate


def _comparison(constraint: Constraint, operand: Operand, vocabulary: Vocabulary, permissive: bool) -> Evaluate:  # noqa: FBT001
    if isinstance(constraint.right, OperandReference):
        return _between_operands(constraint.operator, operand, vocabulary.operands[constraint.right.operand])
    if operand.datatype not in (Datatype.TERM, Datatype.TEXT):
        return _ordered(constraint.operator, operand, _comparable(constraint.right))
    rights = constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
    if operand.datatype is Datatype.TEXT:
        positive = constraint.operator in (Operator.EQ, Operator.IS_ANY_OF)
        return _texts(operand, frozenset(rights), positive=positive, permissive=permissive)
    if constraint.operator is Operator.IS_ALL_OF:
        tables = [_verdicts(Operator.IS_A, (right,), operand, vocabulary) for right in rights]
        return _includes_all(operand, tables)
    return _terms(operand, _verdicts(constraint.operator, rights, operand, vocabulary), permissive=permissive)


def _comparable(right: Any) -> Any:
    """A bound as facts are kept: times in UTC, so that no clock change makes two moments look alike."""
    return right.astimezone(UTC) if type(right) is datetime else right


def _ordered(operator_: Operator, operand: Operand, right: Any) -> Evaluate:
    left, unit, compare, types = operand.iri, operand.unit, _COMPARE[operator_], PYTHON_TYPES[operand.datatype]
    finite = math.isfinite

    def evaluate(facts: Facts) -> Verdict:
        fact = facts.get(left)
        if fact is None or (fact.unit is not None and fact.unit != unit):
            return None
        value: Any = fact.value
        kind = type(value)
        if kind not in types or (kind is float and not finite(value)) or (kind is datetime and value.tzinfo is None):
            return None
        return compare(value, right)

    return evaluate


def _between_operands(operator_: Operator, left: Operand, right: Operand) -> Evaluate:
    first, second, compare, types = left.iri, right.iri, _COMPARE[operator_], PYTHON_TYPES[left.datatype]
    first_unit, second_unit, finite = left.unit, right.unit, math.isfinite

    def evaluate(facts: Facts) -> Verdict:
        one, other = facts.get(first), facts.get(second)
        if one is None or other is None:
            return None
        if (one.unit is not None and one.unit != first_unit) or (other.unit is not None and other.unit != second_unit):
            return None
        mine: Any = one.value
        theirs: Any = other.value
        for value in (mine, theirs):
            kind = type(value)
            if (
                kind not in types
                or (kind is float and not finite(value))
                or (kind is datetime and value.tzinfo is None)
            ):
                return None
        return compare(mine, theirs)

    return evaluate


def _verdicts(
    operator_: Operator, rights: tuple[str, ...], operand: Operand, vocabulary: Vocabulary
) -> Mapping[str, Verdict]:
    """Each known term of the operand → whether the comparison holds for it.

    A term wider than one that is named stays undetermined: part of it is meant, part is not.
    """
    scheme = vocabulary.terms_of(operand)
    exact = operator_ in (Operator.EQ, Operator.NEQ)
    meant = frozenset(rights) if exact else frozenset().union(*(scheme.descendants(right) for right in rights))
    wider = frozenset().union(*(scheme.ancestors(right) for right in rights)) - meant
    positive = operator_ not in (Operator.NEQ, Operator.IS_NONE_OF)
    return {
        term.iri: (positive if term.iri in meant else None if term.iri in wider else not positive) for term in scheme
    }


def _terms(operand: Operand, table: Mapping[str, Verdict], *, permissive: bool) -> Evaluate:
    left = operand.iri
    look_up = table.get

    def evaluate(facts: Facts) -> Verdict:
        fact = facts.get(left)
        if fact is None or fact.unit is not None:
            return None
        value = fact.value
        if type(value) is str:
            return look_up(value)
        if type(value) is not tuple or not value:
            return None
        return _over([look_up(item) for item in value], permissive=permissive)

    return evaluate


def _texts(operand: Operand, named: frozenset[str], *, positive: bool, permissive: bool) -> Evaluate:
    left = operand.iri

    def evaluate(facts: Facts) -> Verdict:
        fact = facts.get(left)
        if fact is None or fact.unit is not None:
            return None
        values = (fact.value,) if type(fact.value) is str else fact.value
        if type(values) is not tuple or not values or not all(type(value) is str and value for value in values):
            return None
        return _over([(value in named) is positive for value in values], permissive=permissive)

    return evaluate


def _includes_all(operand: Operand, tables: list[Mapping[str, Verdict]]) -> Evaluate:
    left = operand.iri

    def evaluate(facts: Facts) -> Verdict:
        fact = facts.get(left)
        if fact is None or fact.unit is not None:
            return None
        values = (fact.value,) if type(fact.value) is str else fact.value
        if type(values) is not tuple or not values or not all(value in tables[0] for value in values):
            return None
        return _over([_over([table[str(v)] for v in values], permissive=False) for table in tables], permissive=True)

    return evaluate


def _over(verdicts: list[Verdict], *, permissive: bool) -> Verdict:
    """One verdict over several values: the worst of them for a permission, the best for a prohibition."""
    decisive = not permissive
    if decisive in verdicts:
        return decisive
    return None if None in verdicts else permissive
