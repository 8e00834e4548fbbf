"""Constraints and refinements of ODRL judged by the engine that judges our own policies.

Each comparison becomes a :class:`~synthema.policy.model.Constraint` on an operand of
its own, whose kind follows from its right operand; the engine's comparisons and its
three values (holds, does not hold, cannot be told) do the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from pyoxigraph import Literal as RdfLiteral
from pyoxigraph import NamedNode

from synthema.errors import InputError
from synthema.policy.compile import Tree, Verdict, compile_condition
from synthema.policy.evaluator.literals import Day, Read, name, ordered_kind, read
from synthema.policy.evaluator.terms import DATE_TIME, Terms
from synthema.policy.intake.graph import Node, refuse
from synthema.policy.intake.statements import Comparison, Joined, Written
from synthema.policy.model import Combination, Condition, Constraint, Fact, Operator, Value
from synthema.vocabulary import Datatype, Hierarchy, Operand, Term, Vocabulary, compact

Lookup = Callable[[str, Comparison], tuple[Node, ...]]
"""Left operand, and the constraint that asks for it → what is known."""

_ORDERED: Final = frozenset({"lt", "lteq", "gt", "gteq"})
_EXACT: Final = frozenset({"eq", "neq"})
_SCHEMES: Final = {"isA": "kinds", "isAnyOf": "kinds", "isNoneOf": "kinds", "isPartOf": "parts"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a condition, with what was compared. ``problem`` says why it cannot be told."""

    written: Written
    verdict: Verdict
    actual: tuple[Node, ...] = ()
    right: tuple[Node, ...] = ()
    parts: tuple[Judgement, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class _Ground:
    """What the engine is asked with: operands, facts and the names that occur."""

    operands: dict[str, Operand] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)


def judge(written: Written, known: Lookup, terms: Terms, *, permissive: bool) -> Judgement:
    """Judge a condition by what is known.

    ``permissive`` says that it opens something: then it must hold for each of several
    values. Raises :class:`PolicyLoadError` on a comparison that has no meaning.
    """
    ground = _Ground()
    leaves: dict[int, _Leaf] = {}
    condition = _condition(written, known, terms, ground, leaves, permissive=permissive)
    vocabulary = Vocabulary("", _schemes(ground, terms), ground.operands)
    tree = compile_condition(condition, vocabulary, permissive=permissive)
    return _judgement(written, tree, ground, leaves)


@dataclass(frozen=True, slots=True)
class _Leaf:
    actual: tuple[Node, ...]
    right: tuple[Node, ...]
    problem: str


def _judgement(written: Written, tree: Tree, ground: _Ground, leaves: dict[int, _Leaf]) -> Judgement:
    verdict = tree.evaluate(ground.facts)
    if isinstance(written, Joined):
        parts = tuple(_judgement(w, t, ground, leaves) for w, t in zip(written.parts, tree.parts, strict=True))
        return Judgement(written, verdict, parts=parts)
    leaf = leaves[id(written)]
    problem = "" if verdict is not None else leaf.problem or "it cannot be compared"
    return Judgement(written, verdict, leaf.actual, leaf.right, problem=problem)


def _condition(
    written: Written, known: Lookup, terms: Terms, ground: _Ground, leaves: dict[int, _Leaf], *, permissive: bool
) -> Condition:
    if isinstance(written, Joined):
        # In one state of the world the order of a sequence cannot be seen, so it is a conjunction.
        how: Literal["and", "or", "xone"] = "and" if written.how == "andSequence" else written.how
        parts = (_condition(p, known, terms, ground, leaves, permissive=permissive) for p in written.parts)
        return Combination(how, tuple(parts))
    right = written.rights or known(written.reference or "", written)
    actual = known(written.left, written)
    made = _Comparison(written, right, actual, terms, ground, permissive)
    condition = made.condition()
    leaves[id(written)] = _Leaf(actual, right, made.problem)
    return condition


