"""Policies as ODRL 2.2 JSON-LD in the Synthema profile.

==========================  =====================================================================================
in the model                in ODRL
==========================  =====================================================================================
refined action              ``{"rdf:value": {"@id": iri}, "refinement": [condition]}`` in place of the IRI
refined dataset             ``{"@type": "AssetCollection", "source": iri, "refinement": [condition]}``
refined party               ``{"@type": "PartyCollection", "source": iri, "refinement": [condition]}``
condition of a duty         ``constraint`` of the duty; ``syn:dutyConstraint`` where the duty is the rule itself
what follows a breach       ``consequence`` of a duty, ``remedy`` of a prohibition
inherited policies          ``inheritFrom`` with the IRIs, and ``syn:inheritance`` with the version of each
==========================  =====================================================================================

The version stands in a node of its own: said of the parent itself it would be untrue as
soon as two policies inherit two versions of it. Without these constructs nothing of
them is written, so the digest of a policy that does not use them stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from synthema.canonical import digest
from synthema.clock import to_text
from synthema.errors import PolicyLoadError
from synthema.policy.model import (
    PROFILE,
    Combination,
    Condition,
    Duty,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Policy,
    Rule,
    Value,
)
from synthema.policy.values import duration_text, value_text
from synthema.policy.wellformed import is_iri
from synthema.vocabulary import Datatype, compact
from synthema.vocabulary.namespaces import DPV, EHDS, GDPR, HEALTH, MONDO, ODRL, ORPHA, SYN

PINNED_PREFIXES: Mapping[str, str] = {
    "syn": SYN,
    "odrl": ODRL,
    "dpv": DPV,
    "ehds": EHDS,
    "gdpr": GDPR,
    "health": HEALTH,
    "orpha": ORPHA,
    "mondo": MONDO,
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""The prefixes of every policy. They are part of what is signed: one more would change each digest there is, so
prefixes that the vocabulary takes up later are not added; terms are written as full IRIs anyhow."""

CONTEXT = ["http://www.w3.org/ns/odrl.jsonld", dict(PINNED_PREFIXES)]

XSD_TYPES: Mapping[Datatype, str] = {
    Datatype.NUMBER: "xsd:double",
    Datatype.COUNT: "xsd:integer",
    Datatype.BOOLEAN: "xsd:boolean",
    Datatype.DATE: "xsd:dateTime",
    Datatype.DURATION: "xsd:dayTimeDuration",
    Datatype.TEXT: "xsd:string",
}
COLLECTIONS: Mapping[str, str] = {"target": "AssetCollection", "assignee": "PartyCollection"}


def to_odrl(policy: Policy) -> dict[str, Any]:
    """The JSON-LD of a policy. Agreements (L4) are ``Agreement``, all others ``Set``.

    Raises :class:`PolicyLoadError` on a refinement of something that its rule does not name.
    """
    value: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Agreement" if policy.layer is Layer.AGREEMENT else "Set",
        "uid": policy.id,
        "profile": PROFILE,
        "conflict": "prohibit",
        "syn:layer": str(policy.layer),
        "syn:version": policy.version,
        "dct:title": policy.title,
        "target": list(policy.targets),
    }
    _put(value, "assigner", policy.assigner)
    _put(value, "assignee", list(policy.assignees))
    _put(value, "inheritFrom", [parent.policy for parent in policy.inherits])
    _put(
        value,
        "syn:inheritance",
        [{"syn:inheritedPolicy": {"@id": p.policy}, "syn:inheritedVersion": p.version} for p in policy.inherits],
    )
    _put(value, "syn:lawReference", [_law(reference) for reference in policy.law])
    _put(value, "syn:effectiveFrom", to_text(policy.effective_from) if policy.effective_from else None)
    _put(value, "syn:effectiveTo", to_text(policy.effective_to) if policy.effective_to else None)
    _put(value, "syn:siteDecision", [{"syn:operand": d.operand, "syn:reason": d.reason} for d in policy.site_decisions])
    for kind in Kind:
        _put(value, kind, [_rule(rule) for rule in policy.rules if rule.kind is kind])
    # The order of rules of different kinds means nothing but belongs to the author's text.
    value["syn:ruleOrder"] = [rule.id for rule in policy.rules]
    return value


def policy_digest(policy: Policy) -> str:
    """``sha256:<hex>`` over the canonical JSON of the ODRL form."""
    return digest(to_odrl(policy))


