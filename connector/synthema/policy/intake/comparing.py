"""Conditions of the Synthema profile, from what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from pyoxigraph import NamedNode

from synthema.errors import InputError
from synthema.policy.intake.graph import Graph, Node, is_blank, refuse
from synthema.policy.intake.reader import Reader
from synthema.policy.intake.statements import Comparison, Joined, Written
from synthema.policy.model import Combination, Condition, Constraint, OperandReference, Operator, Value
from synthema.policy.values import parse_value
from synthema.vocabulary import Datatype, Vocabulary, compact

_XSD: Final = "http://www.w3.org/2001/XMLSchema#"
_LITERALS: Final[Mapping[str, Datatype]] = {
    _XSD + "integer": Datatype.COUNT,
    _XSD + "nonNegativeInteger": Datatype.COUNT,
    _XSD + "double": Datatype.NUMBER,
    _XSD + "decimal": Datatype.NUMBER,
    _XSD + "boolean": Datatype.BOOLEAN,
    _XSD + "dateTime": Datatype.DATE,
    _XSD + "dayTimeDuration": Datatype.DURATION,
    _XSD + "duration": Datatype.DURATION,
    _XSD + "string": Datatype.TEXT,
}
_SETS = frozenset({Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF})
_OUTSIDE = {
    "andSequence": "andSequence has no agreed meaning; join with odrl:and",
    "hasPart": "hasPart has no agreed meaning here; use odrl:isAllOf",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Turns what was written into conditions of the model; refuses what the profile has no words for."""

    graph: Graph
    vocabulary: Vocabulary

    def below(self, node: str, predicate: str) -> Condition | None:
        """The condition that a property of a node names."""
        return self.joined([Reader(self.graph).condition(item) for item in self._items(node, predicate)])

    def joined(self, written: Iterable[Written]) -> Condition | None:
        """All of these together; ``None`` where there is none."""
        parts = tuple(self._condition(item) for item in written)
        return Combination("and", parts) if len(parts) > 1 else next(iter(parts), None)

    def _condition(self, written: Written) -> Condition:
        if isinstance(written, Joined):
            if written.how == "andSequence":
                self._fail(written.node, "andSequence is not in the profile", _OUTSIDE["andSequence"])
            return Combination(written.how, tuple(self._condition(part) for part in written.parts))
        if written.operator in _OUTSIDE:
            self._fail(written.node, f"{written.operator} is not in the profile", _OUTSIDE[written.operator])
        if written.datatype is not None:
            self._fail(written.node, "odrl:dataType is not in the profile", "give the right operand its type")
        if written.left not in self.vocabulary.operands:
            near = self.vocabulary.operand_terms.nearest(written.left)
            fix = f"did you mean '{near}'?" if near else "use an operand of the pinned vocabulary"
            self._fail(written.node, f"'{compact(written.left)}' is not a known operand", fix)
        operator = Operator(written.operator)
        return Constraint(written.left, operator, self._right(written, operator), written.unit)

    def _right(self, written: Comparison, operator: Operator) -> Value | OperandReference:
        if written.reference is not None:
            return OperandReference(written.reference)
        values = [self._value(written, node) for node in written.rights]
        if operator in _SETS:
            return tuple(str(value) for value in values)
        if len(values) > 1:
            self._fail(written.node, f"odrl:{operator} compares with {len(values)} values", "give one")
        return values[0]

    def _value(self, written: Comparison, node: Node) -> Value:
        if isinstance(node, NamedNode):
            return node.value
        datatype = _LITERALS.get(node.datatype.value)
        if datatype is None:
            self._fail(
                written.node,
                f"a value of the type {compact(node.datatype.value)}",
                "give a string, integer, decimal, double, boolean, dateTime with its zone, or dayTimeDuration",
            )
        try:
            return parse_value(node.value, datatype)
        except InputError as error:
            self._fail(written.node, error.message, error.fix)

    def _items(self, node: str, predicate: str) -> tuple[str, ...]:
        return tuple(item.value for item in self.graph.objects(node, predicate))

    def _fail(self, node: str, message: str, fix: str) -> NoReturn:
        refuse(f"{'a nameless node' if is_blank(node) else compact(node)}: {message}", fix, where=self.graph.where)
