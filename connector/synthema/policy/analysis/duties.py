"""Which duties come with a permit, as a diagram over all requests, and the same asked of the deciding code."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from synthema.policy import words
from synthema.policy.analysis.diagram import Node
from synthema.policy.analysis.outcome import grants
from synthema.policy.analysis.space import Space
from synthema.policy.assess import assess
from synthema.policy.compile import CompiledDuty, CompiledPolicies, CompiledRule
from synthema.policy.model import AccessRequest, Duty, Event, Kind, Layer, Timing
from synthema.vocabulary import Vocabulary


class Brought(NamedTuple):
    """A duty that comes with a permit."""

    action: str
    timing: Timing
    within: timedelta | None
    after: Event
    evidence: str | None


Duties = frozenset[Brought]


def brought(space: Space, compiled: CompiledPolicies, needed: Collection[Layer]) -> Node:
    """The duties that come with each request: of the first permission of a layer that grants, and of obligations."""
    found = space.diagrams.leaf(frozenset())
    for layer in needed:
        found = space.diagrams.joined(found, _of_layer(space, compiled, layer), _together)
    for rule in compiled.rules:
        if rule.rule.kind is Kind.OBLIGATION:
            duties = _of_rule(space, rule)
            counts = space.counts(space.rule(rule))
            found = space.diagrams.joined(found, _where(space, counts, duties), _together)
    return found


def _of_layer(space: Space, compiled: CompiledPolicies, layer: Layer) -> Node:
    chosen = space.diagrams.leaf(frozenset())
    # From the last to the first, so that the first that grants has the last word.
    for rule in reversed(compiled.rules):
        if rule.rule.kind is Kind.PERMISSION and rule.layer is layer:
            granted = space.diagrams.joined(grants(space, rule), _of_rule(space, rule), _if_so)
            chosen = space.diagrams.joined(granted, chosen, _else)
    return chosen


def _of_rule(space: Space, rule: CompiledRule) -> Node:
    """The duties a rule brings, by whether each of them arises."""
    found = space.diagrams.leaf(frozenset())
    for duty in rule.duties:
        if duty.duty.timing is not Timing.PRE:
            arises = space.counts(space.condition(duty.when, permissive=False))
            found = space.diagrams.joined(
                found, _where(space, arises, space.diagrams.leaf(frozenset({_key(duty)}))), _together
            )
    return found


def _where(space: Space, truth: Node, duties: Node) -> Node:
    return space.diagrams.joined(truth, duties, lambda holds, each: each if holds else frozenset())


def _together(first: Duties, second: Duties) -> Duties:
    return first | second


def _if_so(holds: bool, duties: Duties) -> Duties | None:  # noqa: FBT001 - truth values are what it joins
    return duties if holds else None


def _else(first: Duties | None, second: Duties) -> Duties:
    return second if first is None else first


def _key(duty: CompiledDuty) -> Brought:
    each = duty.duty
    return Brought(each.action, each.timing, each.within, each.after, each.evidence)


def brought_with(compiled: CompiledPolicies, request: AccessRequest, needed: Collection[Layer]) -> Duties:
    """The duties that come with one request, asked of the code that decides."""
    outcome = assess(compiled, request)
    rules = [*(outcome.granting[layer] for layer in needed if layer in outcome.granting), *outcome.obliging]
    return frozenset(
        _key(duty)
        for rule in rules
        for duty in rule.duties
        if duty.duty.timing is not Timing.PRE and duty.arises(outcome.facts)
    )


def told(before: Duties, after: Duties, vocabulary: Vocabulary) -> str:
    """What became of the duties, in words."""
    gained, lost = (
        sorted(words.duty(Duty(*each), vocabulary) for each in side) for side in (after - before, before - after)
    )
    said = [*([f"now with this duty: {'; '.join(gained)}"] if gained else [])]
    said += [f"no longer with this duty: {'; '.join(lost)}"] if lost else []
    return ", ".join(said)
