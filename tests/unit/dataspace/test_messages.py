"""Messages against the official schemas: what we send passes, what passes we read, what is wrong we refuse."""

from __future__ import annotations

from typing import Any

import pytest

from synthema.dataspace import messages as m
from synthema.errors import InputError
from tests.unit.dataspace import schemas
from tests.unit.dataspace.world import DATASET, PATIENCE, World, offer_of

MODELS: dict[str, type[m.Message]] = {
    model.model_fields["type"].default: model
    for model in vars(m).values()
    if isinstance(model, type) and issubclass(model, m.Message) and model.model_fields["type"].default
}
PIDS = {"providerPid": "urn:uuid:p", "consumerPid": "urn:uuid:c"}
CONTEXT = {"@context": [m.CONTEXT]}


@pytest.fixture(autouse=True)
def _official_schemas() -> None:
    schemas.require_schemas()


def test_every_message_type_of_the_protocol_has_a_model_or_a_maker() -> None:
    made = {"Catalog", "Dataset", "VersionResponse", "CatalogError", "ContractNegotiationError", "TransferError"}
    assert set(MODELS) | made == set(schemas.TYPES)


def test_all_that_two_connectors_say_to_each_other_passes(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    for node in (two.hospital, two.hub):
        post = node.peers.post

        def listen(did: str, path: str, json: Any, *, key: str | None = None, post: Any = post) -> tuple[int, Any]:
            status, answer = post(did, path, json, key=key)
            said.extend((json, answer))
            return status, answer

        monkeypatch.setattr(node.peers, "post", listen)
    two.hospital.store.artefacts = {"artefact-1": b"x"}
    hub = two.hub.dataspace
    agreement = hub.negotiate(two.hospital.did, DATASET, PATIENCE)
    hub.pull(two.hospital.did, agreement, "artefact-1")
    computing = hub.request_compute(agreement, {"rows": 3}, PATIENCE)
    hub.suspend(computing.id, ("a pause",))
    hub.wait("transfer", computing.id, PATIENCE, lambda p: p.state == "SUSPENDED")
    hub.resume(computing.id)
    hub.wait("transfer", computing.id, PATIENCE, lambda p: p.state == "STARTED")
    hub.terminate("transfer", computing.id, ("enough",))
    hub.wait("transfer", computing.id, PATIENCE, lambda p: p.ended)
    refused = offer_of(two.hospital) | {"permission": [{"action": "use"}]}
    process = hub.request_contract(two.hospital.did, DATASET, refused)
    hub.wait("negotiation", process.id, PATIENCE, lambda p: p.ended)
    hub.request_contract(two.hospital.did, "urn:no:dataset", offer_of(two.hospital))
    listed = {"@context": [m.CONTEXT], **hub.dataset_of(two.hospital.did, DATASET)}
    page = two.hub.peers.post(two.hospital.did, "/dsp/catalog/request", m.CatalogRequestMessage().wire())[1]

    types = {message["@type"] for message in said}
    assert len(types) >= 11
    for message in (*said, listed, page):
        assert schemas.errors(message) == [], message
    assert schemas.errors(m.version_response("did:web:x"), "VersionResponse") == []


@pytest.mark.parametrize(
    "error",
    [
        m.error("CatalogError", "not-found", ("a", "b")),
        m.error("ContractNegotiationError", "conflict", ("a",), provider_pid="p", consumer_pid="c"),
        m.error("TransferError", "conflict", ("a",)),
    ],
    ids=lambda error: error["@type"],
)
def test_errors_pass(error: dict[str, Any]) -> None:
    assert schemas.errors(error) == []


def test_the_official_examples_are_read_or_refused_for_a_reason() -> None:
    refused = {}
    for name, example in schemas.examples():
        model = MODELS.get(example["@type"])
        if model is None:
            continue
        try:
            assert schemas.errors(m.read(model, example).wire()) == []
        except InputError as error:
            refused[name] = error.where
    # Their policies use bare words ("purpose", "partner"), which the protocol's context does not define.
    assert set(refused) <= {n for n, e in schemas.examples() if "offer" in e or "agreement" in e}
    assert all(where and "leftOperand" in where for where in refused.values()), refused


UNTARGETED = {"@id": "urn:o", "@type": "Offer", "permission": [{"action": "use"}]}
OFFER = {**UNTARGETED, "target": "urn:d"}


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("ContractRequestMessage", {"consumerPid": "c", "offer": OFFER}),
        ("ContractRequestMessage", {**PIDS, "offer": OFFER, "callbackAddress": "http://x"}),
        ("ContractRequestMessage", {"consumerPid": 5, "offer": OFFER, "callbackAddress": "http://x"}),
        ("ContractRequestMessage", {"consumerPid": "c", "offer": {}, "callbackAddress": "http://x"}),
        ("ContractOfferMessage", {**PIDS, "offer": UNTARGETED}),
        ("ContractNegotiationEventMessage", {**PIDS, "eventType": "MAYBE"}),
        ("ContractNegotiationTerminationMessage", {**PIDS, "reason": []}),
        ("ContractNegotiationTerminationMessage", {**PIDS, "reason": "text"}),
        ("ContractAgreementMessage", {**PIDS, "agreement": {**OFFER, "@type": "Agreement"}}),
        ("TransferRequestMessage", {"consumerPid": "c", "agreementId": "a", "format": "f"}),
        ("TransferStartMessage", {**PIDS, "dataAddress": {"endpointType": 5, "@type": "DataAddress"}}),
        ("TransferStartMessage", {"providerPid": "p"}),
        ("CatalogRequestMessage", {"filter": "text"}),
    ],
)  # fmt: skip
def test_what_the_schema_refuses_we_refuse(type_: str, body: dict[str, Any]) -> None:
    message = {**CONTEXT, "@type": type_, **body}
    assert schemas.errors(message)
    with pytest.raises(InputError):
        m.read(MODELS[type_], message)


@pytest.mark.parametrize("context", [None, [], "https://w3id.org/dspace/2025/1/context.jsonld", [{}], ["urn:other"]])
def test_the_context_must_be_the_protocols(context: object) -> None:
    message = {"@type": "TransferCompletionMessage", **PIDS, "@context": context}
    with pytest.raises(InputError):
        m.read(m.TransferCompletionMessage, message)
    with pytest.raises(InputError):
        m.read(m.TransferCompletionMessage, {"@type": "TransferCompletionMessage", **PIDS})


def test_unknown_keys_of_a_message_are_ignored() -> None:
    body = {**CONTEXT, "@type": "TransferCompletionMessage", **PIDS, "traceparent": "00-1"}
    assert m.read(m.TransferCompletionMessage, body).wire() == {k: v for k, v in body.items() if k != "traceparent"}


def test_foreign_words_become_harmless_text() -> None:
    reasons = ["plain\x1b[31m", {"@value": "typed", "@language": "en"}, 5]
    body = {**CONTEXT, "@type": "TransferTerminationMessage", **PIDS, "reason": reasons}
    assert m.read(m.TransferTerminationMessage, body).reasons() == ("plain [31m", "typed", "5")
