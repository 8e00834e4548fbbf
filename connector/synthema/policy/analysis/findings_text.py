"""Findings on what a policy rests on: its articles, its thresholds, its terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from synthema.policy import words
from synthema.policy.analysis.finding import Finding
from synthema.policy.analysis.ground import Ground
from synthema.policy.law import union_law
from synthema.policy.model import Layer, OperandReference, conditions_of, constraints_of
from synthema.policy.wellformed import all_constraints
from synthema.vocabulary import Operand, load_vocabulary

Check = Callable[[Ground], Iterator[Finding]]
_NO_THRESHOLDS = (Layer.UNION, Layer.MEMBER_STATE)


def lawless(ground: Ground) -> Iterator[Finding]:
    """Rules that name no article."""
    for rule in ground.policy.rules:
        if not ground.policy.law_of(rule):
            yield Finding(
                "no-law",
                "error",
                ground.policy.id,
                rule.id,
                "the rule names no law it rests on",
                "add a line such as 'law: GDPR 9(2)(j)' to the rule or the policy",
            )


def missing(ground: Ground) -> Iterator[Finding]:
    """Articles about acts of this policy for which no rule at hand stands, by who could see to them."""
    from synthema.policy.articles import read_articles  # noqa: PLC0415 - it reads cases, which are read here

    policy = ground.policy
    if policy.layer in _NO_THRESHOLDS:
        return
    named = {str(law) for rule in ground.compiled.rules for law in rule.law}
    held = {rule.rule.id for rule in ground.compiled.rules}
    packs = {each.id for each in ground.compiled.policies}
    lacking: dict[str, list[str]] = {"pack": [], "template": [], "people": []}
    for entry in read_articles():
        of_packs = [rule for rule in entry.rules if not rule.startswith("template:")]
        if entry.article in named or held & set(of_packs) or not _concerns(ground, of_packs):
            continue
        if of_packs:
            if not any(rule.partition("#")[0] in packs for rule in of_packs):
                lacking["pack"].append(entry.article)
        elif entry.rules:
            lacking["template"].append(f"{entry.article} ({entry.rules[0].removeprefix('template:')})")
        elif entry.left_to:
            lacking["people"].append(entry.article)
    for who, (text, fix) in _LACKING.items():
        if lacking[who]:
            told = text.format(words.listed(lacking[who], "and"))
            yield Finding("missing-law", "note", policy.id, None, told, fix, about=who)


_LACKING: Final = {
    "pack": (
        "no rule at hand stands for these articles, which concern acts of this policy: {}",
        "put the law pack that has them beside it (--with)",
    ),
    "template": (
        "for these articles a policy may need a rule of its own, and none at hand names them: {}",
        "look at the rule in brackets, and write one like it or name the article if a rule keeps it already",
    ),
    "people": (
        "these articles are kept by people, not by a rule: {}",
        "see who has to do what: synthema legal matrix",
    ),
}


def _concerns(ground: Ground, packs: list[str]) -> bool:
    """Whether an article is about acts of the policy; one without rules of a pack is about all of them."""
    known = [rule for rule in packs if rule in law_actions()]
    if not known:
        return True
    acts = {action for rule in ground.policy.rules for action in rule.actions}
    is_a = ground.vocabulary.actions.is_a
    return any(is_a(act, about) for act in acts for rule in known for about in law_actions()[rule])


@cache
def law_actions() -> dict[str, tuple[str, ...]]:
    """Rules of the bundled law pack → the acts they are about."""
    return {rule.id: rule.actions for rule in union_law(load_vocabulary()).rules}


def unconfirmed(ground: Ground) -> Iterator[Finding]:
    """Thresholds without a legal source that nobody confirmed."""
    if ground.policy.layer in _NO_THRESHOLDS:
        return
    confirmed = {decision.operand for decision in ground.policy.site_decisions}
    for operand in _thresholds(ground):
        if operand.iri not in confirmed:
            yield Finding(
                "threshold-unconfirmed",
                "error",
                ground.policy.id,
                None,
                f"site decision required: the threshold for the {operand.label} has no legal source",
                f"add under 'confirmed': '{operand.name}: why this value'",
                about=operand.name,
            )


def idle(ground: Ground) -> Iterator[Finding]:
    """Confirmations of thresholds that no rule has."""
    used = {operand.iri for operand in _thresholds(ground)}
    for decision in ground.policy.site_decisions:
        if decision.operand not in used:
            yield Finding(
                "idle-confirmation",
                "warning",
                ground.policy.id,
                None,
                f"a threshold is confirmed that no rule has: {ground.vocabulary.label(decision.operand)}",
                "remove the line under 'confirmed', or add the rule",
                about=decision.operand,
            )


def _thresholds(ground: Ground) -> list[Operand]:
    found: dict[str, Operand] = {}
    for _, constraint in all_constraints(ground.policy):
        operand = ground.vocabulary.operands[constraint.left]
        if operand.site_decision and not isinstance(constraint.right, OperandReference):
            found[operand.iri] = operand
    return list(found.values())


def deprecated(ground: Ground) -> Iterator[Finding]:
    """Terms the vocabulary has given up."""
    given_up = {term.iri: term for scheme in ground.vocabulary.schemes.values() for term in scheme if term.deprecated}
    for rule in ground.policy.rules if given_up else ():
        named = {*rule.actions, *(duty.action for duty in (*rule.duties, *rule.remedies))}
        for condition in conditions_of(rule):
            for constraint in constraints_of(condition):
                right = constraint.right
                terms = right if isinstance(right, tuple) else (right,)
                named |= {constraint.left, *(term for term in terms if isinstance(term, str))}
        for iri in sorted(named & given_up.keys()):
            other = given_up[iri].replaced_by
            fix = f"use '{ground.vocabulary.label(other)}'" if other else "use another term"
            text = f"the term '{ground.vocabulary.label(iri)}' is no longer to be used"
            yield Finding("deprecated-term", "warning", ground.policy.id, rule.id, text, fix, about=iri)


CHECKS: Final[tuple[Check, ...]] = (lawless, missing, unconfirmed, idle, deprecated)
