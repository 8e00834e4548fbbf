"""The official JSON Schemas of the protocol, when they are at hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[4] / "shared" / "standards" / "dsp-2025-1-err1"

_OF_TYPE = {
    "CatalogRequestMessage": "catalog/catalog-request-message-schema.json",
    "DatasetRequestMessage": "catalog/dataset-request-message-schema.json",
    "Catalog": "catalog/catalog-schema.json",
    "Dataset": "catalog/dataset-schema.json",
    "CatalogError": "catalog/catalog-error-schema.json",
    "ContractRequestMessage": "negotiation/contract-request-message-schema.json",
    "ContractOfferMessage": "negotiation/contract-offer-message-schema.json",
    "ContractAgreementMessage": "negotiation/contract-agreement-message-schema.json",
    "ContractAgreementVerificationMessage": "negotiation/contract-agreement-verification-message-schema.json",
    "ContractNegotiationEventMessage": "negotiation/contract-negotiation-event-message-schema.json",
    "ContractNegotiationTerminationMessage": "negotiation/contract-negotiation-termination-message-schema.json",
    "ContractNegotiation": "negotiation/contract-negotiation-schema.json",
    "ContractNegotiationError": "negotiation/contract-negotiation-error-schema.json",
    "TransferRequestMessage": "transfer/transfer-request-message-schema.json",
    "TransferStartMessage": "transfer/transfer-start-message-schema.json",
    "TransferSuspensionMessage": "transfer/transfer-suspension-message-schema.json",
    "TransferCompletionMessage": "transfer/transfer-completion-message-schema.json",
    "TransferTerminationMessage": "transfer/transfer-termination-message-schema.json",
    "TransferProcess": "transfer/transfer-process-schema.json",
    "TransferError": "transfer/transfer-error-schema.json",
    "VersionResponse": "common/protocol-version-schema.json",
}
TYPES = sorted(_OF_TYPE)


def require_schemas() -> None:
    """Skip the test, saying so, where the official schemas are not at hand."""
    if not FOLDER.is_dir():
        pytest.skip("the official schemas of the Dataspace Protocol are not at hand")


def errors(message: dict[str, Any], type_: str | None = None) -> list[str]:
    """What the official schema finds wrong with a message."""
    return [error.message for error in _validator(type_ or message["@type"]).iter_errors(message)]


def examples() -> list[tuple[str, dict[str, Any]]]:
    """The official examples of messages, by file name."""
    files = sorted(path for path in FOLDER.glob("*/example/*.json") if path.parts[-3] != "common")
    return [(path.name, json.loads(path.read_text())) for path in files]


@cache
def _validator(type_: str) -> Any:
    from jsonschema import Draft201909Validator  # type: ignore[import-untyped]
    from referencing import Registry, Resource

    # Three official files miss a slash in a reference.
    texts = [p.read_text().replace("json#definitions/", "json#/definitions/") for p in FOLDER.glob("*/*-schema.json")]
    loaded = [json.loads(text) for text in texts]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in loaded)
    name = _OF_TYPE[type_]
    return Draft201909Validator(json.loads((FOLDER / name).read_text().replace("json#d", "json#/d")), registry=registry)
