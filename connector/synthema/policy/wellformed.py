"""Refuses a policy that is not understood in full: terms, operators, types, units, shapes.

Used on every way in (form, ODRL, stored policy), so that deciding never meets an
unknown. Nothing is skipped and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from synthema.errors import PolicyLoadError
from synthema.policy.model import (
    Combination,
    Condition,
    Constraint,
    Duty,
    Event,
    Kind,
    OperandReference,
    Operator,
    Policy,
    Rule,
    Timing,
    constraints_of,
)
from synthema.policy.values import fits
from synthema.vocabulary import Datatype, Operand, Vocabulary, compact

_ORDERED = frozenset({Operator.EQ, Operator.NEQ, Operator.LT, Operator.LTEQ, Operator.GT, Operator.GTEQ})
_SETS = frozenset({Operator.IS_ANY_OF, Operator.IS_NONE_OF, Operator.IS_ALL_OF})

OPERATORS: dict[Datatype, frozenset[Operator]] = {
    Datatype.TERM: frozenset({Operator.EQ, Operator.NEQ, Operator.IS_A, Operator.IS_PART_OF}) | _SETS,
    Datatype.TEXT: frozenset({Operator.EQ, Operator.NEQ, Operator.IS_ANY_OF, Operator.IS_NONE_OF}),
    Datatype.BOOLEAN: frozenset({Operator.EQ}),
    Datatype.NUMBER: _ORDERED,
    Datatype.COUNT: _ORDERED,
    Datatype.DATE: _ORDERED,
    Datatype.DURATION: _ORDERED,
}
"""Datatype → the operators that mean something for it."""

_REFERABLE = frozenset({Datatype.NUMBER, Datatype.COUNT, Datatype.DATE, Datatype.DURATION})
_IRI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+$")
MAX_NESTING = 8


def check_policy(policy: Policy, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` on the first thing in a policy that is not understood."""
    for iri in (policy.id, *policy.targets, *policy.assignees, *([policy.assigner] if policy.assigner else [])):
        _check_iri(iri)
    if not policy.rules:
        _refuse(f"the policy {policy.id} has no rules", "add a rule under permit, forbid or oblige")
    if not policy.targets:
        _refuse(f"the policy {policy.id} has no targets", "name the datasets, or: any dataset of this site")
    if not policy.title.strip() or not policy.version.strip():
        _refuse(f"the policy {policy.id} lacks a title or a version", "give both")
    _check_period(policy)
    ids = [rule.id for rule in policy.rules]
    if len(ids) != len(set(ids)):
        _refuse(f"two rules of {policy.id} have the same identifier", "give each rule its own id")
    decided = [decision.operand for decision in policy.site_decisions]
    if len(decided) != len(set(decided)):
        _refuse(f"{policy.id} confirms the same threshold twice", "confirm each operand once")
    for operand in decided:
        _operand(operand, vocabulary)
    for rule in policy.rules:
        check_rule(rule, vocabulary)


def _check_period(policy: Policy) -> None:
    starts, ends = policy.effective_from, policy.effective_to
    if (starts is not None and starts.tzinfo is None) or (ends is not None and ends.tzinfo is None):
        _refuse("an effective time has no zone", "give it in UTC")
    if starts is not None and ends is not None and starts >= ends:
        _refuse("the policy ends before it begins", "put 'from' before 'to'")


