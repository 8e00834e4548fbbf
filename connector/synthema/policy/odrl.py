"""Policies as ODRL 2.2 JSON-LD in the Synthema profile, and back without loss.

Reading is strict and knows one structure only: what :func:`to_odrl` writes. An
unknown key, another conflict strategy or another profile refuses the policy whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from synthema.canonical import digest
from synthema.clock import duration, from_text, to_text
from synthema.errors import InputError, PolicyLoadError
from synthema.policy.model import (
    PROFILE,
    Combination,
    Condition,
    Constraint,
    Duty,
    Event,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Rule,
    SiteDecision,
    Timing,
    Value,
)
from synthema.policy.values import duration_text, parse_value, value_text
from synthema.policy.wellformed import check_policy, is_iri
from synthema.vocabulary import PREFIXES, Datatype, Vocabulary

CONTEXT = [
    "http://www.w3.org/ns/odrl.jsonld",
    {**PREFIXES, "dct": "http://purl.org/dc/terms/", "xsd": "http://www.w3.org/2001/XMLSchema#"},
]

_XSD = {
    Datatype.NUMBER: "xsd:double",
    Datatype.COUNT: "xsd:integer",
    Datatype.BOOLEAN: "xsd:boolean",
    Datatype.DATE: "xsd:dateTime",
    Datatype.DURATION: "xsd:dayTimeDuration",
    Datatype.TEXT: "xsd:string",
}
_DATATYPES = {text: datatype for datatype, text in _XSD.items()}
_LOGICAL = ("and", "or", "xone")


def to_odrl(policy: Policy) -> dict[str, Any]:
    """The JSON-LD of a policy. Agreements (L4) are ``Agreement``, all others ``Set``."""
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


def _put(value: dict[str, Any], key: str, item: Any) -> None:
    if item not in (None, [], ""):
        value[key] = item


def _law(reference: LawReference) -> dict[str, str]:
    return {"syn:act": reference.act, "syn:article": reference.article, "syn:eli": reference.eli}


def _rule(rule: Rule) -> dict[str, Any]:
    value: dict[str, Any] = {"uid": rule.id}
    if rule.kind is Kind.OBLIGATION:
        value |= _duty(rule.duties[0])
        value["syn:triggeredBy"] = list(rule.actions)
    else:
        value["action"] = list(rule.actions)
        _put(value, "duty", [_duty(duty) for duty in rule.duties])
    _put(value, "target", list(rule.targets))
    _put(value, "assignee", list(rule.assignees))
    _put(value, "constraint", _conditions(rule.when))
    _put(value, "syn:unless", _conditions(rule.unless))
    _put(value, "syn:lawReference", [_law(reference) for reference in rule.law])
    _put(value, "syn:sentence", rule.sentence)
    return value


def _duty(duty: Duty) -> dict[str, Any]:
    value: dict[str, Any] = {"action": duty.action, "syn:dutyTiming": str(duty.timing)}
    if duty.within is not None:
        value |= {"syn:deadline": duration_text(duty.within), "syn:deadlineAfter": str(duty.after)}
    _put(value, "syn:evidenceType", duty.evidence)
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
    return {"@value": value_text(value), "@type": _XSD[datatype_of(value)]}


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


# ── and back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def from_odrl(value: Mapping[str, Any], vocabulary: Vocabulary) -> Policy:
    """Read what :func:`to_odrl` wrote; raises :class:`PolicyLoadError` naming what is not understood."""
    reader = _Reader(value, "policy")
    conflict = reader.take("conflict", str)
    if conflict != "prohibit":
        _refuse(f"the conflict strategy '{conflict}' is not supported", "use 'prohibit': a prohibition always wins")
    reader.expect("@context", CONTEXT)
    reader.expect("profile", PROFILE)
    layer = reader.member("syn:layer", Layer)
    reader.expect("@type", "Agreement" if layer is Layer.AGREEMENT else "Set")
    rules = [_read_rule(item, kind) for kind in Kind for item in reader.objects(kind)]
    policy = Policy(
        id=reader.take("uid", str),
        layer=layer,
        version=reader.take("syn:version", str),
        title=reader.take("dct:title", str),
        rules=_in_order(rules, reader.texts("syn:ruleOrder")),
        targets=reader.texts("target"),
        assigner=reader.maybe("assigner"),
        assignees=reader.texts("assignee"),
        law=_read_law(reader),
        effective_from=_read_time(reader.maybe("syn:effectiveFrom")),
        effective_to=_read_time(reader.maybe("syn:effectiveTo")),
        site_decisions=tuple(_read_decision(item) for item in reader.objects("syn:siteDecision")),
    )
    reader.close()
    check_policy(policy, vocabulary)
    return policy


def _in_order(rules: list[Rule], order: tuple[str, ...]) -> tuple[Rule, ...]:
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules) or len(order) != len(rules) or set(order) != set(by_id):
        _refuse("syn:ruleOrder does not list each rule once", "list the identifiers of all rules in order")
    return tuple(by_id[rule_id] for rule_id in order)


def _read_rule(value: Mapping[str, Any], kind: Kind) -> Rule:
    reader = _Reader(value, kind)
    rule_id = reader.take("uid", str)
    if kind is Kind.OBLIGATION:
        actions = reader.texts("syn:triggeredBy")
        duties: tuple[Duty, ...] = (_read_duty(reader),)
    else:
        actions = reader.texts("action")
        duties = tuple(_close_duty(item) for item in reader.objects("duty"))
    rule = Rule(
        id=rule_id,
        kind=kind,
        actions=actions,
        when=_read_conditions(reader, "constraint"),
        unless=_read_conditions(reader, "syn:unless"),
        targets=reader.texts("target"),
        assignees=reader.texts("assignee"),
        duties=duties,
        law=_read_law(reader),
        sentence=reader.maybe("syn:sentence") or "",
    )
    reader.close()
    return rule


def _close_duty(value: Mapping[str, Any]) -> Duty:
    reader = _Reader(value, "duty")
    duty = _read_duty(reader)
    reader.close()
    return duty


def _read_duty(reader: _Reader) -> Duty:
    within = reader.maybe("syn:deadline")
    return Duty(
        action=reader.take("action", str),
        timing=reader.member("syn:dutyTiming", Timing),
        within=None if within is None else duration(within),
        after=Event.DECISION if within is None else reader.member("syn:deadlineAfter", Event),
        evidence=reader.maybe("syn:evidenceType"),
    )


def _read_conditions(reader: _Reader, key: str) -> Condition | None:
    conditions = reader.objects(key)
    if len(conditions) > 1:
        _refuse(f"'{key}' holds several conditions", "join them with 'and'")
    return _read_condition(conditions[0], 0) if conditions else None


def _read_condition(value: Mapping[str, Any], depth: int) -> Condition:
    if depth > 32:
        _refuse("the conditions are nested too deeply", "nest fewer levels")
    for joined in _LOGICAL:
        if joined in value:
            reader = _Reader(value, "logical constraint")
            parts = tuple(_read_condition(part, depth + 1) for part in reader.objects(joined))
            reader.close()
            return Combination(joined, parts)  # type: ignore[arg-type]
    reader = _Reader(value, "constraint")
    constraint = Constraint(
        left=reader.take("leftOperand", str),
        operator=reader.member("operator", Operator),
        right=_read_right(reader),
        unit=reader.maybe("unit"),
    )
    reader.close()
    return constraint


def _read_right(reader: _Reader) -> Value | OperandReference:
    reference = reader.maybe("rightOperandReference")
    if reference is not None:
        return OperandReference(reference)
    value = reader.take("rightOperand", (dict, list))
    if isinstance(value, list):
        return tuple(str(_read_value(item)) for item in value)
    return _read_value(value)


def _read_value(value: Any) -> Value:
    inner = _Reader(value, "rightOperand")
    if "@id" in value:
        iri = str(inner.take("@id", str))
        inner.close()
        return iri
    type_ = inner.take("@type", str)
    if type_ not in _DATATYPES:
        _refuse(f"the data type '{type_}' is not known", f"use one of: {', '.join(sorted(_DATATYPES))}")
    text = inner.take("@value", str)
    inner.close()
    try:
        return parse_value(text, _DATATYPES[type_])
    except InputError as error:
        raise PolicyLoadError(error.message, fix=error.fix) from error


def _read_law(reader: _Reader) -> tuple[LawReference, ...]:
    references = []
    for item in reader.objects("syn:lawReference"):
        inner = _Reader(item, "law reference")
        references.append(LawReference(*(inner.take(key, str) for key in ("syn:act", "syn:article", "syn:eli"))))
        inner.close()
    return tuple(references)


def _read_decision(value: Mapping[str, Any]) -> SiteDecision:
    reader = _Reader(value, "site decision")
    decision = SiteDecision(reader.take("syn:operand", str), reader.take("syn:reason", str))
    reader.close()
    return decision


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)


class _Reader:
    """Takes keys out of one object and refuses what is left over."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            _refuse(f"the {what} is not an object", "write it as to_odrl does")
        self._rest = dict(value)
        self._what = what

    def take(self, key: str, type_: type | tuple[type, ...]) -> Any:
        if key not in self._rest:
            _refuse(f"the {self._what} lacks '{key}'", f"add '{key}'")
        item = self._rest.pop(key)
        if not isinstance(item, type_):
            _refuse(f"'{key}' of the {self._what} is not of the right type", "write it as to_odrl does")
        return item

    def maybe(self, key: str) -> str | None:
        return self.take(key, str) if key in self._rest else None

    def member(self, key: str, enumeration: Any) -> Any:
        text = self.take(key, str)
        try:
            return enumeration(text)
        except ValueError:
            _refuse(
                f"'{text[:40]}' is not supported as '{key}' of the {self._what}",
                f"use one of: {', '.join(enumeration)}",
            )

    def texts(self, key: str) -> tuple[str, ...]:
        items = self.take(key, list) if key in self._rest else []
        if not all(isinstance(item, str) for item in items):
            _refuse(f"'{key}' of the {self._what} holds something else than text", "give a list of texts")
        return tuple(items)

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        items = self.take(key, list) if key in self._rest else []
        if not all(isinstance(item, Mapping) for item in items):
            _refuse(f"'{key}' of the {self._what} holds something else than objects", "give a list of objects")
        return list(items)

    def expect(self, key: str, wanted: Any) -> None:
        if self.take(key, object) != wanted:
            _refuse(f"'{key}' of the {self._what} is not the one of this profile", "use the Synthema ODRL profile")

    def close(self) -> None:
        if self._rest:
            _refuse(f"the {self._what} holds unknown keys: {', '.join(sorted(self._rest))}", "remove them")


def _refuse(message: str, fix: str) -> NoReturn:
    raise PolicyLoadError(message, fix=fix)
