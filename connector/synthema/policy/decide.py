"""Decides: compiled policies and a request in, a :class:`Decision` out. No clock, no files, no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from synthema.canonical import digest
from synthema.errors import InputError, IntegrityError
from synthema.policy.assess import Assessment, Attempt, assess
from synthema.policy.changes import Suggestion, suggest
from synthema.policy.compile import CompiledPolicies, CompiledRule, Facts, Tree, Verdict
from synthema.policy.decision import Decision, Obligation, Problem, Reason, RuleEffect, read_request, request_digest
from synthema.policy.model import (
    LAYER_NAMES,
    PERMITTING_LAYERS,
    AccessRequest,
    Event,
    Layer,
    OperandReference,
    Timing,
)
from synthema.policy.values import fits
from synthema.policy.words import duty as duty_words
from synthema.policy.words import sentence
from synthema.vocabulary import Datatype, Vocabulary


def decide(compiled: CompiledPolicies, request: AccessRequest) -> Decision:
    """The decision on a request, with every decisive rule, the facts used, duties, and on deny the smallest change.

    Deterministic: the same compiled policies and request give the same decision,
    digest included. Never raises on what a request holds; what is not understood denies.
    """
    outcome = assess(compiled, request)
    permitted, vocabulary = outcome.permitted, compiled.vocabulary
    suggestion = Suggestion() if permitted else suggest(compiled, request, outcome)
    return Decision(
        effect="permit" if permitted else "deny",
        request=request,
        reasons=tuple(_granting_reasons(outcome) if permitted else _denying_reasons(outcome, vocabulary)),
        obligations=tuple(_obligations(outcome, request)) if permitted else (),
        changes=suggestion.changes,
        unchangeable=suggestion.unchangeable,
        permitted_purposes=suggestion.permitted_purposes,
        request_digest=request_digest(request),
        policy_digest=compiled.digest,
        vocabulary_version=vocabulary.version,
        vocabulary=vocabulary,
    )


def replay(recorded: Mapping[str, Any], compiled: CompiledPolicies) -> Decision:
    """Decide again what was decided before and check that it is the same.

    ``recorded`` is :meth:`Decision.as_dict`. Raises :class:`IntegrityError` when the
    policies are not those of then, or when the outcome differs in anything.
    """
    if recorded.get("policy_digest") != compiled.digest:
        raise IntegrityError(
            "these are not the policies the decision was made under",
            fix="compile the policies and the vocabulary pinned at the time",
        )
    request = recorded.get("request")
    if not isinstance(request, Mapping):
        raise InputError("the record holds no request", fix="give the whole recorded decision")
    decision = decide(compiled, read_request(request))
    if decision.digest != digest(dict(recorded)):
        raise IntegrityError(
            "deciding again gives another decision than the one recorded",
            fix="the record was changed after it was made; look at its entry in the log",
        )
    return decision


def _granting_reasons(outcome: Assessment) -> list[Reason]:
    facts, found = outcome.facts, []
    for layer in PERMITTING_LAYERS:
        rule = outcome.granting[layer]
        if rule.when is None:
            found.append(_of_rule(rule, "permission", satisfied=True))
            continue
        head = (layer, rule.policy.id, rule.rule.id, "permission", rule.law, rule.sentence)
        for leaf in rule.when.supporting(facts):
            constraint = leaf.constraint
            if constraint is not None:
                fact = facts[constraint.left]
                compared = (constraint.left, constraint.operator._value_, constraint.right)
                found.append(Reason._make((*head, *compared, fact.value, fact.evidence, True, "", "when")))
    return found


def _denying_reasons(outcome: Assessment, vocabulary: Vocabulary) -> Iterator[Reason]:
    for refusal in outcome.refusals:
        yield Reason(Layer.UNION, None, None, "none", (), sentence(refusal))
    for rule, _ in outcome.forbidding:
        yield from _forbidding_reasons(rule, outcome.facts, vocabulary)
    for rule in outcome.open_obligations:
        yield _of_rule(rule, "obligation", satisfied=False)
    for layer in sorted(outcome.attempts):
        attempts = outcome.attempts[layer]
        if not attempts:
            yield _missing_layer(layer)
        else:
            yield from _failing_reasons(
                min(attempts, key=lambda a: (_distance(a, outcome.facts), a.rule.rule.id)), outcome.facts, vocabulary
            )


def _missing_layer(layer: Layer) -> Reason:
    needed = {
        Layer.SITE: "the data protection officer has to activate a policy that permits it",
        Layer.DATASET: "the dataset needs a policy that permits it",
        Layer.AGREEMENT: "an agreement that permits it has to be concluded with this party",
    }[layer]
    text = f"no rule of the layer '{LAYER_NAMES[layer]}' ({layer}) permits this act on this dataset for this party"
    return Reason(layer, None, None, "none", (), sentence(f"{text}; {needed}"))


def _forbidding_reasons(rule: CompiledRule, facts: Facts, vocabulary: Vocabulary) -> Iterator[Reason]:
    found: list[Reason] = []
    if rule.when is not None:
        found += _comparisons(rule, rule.when, facts, "prohibition", vocabulary, _not_excluded)
    if rule.unless is not None:
        found += _comparisons(rule, rule.unless, facts, "prohibition", vocabulary, _not_holding)
    yield from found or [_of_rule(rule, "prohibition", satisfied=True)]


def _failing_reasons(attempt: Attempt, facts: Facts, vocabulary: Vocabulary) -> Iterator[Reason]:
    rule = attempt.rule
    if rule.when is not None and attempt.verdict is not True:
        yield from _comparisons(rule, rule.when, facts, "permission", vocabulary, _not_holding)
    for duty in attempt.open_duties:
        text = sentence(f"not yet done: {duty_words(duty, vocabulary)}")
        yield Reason(rule.layer, rule.policy.id, rule.rule.id, "permission", rule.law, text, satisfied=False)


def _distance(attempt: Attempt, facts: Facts) -> int:
    """How many comparisons and duties stand between a permission and the request."""
    leaves = () if attempt.rule.when is None else attempt.rule.when.leaves()
    return sum(leaf.evaluate(facts) is not True for leaf in leaves) + len(attempt.open_duties)


def _not_holding(verdict: Verdict) -> bool:
    return verdict is not True


def _not_excluded(verdict: Verdict) -> bool:
    return verdict is not False


def _relevant(tree: Tree, facts: Facts, keep: Callable[[Verdict], bool]) -> Iterator[tuple[Tree, Verdict]]:
    """The comparisons that carry an outcome: parts that played no role in it are left out."""
    verdict = tree.evaluate(facts)
    if not keep(verdict):
        return
    if not tree.parts:
        yield tree, verdict
        return
    for part in tree.parts:
        yield from _relevant(part, facts, keep)


def _comparisons(
    rule: CompiledRule,
    tree: Tree,
    facts: Facts,
    effect: RuleEffect,
    vocabulary: Vocabulary,
    keep: Callable[[Verdict], bool],
) -> Iterator[Reason]:
    """A reason for each comparison that carries the outcome of a condition."""
    side: Literal["when", "unless"] = "unless" if tree is rule.unless else "when"
    head = (rule.layer, rule.policy.id, rule.rule.id, effect, rule.law, rule.sentence)
    # Too many alternatives of "exactly one" holding at once leave nothing that fails: then all are told.
    found = list(_relevant(tree, facts, keep)) or [(leaf, leaf.evaluate(facts)) for leaf in tree.leaves()]
    for leaf, verdict in found:
        constraint = leaf.constraint
        if constraint is None:
            continue
        fact = facts.get(constraint.left)
        yield Reason(
            *head,
            constraint.left,
            constraint.operator.value,
            constraint.right,
            None if fact is None else fact.value,
            None if fact is None else fact.evidence,
            verdict,
            "" if verdict is not None else _problem(leaf, facts, vocabulary),
            side,
        )


def _problem(leaf: Tree, facts: Facts, vocabulary: Vocabulary) -> Problem:
    """Why a comparison could not be made."""
    constraint, operand = leaf.constraint, leaf.operand
    fact = None if constraint is None else facts.get(constraint.left)
    if fact is None or operand is None or constraint is None:
        return "missing"
    if not fits(fact.value, operand.datatype):
        return "type"
    if fact.unit is not None and fact.unit != operand.unit:
        return "unit"
    if isinstance(constraint.right, OperandReference):
        return "reference"
    if operand.datatype is not Datatype.TERM:
        return "several-values"
    values = fact.value if isinstance(fact.value, tuple) else (fact.value,)
    return "too-wide" if all(value in vocabulary.terms_of(operand) for value in values) else "unknown-term"


def _of_rule(rule: CompiledRule, effect: RuleEffect, *, satisfied: bool) -> Reason:
    return Reason(rule.layer, rule.policy.id, rule.rule.id, effect, rule.law, rule.sentence, satisfied=satisfied)


def _obligations(outcome: Assessment, request: AccessRequest) -> Iterator[Obligation]:
    """Duties during and after the act, of the granting permissions and of obligations in any layer."""
    rules = [*(outcome.granting[layer] for layer in sorted(outcome.granting)), *outcome.obliging]
    for rule in rules:
        for duty in rule.rule.duties:
            if duty.timing is Timing.PRE:
                continue
            counted = duty.within is not None and duty.after is Event.DECISION
            due = request.at + duty.within if counted and duty.within is not None else None
            yield Obligation(
                duty.action, duty.timing, rule.rule.id, rule.law, duty.within, duty.after, due, duty.evidence
            )
