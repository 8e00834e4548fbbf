"""Dataspace Protocol 2025-1: the official examples and schemas against our messages."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from jsonschema import Draft201909Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

from synthema.assembly.outside import own_did_document
from synthema.dataspace import messages as m
from synthema.errors import InputError
from synthema.identity import FileSigner
from synthema.identity.keys import KEY_IDS
from tests.conformance.suite import Case
from tests.unit.dataspace import schemas
from tests.unit.dataspace.world import DATASET, PATIENCE, World, offer_of, settings_for, world

MODELS: dict[str, type[m.Message]] = {
    model.model_fields["type"].default: model
    for model in vars(m).values()
    if isinstance(model, type) and issubclass(model, m.Message) and model.model_fields["type"].default
}


def schemas_resolve() -> Iterator[Case]:
    """The official schemas as they were published: whether their references lead anywhere."""
    for path in sorted(schemas.FOLDER.glob("*/*-schema.json")):
        broken = "json#definitions/" in path.read_text(encoding="utf-8")
        yield Case(path.name, "a reference lacks a slash" if broken else "")


def examples_keep_their_schema() -> Iterator[Case]:
    """The official examples against the official schemas (with the references mended)."""
    for name, example in schemas.examples():
        yield Case(name, "; ".join(schemas.errors(example)))
    for path in sorted(schemas.FOLDER.glob("common/example/*.json")):
        kind = "did-service" if path.stem.endswith("did-service") else path.stem
        yield Case(path.name, "; ".join(_common_errors(kind, json.loads(path.read_text(encoding="utf-8")))))


def what_we_publish() -> Iterator[Case]:
    """The protocol's services in our DID document, and our answer at ``/.well-known/dspace-version``."""
    signer = FileSigner({name: Ed25519PrivateKey.generate() for name in KEY_IDS}, X25519PrivateKey.generate())
    settings = settings_for(Path("nowhere"), "hospital", "https://hospital.example", [])
    for service in own_did_document(settings, signer)["service"]:  # type: ignore[attr-defined]
        if service["type"] in ("CatalogService", "DataService"):  # others are of other protocols
            yield Case(f"DID service {service['type']}", "; ".join(_common_errors("did-service", service)))
    yield Case("versions", "; ".join(_common_errors("protocol-version", m.version_response(settings.did))))


def _common_errors(kind: str, value: Any) -> list[str]:
    """What the schemas of the protocol's common part find wrong."""
    folder = schemas.FOLDER / "common"
    loaded = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*-schema.json")]
    registry: Any = Registry().with_resources((each["$id"], Resource.from_contents(each)) for each in loaded)
    schema = json.loads((folder / f"{kind}-schema.json").read_text(encoding="utf-8"))
    return [error.message for error in Draft201909Validator(schema, registry=registry).iter_errors(value)]


def examples_are_read() -> Iterator[Case]:
    """Each official example of a message we read: taken in, and written out again within the schema."""
    for name, example in schemas.examples():
        model = MODELS.get(example["@type"])
        if model is None:
            continue  # catalogues and errors are read field by field, not as messages
        try:
            problems = schemas.errors(m.read(model, example).wire())
        except InputError as error:
            problems = [error.message]
        yield Case(name, "; ".join(problems))


def what_we_say() -> Iterator[Case]:
    """Everything two connectors say to each other in a negotiation, transfers, refusals and errors."""
    seen: dict[str, list[str]] = {}
    for message in _said():
        kind = message.get("@type", "VersionResponse")
        problems = schemas.errors(message, kind)
        seen.setdefault(kind, []).extend(problems)
    for kind in schemas.TYPES:
        if kind != "DatasetRequestMessage":  # the HTTPS binding asks with GET
            yield Case(kind, "; ".join(seen.get(kind, ["it was never said"])))


def _said() -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [m.version_response("did:web:x")]
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as two:
        with (
            patch.object(two.hospital.peers, "post", _listening(two.hospital.peers.post, said)),
            patch.object(two.hub.peers, "post", _listening(two.hub.peers.post, said)),
        ):
            _converse(two)
        said.append({"@context": [m.CONTEXT], **two.hub.dataspace.dataset_of(two.hospital.did, DATASET)})
        said.append(two.hub.peers.post(two.hospital.did, "/dsp/catalog/request", m.CatalogRequestMessage().wire())[1])
    said.append(m.CatalogRequestMessage().wire())
    said.append(m.error("CatalogError", "not-found", ("a", "b")))
    said.append(m.error("TransferError", "conflict", ("a",)))
    said.append(m.error("ContractNegotiationError", "conflict", ("a",), provider_pid="p", consumer_pid="c"))
    offer = {"@id": "urn:o", "@type": "Offer", "target": "urn:d", "permission": [{"action": "use"}]}
    opening = {"@context": [m.CONTEXT], "@type": "ContractOfferMessage", "providerPid": "p", "offer": offer}
    said.append(m.read(m.ContractOfferMessage, opening | {"callbackAddress": "http://x"}).wire())
    return said


def _listening(post: Any, said: list[dict[str, Any]]) -> Any:
    def listen(did: str, path: str, json: Any, *, key: str | None = None) -> tuple[int, Any]:
        status, answer = post(did, path, json, key=key)
        said.extend((json, answer))
        return status, answer

    return listen


def _converse(two: World) -> None:
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
    refused = hub.request_contract(
        two.hospital.did, DATASET, offer_of(two.hospital) | {"permission": [{"action": "use"}]}
    )
    hub.wait("negotiation", refused.id, PATIENCE, lambda p: p.ended)