def check_rule(rule: Rule, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` on the first thing in a rule that is not understood."""
    for iri in (rule.id, *rule.targets, *rule.assignees):
        _check_iri(iri)
    if not rule.actions or len(rule.actions) != len(set(rule.actions)):
        _refuse(f"the rule {rule.id} names no action, or one twice", "name each action once")
    for action in rule.actions:
        if action not in vocabulary.actions:
            _unknown(action, "action", vocabulary.actions.nearest(action))
    _check_shape(rule)
    for condition in (rule.when, rule.unless):
        if condition is not None:
            check_condition(condition, vocabulary)
    for duty in rule.duties:
        check_duty(duty, vocabulary)


def _check_shape(rule: Rule) -> None:
    if rule.unless is not None and rule.kind is not Kind.PROHIBITION:
        _refuse("'unless' belongs to prohibitions only", "write a rule under forbid, or use 'when'")
    if rule.kind is Kind.PROHIBITION and rule.duties:
        _refuse("a prohibition has no duties", "move the duties to a permission or under oblige")
    if rule.kind is Kind.OBLIGATION and len(rule.duties) != 1:
        _refuse("an obligation imposes exactly one duty", "write one entry under oblige for each duty")


def check_duty(duty: Duty, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` if a duty's action is unknown or its deadline makes no sense."""
    if duty.action not in vocabulary.duties:
        _unknown(duty.action, "duty", vocabulary.duties.nearest(duty.action))
    if duty.within is not None and (duty.within.total_seconds() <= 0 or duty.within.microseconds):
        _refuse("the deadline of a duty is not a positive time in whole seconds", "write it like P30D")
    if duty.within is None and duty.after is not Event.DECISION:
        _refuse("a duty says what its deadline is counted from, but has no deadline", "add 'within'")
    if duty.within is not None and duty.timing is Timing.PRE:
        _refuse("a duty to be done before the act has no deadline after it", "remove 'within', or write it as 'post'")


def check_condition(condition: Condition, vocabulary: Vocabulary, depth: int = 0) -> None:
    """Raise :class:`PolicyLoadError` on the first comparison that is not understood."""
    if isinstance(condition, Constraint):
        check_constraint(condition, vocabulary)
        return
    if depth >= MAX_NESTING:
        _refuse("the conditions are nested too deeply", f"nest at most {MAX_NESTING} levels")
    if condition.joined not in ("and", "or", "xone") or len(condition.parts) < 2:
        _refuse("a combination joins fewer than two conditions", "give at least two, or write the one alone")
    for part in condition.parts:
        if isinstance(part, Combination) and part.joined == condition.joined and part.joined != "xone":
            _refuse(f"'{part.joined}' directly inside '{part.joined}'", "write the conditions in one list")
        check_condition(part, vocabulary, depth + 1)


def check_constraint(constraint: Constraint, vocabulary: Vocabulary) -> None:
    """Raise :class:`PolicyLoadError` if operand, operator, value and unit do not belong together."""
    operand = _operand(constraint.left, vocabulary)
    if constraint.operator not in OPERATORS[operand.datatype]:
        allowed = ", ".join(sorted(OPERATORS[operand.datatype]))
        _refuse(
            f"the operator '{constraint.operator}' means nothing for '{operand.name}' (a {operand.datatype})",
            f"use one of: {allowed}",
        )
    if constraint.unit is not None and constraint.unit != operand.unit:
        _refuse(
            f"'{operand.name}' is not measured in '{constraint.unit}'",
            f"use the unit '{operand.unit}'" if operand.unit else "leave the unit out",
        )
    if isinstance(constraint.right, OperandReference):
        _check_reference(operand, constraint.right, vocabulary)
    else:
        _check_value(constraint, operand, vocabulary)


def _check_reference(operand: Operand, reference: OperandReference, vocabulary: Vocabulary) -> None:
    other = _operand(reference.operand, vocabulary)
    comparable = operand.datatype in _REFERABLE and other.datatype is operand.datatype and other.unit == operand.unit
    if not comparable or other.iri == operand.iri:
        _refuse(
            f"'{operand.name}' cannot be compared with '{other.name}'",
            "compare two different operands of the same kind and unit",
        )


def _check_value(constraint: Constraint, operand: Operand, vocabulary: Vocabulary) -> None:
    right = constraint.right
    if isinstance(right, OperandReference) or not fits(right, operand.datatype):
        _refuse(f"the value for '{operand.name}' is not a {operand.datatype}", f"give a {operand.datatype}")
    several = isinstance(right, tuple)
    if several is not (constraint.operator in _SETS):
        wanted = "a list of terms" if not several else "one term"
        _refuse(f"'{constraint.operator}' takes {wanted}", "give a list to isAnyOf, isNoneOf and isAllOf only")
    items = right if isinstance(right, tuple) else (right,)
    if len(items) != len(set(items)):
        _refuse(f"the value for '{operand.name}' names a term twice", "name each term once")
    if operand.datatype is Datatype.TERM:
        scheme = vocabulary.terms_of(operand)
        for item in items:
            if item not in scheme:
                _unknown(str(item), scheme.kind, scheme.nearest(str(item)))


def _operand(iri: str, vocabulary: Vocabulary) -> Operand:
    if iri not in vocabulary.operands:
        _unknown(iri, "operand", vocabulary.operand_terms.nearest(iri))
    return vocabulary.operands[iri]


def is_iri(text: str) -> bool:
    """Whether a text can stand as an absolute IRI."""
    return _IRI.match(text) is not None


def _check_iri(iri: str) -> None:
    if not is_iri(iri):
        _refuse(f"'{iri[:80]}' is not a full identifier (IRI)", "write it like https://… or did:web:…")


def _unknown(text: str, kind: str, near: str | None) -> NoReturn:
    raise PolicyLoadError(
        f"'{compact(text)[:80]}' is not a known {kind}",
        fix=f"did you mean '{near}'?" if near else "use a term of the pinned vocabulary",
    )


def _refuse(message: str, fix: str) -> NoReturn:
    raise PolicyLoadError(message, fix=fix)


def all_constraints(policy: Policy) -> Iterator[tuple[Rule, Constraint]]:
    """Every comparison of a policy with the rule it stands in."""
    for rule in policy.rules:
        for condition in (rule.when, rule.unless):
            for constraint in constraints_of(condition):
                yield rule, constraint
