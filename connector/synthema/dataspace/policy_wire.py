"""Our ODRL on the wire and back, with nothing lost on the way.

The protocol's schema takes less than ODRL: an action is one plain string without
refinement, an operator has no prefix, a right operand is a string, an array or an
object but never a number. Its JSON-LD context maps hardly any term, so every term
is sent as an absolute IRI (only ``use`` is known to all). What this form cannot
carry is refused, because a dropped condition would widen a contract.

==============================  =============================================
in our ODRL                     on the wire
==============================  =============================================
rule with several actions       one rule for each, under the same ``@id``
term ``{"@id": iri}``           the IRI as a string
``{"@value", "@type": "xsd:…"}``  the same with the absolute datatype
``odrl:use``                    ``use``
``syn:unless`` and the like     the absolute IRI as key
==============================  =============================================

Source: Dataspace Protocol 2025-1-err1, negotiation/contract-schema.json; W3C ODRL 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from synthema.errors import InputError
from synthema.policy.model import ANY_DATASET, Layer
from synthema.policy.odrl import CONTEXT
from synthema.vocabulary import PREFIXES

Json = Any
Wire = dict[str, Json]

ODRL = PREFIXES["odrl"]
XSD = "http://www.w3.org/2001/XMLSchema#"
UNLESS = PREFIXES["syn"] + "unless"
LAYER = PREFIXES["syn"] + "layer"
RULE_KINDS = ("permission", "prohibition", "obligation")
LOGICAL = ("and", "or", "xone", "andSequence")
OPERATORS = frozenset(
    {"eq", "neq", "gt", "gteq", "lt", "lteq", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "hasPart"}
) | {"term-lteq"}

_PREFIXES: Mapping[str, str] = {**PREFIXES, "xsd": XSD, "dct": "http://purl.org/dc/terms/"}
_IRI_LIKE = re.compile(r"^(https?://|urn:|did:)[^\s<>\"{}|\\^`]+$")
_DROPPED = frozenset({"@context", "@type", "uid", "conflict", "target", "assigner", "assignee", *RULE_KINDS})


# --- our ODRL → wire -------------------------------------------------------------------------


def to_wire(policy: Mapping[str, Json], dataset: str) -> Wire:
    """What one of our policies (``policy.odrl.to_odrl``) says about a dataset, in wire form.

    The result has the rules and what belongs to them; identifier, type and
    parties are added when it becomes an offer or an agreement. Raises
    :class:`InputError` on anything that the wire form cannot keep.
    """
    if policy.get("conflict", "prohibit") != "prohibit":
        raise _cannot("a conflict strategy other than 'prohibition wins'", "conflict")
    targets = _list(policy.get("target", []))
    if targets and not {dataset, ANY_DATASET} & set(targets):
        raise _cannot(f"a policy about other datasets than {dataset}", "target")
    if _list(policy.get("assignee", [])):
        raise _cannot("a policy for certain parties", "assignee")
    wire: Wire = {
        _wire_key(key, "the policy"): _generic_to_wire(value) for key, value in policy.items() if key not in _DROPPED
    }
    for kind in RULE_KINDS:
        rules = [r for i, rule in enumerate(policy.get(kind, ())) for r in _rule_to_wire(rule, f"{kind}[{i}]")]
        if rules:
            wire[kind] = rules
    if not wire.keys() & {"permission", "prohibition"}:
        raise _cannot("a policy without permission or prohibition", "the policy")
    return wire


def _rule_to_wire(rule: Json, where: str) -> Iterator[Wire]:
    if not isinstance(rule, Mapping) or "action" not in rule:
        raise _cannot("a rule without an action", where)
    rest: Wire = {}
    for key, value in rule.items():
        if key in ("constraint", "syn:unless"):
            rest[_wire_key(key, where)] = [_constraint_to_wire(item, where) for item in _list(value)]
        elif key == "duty":
            rest["duty"] = [wire for duty in _list(value) for wire in _rule_to_wire(duty, f"{where}.duty")]
        elif key == "uid":
            rest["@id"] = value
        elif key in ("target", "assignee"):
            rest[key] = [_text(item, where) for item in _list(value)]
        elif key != "action":
            rest[_wire_key(key, where)] = _generic_to_wire(value)
    for action in _list(rule["action"]):
        iri = expand(_text(action, f"{where}.action"))
        yield {"action": "use" if iri == ODRL + "use" else iri, **rest}


def _constraint_to_wire(constraint: Json, where: str) -> Wire:
    if not isinstance(constraint, Mapping):
        raise _cannot("a constraint given by reference", where)
    for name in LOGICAL:
        if name in constraint:
            if len(constraint) > 1:
                raise _cannot(f"'{name}' beside other keys", where)
            return {name: [_constraint_to_wire(item, where) for item in _list(constraint[name])]}
    if not {"leftOperand", "operator", "rightOperand"} <= constraint.keys() <= _CONSTRAINT_KEYS:
        raise _cannot(f"a constraint with {', '.join(sorted(constraint)) or 'nothing'}", where)
    operator = expand(_text(constraint["operator"], where)).removeprefix(ODRL)
    if operator not in OPERATORS:
        raise _cannot(f"the operator {operator}", where)
    wire: Wire = {
        "leftOperand": expand(_text(constraint["leftOperand"], where)),
        "operator": operator,
        "rightOperand": _right_to_wire(constraint["rightOperand"], where),
    }
    return wire | ({ODRL + "unit": constraint["unit"]} if "unit" in constraint else {})


_CONSTRAINT_KEYS = frozenset({"leftOperand", "operator", "rightOperand", "unit"})


def _right_to_wire(value: Json, where: str) -> Json:
    if isinstance(value, list):
        return [_right_to_wire(item, where) for item in value]
    if isinstance(value, Mapping) and set(value) == {"@id"}:
        iri = _text(value["@id"], where)
        return iri if _IRI_LIKE.match(iri) else {"@id": iri}
    if isinstance(value, Mapping) and set(value) == {"@value", "@type"}:
        return {"@value": _text(value["@value"], where), "@type": expand(_text(value["@type"], where))}
    raise _cannot("a right operand that is neither a term nor a typed text", where)


def _generic_to_wire(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key if key.startswith("@") else _wire_key(key, key): _generic_to_wire(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_generic_to_wire(item) for item in value]
    return value


def _wire_key(key: str, where: str) -> str:
    if key in ("profile", "constraint"):
        return key
    if ":" not in key:
        raise _cannot(f"'{key}'", where)
    return expand(key)


# --- wire → our ODRL -------------------------------------------------------------------------


def from_wire(wire: Mapping[str, Json]) -> Wire:
    """An offer or agreement in wire form as our ODRL, ready for ``policy.odrl.from_odrl``.

    An agreement comes back as a policy of layer L4 for its dataset and its
    consumer, an offer with the layer it was made from. The caller checks the
    wire form first (:func:`policy_text.checked_offer`, messages do).
    """
    is_agreement = wire.get("@type") == "Agreement"
    policy: Wire = {"@context": CONTEXT, "uid": wire.get("@id"), "conflict": "prohibit"}
    for key, value in wire.items():
        if key in RULE_KINDS:
            policy[key] = _rules_from_wire(value, several_actions=key != "obligation")
        elif key == "target":
            policy["target"] = [value]
        elif key == "assigner":
            policy["assigner"] = value
        elif key == "assignee":
            policy["assignee"] = [value]
        elif key not in ("@context", "@id", "@type", "timestamp"):
            policy[compact(key)] = _generic_from_wire(value)
    layer = str(Layer.AGREEMENT) if is_agreement else policy.get("syn:layer")
    policy["syn:layer"] = layer
    policy["@type"] = "Agreement" if layer == Layer.AGREEMENT else "Set"
    return policy


def _rules_from_wire(rules: Iterable[Mapping[str, Json]], *, several_actions: bool) -> list[Wire]:
    merged: list[Wire] = []
    for rule in rules:
        ours = _rule_from_wire(rule)
        if not several_actions:
            merged.append(ours)
            continue
        actions, ours["action"] = [ours["action"]], []
        if merged and "uid" in ours and {**merged[-1], "action": []} == ours:
            merged[-1]["action"] += actions
        else:
            merged.append({**ours, "action": actions})
    return merged


def _rule_from_wire(rule: Mapping[str, Json]) -> Wire:
    ours: Wire = {}
    for key, value in rule.items():
        if key == "action":
            ours["action"] = ODRL + "use" if value in ("use", "odrl:use") else expand(value)
        elif key in ("constraint", UNLESS):
            ours[compact(key)] = [_constraint_from_wire(item) for item in value]
        elif key == "duty":
            ours["duty"] = [_rule_from_wire(duty) for duty in value]
        elif key == "@id":
            ours["uid"] = value
        elif key != "@type":
            ours[compact(key)] = _generic_from_wire(value)
    return {key: value for key, value in ours.items() if value != []}


def _constraint_from_wire(constraint: Mapping[str, Json]) -> Wire:
    for name in LOGICAL:
        if name in constraint:
            return {name: [_constraint_from_wire(item) for item in constraint[name]]}
    ours: Wire = {
        "leftOperand": expand(constraint["leftOperand"]),
        "operator": constraint["operator"].removeprefix("term-"),
        "rightOperand": _right_from_wire(constraint["rightOperand"]),
    }
    return ours | ({"unit": constraint[ODRL + "unit"]} if ODRL + "unit" in constraint else {})


def _right_from_wire(value: Json) -> Json:
    if isinstance(value, list):
        return [_right_from_wire(item) for item in value]
    if isinstance(value, str):
        return {"@id": value} if _IRI_LIKE.match(value) else {"@value": value, "@type": "xsd:string"}
    if isinstance(value, Mapping) and "@type" in value:
        return {**value, "@type": compact(str(value["@type"]))}
    return value


def _generic_from_wire(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key if key.startswith("@") else compact(key): _generic_from_wire(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_generic_from_wire(item) for item in value]
    return value


# --- words -----------------------------------------------------------------------------------


def expand(term: str) -> str:
    """An absolute IRI for a term: prefixes are resolved, bare words are ODRL's."""
    prefix, colon, local = term.partition(":")
    if not colon:
        return ODRL + term
    namespace = _PREFIXES.get(prefix)
    return namespace + local if namespace and not local.startswith("//") else term


def compact(iri: str) -> str:
    """A key as our ODRL writes it: with its prefix where we have one."""
    for prefix, namespace in _PREFIXES.items():
        if iri.startswith(namespace) and len(iri) > len(namespace):
            return f"{prefix}:{iri.removeprefix(namespace)}"
    return iri


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _cannot("something else than a text in the place of a term", where)
    return value


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _cannot(what: str, where: str) -> InputError:
    return InputError(
        f"{what} cannot be kept in an offer on the wire",
        where=where,
        fix="say it with a plain constraint, or leave it out of what is offered",
    )
