"""ODRL 2.2 JSON-LD in the Synthema profile, read back without loss.

Reading is strict and knows one structure only: what :func:`to_odrl` writes. An
unknown key, another conflict strategy or another profile refuses the policy whole.
ODRL of others is read by ``synthema.policy.intake``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

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
    Parent,
    Policy,
    Refinement,
    Rule,
    SiteDecision,
    Timing,
    Value,
)
from synthema.policy.odrl_writing import COLLECTIONS, CONTEXT, XSD_TYPES, datatype_of, policy_digest, to_odrl
from synthema.policy.values import read_literal
from synthema.policy.wellformed import check_policy
from synthema.vocabulary import Datatype, Vocabulary

__all__ = ["CONTEXT", "datatype_of", "from_odrl", "policy_digest", "to_odrl"]

_DATATYPES = {text: datatype for datatype, text in XSD_TYPES.items()}
_LOGICAL = ("and", "or", "xone")


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
        inherits=_read_parents(reader),
    )
    reader.close()
    check_policy(policy, vocabulary)
    return policy


def _in_order(rules: list[Rule], order: tuple[str, ...]) -> tuple[Rule, ...]:
    by_id = {rule.id: rule for rule in rules}
    if len(by_id) != len(rules) or len(order) != len(rules) or set(order) != set(by_id):
        _refuse("syn:ruleOrder does not list each rule once", "list the identifiers of all rules in order")
    return tuple(by_id[rule_id] for rule_id in order)


def _read_parents(reader: _Reader) -> tuple[Parent, ...]:
    named = reader.texts("inheritFrom")
    parents = []
    for item in reader.objects("syn:inheritance"):
        inner = _Reader(item, "inheritance")
        parents.append(Parent(inner.node("syn:inheritedPolicy"), inner.take("syn:inheritedVersion", str)))
        inner.close()
    if named != tuple(parent.policy for parent in parents):
        _refuse(
            "'inheritFrom' and 'syn:inheritance' do not name the same policies",
            "name each policy in both, in the same order, with its version in 'syn:inheritance'",
        )
    return tuple(parents)


def _read_rule(value: Mapping[str, Any], kind: Kind) -> Rule:
    reader = _Reader(value, kind)
    rule_id = reader.take("uid", str)
    narrowed: dict[str, Condition] = {}
    obligation = kind is Kind.OBLIGATION
    rule = Rule(
        id=rule_id,
        kind=kind,
        actions=_read_actions(reader, "syn:triggeredBy" if obligation else "action", narrowed),
        when=_read_conditions(reader, "constraint"),
        unless=_read_conditions(reader, "syn:unless"),
        targets=_read_collections(reader, "target", narrowed),
        assignees=_read_collections(reader, "assignee", narrowed),
        duties=(_read_duty(reader, "syn:dutyConstraint"),) if obligation else _read_duties(reader, "duty"),
        law=_read_law(reader),
        sentence=reader.maybe("syn:sentence") or "",
        refinements=tuple(Refinement(of, condition) for of, condition in narrowed.items()),
        remedies=_read_duties(reader, "remedy"),
        origin=reader.node("syn:origin") if "syn:origin" in reader else "",
    )
    reader.close()
    return rule


def _read_actions(reader: _Reader, key: str, narrowed: dict[str, Condition]) -> tuple[str, ...]:
    iris = []
    for item in reader.mixed(key):
        if isinstance(item, str):
            iris.append(item)
            continue
        inner = _Reader(item, "refined action")
        iris.append(inner.node("rdf:value"))
        _narrow(narrowed, iris[-1], inner)
    return tuple(iris)


def _read_collections(reader: _Reader, key: str, narrowed: dict[str, Condition]) -> tuple[str, ...]:
    iris = []
    for item in reader.mixed(key):
        if isinstance(item, str):
            iris.append(item)
            continue
        inner = _Reader(item, f"refined {key}")
        inner.expect("@type", COLLECTIONS[key])
        iris.append(inner.take("source", str))
        _narrow(narrowed, iris[-1], inner)
    return tuple(iris)


def _narrow(narrowed: dict[str, Condition], iri: str, inner: _Reader) -> None:
    condition = _read_conditions(inner, "refinement")
    inner.close()
    if condition is None:
        _refuse(f"the refinement of {iri} says nothing", "give one condition, or write the identifier alone")
    if narrowed.setdefault(iri, condition) != condition:
        _refuse(f"{iri} is narrowed in two ways", "narrow it once, with the conditions joined by 'and'")


def _read_duties(reader: _Reader, key: str) -> tuple[Duty, ...]:
    return tuple(_close_duty(item) for item in reader.objects(key))


def _close_duty(value: Mapping[str, Any], depth: int = 0) -> Duty:
    reader = _Reader(value, "duty")
    duty = _read_duty(reader, "constraint", depth)
    reader.close()
    return duty


def _read_duty(reader: _Reader, when: str, depth: int = 0) -> Duty:
    if depth > 1:
        _refuse("a consequence has a consequence of its own", "give all consequences to the first duty")
    within = reader.maybe("syn:deadline")
    return Duty(
        action=reader.take("action", str),
        timing=reader.member("syn:dutyTiming", Timing),
        within=None if within is None else _duration(within),
        after=Event.DECISION if within is None else reader.member("syn:deadlineAfter", Event),
        evidence=reader.maybe("syn:evidenceType"),
        when=_read_conditions(reader, when),
        consequences=tuple(_close_duty(item, depth + 1) for item in reader.objects("consequence")),
    )


def _duration(text: str) -> timedelta:
    step = _literal(text, Datatype.DURATION)
    return step if isinstance(step, timedelta) else timedelta(0)


def _literal(text: str, datatype: Datatype) -> Value:
    try:
        return read_literal(text, datatype)
    except InputError as error:
        raise PolicyLoadError(error.message, fix=error.fix) from error


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
    return _literal(text, _DATATYPES[type_])


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
    moment = None if text is None else _literal(text, Datatype.DATE)
    return moment if isinstance(moment, datetime) else None


class _Reader:
    """Takes keys out of one object and refuses what is left over."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            _refuse(f"the {what} is not an object", "write it as to_odrl does")
        self._rest = dict(value)
        self._what = what

    def __contains__(self, key: object) -> bool:
        return key in self._rest

    def take(self, key: str, type_: type | tuple[type, ...]) -> Any:
        if key not in self._rest:
            _refuse(f"the {self._what} lacks '{key}'", f"add '{key}'")
        item = self._rest.pop(key)
        if not isinstance(item, type_):
            _refuse(f"'{key}' of the {self._what} is not of the right type", "write it as to_odrl does")
        return item

    def maybe(self, key: str) -> str | None:
        return self.take(key, str) if key in self._rest else None

    def node(self, key: str) -> str:
        inner = _Reader(self.take(key, Mapping), f"{key} of the {self._what}")
        iri = str(inner.take("@id", str))
        inner.close()
        return iri

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

    def mixed(self, key: str) -> list[Any]:
        items = self.take(key, list) if key in self._rest else []
        if not all(isinstance(item, str | Mapping) for item in items):
            _refuse(
                f"'{key}' of the {self._what} holds something else than texts and objects", "write it as to_odrl does"
            )
        return list(items)

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
