"""What policies answer, as one diagram over all requests, and the same asked of the deciding code itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

from synthema.policy.analysis.diagram import Node
from synthema.policy.analysis.logic import B, Logic, V
from synthema.policy.analysis.space import Space
from synthema.policy.assess import Assessment, assess
from synthema.policy.compile import CompiledPolicies, CompiledRule
from synthema.policy.model import PERMITTING_LAYERS, AccessRequest, Kind, Layer


class Answer(StrEnum):
    """What policies say about a request, seen from the layers that are looked at."""

    PERMITS = "permits"
    FORBIDS = "forbids"
    DEMANDS = "demands a duty first"
    SILENT = "is silent"


def needed_layers(policies: CompiledPolicies, *, whole: bool) -> tuple[Layer, ...]:
    """The layers whose permission is looked for: all of them, or only those that speak here."""
    if whole:
        return PERMITTING_LAYERS
    return tuple(layer for layer in PERMITTING_LAYERS if any(p.layer is layer for p in policies.policies))


def answers(space: Space, compiled: CompiledPolicies, needed: Collection[Layer], *, whole: bool = False) -> Node:
    """The answer of policies to every request, as a diagram."""
    said = space.diagrams.mapped(
        permits(space, compiled, needed, whole=whole), lambda yes: Answer.PERMITS if yes else Answer.SILENT
    )
    for truth, answer in (
        (demands(space, compiled.rules), Answer.DEMANDS),
        (forbids(space, compiled.rules), Answer.FORBIDS),
    ):
        said = space.diagrams.joined(truth, said, lambda yes, before, answer=answer: answer if yes else before)  # type: ignore[misc]
    return said


def ways(logic: Logic[V, B], compiled: CompiledPolicies, needed: Collection[Layer], *, whole: bool) -> dict[Answer, B]:
    """For each answer, where it is given."""
    forbidden, demanded = forbids(logic, compiled.rules), demands(logic, compiled.rules)
    permitted = permits(logic, compiled, needed, whole=whole)
    other = logic.any_of([forbidden, demanded])
    every = logic.all_of([])
    return {
        Answer.FORBIDS: forbidden,
        Answer.DEMANDS: logic.minus(demanded, forbidden),
        Answer.PERMITS: logic.minus(permitted, other),
        Answer.SILENT: logic.minus(every, logic.any_of([other, permitted])),
    }


def forbids(logic: Logic[V, B], rules: Iterable[CompiledRule]) -> B:
    """Where a prohibition counts."""
    prohibitions = [rule for rule in rules if rule.rule.kind is Kind.PROHIBITION]
    return logic.any_of([logic.counts(logic.rule(rule)) for rule in prohibitions])


def demands(logic: Logic[V, B], rules: Iterable[CompiledRule]) -> B:
    """Where an obligation asks for something that has not been done."""
    obligations = [rule for rule in rules if rule.rule.kind is Kind.OBLIGATION]
    return logic.any_of([logic.minus(logic.counts(logic.rule(rule)), logic.duties_done(rule)) for rule in obligations])


def permits(logic: Logic[V, B], compiled: CompiledPolicies, needed: Collection[Layer], *, whole: bool) -> B:
    """Where each layer that is needed permits; of the ``whole`` decision, nothing is permitted where no law counts."""
    if not needed:
        return logic.any_of([])
    permissions = [rule for rule in compiled.rules if rule.rule.kind is Kind.PERMISSION]
    layers = [logic.any_of([grants(logic, rule) for rule in permissions if rule.layer is layer]) for layer in needed]
    return logic.all_of([*layers, *([logic.at_times(compiled.has_union_law)] if whole else [])])


def grants(logic: Logic[V, B], rule: CompiledRule) -> B:
    """Where a permission grants, its duties done."""
    return logic.all_of([logic.holds(logic.rule(rule)), logic.duties_done(rule)])


def answer_of(compiled: CompiledPolicies, request: AccessRequest, needed: Collection[Layer]) -> Answer:
    """The answer to one request, asked of the code that decides."""
    outcome = assess(compiled, request)
    if outcome.forbidding:
        return Answer.FORBIDS
    if outcome.open_obligations:
        return Answer.DEMANDS
    return Answer.PERMITS if _granted(outcome, needed) else Answer.SILENT


def _granted(outcome: Assessment, needed: Iterable[Layer]) -> bool:
    layers = list(needed)
    return bool(layers) and all(layer in outcome.granting for layer in layers)
