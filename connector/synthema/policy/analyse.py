"""Reads policies before they count.

What can never apply, what is shadowed, what is missing, and what a new version changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from synthema.policy import words
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.model import (
    ANY_DATASET,
    AccessRequest,
    Combination,
    Condition,
    Fact,
    Kind,
    Layer,
    OperandReference,
    Policy,
    Rule,
    Value,
)
from synthema.policy.regions import can_hold, cases, implies, negate, neighbours, regions_of
from synthema.policy.wellformed import all_constraints
from synthema.vocabulary import Datatype, Operand, Vocabulary
from synthema.vocabulary.namespaces import ODRL

_NO_THRESHOLDS = (Layer.UNION, Layer.MEMBER_STATE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a data protection officer should look at. An error blocks activation until it is acknowledged."""

    code: Literal[
        "never-applies", "shadowed", "conflict", "no-law", "threshold-unconfirmed", "idle-confirmation", "never-forbids"
    ]
    severity: Literal["error", "warning"]
    policy: str
    rule: str | None
    sentence: str
    fix: str

    @property
    def key(self) -> str:
        """Names the finding, so that a person can acknowledge exactly this one."""
        return f"{self.code} {self.rule or self.policy}"


def analyse(policy: Policy, vocabulary: Vocabulary, others: Iterable[Policy] = ()) -> tuple[Finding, ...]:
    """The findings on a policy, alone and beside the policies it would stand with."""
    return tuple(
        itertools.chain(
            _vacuous(policy, vocabulary),
            _shadowed(policy, vocabulary),
            _conflicts(policy, tuple(others), vocabulary),
            _lawless(policy),
            _unconfirmed(policy, vocabulary),
            _idle(policy, vocabulary),
        )
    )


def _vacuous(policy: Policy, vocabulary: Vocabulary) -> Iterator[Finding]:
    for rule in policy.rules:
        permits = rule.kind is Kind.PERMISSION
        # A prohibition may meet two exclusive terms at once, in a fact with two values.
        if can_hold(effective_condition(rule), vocabulary, terms=permits):
            continue
        yield Finding(
            "never-applies" if permits else "never-forbids",
            "error" if permits else "warning",
            policy.id,
            rule.id,
            "the conditions of this rule contradict each other, so it can never apply",
            "look for two bounds that leave no value between them, or terms that exclude each other",
        )


def _shadowed(policy: Policy, vocabulary: Vocabulary) -> Iterator[Finding]:
    for permission in _rules(policy, Kind.PERMISSION):
        for prohibition in _rules(policy, Kind.PROHIBITION):
            if covers(policy, prohibition, policy, permission, vocabulary):
                yield Finding(
                    "shadowed",
                    "error",
                    policy.id,
                    permission.id,
                    f"whatever this rule permits, {prohibition.id} forbids",
                    "remove one of the two, or narrow the prohibition",
                )


def _conflicts(policy: Policy, others: tuple[Policy, ...], vocabulary: Vocabulary) -> Iterator[Finding]:
    for other in others:
        if other.id == policy.id:
            continue
        for first, second in ((policy, other), (other, policy)):
            for permission in _rules(first, Kind.PERMISSION):
                for prohibition in _rules(second, Kind.PROHIBITION):
                    if covers(second, prohibition, first, permission, vocabulary):
                        yield Finding(
                            "conflict",
                            "warning",
                            policy.id,
                            permission.id if first is policy else prohibition.id,
                            f"{permission.id} permits only what {prohibition.id} forbids; the prohibition wins",
                            "remove one of the two, or narrow the prohibition",
                        )


def _lawless(policy: Policy) -> Iterator[Finding]:
    for rule in policy.rules:
        if not policy.law_of(rule):
            yield Finding(
                "no-law",
                "error",
                policy.id,
                rule.id,
                "the rule names no law it rests on",
                "add a line such as 'law: GDPR 9(2)(j)' to the rule or the policy",
            )


