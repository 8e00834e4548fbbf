"""Wire policies as texts of contracts: made into offers and agreements, checked, compared by what they say.

An offer from outside is refused when any part of it is not understood: a key we
do not know, a bare word whose meaning the protocol leaves open, an operator that
is none. Source: Dataspace Protocol 2025-1-err1, negotiation/contract-schema.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from synthema.canonical import canonical_json, digest
from synthema.clock import from_text
from synthema.dataspace.policy_wire import LOGICAL, ODRL, OPERATORS, RULE_KINDS, UNLESS, expand
from synthema.errors import InputError

Json = Any
Wire = dict[str, Json]

_NAMED = frozenset({"@context", "@type", "@id", "target", "assigner", "assignee", "timestamp"})
_POLICY_KEYS = _NAMED | {"profile"} | set(RULE_KINDS)
_RULE_KEYS = frozenset({"@type", "@id", "action", "constraint", "target", "assigner", "assignee"})
_CONSTRAINT_KEYS = frozenset({"leftOperand", "operator", "rightOperand", "@type", "@id"})
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")
_MOST_RULES = 1000
_DEEPEST = 16


def offer_message(offer_id: str, dataset: str, policy: Mapping[str, Json]) -> Wire:
    """A wire policy as the offer inside a message."""
    return {**_said(policy), "@type": "Offer", "@id": offer_id, "target": dataset}


def offer_in_dataset(offer_id: str, policy: Mapping[str, Json]) -> Wire:
    """A wire policy as an offer inside a catalogue, where the target goes without saying."""
    return {**_said(policy), "@type": "Offer", "@id": offer_id}


def agreement(
    agreement_id: str, dataset: str, provider: str, consumer: str, timestamp: str, policy: Mapping[str, Json]
) -> Wire:
    """A wire policy as an agreement between two parties."""
    parties = {"target": dataset, "assigner": provider, "assignee": consumer, "timestamp": timestamp}
    return {**_said(policy), **parties, "@type": "Agreement", "@id": agreement_id}


def meaning(policy: Mapping[str, Json]) -> str:
    """A digest of what a wire policy says, whatever it is called and in whichever order its rules stand."""
    said: Wire = {kind: _unordered(_meaning_of_rule(rule) for rule in policy.get(kind, ())) for kind in RULE_KINDS}
    said["profile"] = sorted(_list(policy.get("profile", [])))
    return digest(said | {key: value for key, value in policy.items() if ":" in key})


def moment(text: str) -> datetime:
    """A timestamp of an agreement. The schema lets the zone out: UTC is then the only reading both sides can share."""
    if not _DATE_TIME.fullmatch(text):
        raise InputError(f"'{text[:40]}' is not an xsd:dateTime", fix="write it like 2026-11-21T10:00:00Z")
    return from_text(text if text.endswith("Z") or text[-6] in "+-" else text + "Z")


def checked_offer(offer: Wire) -> Wire:
    """An offer from a message, unchanged; raises :class:`InputError` when any part of it is not understood."""
    _check_policy(offer, "Offer", "offer")
    return offer


def checked_agreement(text: Wire) -> Wire:
    """An agreement from a message, unchanged; raises like :func:`checked_offer`.

    The specification's text asks for a timestamp, its schema does not: we always
    send one, and do without where another connector sends none.
    """
    _check_policy(text, "Agreement", "agreement")
    for key in ("target", "assigner", "assignee"):
        _require_text(text.get(key), f"agreement.{key}")
    return text


def _said(policy: Mapping[str, Json]) -> Wire:
    return {key: value for key, value in policy.items() if key not in _NAMED}


def _meaning_of_rule(rule: Mapping[str, Json]) -> Wire:
    # The identifier belongs to what is said: rules of several actions hang together by it.
    said = {key: value for key, value in rule.items() if ":" in key or key in ("@id", "target", "assigner", "assignee")}
    said["action"] = _action(rule["action"], "action")
    for key in ("constraint", UNLESS):
        said[key] = _unordered(_meaning_of_constraint(item) for item in rule.get(key, ()))
    said["duty"] = _unordered(_meaning_of_rule(duty) for duty in rule.get("duty", ()))
    return said


def _meaning_of_constraint(constraint: Mapping[str, Json]) -> Wire:
    for name in LOGICAL:
        if name in constraint:
            items = [_meaning_of_constraint(item) for item in constraint[name]]
            return {name: items if name == "andSequence" else _unordered(items)}
    said = {key: value for key, value in constraint.items() if key not in ("@type", "@id")}
    return said | {"leftOperand": _absolute(constraint["leftOperand"], "leftOperand")}


def _unordered(items: Iterable[Json]) -> list[Json]:
    return sorted(items, key=canonical_json)


def _check_policy(policy: Wire, type_: str, where: str) -> None:
    _require_text(policy.get("@id"), f"{where}.@id")
    if policy.get("@type") != type_:
        raise InputError(f"{where}.@type is not {type_}", where=where, fix=f'set "@type": "{type_}"')
    if not policy.keys() & {"permission", "prohibition"}:
        raise InputError(f"{where} neither permits nor prohibits anything", where=where, fix="add a permission")
    _check_known(policy, _POLICY_KEYS, where)
    for key in ("target", "assigner", "assignee", "timestamp"):
        if key in policy:
            _require_text(policy[key], f"{where}.{key}")
    if "timestamp" in policy:
        moment(policy["timestamp"])
    for item in _list(policy.get("profile", [])):
        _require_text(item, f"{where}.profile")
    for kind in RULE_KINDS:
        if kind in policy:
            _check_rules(policy[kind], kind, f"{where}.{kind}")


def _check_rules(rules: Json, kind: str, where: str) -> None:
    if not isinstance(rules, list) or not 1 <= len(rules) <= _MOST_RULES:
        raise InputError(f"{where} is not an array of rules", where=where, fix="give 1 to 1000 rules")
    for i, rule in enumerate(rules):
        here = f"{where}[{i}]"
        if not isinstance(rule, dict):
            raise InputError(f"{here} is not a rule", where=here, fix="give the rule itself, not a reference")
        _check_known(rule, _RULE_KEYS | ({"duty"} if kind == "permission" else set()), here)
        _action(rule.get("action"), here)
        for key in ("@id", "target", "assigner", "assignee"):
            for item in _list(rule.get(key, [])):
                _require_text(item, f"{here}.{key}")
        for key in ("constraint", UNLESS):
            _check_constraints(rule.get(key, []), f"{here}.{key}", _DEEPEST)
        if "duty" in rule:
            _check_rules(rule["duty"], "duty", f"{here}.duty")


def _check_constraints(constraints: Json, where: str, depth: int) -> None:
    if not isinstance(constraints, list) or depth == 0:
        raise InputError(
            f"{where} is not an array, or nested too deeply", where=where, fix="give an array of constraints"
        )
    for constraint in constraints:
        if not isinstance(constraint, dict):
            raise InputError(f"{where} holds no constraint", where=where, fix="give the constraint, not a reference")
        logical = [name for name in LOGICAL if name in constraint]
        if logical:
            _check_known(constraint, {logical[0], "@type", "@id"}, where)
            _check_constraints(constraint[logical[0]] or None, f"{where}.{logical[0]}", depth - 1)
        else:
            _check_atomic(constraint, where)


def _check_atomic(constraint: Wire, where: str) -> None:
    _check_known(constraint, _CONSTRAINT_KEYS, where)
    _absolute(constraint.get("leftOperand"), f"{where}.leftOperand")
    operator = constraint.get("operator")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise InputError(f"{where}.operator is unknown", where=where, fix=f"use one of {', '.join(sorted(OPERATORS))}")
    if not isinstance(constraint.get("rightOperand"), str | list | dict):
        raise InputError(
            f"{where}.rightOperand is neither string, array nor object",
            where=where,
            fix='write numbers as {"@value": "5", "@type": "http://www.w3.org/2001/XMLSchema#integer"}',
        )


def _check_known(value: Wire, known: Iterable[str], where: str) -> None:
    unknown = sorted(key for key in value.keys() - set(known) if ":" not in key)
    if unknown:
        raise InputError(
            f"{where}.{unknown[0][:80]} is not understood", where=where, fix="leave it out, or name it by its full IRI"
        )


def _action(action: Json, where: str) -> str:
    return ODRL + "use" if action == "use" else _absolute(action, f"{where}.action")


def _absolute(term: Json, where: str) -> str:
    if not isinstance(term, str) or ":" not in term:
        raise InputError(
            f"{where}: '{str(term)[:80]}' means nothing certain on the wire", where=where, fix="write the full IRI"
        )
    return expand(term)


def _require_text(value: Json, where: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= 2048:
        raise InputError(f"{where} is not a text", where=where, fix="give a text of 1 to 2048 characters")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]
