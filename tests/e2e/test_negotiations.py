"""Contracts between two real connectors: other terms are answered with reasons, and a person has the last word."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from synthema.dataspace import Process
from synthema.errors import ConflictError, DeniedError, IntegrityError
from tests.e2e.pair import PATIENCE, Pair, pair
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("pair"), approve_contracts=True) as made:
        yield made


def asked(two: Pair, change: Any = None) -> Process:
    """A request of the hub for a contract, with the catalogue's terms or changed ones."""
    hub, dataset = two.hub.connector.dataspace, two.hospital.dataset_iri()
    (offer,) = hub.dataset_of(two.hospital.did, dataset)["hasPolicy"]
    if change is not None:
        offer = copy.deepcopy(offer)
        change(offer)
    return hub.request_contract(two.hospital.did, dataset, offer)


def waiting(two: Pair, request: Process) -> str:
    """The hospital's side of a request once it waits for a person."""

    def look() -> list[dict[str, Any]]:
        theirs = two.hub.connector.dataspace.process("negotiation", request.id).peer_pid
        return [n for n in two.hospital.call("negotiation/list") if n["negotiation"] == theirs and n["waits"]]

    return str(until(look, bool, PATIENCE)[0]["negotiation"])


def approved(two: Pair, negotiation: str, signatory: int = 0) -> dict[str, Any]:
    person = two.hospital.signatories[signatory]
    sign = two.hospital.call("negotiation/signing", {"negotiation": negotiation})["sign"]
    value = {"negotiation": negotiation, "person": person.person, "signature": person.sign(sign)}
    found: dict[str, Any] = two.hospital.call("negotiation/approve", value)
    return found


def ended(two: Pair, request: Process) -> Process:
    return two.hub.connector.dataspace.wait("negotiation", request.id, PATIENCE, lambda process: process.ended)


def test_a_contract_waits_for_the_officers_signature(two: Pair) -> None:
    request = asked(two)
    negotiation = waiting(two, request)
    shown = two.hospital.call("negotiation/show", {"negotiation": negotiation})
    assert (shown["state"], shown["role"], shown["partner"]) == ("REQUESTED", "provider", two.hub.did)
    assert shown["sentences"]
    assert [message["message"] for message in shown["messages"]] == ["ContractRequestMessage"]

    with pytest.raises(DeniedError, match="data protection officer"):
        approved(two, negotiation, signatory=1)
    officer = two.hospital.signatories[0]
    wrong = {"negotiation": negotiation, "person": officer.person, "signature": officer.sign("00")}
    with pytest.raises(IntegrityError):
        two.hospital.call("negotiation/approve", wrong)
    assert two.hub.connector.dataspace.process("negotiation", request.id).state == "REQUESTED"

    assert approved(two, negotiation)["waits"] is False
    assert ended(two, request).state == "FINALIZED"
    assert f"/id/person/{officer.person}>" in "".join(two.hospital.log_text())
    with pytest.raises(ConflictError, match="does not wait"):
        approved(two, negotiation)


def test_a_refusal_is_told_in_the_officers_words(two: Pair) -> None:
    request = asked(two)
    officer = two.hospital.signatories[0].person
    told = {"negotiation": waiting(two, request), "person": officer, "reason": "the ethics vote is still open"}
    with pytest.raises(DeniedError):
        two.hospital.call("negotiation/refuse", told | {"person": two.hospital.signatories[1].person})
    two.hospital.call("negotiation/refuse", told)
    assert ended(two, request).reasons == ("the ethics vote is still open",)


def test_terms_that_go_too_far_are_refused_by_the_policy_engine_even_when_approved(two: Pair) -> None:
    def without_conditions(offer: dict[str, Any]) -> None:
        for rule in offer["permission"]:
            rule.pop("constraint", None)

    request = asked(two, without_conditions)
    approved(two, waiting(two, request))
    process = ended(two, request)
    assert process.state == "TERMINATED"
    assert process.reasons[0] == "the terms differ from the offer in the catalogue"
    assert any("ow permitted" in reason for reason in process.reasons)


def test_terms_that_ask_for_less_are_answered_with_the_catalogues_words(two: Pair) -> None:
    def one_act_only(offer: dict[str, Any]) -> None:
        offer["permission"] = offer["permission"][:1]

    request = asked(two, one_act_only)
    approved(two, waiting(two, request))
    hub = two.hub.connector.dataspace
    until(lambda: hub.process("negotiation", request.id), lambda process: process.pending, PATIENCE)
    (mine,) = [n for n in two.hub.call("negotiation/list") if n["negotiation"] == request.id]
    assert (mine["state"], mine["waits"]) == ("OFFERED", True)
    assert "differ from those that were asked for" in mine["reasons"][0]

    person = two.hub._register("dpo")
    sign = two.hub.call("negotiation/signing", {"negotiation": request.id})["sign"]
    value = {"negotiation": request.id, "person": person.person, "signature": person.sign(sign)}
    two.hub.call("negotiation/approve", value)
    assert ended(two, request).state == "FINALIZED"
    agreement = next(a for a in hub.agreements() if a.negotiation == request.id)
    (offer,) = hub.dataset_of(two.hospital.did, two.hospital.dataset_iri())["hasPolicy"]
    assert len(agreement.policy["permission"]) == len(offer["permission"])
