"""Whatever message we take in, the official schema takes too: no hole in our reading, however a message is spoilt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.dataspace import messages as m
from synthema.errors import InputError
from tests.unit.dataspace import schemas

pytestmark = pytest.mark.conformance

PIDS = {"providerPid": "urn:uuid:1", "consumerPid": "urn:uuid:2"}
CONSTRAINT = {"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "eq", "rightOperand": "urn:x"}
RULE = {"action": "use", "constraint": [CONSTRAINT, {"or": [CONSTRAINT, CONSTRAINT]}]}
POLICY = {
    "@id": "urn:p",
    "target": "urn:d",
    "profile": "urn:profile",
    "permission": [RULE | {"duty": [{"action": "urn:pay"}]}],
    "prohibition": [{"action": "urn:sell"}],
    "obligation": [{"action": "urn:report", "constraint": [CONSTRAINT]}],
}
OFFER = POLICY | {"@type": "Offer", "assigner": "did:web:a"}
PARTIES = {"assigner": "did:web:a", "assignee": "did:web:b", "timestamp": "2026-11-22T10:00:00Z"}
ADDRESS = {
    "@type": "DataAddress",
    "endpointType": "urn:t",
    "endpoint": "https://a.example",
    "endpointProperties": [{"@type": "EndpointProperty", "name": "n", "value": "v"}],
}
WHY = PIDS | {"code": "1", "reason": ["because"]}


def said(model: type[m.Message], **fields: Any) -> tuple[type[m.Message], dict[str, Any]]:
    return model, {"@context": [m.CONTEXT], "@type": model.model_fields["type"].default, **fields}


SAID = [
    said(m.CatalogRequestMessage, filter=[]),
    said(m.DatasetRequestMessage, dataset="urn:d"),
    said(m.ContractRequestMessage, consumerPid="urn:uuid:2", offer=OFFER, callbackAddress="https://a.example"),
    said(m.ContractRequestMessage, **PIDS, offer=OFFER),
    said(m.ContractOfferMessage, providerPid="urn:uuid:1", offer=OFFER, callbackAddress="https://a.example"),
    said(m.ContractOfferMessage, **PIDS, offer=OFFER),
    said(m.ContractAgreementMessage, **PIDS, agreement=POLICY | PARTIES | {"@type": "Agreement"}),
    said(m.ContractAgreementVerificationMessage, **PIDS),
    said(m.ContractNegotiationEventMessage, **PIDS, eventType="ACCEPTED"),
    said(m.ContractNegotiationTerminationMessage, **WHY),
    said(
        m.TransferRequestMessage,
        consumerPid="urn:uuid:2",
        agreementId="urn:a",
        format="HttpData-PULL",
        callbackAddress="https://a.example",
        dataAddress=ADDRESS,
    ),
    said(m.TransferStartMessage, **PIDS, dataAddress=ADDRESS),
    said(m.TransferSuspensionMessage, **WHY),
    said(m.TransferCompletionMessage, **PIDS),
    said(m.TransferTerminationMessage, **WHY),
]
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1.5, "", " ", "x", "urn:x", "use", "2026-11-22", [], [[]], ["x"], [1], {}, {"@id": "urn:x"},
     {"@value": "1", "@type": "urn:t"}, [{}], [RULE], [CONSTRAINT], RULE, CONSTRAINT, POLICY]
)  # fmt: skip
KEYS = st.sampled_from(
    ["@id", "@type", "@context", "target", "action", "constraint", "duty", "and", "or", "xone", "andSequence",
     "operator", "rightOperand", "leftOperand", "permission", "prohibition", "obligation", "profile", "assigner",
     "assignee", "reason", "code", "callbackAddress", "providerPid", "consumerPid", "dataAddress", "timestamp",
     "filter", "endpointProperties"]
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _with_schemas() -> None:
    schemas.require_schemas()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value that can be spoilt: its container and its key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def spoil(draw: st.DrawFn, body: dict[str, Any]) -> None:
    """Take something away, put something odd in its place, or add something."""
    container, key = draw(st.sampled_from(list(places(body))))
    match draw(st.sampled_from(["drop", "replace", "add"])):
        case "drop":
            container.pop(key)
        case "replace":
            container[key] = copy.deepcopy(draw(JUNK))
        case _ if isinstance(container, dict):
            container[draw(KEYS)] = copy.deepcopy(draw(JUNK))
        case _:
            container.append(copy.deepcopy(draw(JUNK)))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[type[m.Message], dict[str, Any]]:
    model, body = draw(st.sampled_from(SAID))
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(0, 3))):
        if body:
            spoil(draw, body)
    return model, body


@pytest.mark.parametrize(("model", "body"), SAID, ids=[model.__name__ for model, _ in SAID])
def test_unspoilt_both_take_them(model: type[m.Message], body: dict[str, Any]) -> None:
    assert schemas.errors(body) == []
    assert schemas.errors(m.read(model, body).wire()) == []


@given(spoilt())
def test_what_we_take_the_official_schema_takes(given_message: tuple[type[m.Message], dict[str, Any]]) -> None:
    model, body = given_message
    try:
        message = m.read(model, body)
    except InputError:
        return
    type_ = model.model_fields["type"].default
    assert schemas.errors(body, type_) == []
    assert schemas.errors(message.wire(), type_) == []