@dataclass(slots=True)
class _Comparison:
    written: Comparison
    right: tuple[Node, ...]
    actual: tuple[Node, ...]
    terms: Terms
    ground: _Ground
    permissive: bool
    problem: str = ""

    def condition(self) -> Condition:
        if not self.right:
            self.problem = "what it refers to is not known"
            return self._constraint(Datatype.TEXT, Operator.EQ, "", ())
        operator = self.written.operator
        if operator in _ORDERED or operator in _EXACT:
            if len(self.right) > 1:
                self._refuse(f"odrl:{operator} compares with {len(self.right)} values", "give one, or use odrl:isAnyOf")
            kind, value = self._right(self.right[0])
            if kind is not Datatype.TERM:
                return self._compared(kind, value)
            if operator in _ORDERED:
                self._refuse(f"odrl:{operator} compares with '{name(value)[:60]}'", "give a number or a time")
        return self._looked_up()

    def _right(self, node: Node) -> tuple[Datatype, Read]:
        wanted = None
        if isinstance(node, RdfLiteral) and self.written.operator in _ORDERED:
            wanted = ordered_kind(node.value.strip())
        try:
            kind, value = read(_typed(node, self.written.datatype), wanted)
        except InputError as error:
            self._refuse(error.message, error.fix)
        return (Datatype.NUMBER if kind is Datatype.COUNT else kind), value

    def _compared(self, kind: Datatype, right: Read) -> Condition:
        """A number, a time, a duration or a truth value."""
        facts = tuple(self._values(kind, day=isinstance(right, Day)))
        operator = Operator(self.written.operator)
        if not isinstance(right, Day):
            return self._constraint(kind, operator, right, facts)
        starts, ends = right.starts, right.ends

        def bound(how: Operator, at: datetime) -> Condition:
            return self._constraint(kind, how, at, facts)

        match operator:
            case Operator.EQ:
                return Combination("and", (bound(Operator.GTEQ, starts), bound(Operator.LT, ends)))
            case Operator.NEQ:
                return Combination("or", (bound(Operator.LT, starts), bound(Operator.GTEQ, ends)))
            case Operator.LTEQ:
                return bound(Operator.LT, ends)
            case Operator.GT:
                return bound(Operator.GTEQ, ends)
            case _:
                return bound(operator, starts)

    def _values(self, kind: Datatype, *, day: bool) -> Iterator[Value]:
        for node in self.actual:
            try:
                found, value = read(node, kind)
            except InputError as error:
                self.problem = error.message
                continue
            if (Datatype.NUMBER if found is Datatype.COUNT else found) is not kind:
                self.problem = f"'{node.value[:60]}' is of another kind than the right operand"
            elif isinstance(value, Day):
                if day:
                    yield value.starts
                else:
                    self.problem = "a day cannot be compared with a moment"
            else:
                yield value

    def _looked_up(self) -> Condition:
        """Names and sets of values."""
        operator = self.written.operator
        rights = tuple(dict.fromkeys(self._name(node) for node in self.right))
        lefts = tuple(dict.fromkeys(self._name(node) for node in self.actual))
        if operator == "hasPart":
            inside = [r for r in rights if any(self.terms.member(r, left) for left in lefts)]
            return self._constraint(Datatype.TERM, Operator.IS_ALL_OF, rights, (*lefts, *inside), scheme="plain")
        if operator == "isAllOf":
            all_of = self._constraint(Datatype.TERM, Operator.IS_ALL_OF, rights, lefts, scheme="plain")
            if not self.permissive:
                return all_of
            none_else = self._constraint(Datatype.TERM, Operator.IS_ANY_OF, rights, lefts, scheme="plain")
            return Combination("and", (all_of, none_else))
        scheme = _SCHEMES.get(operator, "plain")
        value: Value = rights[0] if operator in _EXACT else rights
        return self._constraint(Datatype.TERM, Operator(operator), value, lefts, scheme=scheme)

    def _name(self, node: Node) -> str:
        try:
            _, value = read(_typed(node, self.written.datatype) if node in self.right else node)
        except InputError as error:
            if node in self.right:
                self._refuse(error.message, error.fix)
            return node.value
        return self.terms.of(name(value))

    def _constraint(
        self, kind: Datatype, operator: Operator, right: Value, facts: tuple[Value, ...], scheme: str | None = None
    ) -> Constraint:
        """One comparison of the engine, on an operand of its own."""
        key = f"urn:synthema:operand:{len(self.ground.operands)}"
        label = compact(self.written.left)
        self.ground.operands[key] = Operand(key, label, label, kind, scheme, self.written.unit)
        if scheme is not None:
            self.ground.names.update(dict.fromkeys(right if isinstance(right, tuple) else (str(right),)))
            self.ground.names.update(dict.fromkeys(map(str, facts)))
        distinct = tuple(dict.fromkeys(facts))
        if not distinct:
            self.problem = self.problem or "nothing is known about it"
        elif len(distinct) == 1:
            self.ground.facts[key] = Fact(distinct[0])
        elif kind is Datatype.TERM:
            self.ground.facts[key] = Fact(tuple(map(str, distinct)))
        else:
            self.problem = "several values are given for it"
        return Constraint(key, operator, right, self.written.unit)

    def _refuse(self, message: str, fix: str) -> None:
        refuse(f"{compact(self.written.node)}: {message}", fix)


def _typed(node: Node, datatype: str | None) -> Node:
    """A plain text with the type that ``odrl:dataType`` gives it."""
    if datatype is None or not isinstance(node, RdfLiteral):
        return node
    return RdfLiteral(node.value, datatype=NamedNode(datatype))


def _schemes(ground: _Ground, terms: Terms) -> dict[str, Hierarchy]:
    def hierarchy(kind: str, above: Callable[[str], frozenset[str]]) -> Hierarchy:
        closure = {name_: above(name_) for name_ in ground.names}
        everything = set(closure).union(*closure.values()) if closure else set()
        return Hierarchy(kind, (Term(n, compact(n), broader=tuple(sorted(above(n) - {n}))) for n in everything))

    if not ground.names:
        return {}
    return {
        "plain": Hierarchy("term", (Term(n, n) for n in ground.names)),
        "kinds": hierarchy("term", terms.kinds_above),
        "parts": hierarchy("part", terms.parts_above),
    }


def expired(written: Written, now: datetime) -> bool:
    """Whether a condition can never hold again, since it asks for a time that has passed."""
    if isinstance(written, Joined):
        outcomes = [expired(part, now) for part in written.parts]
        return any(outcomes) if written.how in ("and", "andSequence") else all(outcomes)
    if written.left != DATE_TIME or written.operator not in ("lt", "lteq", "eq") or len(written.rights) != 1:
        return False
    try:
        _, right = read(_typed(written.rights[0], written.datatype), Datatype.DATE)
    except InputError:
        return False
    if isinstance(right, Day):
        return now >= (right.starts if written.operator == "lt" else right.ends)
    return isinstance(right, datetime) and (now >= right if written.operator == "lt" else now > right)
