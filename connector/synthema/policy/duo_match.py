"""Codes of DUO one by one: which of them a policy keeps, and which of them a request fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from synthema.policy.authoring import parse_policy
from synthema.policy.compile import compile_policies
from synthema.policy.decide import decide
from synthema.policy.duo import COMMERCIAL, GENETIC, HEALTH_RESEARCH, METHODS, ORIGINS, RESEARCH, rules_of_code
from synthema.policy.duo_codes import CODES, Chosen
from synthema.policy.explain import reason_sentence
from synthema.policy.model import AccessRequest, Combination, Condition, Constraint, Kind, Operator, Policy, Rule
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import ODRL, SYN

Verdict = Literal["yes", "no", "in part"]


@dataclass(frozen=True, slots=True)
class DuoMatch:
    """Whether a policy says what a code says: everywhere, in some of its permissions only, or not."""

    code: str
    holds: Verdict
    sentence: str
    value: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "holds": self.holds, "value": self.value, "sentence": self.sentence}


def codes_of(policy: Policy, vocabulary: Vocabulary) -> tuple[DuoMatch, ...]:
    """Each DUO code, and whether this policy keeps it, read off its rules.

    A permission is kept by the widest code whose use every permission allows. What a policy says beyond DUO
    (privacy loss, cell counts, legal basis) is not looked at: a code that matches is necessary, not the whole policy.
    """
    reader = _Reader(policy, vocabulary)
    found = []
    for code in CODES:
        if code.kind == "heading":
            continue
        verdicts = reader.verdicts(code.code)
        holds: Verdict = "no" if not verdicts or not any(verdicts) else "yes" if all(verdicts) else "in part"
        found.append(DuoMatch(code.code, holds, code.sentence, reader.value(code.code) if holds != "no" else ""))
    return tuple(found)


Fit = Literal["fits", "does not fit", "open"]
_BESIDE = """
policy: urn:duo:{layer}
title: Stands beside one code
layer: {layer}
version: 1
law: GDPR 9(2)(a)
{rules}
"""


@dataclass(frozen=True, slots=True)
class DuoFit:
    """Whether a request fits one code. ``open`` means that something about the request is not known."""

    code: str
    fit: Fit
    sentences: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        return {"code": self.code, "fit": self.fit, "sentences": list(self.sentences)}


def fits(chosen: Sequence[Chosen], request: AccessRequest, vocabulary: Vocabulary) -> tuple[DuoFit, ...]:
    """Each code of a dataset, and whether a request fits it, decided by the same engine that decides requests.

    For whoever handles applications: a thumb for every code. It takes the place of no decision, since law, the site's
    policy and an agreement are left out here.
    """
    return tuple(_fit(item, request, vocabulary) for item in chosen)


def _fit(item: Chosen, request: AccessRequest, vocabulary: Vocabulary) -> DuoFit:
    head = {"policy": "urn:duo:code", "title": str(item), "layer": "dataset", "version": "1", "law": "GDPR 9(2)(a)"}
    form = yaml.safe_dump({**head, "targets": request.target, **rules_of_code(item, vocabulary)}, allow_unicode=True)
    policy = parse_policy(form, vocabulary, file=f"DUO {item.code.code}")
    compiled = compile_policies([policy, *_permissive(vocabulary)], vocabulary)
    decision = decide(compiled, request)
    against = [
        reason
        for reason in decision.reasons
        if reason.policy in (policy.id, None) and (reason.effect == "prohibition" or reason.satisfied is not True)
    ]
    if decision.permitted or not against:
        return DuoFit(str(item), "fits", (item.code.sentence,))
    unknown = all(reason.problem or reason.satisfied is None for reason in against)
    sentences = tuple(dict.fromkeys(reason_sentence(reason, vocabulary) for reason in against))
    return DuoFit(str(item), "open" if unknown else "does not fit", sentences)


def _permissive(vocabulary: Vocabulary) -> Iterator[Policy]:
    """Layers that leave everything to the one code; a law is there since nothing is decided without one."""
    never = "forbid:\n  - {action: reidentify}"
    for layer, rules in (
        ("union law", never),
        ("site", "permit:\n  - {action: use}"),
        ("agreement", "permit:\n  - {action: use}"),
    ):
        text = _BESIDE.format(layer=layer, rules=rules).replace(
            f"urn:duo:{layer}", f"urn:duo:{layer.replace(' ', '-')}"
        )
        yield parse_policy(text, vocabulary, file="beside.yaml")


class _Reader:
    """What the permissions of a policy demand and what its prohibitions forbid, for comparison with codes."""

    def __init__(self, policy: Policy, vocabulary: Vocabulary) -> None:
        self._policy, self._vocabulary = policy, vocabulary
        processing = SYN + "processData"
        related = vocabulary.actions.descendants(processing) | vocabulary.actions.ancestors(processing)
        rules = [rule for rule in policy.rules if set(rule.actions) & related]
        self._permissions = [rule for rule in rules if rule.kind is Kind.PERMISSION and not self._is_care(rule)]
        self._care = [rule for rule in rules if rule.kind is Kind.PERMISSION and self._is_care(rule)]
        self._prohibitions = [rule for rule in policy.rules if rule.kind is Kind.PROHIBITION]

    def _is_care(self, rule: Rule) -> bool:
        purposes = _terms(rule.when, ODRL + "purpose")
        return bool(purposes) and all(self._vocabulary.purposes.is_a(p, SYN + "PrimaryUse") for p in purposes or ())

    def verdicts(self, code: str) -> list[bool]:
        """One answer for the policy as a whole, or one for each of its permissions."""
        whole = {
            "CC": lambda: bool(self._care),
            "NPOA": lambda: self._forbids(ORIGINS),
            "NMDS": lambda: self._forbids(METHODS),
            "NCU": lambda: self._forbids(COMMERCIAL),
            "NPUNCU": lambda: self._forbids(COMMERCIAL) and bool(self._permissions) and all(self.verdicts("NPU")),
            "MOR": lambda: any(self._moratorium(rule) for rule in self._prohibitions),
        }
        if code in whole:
            return [whole[code]()]
        return [self._keeps(rule, code) for rule in self._permissions]

    def _keeps(self, rule: Rule, code: str) -> bool:
        if code in _DUTIES:
            return any(each.action == _DUTIES[code] for each in rule.duties)
        if code in _OPERANDS:
            return _demands(rule.when, _OPERANDS[code])
        others = {
            "IS": lambda: bool(self._policy.assignees_of(rule)),
            "GSO": lambda: self._purpose_is(rule, GENETIC),
            "RS": lambda: self._narrower_purpose(rule) is not None,
        }
        return others[code]() if code in others else self._permission_code(rule) == code

    def value(self, code: str) -> str:
        """The value a code would carry, where the policy names one."""
        operand = {"DS": SYN + "disease", "GS": SYN + "recipientPlace"}.get(code)
        names: list[str] = []
        if operand is not None:
            scheme = self._vocabulary.terms_of(self._vocabulary.operands[operand])
            names = [scheme.name(t) for rule in self._permissions for t in _terms(rule.when, operand) or ()]
        elif code == "RS":
            purposes = [found for rule in self._permissions if (found := self._narrower_purpose(rule))]
            names = [self._vocabulary.purposes.name(purpose) for purpose in purposes]
        elif code == "IS":
            names = [party for rule in self._permissions for party in self._policy.assignees_of(rule)]
        return ",".join(dict.fromkeys(names))

    def _permission_code(self, rule: Rule) -> str | None:
        purposes = _terms(rule.when, ODRL + "purpose")
        is_a = self._vocabulary.purposes.is_a
        if purposes is None:
            return "NRES" if rule.when is None and self._only_identifies() else None
        if any(is_a(RESEARCH, purpose) for purpose in purposes):
            return "GRU"
        if all(is_a(purpose, ORIGINS) for purpose in purposes):
            return "POA"
        if all(is_a(purpose, HEALTH_RESEARCH) for purpose in purposes):
            return "DS" if _demands(rule.when, SYN + "disease") else "HMB"
        return None

    def _only_identifies(self) -> bool:
        return all(set(rule.actions) == {SYN + "reidentify"} for rule in self._prohibitions)

    def _purpose_is(self, rule: Rule, wanted: str) -> bool:
        purposes = _terms(rule.when, ODRL + "purpose")
        return bool(purposes) and all(self._vocabulary.purposes.is_a(p, wanted) for p in purposes or ())

    def _narrower_purpose(self, rule: Rule) -> str | None:
        """The one purpose of a permission that is narrower than the permissions of DUO, genetic studies aside."""
        purposes = _terms(rule.when, ODRL + "purpose") or ()
        usual = {RESEARCH, HEALTH_RESEARCH, ORIGINS, GENETIC}
        return purposes[0] if len(purposes) == 1 and purposes[0] not in usual else None

    def _forbids(self, purpose: str) -> bool:
        processing = SYN + "processData"
        return any(
            rule.unless is None
            and any(self._vocabulary.actions.is_a(processing, act) for act in rule.actions)
            and isinstance(rule.when, Constraint)
            and any(self._vocabulary.purposes.is_a(purpose, t) for t in _terms(rule.when, ODRL + "purpose") or ())
            for rule in self._prohibitions
        )

    def _moratorium(self, rule: Rule) -> bool:
        return ODRL + "distribute" in rule.actions and _demands(rule.when, ODRL + "dateTime")


_DUTIES = {"PUB": SYN + "publishResults", "RTN": SYN + "returnData", "COL": SYN + "collaborate"}
_OPERANDS = {
    "GS": SYN + "recipientPlace",
    "US": SYN + "authorisedPerson",
    "PS": SYN + "project",
    "TS": ODRL + "elapsedTime",
    "IRB": SYN + "ethicsApproval",
    "NPU": SYN + "notForProfit",
}


def _conjuncts(condition: Condition | None) -> tuple[Condition, ...]:
    """The parts of a condition that must all hold."""
    if condition is None:
        return ()
    if isinstance(condition, Combination) and condition.joined == "and":
        return tuple(part for each in condition.parts for part in _conjuncts(each))
    return (condition,)


def _demands(condition: Condition | None, operand: str) -> bool:
    """Whether a condition cannot hold unless something holds about this operand."""
    return any(
        isinstance(part, Constraint) and part.left == operand and part.right is not False
        for part in _conjuncts(condition)
    )


def _terms(condition: Condition | None, operand: str) -> tuple[str, ...] | None:
    """The terms a condition demands of an operand; ``None`` where it demands none."""
    for part in _conjuncts(condition):
        if isinstance(part, Constraint) and part.left == operand:
            if part.operator in (Operator.IS_A, Operator.EQ) and isinstance(part.right, str):
                return (part.right,)
            if part.operator is Operator.IS_ANY_OF and isinstance(part.right, tuple):
                return part.right
    return None