def _unconfirmed(policy: Policy, vocabulary: Vocabulary) -> Iterator[Finding]:
    if policy.layer in _NO_THRESHOLDS:
        return
    confirmed = {decision.operand for decision in policy.site_decisions}
    for operand in _thresholds(policy, vocabulary):
        if operand.iri not in confirmed:
            yield Finding(
                "threshold-unconfirmed",
                "error",
                policy.id,
                None,
                f"site decision required: the threshold for the {operand.label} has no legal source",
                f"add under 'confirmed': '{operand.name}: why this value'",
            )


def _idle(policy: Policy, vocabulary: Vocabulary) -> Iterator[Finding]:
    used = {operand.iri for operand in _thresholds(policy, vocabulary)}
    for decision in policy.site_decisions:
        if decision.operand not in used:
            yield Finding(
                "idle-confirmation",
                "warning",
                policy.id,
                None,
                f"a threshold is confirmed that no rule has: {vocabulary.label(decision.operand)}",
                "remove the line under 'confirmed', or add the rule",
            )


def _thresholds(policy: Policy, vocabulary: Vocabulary) -> list[Operand]:
    found: dict[str, Operand] = {}
    for _, constraint in all_constraints(policy):
        operand = vocabulary.operands[constraint.left]
        if operand.site_decision and not isinstance(constraint.right, OperandReference):
            found[operand.iri] = operand
    return list(found.values())


def _rules(policy: Policy, kind: Kind) -> list[Rule]:
    return [rule for rule in policy.rules if rule.kind is kind]


def effective_condition(rule: Rule) -> Condition | None:
    """``when`` and not ``unless`` as one condition; without what cannot be negated."""
    exception = None if rule.unless is None else negate(rule.unless)
    parts = [part for part in (rule.when, exception) if part is not None]
    return None if not parts else parts[0] if len(parts) == 1 else Combination("and", tuple(parts))


def covers(outer_policy: Policy, outer: Rule, inner_policy: Policy, inner: Rule, vocabulary: Vocabulary) -> bool:
    """Whether the prohibition ``outer`` forbids everything that the permission ``inner`` permits."""
    actions = all(any(vocabulary.actions.is_a(act, named) for named in outer.actions) for act in inner.actions)
    wide, narrow = outer_policy.targets_of(outer), inner_policy.targets_of(inner)
    targets = ANY_DATASET in wide or set(narrow) <= set(wide)
    who, whom = outer_policy.assignees_of(outer), inner_policy.assignees_of(inner)
    parties = not who or (bool(whom) and set(whom) <= set(who))
    if not (actions and targets and parties) or (outer.unless is not None and negate(outer.unless) is None):
        return False
    return implies(inner.when, effective_condition(outer), vocabulary)


# ── what a new version changes ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that two versions of a policy answer differently: the witness of a change."""

    before: Literal["permits", "forbids", "is silent"]
    after: Literal["permits", "forbids", "is silent"]
    request: AccessRequest
    sentence: str

    @property
    def widens(self) -> bool:
        """Whether more is allowed than before."""
        return self.after == "permits" or self.before == "forbids"


MAX_WITNESSES = 2_000
_AT = datetime(2026, 1, 1, tzinfo=UTC)


def semantic_diff(old: Policy, new: Policy, vocabulary: Vocabulary) -> tuple[Difference, ...]:
    """Requests that the two versions answer differently, one for each action, outcome and set of operands that differ.

    A search over the bounds and terms both versions name: what it finds is real, and
    it tries every bound on its own and every rule's own region, not all combinations.
    """
    compiled = (compile_policies([old], vocabulary), compile_policies([new], vocabulary))
    found: dict[tuple[str, str, str], Difference] = {}
    for request in itertools.islice(_probes(old, new, vocabulary), MAX_WITNESSES):
        before, after = (_answer(policies, request) for policies in compiled)
        key = (request.action, before, after)
        if before != after and key not in found:
            found[key] = Difference(before, after, request, _difference_words(before, after, request, vocabulary))
    return tuple(found[key] for key in sorted(found))