def refinements_of(rule: Rule) -> Mapping[str, Condition]:
    """IRI → the condition that narrows it; raises :class:`PolicyLoadError` where one would be lost or doubled."""
    named = {*rule.actions, *rule.targets, *rule.assignees}
    found: dict[str, Condition] = {}
    for refinement in rule.refinements:
        if refinement.of not in named or refinement.of in found:
            raise PolicyLoadError(
                f"the rule {rule.id} narrows {compact(refinement.of)}, which it does not name, or narrows it twice",
                fix="narrow each action, dataset or party that the rule itself names at most once",
            )
        found[refinement.of] = refinement.condition
    return found


def _put(value: dict[str, Any], key: str, item: Any) -> None:
    if item not in (None, [], ""):
        value[key] = item


def _law(reference: LawReference) -> dict[str, str]:
    return {"syn:act": reference.act, "syn:article": reference.article, "syn:eli": reference.eli}


def _rule(rule: Rule) -> dict[str, Any]:
    value: dict[str, Any] = {"uid": rule.id}
    narrowed = refinements_of(rule)
    if rule.kind is Kind.OBLIGATION:
        value |= _duty(rule.duties[0], when="syn:dutyConstraint")
        value["syn:triggeredBy"] = _actions(rule.actions, narrowed)
    else:
        value["action"] = _actions(rule.actions, narrowed)
        _put(value, "duty", [_duty(duty) for duty in rule.duties])
    _put(value, "remedy", [_duty(duty) for duty in rule.remedies])
    _put(value, "target", _collections(rule.targets, narrowed, COLLECTIONS["target"]))
    _put(value, "assignee", _collections(rule.assignees, narrowed, COLLECTIONS["assignee"]))
    _put(value, "constraint", _conditions(rule.when))
    _put(value, "syn:unless", _conditions(rule.unless))
    _put(value, "syn:lawReference", [_law(reference) for reference in rule.law])
    _put(value, "syn:sentence", rule.sentence)
    _put(value, "syn:origin", {"@id": rule.origin} if rule.origin else None)
    return value


def _actions(iris: Iterable[str], narrowed: Mapping[str, Condition]) -> list[Any]:
    return [
        {"rdf:value": {"@id": iri}, "refinement": _conditions(narrowed[iri])} if iri in narrowed else iri
        for iri in iris
    ]


def _collections(iris: Iterable[str], narrowed: Mapping[str, Condition], type_: str) -> list[Any]:
    return [
        {"@type": type_, "source": iri, "refinement": _conditions(narrowed[iri])} if iri in narrowed else iri
        for iri in iris
    ]


def _duty(duty: Duty, when: str = "constraint") -> dict[str, Any]:
    value: dict[str, Any] = {"action": duty.action, "syn:dutyTiming": str(duty.timing)}
    if duty.within is not None:
        value |= {"syn:deadline": duration_text(duty.within), "syn:deadlineAfter": str(duty.after)}
    _put(value, "syn:evidenceType", duty.evidence)
    _put(value, when, _conditions(duty.when))
    _put(value, "consequence", [_duty(consequence) for consequence in duty.consequences])
    return value


def _conditions(condition: Condition | None) -> list[dict[str, Any]]:
    return [] if condition is None else [_condition(condition)]


def _condition(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, Combination):
        return {condition.joined: [_condition(part) for part in condition.parts]}
    value: dict[str, Any] = {"leftOperand": condition.left, "operator": str(condition.operator)}
    if isinstance(condition.right, OperandReference):
        value["rightOperandReference"] = condition.right.operand
    else:
        value["rightOperand"] = _right(condition.right)
    _put(value, "unit", condition.unit)
    return value


def _right(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_right(item) for item in value]
    if isinstance(value, str) and is_iri(value):
        return {"@id": value}
    return {"@value": value_text(value), "@type": XSD_TYPES[datatype_of(value)]}


def datatype_of(value: Value) -> Datatype:
    """The datatype a literal right operand is written with."""
    match value:
        case bool():
            return Datatype.BOOLEAN
        case int():
            return Datatype.COUNT
        case float():
            return Datatype.NUMBER
        case datetime():
            return Datatype.DATE
        case timedelta():
            return Datatype.DURATION
        case _:
            return Datatype.TEXT
