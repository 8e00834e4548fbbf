"""What a policy says, with identifiers, idle order and idle units taken out; and policies that differ a little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from synthema.policy import Policy, words
from synthema.policy.model import Combination, Condition, Constraint, Duty, Refinement, Rule
from synthema.vocabulary import Vocabulary

Path = tuple[str | int, ...]


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────────────────────


def meaning(policy: Policy, vocabulary: Vocabulary) -> Any:
    """All that plain English has to tell of a policy; the identifiers of the policy, its rules and acts are not."""
    return (
        policy.layer,
        policy.version,
        policy.title,
        policy.targets,
        policy.assigner,
        policy.assignees,
        tuple(str(reference) for reference in policy.law),
        policy.effective_from,
        policy.effective_to,
        policy.site_decisions,
        policy.inherits,
        tuple(_rule(policy, rule, vocabulary) for rule in policy.rules),
    )


def _rule(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> Any:
    return (
        rule.kind,
        rule.actions,
        _condition(rule.when, vocabulary),
        _condition(rule.unless, vocabulary),
        policy.targets_of(rule),
        policy.assignees_of(rule),
        tuple(_duty(duty, vocabulary) for duty in rule.duties),
        tuple(str(reference) for reference in policy.law_of(rule)),
        words.sentence(rule.sentence) if rule.sentence else "",
        tuple((refinement.of, _condition(refinement.condition, vocabulary)) for refinement in rule.refinements),
        tuple(_duty(duty, vocabulary) for duty in rule.remedies),
        rule.origin,
    )


def _duty(duty: Duty, vocabulary: Vocabulary) -> Any:
    further = tuple(_duty(each, vocabulary) for each in duty.consequences)
    return (
        duty.action,
        duty.timing,
        duty.within,
        duty.after,
        duty.evidence,
        _condition(duty.when, vocabulary),
        further,
    )


def _condition(condition: Condition | None, vocabulary: Vocabulary) -> Any:
    if condition is None:
        return None
    if isinstance(condition, Combination):
        return (condition.joined, tuple(_condition(part, vocabulary) for part in condition.parts))
    # The unit an operand has anyhow says nothing new.
    return (condition.left, condition.operator, condition.right)


def unordered(policy: Policy) -> Policy:
    """The policy with all in order of name that has no order in RDF: rules, acts, datasets, parties, sets of terms."""

    def condition(value: Condition) -> Condition:
        if isinstance(value, Combination):
            return replace(value, parts=tuple(map(condition, value.parts)))
        return replace(value, right=tuple(sorted(value.right))) if isinstance(value.right, tuple) else value

    def duty(value: Duty) -> Duty:
        when = None if value.when is None else condition(value.when)
        return replace(value, when=when, consequences=tuple(map(duty, value.consequences)))

    def rule(value: Rule) -> Rule:
        refinements = (Refinement(r.of, condition(r.condition)) for r in value.refinements)
        return replace(
            value,
            actions=tuple(sorted(value.actions)),
            targets=tuple(sorted(value.targets)),
            assignees=tuple(sorted(value.assignees)),
            when=None if value.when is None else condition(value.when),
            unless=None if value.unless is None else condition(value.unless),
            duties=tuple(map(duty, value.duties)),
            remedies=tuple(map(duty, value.remedies)),
            refinements=tuple(sorted(refinements, key=lambda refinement: refinement.of)),
        )

    return replace(
        policy,
        targets=tuple(sorted(policy.targets)),
        assignees=tuple(sorted(policy.assignees)),
        rules=tuple(sorted(map(rule, policy.rules), key=lambda each: each.id)),
        inherits=tuple(sorted(policy.inherits, key=lambda parent: parent.policy)),
    )


# ── small differences ────────────────────────────────────────────────────────────────────────────────────────────


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside a policy, with the way to it."""
    yield path, value
    if is_dataclass(value):
        for field in fields(value):
            yield from places(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from places(item, (*path, number))


def put(value: Any, path: Path, new: Any) -> Any:
    """The value with another one at a place."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        return (*value[:head], put(value[head], rest, new), *value[head + 1 :])
    return replace(value, **{head: put(getattr(value, head), rest, new)})


def others(value: Any, pool: list[Any]) -> list[Any]:
    """What may stand in place of a value: something near it, or something of its kind from elsewhere."""
    same = [item for item in pool if type(item) is type(value) and item != value]
    if isinstance(value, tuple):
        kinds = {type(item) for item in value}
        same = [each for each in same if {type(item) for item in each} <= kinds]
    match value:
        case bool():
            near: list[Any] = [not value]
        case StrEnum():
            near = [each for each in type(value) if each is not value]
        case int() | float():
            near = [value + 1, value + 1e-9 if isinstance(value, float) else value + 2]
        case datetime():
            near = [value + timedelta(microseconds=1), value + timedelta(days=1)]
        case timedelta():
            near = [value + timedelta(seconds=1)]
        case tuple():
            near = [value[:-1], value[::-1], *((value + item) for item in same[:3])]
        case Constraint() | Combination() | Duty() | None:
            near = [None]
        case str():
            near = [f"{value}x", f"{value} or x", f"“{value}”"]
        case _:
            near = []
    return near + same
