"""Encodings come back as they were, have one spelling, and signed documents notice every change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError
from synthema.identity import DidResolver, PersonKey, StatusList, credentials
from synthema.identity.multibase import (
    decode_base58btc,
    decode_base64url,
    decode_ed25519_key,
    encode_base58btc,
    encode_base64url,
    encode_ed25519_key,
)
from synthema.identity.statuslist import MINIMUM_SIZE

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ISSUER = "did:web:hospital.example"
KEY = PersonKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@given(st.binary(max_size=80))
def test_base58_comes_back(data: bytes) -> None:
    assert decode_base58btc(encode_base58btc(data)) == data


@given(st.text("z123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl", max_size=60))
def test_base58_has_one_spelling(text: str) -> None:
    try:
        data = decode_base58btc(text)
    except InputError:
        return
    assert encode_base58btc(data) == text


@given(st.binary(max_size=200))
def test_base64url_comes_back(data: bytes) -> None:
    assert decode_base64url(encode_base64url(data)) == data


@given(st.text(max_size=20))
def test_base64url_has_one_spelling(text: str) -> None:
    try:
        data = decode_base64url(text)
    except InputError:
        return
    assert encode_base64url(data) == text


@given(st.binary(min_size=32, max_size=32))
def test_keys_come_back(raw: bytes) -> None:
    assert decode_ed25519_key(encode_ed25519_key(raw)) == raw


@given(st.sets(st.integers(0, MINIMUM_SIZE - 1), max_size=20), st.integers(0, MINIMUM_SIZE - 1))
def test_status_lists_come_back(indices: set[int], other: int) -> None:
    bits = StatusList()
    for index in indices:
        bits.set(index, True)
    again = StatusList.decode(bits.encode())
    assert all(again.get(index) for index in indices)
    assert again.get(other) == (other in indices)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", max_size=4), inner, max_size=3),
    max_leaves=8,
)


def _resolver() -> DidResolver:
    method = f"{ISSUER}#assertion"
    document: dict[str, Any] = {
        "id": ISSUER,
        "verificationMethod": [
            {
                "id": method,
                "type": "Multikey",
                "controller": ISSUER,
                "publicKeyMultibase": encode_ed25519_key(KEY.public_key),
            }
        ],
        "assertionMethod": [method],
    }
    return DidResolver(lambda _: b"", {}, FixedClock(NOW), own={ISSUER: document})


@settings(max_examples=60)
@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), json_values, max_size=3), json_values)
def test_credentials_of_any_content_verify_and_no_other_content_does(subject: dict[str, Any], other: Any) -> None:
    plain = {
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "type": ["VerifiableCredential"],
        "issuer": ISSUER,
        "credentialSubject": subject,
    }
    signed = credentials.issue(plain, KEY.as_signer("assertion"), f"{ISSUER}#assertion", NOW)
    resolver = _resolver()
    assert credentials.verify(signed, resolver, NOW).subject == subject
    changed = signed | {"credentialSubject": subject | {"added": other}}
    with pytest.raises(IntegrityError):
        credentials.verify(changed, resolver, NOW)