def _answer(compiled: CompiledPolicies, request: AccessRequest) -> Literal["permits", "forbids", "is silent"]:
    rules = compiled.by_action[request.action]
    facts = {**request.facts, ODRL + "dateTime": Fact(request.at)}

    def concerned(kind: Kind) -> list[Any]:
        return [r for r in rules[kind] if r.concerns(request.target, request.assignee, request.at)]

    if any(rule.holds(facts) is not False for rule in concerned(Kind.PROHIBITION)):
        return "forbids"
    return "permits" if any(rule.holds(facts) is True for rule in concerned(Kind.PERMISSION)) else "is silent"


def _probes(old: Policy, new: Policy, vocabulary: Vocabulary) -> Iterator[AccessRequest]:
    candidates = _candidates((old, new), vocabulary)
    links = _links((old, new))
    starts = [policy.effective_from for policy in (old, new) if policy.effective_from]
    at = max([_AT, *starts])
    for policy in (new, old):
        for rule in policy.rules:
            target = next((t for t in policy.targets_of(rule) if t != ANY_DATASET), "urn:any-dataset")
            assignee = next(iter(policy.assignees_of(rule)), "urn:any-party")
            for action, base in itertools.product(rule.actions, _solutions(rule, vocabulary)):
                facts = {**_complete(candidates), **base}
                for changed in itertools.chain([{}], _one_changed(candidates)):
                    values = {**facts, **changed}
                    values |= {right: values[left] for left, right in links if left in values and right not in changed}
                    known = {operand: Fact(value) for operand, value in values.items()}
                    yield AccessRequest("probe", action, target, assignee, at, known)


def _links(policies: Iterable[Policy]) -> list[tuple[str, str]]:
    """Pairs of operands that rules compare with each other; equal values lie on the bound between them."""
    pairs = {
        (constraint.left, constraint.right.operand)
        for policy in policies
        for _, constraint in all_constraints(policy)
        if isinstance(constraint.right, OperandReference)
    }
    return sorted(pairs)


def _candidates(policies: Iterable[Policy], vocabulary: Vocabulary) -> Mapping[str, tuple[Value, ...]]:
    """Each operand with the values at and beside every bound, and every term named."""
    found: dict[str, list[Value]] = {}
    for policy in policies:
        for _, constraint in all_constraints(policy):
            operand, right = vocabulary.operands[constraint.left], constraint.right
            values = found.setdefault(operand.iri, [])
            if isinstance(right, OperandReference):
                continue
            if operand.datatype is Datatype.BOOLEAN:
                values += [True, False]
            elif operand.datatype is Datatype.TERM:
                named = right if isinstance(right, tuple) else (str(right),)
                scheme = vocabulary.terms_of(operand)
                values += [*named, *(term for name in named for term in sorted(scheme.descendants(name)))]
                values += [term.iri for term in scheme]
            elif operand.datatype is Datatype.TEXT:
                values += [*(right if isinstance(right, tuple) else (str(right),)), "urn:any"]
            else:
                values += [right, *neighbours(right, operand)]
    return {operand: tuple(dict.fromkeys(values)) for operand, values in found.items() if values}


def _complete(candidates: Mapping[str, tuple[Value, ...]]) -> dict[str, Value]:
    return {operand: values[-1] for operand, values in candidates.items()}


def _one_changed(candidates: Mapping[str, tuple[Value, ...]]) -> Iterator[dict[str, Value]]:
    for operand, values in candidates.items():
        for value in values:
            yield {operand: value}


def _solutions(rule: Rule, vocabulary: Vocabulary) -> Iterator[dict[str, Value]]:
    """Values under which a rule applies, one set for each of its cases."""
    for case in cases(effective_condition(rule)) or [()]:
        regions = regions_of(case, vocabulary)
        picked = {operand: region.pick() for operand, region in regions.items()}
        yield {operand: value for operand, value in picked.items() if value is not None}


def _difference_words(before: str, after: str, request: AccessRequest, vocabulary: Vocabulary) -> str:
    known = [
        f"the {vocabulary.label(operand)} is {words.value_words(fact.value, vocabulary.operands[operand], vocabulary)}"
        for operand, fact in sorted(request.facts.items())
    ]
    where = f" when {words.listed(known, 'and')}" if known else ""
    act = vocabulary.label(request.action)
    return words.sentence(f"the old version {before}, the new version {after}, to {act}{where}").replace(
        "is silent, to", "is silent on a request to"
    )
