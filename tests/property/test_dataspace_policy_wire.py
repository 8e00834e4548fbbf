"""Policies survive the wire: what comes back is what went out, and what cannot is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.dataspace import policy_text
from synthema.dataspace.policy_wire import ODRL, from_wire, to_wire
from synthema.errors import InputError
from synthema.policy.odrl import CONTEXT
from synthema.vocabulary import PREFIXES

DATASET = "http://hospital.example/id/dataset/dataset-1"
SYN = PREFIXES["syn"]

terms = st.sampled_from([SYN + "synthesise", ODRL + "use", ODRL + "purpose", PREFIXES["dpv"] + "Purpose", "urn:x:y"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
rights = st.one_of(
    terms.map(lambda iri: {"@id": iri}),
    texts.map(lambda text: {"@id": text}),
    st.lists(terms, min_size=1, max_size=3).map(lambda iris: [{"@id": iri} for iri in iris]),
    st.tuples(texts, st.sampled_from(["xsd:string", "xsd:integer", "xsd:double", "xsd:dateTime"])).map(
        lambda pair: {"@value": pair[0], "@type": pair[1]}
    ),
)
atomic = st.fixed_dictionaries(
    {
        "leftOperand": terms,
        "operator": st.sampled_from(["eq", "neq", "lt", "lteq", "gt", "gteq", "isA", "isAnyOf", "isNoneOf", "isAllOf"]),
        "rightOperand": rights,
    },
    optional={"unit": terms},
)
constraints = st.recursive(
    atomic,
    lambda inner: st.tuples(st.sampled_from(["and", "or", "xone"]), st.lists(inner, min_size=1, max_size=3)).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    max_leaves=5,
)
duties = st.fixed_dictionaries(
    {"action": terms, "syn:dutyTiming": st.sampled_from(["pre", "during", "post"])},
    optional={"syn:deadline": st.just("P30D"), "syn:deadlineAfter": st.just("release")},
)
laws = st.just([{"syn:act": "EHDS", "syn:article": "53(1)(e)", "syn:eli": "http://data.europa.eu/eli/reg/2025/327/oj"}])


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Policies in the shape of ``policy.odrl.to_odrl``."""
    number = iter(range(100))

    def rule(kind: str) -> dict[str, Any]:
        value: dict[str, Any] = {"uid": f"urn:rule:{next(number)}"}
        value["action"] = draw(st.lists(terms, min_size=1, max_size=3, unique=True))
        if kind == "permission" and draw(st.booleans()):
            value["duty"] = draw(st.lists(duties, min_size=1, max_size=2))
        if draw(st.booleans()):
            value["constraint"] = [draw(constraints)]
        if kind == "prohibition" and draw(st.booleans()):
            value["syn:unless"] = [draw(constraints)]
        if draw(st.booleans()):
            value["syn:lawReference"] = draw(laws)
        return value

    policy: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Set",
        "uid": "urn:policy:1",
        "profile": SYN + "profile",
        "conflict": "prohibit",
        "syn:layer": "L3",
        "syn:version": "1",
        "dct:title": draw(texts),
        "target": [DATASET],
        "permission": [rule("permission") for _ in range(draw(st.integers(1, 3)))],
    }
    if draw(st.booleans()):
        policy["prohibition"] = [rule("prohibition")]
    if draw(st.booleans()):
        policy["obligation"] = [{"uid": "urn:rule:o", "syn:triggeredBy": [ODRL + "use"]} | draw(duties)]
    return policy


@given(policies())
def test_what_comes_back_is_what_went_out(policy: dict[str, Any]) -> None:
    sent = policy_text.offer_message("urn:policy:1", DATASET, to_wire(policy, DATASET))
    received = policy_text.checked_offer(parse_json_strictly(canonical_json(sent)))
    assert from_wire(received) == policy


@given(policies())
def test_meaning_ignores_names_and_order_only(policy: dict[str, Any]) -> None:
    wire = to_wire(policy, DATASET)
    offer = policy_text.offer_in_dataset("urn:offer:1", wire)
    agreement = policy_text.agreement("urn:a", DATASET, "did:web:p", "did:web:c", "2026-11-21T10:00:00Z", wire)
    turned = {**offer, "permission": offer["permission"][::-1]}
    assert policy_text.meaning(offer) == policy_text.meaning(agreement) == policy_text.meaning(turned)
    fewer = {**offer, "permission": [{**offer["permission"][0], "action": "urn:other:action"}]}
    assert policy_text.meaning(fewer) != policy_text.meaning(offer)


@given(policies(), st.sampled_from(["constraint", "syn:unless", "duty"]))
def test_a_dropped_condition_changes_the_meaning(policy: dict[str, Any], key: str) -> None:
    changed = {**policy, "permission": [{k: v for k, v in rule.items() if k != key} for rule in policy["permission"]]}
    same = changed["permission"] == policy["permission"]
    meanings = [policy_text.meaning(to_wire(p, DATASET)) for p in (policy, changed)]
    assert (meanings[0] == meanings[1]) == same


@given(st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | texts, lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["@id", "@type", "permission", "action", "constraint", "leftOperand", "operator", "and", "duty"]), x
)))  # fmt: skip
def test_nonsense_is_refused_cleanly(value: Any) -> None:
    for check in (policy_text.checked_offer, policy_text.checked_agreement):
        offer = value if isinstance(value, dict) else {"@id": "x", "@type": "Offer", "permission": value}
        try:
            check(offer)
        except InputError:
            continue
        policy_text.meaning(offer)


@pytest.mark.parametrize(
    "change",
    [
        {"conflict": "perm"},
        {"target": ["http://hospital.example/id/dataset/another"]},
        {"assignee": ["did:web:someone.example"]},
        {"note": "a key without a namespace"},
        {"permission": [{"uid": "r", "action": [{"@id": ODRL + "use", "refinement": []}]}]},
        {"permission": [{"uid": "r", "action": [ODRL + "use"], "constraint": ["urn:by:reference"]}]},
        {"permission": [{"uid": "r", "action": [ODRL + "use"], "consequence": []}]},
        {"permission": [{"uid": "r", "action": [ODRL + "use"], "constraint": [
            {"leftOperand": ODRL + "count", "operator": "lt", "rightOperandReference": "urn:x"}]}]},
        {"permission": []},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(change: dict[str, Any]) -> None:
    policy: dict[str, Any] = {"uid": "p", "target": [DATASET], "permission": [{"uid": "r", "action": [ODRL + "use"]}]}
    to_wire(policy, DATASET)
    with pytest.raises(InputError):
        to_wire(policy | change, DATASET)


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "play"},
        {"action": {"@id": ODRL + "use"}},
        {"action": "use", "constraint": [{"leftOperand": "purpose", "operator": "eq", "rightOperand": "x"}]},
        {"action": "use", "constraint": [{"leftOperand": "urn:l", "operator": "odrl:eq", "rightOperand": "x"}]},
        {"action": "use", "constraint": [{"leftOperand": "urn:l", "operator": "eq", "rightOperand": 5}]},
        {"action": "use", "constraint": [{"and": []}]},
        {"action": "use", "consequence": []},
    ],
    ids=["bare action", "node action", "bare operand", "prefixed operator", "number", "empty and", "unknown key"],
)
def test_ambiguous_offers_are_refused(rule: dict[str, Any]) -> None:
    good = {"@id": "urn:o", "@type": "Offer", "permission": [{"action": "use"}]}
    assert policy_text.checked_offer(good) == good
    with pytest.raises(InputError):
        policy_text.checked_offer({**good, "permission": [rule]})
