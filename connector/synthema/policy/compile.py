"""Turns policies into plain Python that decides: no RDF, no clock, no files.

Every comparison becomes a function from facts to ``True``, ``False`` or ``None``
(undetermined). Undetermined never helps a request: a permission must be ``True``,
and a prohibition counts unless it is ``False``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from synthema.canonical import digest
from synthema.errors import PolicyLoadError
from synthema.policy.model import (
    ANY_DATASET,
    Condition,
    Constraint,
    Fact,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Rule,
)
from synthema.policy.odrl import policy_digest
from synthema.policy.values import PYTHON_TYPES, record
from synthema.policy.wellformed import check_policy
from synthema.policy.words import rule_sentence
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


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be matched; ``None`` for targets or assignees means any."""

    policy: Policy
    rule: Rule
    layer: Layer
    sentence: str
    law: tuple[LawReference, ...]
    targets: frozenset[str] | None
    assignees: frozenset[str] | None
    when: Tree | None
    unless: Tree | None

    def concerns(self, target: str, assignee: str, at: datetime) -> bool:
        """Whether the rule speaks about this dataset and this party at this time."""
        if self.targets is not None and target not in self.targets:
            return False
        if self.assignees is not None and assignee not in self.assignees:
            return False
        starts, ends = self.policy.effective_from, self.policy.effective_to
        return (starts is None or starts <= at) and (ends is None or at < ends)

    def holds(self, facts: Facts) -> Verdict:
        """Whether the rule's condition is met: ``when`` holds and ``unless`` does not."""
        verdict = True if self.when is None else self.when.evaluate(facts)
        if verdict is False or self.unless is None:
            return verdict
        excepted = self.unless.evaluate(facts)
        if excepted is True:
            return False
        return None if excepted is None else verdict


@dataclass(frozen=True)
class CompiledPolicies:
    """All policies that decide about a request, ready to be asked. Made by :func:`compile_policies`."""

    policies: tuple[Policy, ...]
    vocabulary: Vocabulary
    standing: Mapping[str, Fact]
    rules: tuple[CompiledRule, ...]
    digest: str

    def has_union_law(self, at: datetime) -> bool:
        """Whether a law pack (L0) with rules counts at this time."""
        return any(
            (policy.effective_from is None or policy.effective_from <= at)
            and (policy.effective_to is None or at < policy.effective_to)
            for policy in self.policies
            if policy.layer is Layer.UNION
        )

    @cached_property
    def by_action(self) -> Mapping[str, Mapping[Kind, tuple[CompiledRule, ...]]]:
        """Known action → the rules that speak about it, in a fixed order.

        A prohibition or an obligation of a narrower act also meets a request for the
        wider one, which would include it; a permission never does.
        """
        is_a = self.vocabulary.actions.is_a

        def meets(rule: Rule, action: str) -> bool:
            if any(is_a(action, named) for named in rule.actions):
                return True
            return rule.kind is not Kind.PERMISSION and any(is_a(named, action) for named in rule.actions)

        return {
            action.iri: {
                kind: tuple(r for r in self.rules if r.rule.kind is kind and meets(r.rule, action.iri)) for kind in Kind
            }
            for action in self.vocabulary.actions
        }


def compile_policies(
    policies: Iterable[Policy], vocabulary: Vocabulary, *, standing: Mapping[str, Fact] | None = None
) -> CompiledPolicies:
    """Make policies ready to decide; their order does not matter.

    ``standing`` facts hold for every request (such as the legal regime) and cannot
    be contradicted by one. Raises :class:`PolicyLoadError` on anything that is not
    fully understood, and on two policies with the same identifier.
    """
    ordered = tuple(sorted(policies, key=lambda policy: (policy.layer, policy.id)))
    ids = [policy.id for policy in ordered]
    if len(ids) != len(set(ids)):
        raise PolicyLoadError("two policies have the same identifier", fix="give one version of each policy")
    rules: list[CompiledRule] = []
    for policy in ordered:
        check_policy(policy, vocabulary)
        rules += [_compile_rule(policy, rule, vocabulary) for rule in sorted(policy.rules, key=lambda rule: rule.id)]
    facts = dict(standing or {})
    identity = {
        "policies": {policy.id: policy_digest(policy) for policy in ordered},
        "vocabulary": vocabulary.version,
        "standing": {operand: record(fact.value) for operand, fact in facts.items()},
    }
    return CompiledPolicies(ordered, vocabulary, MappingProxyType(facts), tuple(rules), digest(identity))


def _compile_rule(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> CompiledRule:
    targets, assignees = policy.targets_of(rule), policy.assignees_of(rule)
    permissive = rule.kind is Kind.PERMISSION
    return CompiledRule(
        policy=policy,
        rule=rule,
        layer=policy.layer,
        sentence=rule_sentence(policy, rule, vocabulary),
        law=policy.law_of(rule),
        targets=None if ANY_DATASET in targets else frozenset(targets),
        assignees=frozenset(assignees) or None,
        when=None if rule.when is None else compile_condition(rule.when, vocabulary, permissive=permissive),
        unless=None if rule.unless is None else compile_condition(rule.unless, vocabulary, permissive=True),
    )


def compile_condition(condition: Condition, vocabulary: Vocabulary, *, permissive: bool) -> Tree:
    """Compile a condition.

    Where a fact has several values, a permissive condition must hold for each of
    them; a restrictive one holds as soon as it holds for one.
    """
    if isinstance(condition, Constraint):
        operand = vocabulary.operands[condition.left]
        return Tree(_comparison(condition, operand, vocabulary, permissive), condition, operand)
    parts = tuple(compile_condition(part, vocabulary, permissive=permissive) for part in condition.parts)
    functions = tuple(part.evaluate for part in parts)
    if condition.joined == "and":
        evaluate = _all(functions)
    elif condition.joined == "or":
        evaluate = _any(functions)
    else:
        lefts = frozenset(leaf.constraint.left for part in parts for leaf in part.leaves() if leaf.constraint)
        evaluate = _exactly_one(functions, lefts)
    return Tree(evaluate, joined=condition.joined, parts=parts)


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
        return _ordered(constraint.operator, operand, constraint.right)
    rights = constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
    if operand.datatype is Datatype.TEXT:
        positive = constraint.operator in (Operator.EQ, Operator.IS_ANY_OF)
        return _texts(operand, frozenset(rights), positive=positive, permissive=permissive)
    if constraint.operator is Operator.IS_ALL_OF:
        tables = [_verdicts(Operator.IS_A, (right,), operand, vocabulary) for right in rights]
        return _includes_all(operand, tables)
    return _terms(operand, _verdicts(constraint.operator, rights, operand, vocabulary), permissive=permissive)


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

    def evaluate(facts: Facts) -> Verdict:
        values: list[Any] = []
        for iri, unit in ((first, left.unit), (second, right.unit)):
            fact = facts.get(iri)
            if fact is None or (fact.unit is not None and fact.unit != unit) or type(fact.value) not in types:
                return None
            if isinstance(fact.value, float) and not math.isfinite(fact.value):
                return None
            if isinstance(fact.value, datetime) and fact.value.tzinfo is None:
                return None
            values.append(fact.value)
        return compare(values[0], values[1])

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
    wider = frozenset() if exact else frozenset().union(*(scheme.ancestors(right) for right in rights)) - meant
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
