"""The bare outcome of a request under compiled policies, before it is put into words.

A request is permitted when no prohibition of any layer counts, each of L2, L3 and L4
has a permission that holds with its prior duties fulfilled, no prior obligation is
open, and nothing in the request is beyond what the policies understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthema.policy.compile import CompiledPolicies, CompiledRule, Facts, Verdict
from synthema.policy.model import (
    PERMITTING_LAYERS,
    AccessRequest,
    Duty,
    Fact,
    Kind,
    Layer,
    Timing,
)
from synthema.vocabulary.namespaces import ODRL, compact

DATE_TIME = ODRL + "dateTime"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A permission that speaks about the request but does not grant it: its condition, or duties still open."""

    rule: CompiledRule
    verdict: Verdict
    open_duties: tuple[Duty, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What stands for and against a request."""

    refusals: tuple[str, ...]
    forbidding: tuple[tuple[CompiledRule, Verdict], ...]
    granting: Mapping[Layer, CompiledRule]
    attempts: Mapping[Layer, tuple[Attempt, ...]]
    obliging: tuple[CompiledRule, ...]
    open_obligations: tuple[CompiledRule, ...]
    facts: Facts

    @property
    def permitted(self) -> bool:
        return not (self.refusals or self.forbidding or self.attempts or self.open_obligations)


def assess(compiled: CompiledPolicies, request: AccessRequest) -> Assessment:
    """Judge a request. Pure: the same request and policies give the same assessment for ever."""
    facts: dict[str, Fact] = {**request.facts, **compiled.standing, DATE_TIME: Fact(request.at)}
    rules = compiled.by_action.get(request.action)
    refusals = _refusals(compiled, request, facts, known_action=rules is not None)
    if rules is None:
        return Assessment(refusals, (), {}, dict.fromkeys(PERMITTING_LAYERS, ()), (), (), facts)
    target, assignee, at = request.target, request.assignee, request.at
    forbidding = [
        (rule, verdict)
        for rule in rules[Kind.PROHIBITION]
        if rule.concerns(target, assignee, at) and (verdict := rule.holds(facts)) is not False
    ]
    granting: dict[Layer, CompiledRule] = {}
    attempts: dict[Layer, list[Attempt]] = {layer: [] for layer in PERMITTING_LAYERS}
    for rule in rules[Kind.PERMISSION]:
        layer = rule.layer
        if layer in granting or layer not in attempts or not rule.concerns(target, assignee, at):
            continue
        verdict = rule.holds(facts)
        undone = _open_duties(rule, request, compiled)
        if verdict is True and not undone:
            granting[layer] = rule
        else:
            attempts[layer].append(Attempt(rule, verdict, undone))
    obliging = tuple(
        rule
        for rule in rules[Kind.OBLIGATION]
        if rule.concerns(target, assignee, at) and rule.holds(facts) is not False
    )
    return Assessment(
        refusals=refusals,
        forbidding=tuple(forbidding),
        granting=granting,
        attempts={layer: tuple(found) for layer, found in attempts.items() if layer not in granting},
        obliging=obliging,
        open_obligations=tuple(rule for rule in obliging if _open_duties(rule, request, compiled)),
        facts=facts,
    )


def _refusals(
    compiled: CompiledPolicies, request: AccessRequest, facts: Facts, *, known_action: bool
) -> tuple[str, ...]:
    """What makes a request undecidable as a whole, in words; empty in the normal case."""
    found: list[str] = []
    if not known_action:
        near = compiled.vocabulary.actions.nearest(request.action)
        found.append(
            f"'{compact(request.action)}' is not a known action" + (f"; the nearest one is '{near}'" if near else "")
        )
    if not compiled.has_union_law(request.at):
        found.append("no law pack (L0) is loaded that counts at this time; load one before deciding")
    unknown = [operand for operand in request.facts if operand not in compiled.vocabulary.operands]
    if unknown:
        names = ", ".join(compact(operand) for operand in sorted(unknown))
        found.append(f"the request states what the vocabulary does not know: {names}; leave it out or pin the term")
    for operand, fact in request.facts.items():
        settled = facts[operand]
        if settled is not fact and (settled.value != fact.value or type(settled.value) is not type(fact.value)):
            label = compiled.vocabulary.label(operand)
            found.append(f"the request contradicts what is settled about the {label}; leave it out of the request")
    for done in request.fulfilled:
        if done.state != "fulfilled":
            duty = compiled.vocabulary.label(done.action)
            found.append(f"an earlier duty was not kept in time: {duty}; it has to be settled with the site first")
    return tuple(found)


def _open_duties(rule: CompiledRule, request: AccessRequest, compiled: CompiledPolicies) -> tuple[Duty, ...]:
    return tuple(
        duty
        for duty in rule.rule.duties
        if duty.timing is Timing.PRE and not is_fulfilled(duty, rule.rule.id, request, compiled)
    )


def is_fulfilled(duty: Duty, rule_id: str, request: AccessRequest, compiled: CompiledPolicies) -> bool:
    """Whether a duty was done before the request: the same act, in time, with evidence where evidence is asked."""
    return any(
        compiled.vocabulary.duties.is_a(done.action, duty.action)
        and done.state == "fulfilled"
        and done.at <= request.at
        and done.rule in (None, rule_id)
        and (duty.evidence is None or bool(done.evidence))
        for done in request.fulfilled
    )
