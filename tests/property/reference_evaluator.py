"""A slow evaluator of policies, written from the semantics alone; shares no code with the one it checks.

Answers "permit" or "deny". Each condition is judged one value at a time with plain
recursion, and the hierarchy is climbed anew for every question.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from synthema.policy.model import (
    AccessRequest,
    Combination,
    Condition,
    Constraint,
    Fact,
    Kind,
    OperandReference,
    Policy,
    Rule,
)
from synthema.vocabulary import Hierarchy, Vocabulary

YES, NO, OPEN = "yes", "no", "open"
DATE_TIME = "http://www.w3.org/ns/odrl/2/dateTime"
ANY = "https://w3id.org/synthema/ns#anyDataset"


def evaluate(policies: list[Policy], request: AccessRequest, vocabulary: Vocabulary, standing: dict[str, Fact]) -> str:
    """The effect of policies on a request."""
    world = {**request.facts, **standing, DATE_TIME: Fact(request.at)}
    settled = [operand for operand in (*standing, DATE_TIME) if operand in request.facts]
    contradicted = any(not _same(request.facts[operand], world[operand]) for operand in settled)
    unknown = any(operand not in vocabulary.operands for operand in request.facts)
    violated = any(done.state == "violated" for done in request.fulfilled)
    if contradicted or unknown or violated or request.action not in vocabulary.actions.terms:
        return "deny"
    current = [policy for policy in policies if _in_force(policy, request.at)]
    layers = {str(policy.layer) for policy in current}
    answers = [
        (str(policy.layer), _answer(rule, world, request, vocabulary))
        for policy in current
        for rule in policy.rules
        if _concerns(policy, rule, request, vocabulary)
    ]
    if "L0" not in layers or any(answer == "deny" for _, answer in answers):
        return "deny"
    return "permit" if all((layer, "permit") in answers for layer in ("L2", "L3", "L4")) else "deny"


def _answer(rule: Rule, world: dict[str, Fact], request: AccessRequest, vocabulary: Vocabulary) -> str:
    """What one rule says by itself: permit, deny, or nothing."""
    outcome = _rule_outcome(rule, world, vocabulary)
    done = _done(rule, request, vocabulary)
    if rule.kind is Kind.PERMISSION:
        return "permit" if outcome == YES and done else ""
    if rule.kind is Kind.OBLIGATION and done:
        return ""
    return "" if outcome == NO else "deny"


def _same(first: Fact, second: Fact) -> bool:
    return type(first.value) is type(second.value) and first.value == second.value


def _in_force(policy: Policy, at: datetime) -> bool:
    begun = policy.effective_from is None or at >= policy.effective_from
    over = policy.effective_to is not None and at >= policy.effective_to
    return begun and not over


def _kind_of(scheme: Hierarchy, term: str, ancestor: str) -> bool:
    if term not in scheme.terms:
        return False
    return term == ancestor or any(_kind_of(scheme, parent, ancestor) for parent in scheme.terms[term].broader)


def _concerns(policy: Policy, rule: Rule, request: AccessRequest, vocabulary: Vocabulary) -> bool:
    targets = rule.targets or policy.targets
    assignees = rule.assignees or policy.assignees
    if ANY not in targets and request.target not in targets:
        return False
    if assignees and request.assignee not in assignees:
        return False
    actions = vocabulary.actions
    narrower = any(_kind_of(actions, request.action, named) for named in rule.actions)
    wider = any(_kind_of(actions, named, request.action) for named in rule.actions)
    return narrower or (wider and rule.kind is not Kind.PERMISSION)


def _done(rule: Rule, request: AccessRequest, vocabulary: Vocabulary) -> bool:
    for duty in rule.duties:
        if duty.timing != "pre":
            continue
        good = [
            d
            for d in request.fulfilled
            if d.state == "fulfilled"
            and _kind_of(vocabulary.duties, d.action, duty.action)
            and d.at <= request.at
            and (d.rule is None or d.rule == rule.id)
            and (not duty.evidence or d.evidence)
        ]
        if not good:
            return False
    return True


def _rule_outcome(rule: Rule, world: dict[str, Fact], vocabulary: Vocabulary) -> str:
    must_hold_for_all = rule.kind is Kind.PERMISSION
    when = YES if rule.when is None else _condition(rule.when, world, vocabulary, every=must_hold_for_all)
    unless = NO if rule.unless is None else _condition(rule.unless, world, vocabulary, every=True)
    return _and([when, {YES: NO, NO: YES, OPEN: OPEN}[unless]])


def _and(outcomes: list[str]) -> str:
    if NO in outcomes:
        return NO
    return OPEN if OPEN in outcomes else YES


def _or(outcomes: list[str]) -> str:
    if YES in outcomes:
        return YES
    return OPEN if OPEN in outcomes else NO


def _condition(condition: Condition, world: dict[str, Fact], vocabulary: Vocabulary, *, every: bool) -> str:
    if isinstance(condition, Constraint):
        return _constraint(condition, world, vocabulary, every=every)
    outcomes = [_condition(part, world, vocabulary, every=every) for part in condition.parts]
    if condition.joined in ("and", "or"):
        return _and(outcomes) if condition.joined == "and" else _or(outcomes)
    if any(_has_several(part, world) for part in condition.parts):
        return OPEN
    if outcomes.count(YES) >= 2:
        return NO
    if OPEN in outcomes:
        return OPEN
    return YES if outcomes.count(YES) == 1 else NO


def _has_several(condition: Condition, world: dict[str, Fact]) -> bool:
    if isinstance(condition, Combination):
        return any(_has_several(part, world) for part in condition.parts)
    fact = world.get(condition.left)
    return fact is not None and isinstance(fact.value, tuple) and len(fact.value) > 1


def _constraint(constraint: Constraint, world: dict[str, Fact], vocabulary: Vocabulary, *, every: bool) -> str:
    operand = vocabulary.operands[constraint.left]
    value = _value(constraint.left, world, vocabulary)
    if value is None:
        return OPEN
    if isinstance(constraint.right, OperandReference):
        other = _value(constraint.right.operand, world, vocabulary)
        return OPEN if other is None else _compared(constraint.operator, value, other)
    if operand.datatype not in ("term", "text"):
        return _compared(constraint.operator, value, constraint.right)
    values = value if isinstance(value, tuple) else (value,)
    named = constraint.right if isinstance(constraint.right, tuple) else (constraint.right,)
    if operand.datatype == "text":
        inside = constraint.operator in ("eq", "isAnyOf")
        outcomes = [YES if (v in named) == inside else NO for v in values]
    elif constraint.operator == "isAllOf":
        scheme = vocabulary.schemes[operand.scheme or ""]
        if any(v not in scheme.terms for v in values):
            return OPEN
        return _and([_or([_term("isA", v, (name,), scheme) for v in values]) for name in named])
    else:
        scheme = vocabulary.schemes[operand.scheme or ""]
        outcomes = [_term(constraint.operator, v, named, scheme) for v in values]
    return _and(outcomes) if every else _or(outcomes)


def _term(operator: str, value: str, named: tuple[str, ...], scheme: Hierarchy) -> str:
    if value not in scheme.terms:
        return OPEN
    if operator in ("eq", "neq"):
        return YES if (value == named[0]) == (operator == "eq") else NO
    if any(_kind_of(scheme, value, name) for name in named):
        met = YES
    elif any(_kind_of(scheme, name, value) for name in named):
        met = OPEN
    else:
        met = NO
    return {YES: NO, NO: YES, OPEN: OPEN}[met] if operator == "isNoneOf" else met


def _value(iri: str, world: dict[str, Fact], vocabulary: Vocabulary) -> Any:
    """The value of an operand if it is there and of the right type and unit, else None."""
    fact, operand = world.get(iri), vocabulary.operands[iri]
    if fact is None or (fact.unit is not None and fact.unit != operand.unit):
        return None
    value, kind = fact.value, operand.datatype
    good = {
        "term": lambda: _texts(value),
        "text": lambda: _texts(value) and "" not in (value if isinstance(value, tuple) else (value,)),
        "boolean": lambda: isinstance(value, bool),
        "count": lambda: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
        "date": lambda: isinstance(value, datetime) and value.tzinfo is not None,
        "duration": lambda: isinstance(value, timedelta),
    }[str(kind)]()
    return value if good else None


def _texts(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) > 0 and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _compared(operator: str, left: Any, right: Any) -> str:
    holds = {
        "eq": left == right,
        "neq": left != right,
        "lt": left < right,
        "lteq": left <= right,
        "gt": left > right,
        "gteq": left >= right,
    }[str(operator)]
    return YES if holds else NO
