"""Requests as variables of z3: what an operand may be, which names a dataset goes by, what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from synthema.policy.analysis.build import TIME, trees_of
from synthema.policy.analysis.dimensions import OTHER, UNKNOWN
from synthema.policy.analysis.order import to_number
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree
from synthema.policy.model import Fact
from synthema.vocabulary import Datatype, Operand, Vocabulary


class Variables:
    """The variables of a request, and the bounds of what can be written down."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        rules: Iterable[CompiledRule] = (),
        *,
        trees: Iterable[Tree] = (),
        standing: Mapping[str, Fact] | None = None,
        edges: Iterable[datetime | None] = (),
    ) -> None:
        import z3  # noqa: PLC0415 - an extra, and slow to load

        self._z3 = z3
        self._yes, self._no = z3.BoolVal(val=True), z3.BoolVal(val=False)
        self._vocabulary = vocabulary
        self._rules = tuple(rules)
        self._trees = tuple(trees)
        self._standing = dict(standing or {})
        self._actions = [action.iri for action in vocabulary.actions]
        self._act = z3.Int("action")
        self._at = z3.Int("time")
        self._domain: dict[str, Any] = {
            "action": z3.And(self._act >= 0, self._act < len(self._actions)),
            "time": z3.And(*_writable(self._at, Datatype.DATE)),
        }
        self._sets: dict[str, dict[str, Any]] = {}
        self._names: dict[str, set[str]] = {"target": set(), "assignee": set()}
        times = [*(edge for rule in self._rules for edge in (rule.starts, rule.ends)), *edges]
        self._edges = {edge.astimezone(UTC) for edge in times if edge is not None}

    # variables -----------------------------------------------------------------------------

    def _known(self, operand: str) -> Any:
        return self._yes if operand == TIME else self._z3.Bool(f"known {operand}")

    def _value(self, operand: Operand) -> Any:
        if operand.iri == TIME:
            return self._at
        if operand.datatype is Datatype.BOOLEAN:
            return self._z3.Bool(f"value {operand.iri}")
        self._limit(operand)
        return (self._z3.Real if operand.datatype is Datatype.NUMBER else self._z3.Int)(f"value {operand.iri}")

    def _limit(self, operand: Operand) -> None:
        """What can be written down at all, and what is settled."""
        if operand.iri in self._domain:
            return
        value = (self._z3.Real if operand.datatype is Datatype.NUMBER else self._z3.Int)(f"value {operand.iri}")
        rules = _writable(value, operand.datatype)
        fact = self._standing.get(operand.iri)
        if fact is not None:
            rules += [self._known(operand.iri), value == self._constant(fact.value, operand.datatype)]
        self._domain[operand.iri] = self._z3.And(*rules)

    def _settle_truth(self, operand: Operand) -> None:
        fact = self._standing.get(operand.iri)
        if fact is not None:
            self._domain[operand.iri] = self._z3.And(self._known(operand.iri), self._value(operand) == fact.value)

    def _constant(self, value: Any, datatype: Datatype) -> Any:
        number = to_number(value, datatype)
        if datatype is Datatype.NUMBER:
            return self._z3.RealVal(f"{number.numerator}/{number.denominator}")
        return self._z3.IntVal(int(number))

    def _items(self, operand: Operand) -> dict[str, Any]:
        """A variable for each term (or text that is named) that may be among the values of a fact."""
        found = self._sets.get(operand.iri)
        if found is not None:
            return found
        z3 = self._z3
        terms = operand.datatype is Datatype.TERM
        named = [*self._vocabulary.terms_of(operand).terms, UNKNOWN] if terms else self._texts(operand)
        found = self._sets[operand.iri] = {item: z3.Bool(f"{operand.iri} has {item}") for item in named}
        several = z3.Bool(f"several {operand.iri}")
        rules = [z3.Implies(several, z3.Or(*found.values())), z3.Or(several, z3.AtMost(*found.values(), 1))]
        fact = self._standing.get(operand.iri)
        if fact is not None:
            values = fact.value if isinstance(fact.value, tuple) else (fact.value,)
            rules += [found[item] == (item in values) for item in found]
        self._domain[operand.iri] = z3.And(*rules)
        return found

    def _texts(self, operand: Operand) -> list[str]:
        rights = [
            leaf.constraint.right
            for tree in (*trees_of(self._rules), *self._trees)
            for leaf in tree.leaves()
            if leaf.constraint is not None and leaf.constraint.left == operand.iri
        ]
        texts = {text for right in rights for text in (right if isinstance(right, tuple) else (right,))}
        return [*sorted(str(text) for text in texts), OTHER]

    def _goes_by(self, key: str, name: str) -> Any:
        self._names[key].add(name)
        return self._z3.Bool(f"{key} is {name}")


def _writable(value: Any, datatype: Datatype) -> list[Any]:
    """The bounds of times and durations that can be written down."""
    if datatype is Datatype.DATE:
        ends: tuple[Any, Any] = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    elif datatype is Datatype.DURATION:
        ends = (timedelta.min, timedelta.max)
    else:
        return []
    low, high = (int(to_number(end, datatype)) for end in ends)
    return [value >= low, value <= high]
