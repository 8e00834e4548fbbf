"""The evaluation for people and for programs: sentences, and one JSON value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synthema.clock import to_text
from synthema.policy.evaluator.conditions import Judgement
from synthema.policy.evaluator.evaluation import Evaluation, PolicyState
from synthema.policy.evaluator.semantics import DutyState, RuleState
from synthema.policy.intake.graph import is_blank
from synthema.policy.intake.statements import Comparison
from synthema.vocabulary import compact

_FINDINGS = {
    "permitted": "permits it",
    "prohibited": "prohibits it",
    "conflict": "both permits and prohibits it, which makes the policy invalid",
    "silent": "does not speak of it",
}
_SCOPES = {"target": "The asset", "party": "The party", "action": "The action"}


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as one JSON value."""
    value: dict[str, Any] = {
        "at": None if evaluation.at is None else to_text(evaluation.at),
        "policies": [_policy(state, evaluation) for state in evaluation.policies],
        "sentences": list(sentences(evaluation)),
    }
    if evaluation.asked is not None:
        return {"request": evaluation.asked.iri, "effect": evaluation.effect, **value}
    return {"compliant": evaluation.compliant, **value}


def _policy(state: PolicyState, evaluation: Evaluation) -> dict[str, Any]:
    value: dict[str, Any] = {"policy": state.policy.iri, "considered": state.considered}
    if state.considered and evaluation.asked is not None:
        value |= {"finding": state.finding, "effect": state.effect}
    if evaluation.asked is None:
        value["acts"] = [
            {"act": act.act.node, "finding": act.finding, "effect": act.effect, "settled": act.settled}
            for act in state.acts
        ]
    return value | {"rules": [_rule(rule) for rule in state.rules], "notes": list(state.notes)}


def _rule(state: RuleState) -> dict[str, Any]:
    return {
        "rule": state.rule.node,
        "kind": state.rule.kind,
        "active": state.active,
        "applies": state.applies,
        "performance": state.performance,
        "deontic": state.deontic,
        "settled": state.settled,
        "duties": [_duty(duty) for duty in (*state.duties, *state.remedies)],
    }


def _duty(state: DutyState) -> dict[str, Any]:
    return {
        "duty": state.rule.node,
        "active": state.active,
        "performance": state.performance,
        "deontic": state.deontic,
        "consequences": [_duty(item) for item in state.consequences],
    }


def sentences(evaluation: Evaluation) -> Iterator[str]:
    """What was found, for a reader who knows the policies but not ODRL."""
    for state in evaluation.policies:
        name = compact(state.policy.iri)
        if state.considered and evaluation.asked is not None:
            default = f", so it is {'permitted' if state.effect == 'permit' else 'denied'} by default"
            yield f"The policy {name} {_FINDINGS[state.finding]}{default if state.finding == 'silent' else ''}."
        for act in state.acts:
            allowed = "permitted" if act.effect == "permit" else "not permitted"
            made_good = ", and it was made good" if act.settled else ""
            yield f"Under {name}, {compact(act.act.node)} is {allowed}{made_good}."
        for number, rule in enumerate(state.rules, start=1):
            yield from _rule_sentences(rule, number, asked=evaluation.asked is not None)
        yield from (f"Note: {note}" for note in state.notes)
    if evaluation.asked is not None:
        yield f"Together: {evaluation.effect}."
    else:
        yield f"What was done {'complies' if evaluation.compliant else 'does not comply'} with the policies."


def _rule_sentences(state: RuleState, number: int, *, asked: bool) -> Iterator[str]:
    rule = state.rule
    name = f"{rule.kind} {number}" if is_blank(rule.node) else f"{rule.kind} {compact(rule.node)}"
    parts = [f"The {name} is {'active' if state.active else 'inactive'}"]
    if asked and rule.kind != "obligation":
        applies = {True: "the request falls under it", False: "the request does not fall under it"}
        parts.append(
            applies.get(bool(state.applies), "") if state.applies is not None else "it is not known whether it is meant"
        )
    if state.deontic is not None and state.deontic != "NonSet":
        parts.append("it is " + ("fulfilled" if state.deontic == "Fulfilled" else "violated"))
    if state.settled:
        parts.append("its violation was settled")
    yield "; ".join(parts) + "."
    for judgement in state.constraints:
        yield from _why(judgement)
    for premise in state.premises:
        if asked and premise.verdict is not True and not premise.refinements:
            told = "is not the one named" if premise.verdict is False else "is not said; the rule names one"
            yield f"  {_SCOPES[premise.scope]} {told} ({compact(premise.part.iri)})."
        for judgement in premise.refinements:
            yield from _why(judgement)
    for duty in (*state.duties, *state.remedies):
        yield from _duty_sentences(duty)


def _duty_sentences(state: DutyState) -> Iterator[str]:
    what = ", ".join(compact(part.iri) for part in state.rule.actions) or "anything"
    if not state.active:
        yield f"  The {state.rule.kind} to {what} does not arise now."
        return
    outcome = {"Fulfilled": "is fulfilled", "Violated": "is violated", "NonSet": "is not fulfilled yet"}[state.deontic]
    yield f"  The {state.rule.kind} to {what} {outcome}."
    for item in state.consequences:
        yield from _duty_sentences(item)


def _why(judgement: Judgement) -> Iterator[str]:
    """The comparisons that do not hold, or cannot be told."""
    if judgement.verdict is True:
        return
    if isinstance(judgement.written, Comparison):
        written = judgement.written
        right = ", ".join(compact(node.value) for node in judgement.right) or compact(written.reference or "")
        asked = f"{compact(written.left)} {written.operator} {right}"
        actual = ", ".join(compact(node.value) for node in judgement.actual)
        told = f"it is {actual}" if judgement.verdict is False else f"cannot be told, {judgement.problem}"
        yield f"  {asked}: {told}."
        return
    for part in judgement.parts:
        yield from _why(part)
