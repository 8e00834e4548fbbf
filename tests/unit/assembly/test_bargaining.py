"""Other words than the catalogue's are answered by the policy engine, with reasons."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from synthema.assembly import bargaining
from synthema.dataspace import Accept, Hold, OfferQuestion, Refuse, Verdict
from synthema.dataspace.policy_wire import to_wire
from synthema.dataspace.transitions import Party
from synthema.policy import parse_policy, to_odrl
from synthema.vocabulary import Vocabulary, load_vocabulary

DATASET = "https://hospital.example/id/dataset/mgus"
OFFER = f"""
policy: synthetic-data-offer
title: Synthetic MGUS data
layer: agreement
version: 1
law: [EHDS 53(1)(e), EHDS 61]
targets: {DATASET}
permit:
  - id: research
    action: [analyse, train model]
    when:
      purpose is: [health research, education]
    duties:
      - do: acknowledge source
        when: after
forbid:
  - id: no-reidentification
    action: reidentify
    law: EHDS 61(3)
    sentence: Nobody may try to find the persons whose records the synthetic data were made from
"""
PURPOSE = "http://www.w3.org/ns/odrl/2/purpose"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


@pytest.fixture(scope="module")
def published(vocabulary: Vocabulary) -> dict[str, Any]:
    policy = parse_policy(OFFER, vocabulary, file="offer", base="https://hospital.example")
    return to_wire(to_odrl(replace(policy, assignees=())), DATASET)


@pytest.fixture
def terms(published: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(published)


def answered(
    terms: dict[str, Any], published: dict[str, Any] | None, vocabulary: Vocabulary, role: Party = "provider"
) -> Verdict:
    offer = {**terms, "@id": "urn:offer", "@type": "Offer", "target": DATASET}
    question = OfferQuestion("negotiation-1", role, "did:web:hub.example", DATASET, offer, published, same=False)
    return bargaining.answer(question, vocabulary)


def reasons(verdict: Verdict) -> str:
    assert isinstance(verdict, Refuse)
    assert verdict.reasons[0] == "the terms differ from the offer in the catalogue"
    assert "data protection officer" in verdict.reasons[-1]
    return " ".join(verdict.reasons)


def test_the_same_in_another_order_and_under_other_names_is_answered_with_our_words(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    terms["permission"].reverse()
    for number, rule in enumerate(terms["permission"]):
        rule["@id"] = f"urn:other:{number}"
    assert answered(terms, published, vocabulary) == Accept()


def test_less_than_is_offered_is_answered_with_our_words(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    terms["permission"] = terms["permission"][:1]
    assert answered(terms, published, vocabulary) == Accept()


def test_another_purpose_is_refused_and_named(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    for rule in terms["permission"]:
        rule.pop("constraint")
    assert "now permitted" in reasons(answered(terms, published, vocabulary)).lower()


@pytest.mark.article("EHDS 61(3)")
def test_a_dropped_prohibition_is_refused_and_named(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    terms.pop("prohibition")
    assert "identify a person" in reasons(answered(terms, published, vocabulary))


def test_a_dropped_duty_is_refused_and_named(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    for rule in terms["permission"]:
        rule.pop("duty")
    assert "acknowledge the source" in reasons(answered(terms, published, vocabulary))


def test_the_bare_offer_of_another_connector_is_refused_for_what_it_allows(
    published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    assert "before it was forbidden" in reasons(answered({"permission": [{"action": "use"}]}, published, vocabulary))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"action": "use", "constraint": [{"leftOperand": "urn:x", "operator": "eq", "rightOperand": "1"}]}, "operand"),
        ({"action": "urn:unheard-of"}, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(
    rule: dict[str, Any], problem: str, published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    assert problem in reasons(answered({"permission": [rule]}, published, vocabulary))


def test_a_flood_of_rules_is_not_even_compared(published: dict[str, Any], vocabulary: Vocabulary) -> None:
    flood = {"permission": [{"action": "use"}] * (bargaining.MOST_RULES + 1)}
    assert "too many" in reasons(answered(flood, published, vocabulary))


def test_a_consumer_leaves_other_terms_to_a_person(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    terms["permission"] = terms["permission"][:1]
    verdict = answered(terms, published, vocabulary, "consumer")
    assert isinstance(verdict, Hold)
    assert "No longer permitted" in verdict.reason
    unasked = answered(terms, None, vocabulary, "consumer")
    assert isinstance(unasked, Hold)
    assert "nobody here has asked" in unasked.reason


def test_a_consumer_accepts_what_means_the_same(
    terms: dict[str, Any], published: dict[str, Any], vocabulary: Vocabulary
) -> None:
    terms["permission"].reverse()
    assert answered(terms, published, vocabulary, "consumer") == Accept()
