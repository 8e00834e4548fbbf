"""Our policies as Cedar policies, to time the two engines on the same rules.

Layers become forbids, because Cedar knows no layers; numbers become whole billionths, because
Cedar has no floating point.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import cedarpy

from synthema.policy import AccessRequest, Policy
from synthema.policy.model import Combination, Condition, Constraint, Kind, OperandReference, Operator, Rule
from synthema.vocabulary import Datatype, Operand
from tests.unit.policy.sample import V

SCALE = 1_000_000_000

_SYMBOLS = {
    Operator.LT: "<",
    Operator.LTEQ: "<=",
    Operator.GT: ">",
    Operator.GTEQ: ">=",
    Operator.EQ: "==",
    Operator.NEQ: "!=",
}


class Cedar:
    """The same rules for cedarpy: policies and entities parsed once, requests given as they come."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._policies = cedarpy.PolicySet.from_str("\n".join(_cedar(list(policies))))
        self._entities = cedarpy.Entities.from_json_str(json.dumps(list(_entities())))

    def allows(self, asked: AccessRequest) -> bool:
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "Party", "id": asked.assignee},
                "action": {"type": "Action", "id": asked.action},
                "resource": {"type": "Dataset", "id": asked.target},
                "context": {_name(operand): _context(operand, fact.value) for operand, fact in asked.facts.items()},
            },
            self._policies,
            self._entities,
        )
        return bool(result.allowed)


def _entities() -> Iterable[dict[str, Any]]:
    for name, scheme in V.schemes.items():
        for term in scheme:
            parents = [{"type": _type(name), "id": broader} for broader in term.broader]
            yield {"uid": {"type": _type(name), "id": term.iri}, "attrs": {}, "parents": parents}


def _type(scheme: str) -> str:
    return "Action" if scheme == "Actions" else scheme


def _cedar(policies: list[Policy]) -> Iterable[str]:
    yield "permit(principal, action, resource);"
    for policy in policies:
        for rule in policy.rules:
            if rule.kind is Kind.PROHIBITION:
                yield f"forbid(principal, action, resource) when {{ {_scope(policy, rule)} && {_body(rule)} }};"
    for layer in ("L2", "L3", "L4"):
        permissions = [
            f"({_scope(policy, rule)} && {_body(rule)})"
            for policy in policies
            for rule in policy.rules
            if policy.layer == layer and rule.kind is Kind.PERMISSION
        ]
        yield f"forbid(principal, action, resource) unless {{ {' || '.join(permissions)} }};"


def _scope(policy: Policy, rule: Rule) -> str:
    parts = [f"({' || '.join(f'action in Action::{json.dumps(action)}' for action in rule.actions)})"]
    targets = [t for t in policy.targets_of(rule) if not t.endswith("#anyDataset")]
    if targets:
        parts.append(f"({' || '.join(f'resource == Dataset::{json.dumps(target)}' for target in targets)})")
    if policy.assignees_of(rule):
        parts.append(f"({' || '.join(f'principal == Party::{json.dumps(p)}' for p in policy.assignees_of(rule))})")
    return " && ".join(parts)


def _body(rule: Rule) -> str:
    when = "true" if rule.when is None else _condition(rule.when)
    return when if rule.unless is None else f"{when} && !({_condition(rule.unless)})"


def _condition(condition: Condition) -> str:
    if isinstance(condition, Combination):
        if condition.joined == "xone":
            raise NotImplementedError("the compared policies hold no 'exactly one of'")
        return f"({(' && ' if condition.joined == 'and' else ' || ').join(map(_condition, condition.parts))})"
    return _constraint(condition)


def _constraint(constraint: Constraint) -> str:
    operand, left = V.operands[constraint.left], f"context.{_name(constraint.left)}"
    if isinstance(constraint.right, OperandReference):
        return f"{left} {_SYMBOLS[constraint.operator]} context.{_name(constraint.right.operand)}"
    if operand.datatype is Datatype.TERM:
        named = constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
        return f"({' || '.join(f'{left} in {operand.scheme}::{json.dumps(term)}' for term in named)})"
    return f"{left} {_SYMBOLS[constraint.operator]} {json.dumps(_number(constraint.right, operand))}"


def _name(iri: str) -> str:
    return iri.replace("/", "#").rpartition("#")[2]


def _number(value: Any, operand: Operand) -> Any:
    if isinstance(value, timedelta):
        return round(value.total_seconds())
    return round(value * SCALE) if operand.datatype is Datatype.NUMBER else value


def _context(iri: str, value: Any) -> Any:
    operand = V.operands[iri]
    if operand.datatype is Datatype.TERM:
        # The compared rules look at facts with one value; Cedar would need a set operation for several.
        first = value[0] if isinstance(value, tuple) else value
        return {"__entity": {"type": operand.scheme, "id": first}}
    if isinstance(value, tuple):
        return list(value)
    return _number(value, operand)
