"""The bare outcome of a request under compiled policies, before it is put into words.

A request is permitted when no prohibition of any layer counts, each of L2, L3 and L4
has a permission that holds with its prior duties fulfilled, no prior obligation is
open, no recorded violation is unsettled, and nothing in the request is beyond what the
policies understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthema.policy.compile import CompiledDuty, CompiledPolicies, CompiledRule, Facts, Verdict
from synthema.policy.duties import Violation, is_fulfilled, open_duties, unsettled
from synthema.policy.index import Speaking
from synthema.policy.model import PERMITTING_LAYERS, AccessRequest, Fact, Layer
from synthema.vocabulary.namespaces import ODRL, compact

__all__ = ["DATE_TIME", "Assessment", "Attempt", "assess", "is_fulfilled"]

DATE_TIME = ODRL + "dateTime"
_NEEDED = len(PERMITTING_LAYERS)
_SILENCE = Speaking((), (), (), ())


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A permission that speaks about the request but does not grant it: its condition, or duties still open."""

    rule: CompiledRule
    verdict: Verdict
    open_duties: tuple[CompiledDuty, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """What stands for and against a request. ``speaking`` are the rules about it; none if its act is not known."""

    refusals: tuple[str, ...]
    forbidding: tuple[tuple[CompiledRule, Verdict], ...]
    granting: Mapping[Layer, CompiledRule]
    attempts: Mapping[Layer, tuple[Attempt, ...]]
    obliging: tuple[CompiledRule, ...]
    open_obligations: tuple[CompiledRule, ...]
    violations: tuple[Violation, ...]
    facts: Facts
    speaking: Speaking

    @property
    def permitted(self) -> bool:
        return not (self.refusals or self.violations or self.forbidding or self.attempts or self.open_obligations)


def assess(compiled: CompiledPolicies, request: AccessRequest) -> Assessment:
    """Judge a request. Pure: the same request and policies give the same assessment for ever."""
    at = request.at
    facts: dict[str, Fact] = {**request.facts, **compiled.standing, DATE_TIME: Fact(at)}
    speaking = compiled.speaking(request, facts)
    refusals = _refusals(compiled, request, facts, known_action=speaking is not None)
    violations = unsettled(compiled, request, facts) if request.fulfilled else ()
    if speaking is None:
        nothing: Mapping[Layer, tuple[Attempt, ...]] = dict.fromkeys(PERMITTING_LAYERS, ())
        return Assessment(refusals, (), {}, nothing, (), (), violations, facts, _SILENCE)
    forbidding = [
        (rule, verdict)
        for rule in speaking.prohibitions
        if (verdict := rule.holds(facts)) is not False and rule.counts_at(at)
    ]
    granting, tried = _granting(compiled, request, facts, speaking.candidates)
    attempts = {} if len(granting) == _NEEDED else _attempts(compiled, request, facts, speaking, granting, tried)
    obliging = [rule for rule in speaking.obligations if rule.holds(facts) is not False and rule.counts_at(at)]
    return Assessment(
        refusals,
        tuple(forbidding),
        granting,
        attempts,
        tuple(obliging),
        tuple([rule for rule in obliging if rule.prior and open_duties(rule, request, compiled, facts)]),
        violations,
        facts,
        speaking,
    )


def _granting(
    compiled: CompiledPolicies, request: AccessRequest, facts: Facts, candidates: tuple[CompiledRule, ...]
) -> tuple[dict[Layer, CompiledRule], dict[CompiledRule, Attempt]]:
    """The first permission of each layer that holds with its prior duties done, and those that do not."""
    found: dict[Layer, CompiledRule] = {}
    tried: dict[CompiledRule, Attempt] = {}
    for rule in candidates:
        layer = rule.layer
        if layer in found or layer not in PERMITTING_LAYERS or not rule.counts_at(request.at):
            continue
        verdict = rule.holds(facts)
        left = open_duties(rule, request, compiled, facts) if rule.prior else ()
        if verdict is True and not left:
            found[layer] = rule
        else:
            tried[rule] = Attempt(rule, verdict, left)
    return found, tried


def _attempts(
    compiled: CompiledPolicies,
    request: AccessRequest,
    facts: Facts,
    speaking: Speaking,
    granting: Mapping[Layer, CompiledRule],
    tried: Mapping[CompiledRule, Attempt],
) -> dict[Layer, tuple[Attempt, ...]]:
    """The layers without a permission that grants, with those that speak about the request at all."""
    found: dict[Layer, list[Attempt]] = {layer: [] for layer in PERMITTING_LAYERS if layer not in granting}
    for rule in speaking.permissions:
        if rule.layer in found and rule.counts_at(request.at):
            attempt = tried.get(rule)
            if attempt is None:
                # What is no candidate surely fails for the purpose that is stated.
                attempt = Attempt(rule, False, open_duties(rule, request, compiled, facts))  # noqa: FBT003
            found[rule.layer].append(attempt)
    return {layer: tuple(attempts) for layer, attempts in found.items()}


def _refusals(
    compiled: CompiledPolicies, request: AccessRequest, facts: Facts, *, known_action: bool
) -> tuple[str, ...]:
    """What makes a request undecidable as a whole, in words; empty in the normal case."""
    found: list[str] = []
    vocabulary, stated = compiled.vocabulary, request.facts
    if not known_action:
        near = vocabulary.actions.nearest(request.action[:200])
        found.append(
            f"'{compact(request.action)}' is not a known action" + (f"; the nearest one is '{near}'" if near else "")
        )
    if not compiled.has_union_law(request.at):
        found.append("no law pack (L0) is loaded that counts at this time; load one before deciding")
    if not stated.keys() <= vocabulary.operands.keys():
        names = ", ".join(compact(operand) for operand in sorted(stated.keys() - vocabulary.operands.keys()))
        found.append(f"the request states what the vocabulary does not know: {names}; leave it out or pin the term")
    settled_ = [operand for operand in (DATE_TIME, *compiled.standing) if operand in stated]
    for operand in sorted(settled_):
        fact, settled = stated[operand], facts[operand]
        if settled.value != fact.value or type(settled.value) is not type(fact.value):
            label = vocabulary.label(operand)
            found.append(f"the request contradicts what is settled about the {label}; leave it out of the request")
    return tuple(found)
