"""Decides: compiled policies and a request in, a :class:`Decision` out. No clock, no files, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from synthema.canonical import digest
from synthema.errors import InputError, IntegrityError
from synthema.policy.assess import Assessment, Attempt, assess
from synthema.policy.changes import Suggestion, suggest
from synthema.policy.compile import CompiledPolicies, CompiledRule, Facts, Tree, Verdict
from synthema.policy.decision import (
    Decision,
    Obligation,
    Problem,
    Reason,
    RuleEffect,
    Side,
    moment_after,
    read_request,
    request_digest,
)
from synthema.policy.duties import Violation
from synthema.policy.model import (
    LAYER_NAMES,
    PERMITTING_LAYERS,
    AccessRequest,
    Event,
    Kind,
    Layer,
    OperandReference,
    Timing,
)
from synthema.policy.values import fits, moment_words
from synthema.policy.words import duty as duty_words
from synthema.policy.words import listed, sentence
from synthema.vocabulary import Datatype, Vocabulary

_Item = TypeVar("_Item", Reason, Obligation)


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
        reasons=_once(compiled, _granting_reasons(outcome) if permitted else _denying_reasons(outcome, vocabulary)),
        obligations=_once(compiled, _obligations(outcome, request)) if permitted else (),
        changes=suggestion.changes,
        unchangeable=suggestion.unchangeable,
        permitted_purposes=suggestion.permitted_purposes,
        changes_proven=suggestion.proven,
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


def _once(compiled: CompiledPolicies, items: Iterable[_Item]) -> tuple[_Item, ...]:
    """The items in their order; a rule that several policies took over speaks once."""
    return tuple(dict.fromkeys(items)) if compiled.inherits else tuple(items)


def _granting_reasons(outcome: Assessment) -> list[Reason]:
    facts = outcome.facts
    found: list[Reason] = []
    for layer in PERMITTING_LAYERS:
        rule = outcome.granting[layer]
        before = len(found)
        for tree, side in ((rule.when, "when"), (rule.refined, "refinement")):
            for leaf in () if tree is None else tree.supporting(facts):
                constraint = leaf.constraint
                if constraint is not None:
                    fact = facts[constraint.left]
                    compared = (constraint.left, constraint.operator._value_, constraint.right)
                    found.append(
                        Reason._make((*rule.head, *compared, fact.value, fact.evidence, True, "", side, fact.digest))
                    )
        if len(found) == before:
            found.append(_of_rule(rule, satisfied=True))
    return found


def _denying_reasons(outcome: Assessment, vocabulary: Vocabulary) -> Iterator[Reason]:
    for refusal in outcome.refusals:
        yield Reason(Layer.UNION, None, None, "none", (), sentence(refusal))
    for violation in outcome.violations:
        yield _violation_reason(violation, vocabulary)
    for rule, _ in outcome.forbidding:
        yield from _forbidding_reasons(rule, outcome.facts, vocabulary)
    for rule in outcome.open_obligations:
        yield from _open_reasons(rule, outcome.facts, vocabulary)
    for layer in sorted(outcome.attempts):
        attempts = outcome.attempts[layer]
        if not attempts:
            yield _missing_layer(layer)
        else:
            nearest = attempts[0]
            if len(attempts) > 1:
                nearest = min(attempts, key=lambda each: (_distance(each, outcome.facts), each.rule.rule.id))
            yield from _failing_reasons(nearest, outcome.facts, vocabulary)


def _missing_layer(layer: Layer) -> Reason:
    needed = {
        Layer.SITE: "the data protection officer has to activate a policy that permits it",
        Layer.DATASET: "the dataset needs a policy that permits it",
        Layer.AGREEMENT: "an agreement that permits it has to be concluded with this party",
    }[layer]
    text = f"no rule of the layer '{LAYER_NAMES[layer]}' ({layer}) permits this act on this dataset for this party"
    return Reason(layer, None, None, "none", (), sentence(f"{text}; {needed}"))


def _violation_reason(violation: Violation, vocabulary: Vocabulary) -> Reason:
    """What was violated, when, and what would settle it."""
    done, rule = violation.done, violation.rule
    what = vocabulary.label(done.action)
    forbidden = rule is not None and rule.rule.kind is Kind.PROHIBITION and done.action in vocabulary.actions
    lead = f"a prohibition was violated: {what}" if forbidden else f"an earlier duty was not kept in time: {what}"
    if violation.missing:
        needed = listed([vocabulary.label(each.duty.action) for each in violation.missing], "and")
        settling = f"nothing more is permitted until this is done: {needed}"
    else:
        settling = "it has to be settled with the site first"
    text = sentence(f"{lead} (found on {moment_words(done.at)}); {settling}")
    if rule is None:
        return Reason(Layer.UNION, None, None, "none", (), text, evidence=done.evidence, satisfied=False)
    effect: RuleEffect = "prohibition" if rule.rule.kind is Kind.PROHIBITION else "obligation"
    head = (*rule.head[:3], effect, rule.law, text)
    return Reason(*head, evidence=done.evidence, satisfied=False)


def _open_reasons(rule: CompiledRule, facts: Facts, vocabulary: Vocabulary) -> Iterator[Reason]:
    """An open obligation, and what it arises from."""
    yield _of_rule(rule, satisfied=False)
    for tree, side in _conditions(rule):
        yield from _comparisons(rule, tree, side, facts, vocabulary, against=False)


def _forbidding_reasons(rule: CompiledRule, facts: Facts, vocabulary: Vocabulary) -> Iterator[Reason]:
    found: list[Reason] = []
    for tree, side in _conditions(rule):
        found += _comparisons(rule, tree, side, facts, vocabulary, against=False)
    if rule.unless is not None:
        found += _comparisons(rule, rule.unless, "unless", facts, vocabulary, against=True)
    yield from found or [_of_rule(rule, satisfied=True)]


def _failing_reasons(attempt: Attempt, facts: Facts, vocabulary: Vocabulary) -> Iterator[Reason]:
    rule = attempt.rule
    for tree, side in _conditions(rule):
        if tree.evaluate(facts) is not True:
            yield from _comparisons(rule, tree, side, facts, vocabulary, against=True)
    for each in attempt.open_duties:
        text = sentence(f"not yet done: {duty_words(each.duty, vocabulary)}")
        yield Reason._make((*rule.head[:5], text, *_NOT_COMPARED, False, "", "when", None))


_NOT_COMPARED = (None, None, None, None, None)


def _conditions(rule: CompiledRule) -> Iterator[tuple[Tree, Side]]:
    """What has to hold for a rule to count, with the side it stands on."""
    if rule.when is not None:
        yield rule.when, "when"
    if rule.refined is not None:
        yield rule.refined, "refinement"


def _distance(attempt: Attempt, facts: Facts) -> int:
    """How many comparisons and duties stand between a permission and the request."""
    leaves = chain.from_iterable(tree.leaves() for tree, _ in _conditions(attempt.rule))
    return sum(leaf.evaluate(facts) is not True for leaf in leaves) + len(attempt.open_duties)


def _relevant(tree: Tree, facts: Facts, found: list[tuple[Tree, Verdict]], *, against: bool) -> None:
    """Gather the comparisons that carry an outcome: parts that came out ``against`` it played no role."""
    verdict = tree.evaluate(facts)
    if verdict is against:
        return
    if not tree.parts:
        found.append((tree, verdict))
        return
    for part in tree.parts:
        _relevant(part, facts, found, against=against)


def _comparisons(
    rule: CompiledRule, tree: Tree, side: Side, facts: Facts, vocabulary: Vocabulary, *, against: bool
) -> list[Reason]:
    """A reason for each comparison that carries the outcome of a condition; what came out ``against`` it does not."""
    found: list[tuple[Tree, Verdict]] = []
    _relevant(tree, facts, found, against=against)
    if not found:
        # Too many alternatives of "exactly one" holding at once leave nothing that fails: then all are told.
        found = [(leaf, leaf.evaluate(facts)) for leaf in tree.leaves()]
    reasons: list[Reason] = []
    for leaf, verdict in found:
        constraint = leaf.constraint
        if constraint is not None:
            compared = (constraint.left, constraint.operator._value_, constraint.right)
            fact = facts.get(constraint.left)
            value, evidence, digest_ = _NOTHING_KNOWN if fact is None else (fact.value, fact.evidence, fact.digest)
            problem = "" if verdict is not None else _problem(leaf, facts, vocabulary)
            reasons.append(Reason._make((*rule.head, *compared, value, evidence, verdict, problem, side, digest_)))
    return reasons


_NOTHING_KNOWN = (None, None, None)


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


def _of_rule(rule: CompiledRule, *, satisfied: bool) -> Reason:
    return Reason(*rule.head, satisfied=satisfied)


def _obligations(outcome: Assessment, request: AccessRequest) -> Iterator[Obligation]:
    """Duties during and after the act, of the granting permissions and of obligations in any layer."""
    rules = [*(outcome.granting[layer] for layer in sorted(outcome.granting)), *outcome.obliging]
    for rule in rules:
        for each in rule.duties:
            duty = each.duty
            if duty.timing is Timing.PRE or not each.arises(outcome.facts):
                continue
            counted = duty.within is not None and duty.after is Event.DECISION
            due = moment_after(request.at, duty.within) if counted and duty.within is not None else None
            deadline = (duty.within, duty.after, due, duty.evidence)
            yield Obligation(duty.action, duty.timing, rule.rule.id, rule.law, *deadline, duty.consequences)
