from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError, PeerError
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.identity.did import document_url
from synthema.identity.multibase import (
    decode_base58btc,
    decode_base64url,
    decode_ed25519_key,
    encode_base58btc,
    encode_ed25519_key,
)
from tests.unit.identity.conftest import HOSPITAL, REGISTRY, Web

URL = "https://hospital.example/.well-known/did.json"


@pytest.mark.parametrize(
    ("data", "text"),
    # draft-msporny-base58-03 §5, with the multibase prefix
    [
        (b"Hello World!", "z2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "zUSm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "z11233QC4"),
        (b"", "z"),
    ],
)
def test_base58_vectors(data: bytes, text: str) -> None:
    assert encode_base58btc(data) == text
    assert decode_base58btc(text) == data


@pytest.mark.parametrize("text", ["", "2NEpo7", "z0", "zO", "zl", "z ", "z" + "2" * 200])
def test_what_is_not_base58_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        decode_base58btc(text)


@pytest.mark.parametrize("text", ["YQ==", "YR", "Y", "a+b/", "YQ\n"])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(InputError):
        decode_base64url(text)


def test_another_kind_of_key_is_refused(signer: FileSigner) -> None:
    assert encode_ed25519_key(signer.public_key("log")).startswith("z6Mk")
    with pytest.raises(InputError):
        decode_ed25519_key(encode_base58btc(b"\xec\x01" + bytes(32)))


def test_the_document_names_each_published_key(signer: FileSigner) -> None:
    document = did_document(
        HOSPITAL,
        signer,
        "https://hospital.example",
        [{"id": "dsp", "type": "DataService", "serviceEndpoint": "https://hospital.example/dsp"}],
        people={"dpo-1": signer.public_key("grant")},
    )
    names = [method["id"] for method in document["verificationMethod"]]
    assert names == [f"{HOSPITAL}#{name}" for name in ("assertion", "log", "witness", "dpo-1")]
    assert document["authentication"] == document["capabilityInvocation"] == [f"{HOSPITAL}#assertion"]
    assert document["service"][0]["id"] == f"{HOSPITAL}#dsp"
    assert {method["type"] for method in document["verificationMethod"]} == {"Multikey"}
    with pytest.raises(InputError):
        did_document(HOSPITAL, signer, "https://hospital.example", [{"id": "dsp"}])


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:web:a.example", "https://a.example/.well-known/did.json"),
        ("did:web:a.example%3A8443", "https://a.example/.well-known/did.json"),
        ("did:web:a.example:connectors:one", "https://a.example/connectors/one/did.json"),
        ("did:web:a.example:..:one", "https://a.example/../one/did.json"),  # refused when it is fetched
        ("did:web:a.example:x%2Fy", "https://a.example/x%2Fy/did.json"),
    ],
)
def test_a_document_lies_where_its_did_says(did: str, url: str) -> None:
    assert document_url("https://a.example", did) == url


def test_an_outside_reader_understands_the_document(signer: FileSigner) -> None:
    from openvc.did.base import parse_did_document

    document = did_document(HOSPITAL, signer, "https://hospital.example")
    parsed = parse_did_document(document)
    assert parsed.key_by_kid(f"{HOSPITAL}#log") is not None


def test_keys_are_found_for_their_purpose(resolver: DidResolver, signer: FileSigner) -> None:
    assert resolver.verification_key(f"{HOSPITAL}#log") == signer.public_key("log")
    assert resolver.verification_key(f"{HOSPITAL}#assertion", "authentication") == signer.public_key("assertion")
    with pytest.raises(DeniedError):
        resolver.verification_key(f"{HOSPITAL}#log", "authentication")
    with pytest.raises(DeniedError):
        resolver.verification_key(f"{HOSPITAL}#grant")
    with pytest.raises(InputError):
        resolver.verification_key(HOSPITAL)


def test_only_registered_parties_are_resolved(resolver: DidResolver, web: Web) -> None:
    web.publish("https://stranger.example/.well-known/did.json", {"id": "did:web:stranger.example"})
    with pytest.raises(DeniedError):
        resolver.resolve("did:web:stranger.example")
    assert web.reads == []


def test_a_document_is_kept_for_its_time_and_no_longer(resolver: DidResolver, web: Web, clock: FixedClock) -> None:
    resolver.resolve(HOSPITAL)
    clock.advance(timedelta(minutes=9))
    resolver.resolve(HOSPITAL)
    assert web.reads == [URL]
    clock.advance(timedelta(minutes=2))
    resolver.resolve(HOSPITAL)
    assert web.reads == [URL, URL]


def test_a_copy_from_the_future_is_not_trusted(resolver: DidResolver, web: Web, clock: FixedClock) -> None:
    resolver.resolve(HOSPITAL)
    clock.advance(timedelta(hours=-1))
    resolver.resolve(HOSPITAL)
    assert web.reads == [URL, URL]


def test_a_new_key_is_looked_for_but_not_without_end(
    resolver: DidResolver, web: Web, clock: FixedClock, signer: FileSigner
) -> None:
    resolver.resolve(HOSPITAL)
    people = {"dpo": signer.public_key("grant")}
    web.publish(URL, did_document(HOSPITAL, signer, "https://hospital.example", people=people))
    with pytest.raises(DeniedError):
        resolver.verification_key(f"{HOSPITAL}#dpo")
    assert len(web.reads) == 1
    clock.advance(timedelta(seconds=31))
    assert resolver.verification_key(f"{HOSPITAL}#dpo") == people["dpo"]
    assert len(web.reads) == 2


def test_a_peer_that_does_not_answer_is_a_peer_error(resolver: DidResolver, web: Web) -> None:
    del web.pages[URL]
    with pytest.raises(PeerError):
        resolver.resolve(HOSPITAL)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"id": "did:web:registry.example"}', b'{"id": 1, "id": 2}', b"\xff"])
def test_a_wrong_document_is_refused(resolver: DidResolver, web: Web, body: bytes) -> None:
    web.pages[URL] = body
    with pytest.raises(PeerError):
        resolver.resolve(HOSPITAL)


@pytest.mark.parametrize(
    "change",
    [
        {"controller": REGISTRY},
        {"type": "JsonWebKey"},
        {"publicKeyMultibase": "z6Mk"},
        {"publicKeyMultibase": 7},
    ],
)
def test_a_key_that_is_not_plainly_the_partys_own_is_refused(
    resolver: DidResolver, web: Web, signer: FileSigner, change: dict[str, Any]
) -> None:
    document = did_document(HOSPITAL, signer, "https://hospital.example")
    document["verificationMethod"][0] |= change
    web.publish(URL, document)
    with pytest.raises(DeniedError):
        resolver.verification_key(f"{HOSPITAL}#assertion")


def test_two_keys_under_one_name_are_refused(resolver: DidResolver, web: Web, signer: FileSigner) -> None:
    document = did_document(HOSPITAL, signer, "https://hospital.example")
    document["verificationMethod"].append(document["verificationMethod"][0])
    web.publish(URL, document)
    with pytest.raises(DeniedError):
        resolver.verification_key(f"{HOSPITAL}#assertion")


def test_the_own_document_needs_no_reading(web: Web, clock: FixedClock, signer: FileSigner) -> None:
    own = {HOSPITAL: did_document(HOSPITAL, signer, "https://hospital.example")}
    resolver = DidResolver(web.fetch, {}, clock, own=own)
    assert resolver.verification_key(f"{HOSPITAL}#witness") == signer.public_key("witness")
    assert web.reads == []
