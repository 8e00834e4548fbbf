"""Keys of other connectors: JSON Web Keys on two curves, and what is not taken for a key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity import DidResolver, FileSigner, tokens
from synthema.identity.jose import read_compact
from synthema.identity.methods import find_method
from synthema.identity.multibase import encode_base64url
from synthema.identity.tokens import ReplayStore
from synthema.storage import Database

DID = "did:web:edc.example"
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
P256 = ec.derive_private_key(7, ec.SECP256R1())


def jwk(key: ec.EllipticCurvePrivateKey = P256) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": encode_base64url(numbers.x.to_bytes(32, "big")),
        "y": encode_base64url(numbers.y.to_bytes(32, "big")),
    }


def document(**changes: Any) -> dict[str, Any]:
    """The DID document as other connectors write it: a JSON Web Key."""
    method = {"id": f"{DID}#key-1", "type": "JsonWebKey2020", "controller": DID, "publicKeyJwk": jwk()}
    return {
        "id": DID,
        "verificationMethod": [method],
        "authentication": ["#key-1"],
        "capabilityInvocation": [f"{DID}#key-1"],
    } | changes


def es256(data: bytes) -> bytes:
    r, s = decode_dss_signature(P256.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def find(found: dict[str, Any], kid: str | None = f"{DID}#key-1", use: Any = "capabilityInvocation") -> Any:
    return find_method(found, DID, kid, use, AT)


def test_a_signature_on_p256_is_checked() -> None:
    key = find(document())
    assert key.algorithm == "ES256"
    key.verify(b"data", es256(b"data"))
    for wrong in (es256(b"other"), es256(b"data")[:-1], b"", bytes(64), es256(b"data") + b"\0"):
        with pytest.raises(IntegrityError):
            key.verify(b"data", wrong)


def test_a_jwk_on_ed25519_is_read(signer: FileSigner) -> None:
    key = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(signer.public_key("assertion"))}
    method = {"id": "#one", "type": "JsonWebKey", "publicKeyJwk": key}
    found = find(document(verificationMethod=[method], capabilityInvocation=["#one"]), "#one")
    assert found.algorithm == "EdDSA"
    found.verify(b"data", signer.sign("assertion", b"data"))


def test_a_method_may_stand_inside_its_relationship() -> None:
    method = document()["verificationMethod"][0] | {"id": f"{DID}#inside"}
    assert find(document(capabilityInvocation=[method]), f"{DID}#inside").algorithm == "ES256"


@pytest.mark.parametrize(
    ("changes", "kid"),
    [
        ({"id": "did:web:other.example"}, f"{DID}#key-1"),
        ({"capabilityInvocation": []}, f"{DID}#key-1"),
        ({"capabilityInvocation": [f"{DID}#key-2"]}, f"{DID}#key-1"),
        ({}, f"{DID}#key-2"),
        ({}, "did:web:other.example#key-1"),
        ({"verificationMethod": []}, None),
        ({"verificationMethod": [{}, {}]}, None),
        ({"verificationMethod": "key"}, f"{DID}#key-1"),
    ],
)
def test_no_key_is_found_where_none_is_given(changes: dict[str, Any], kid: str | None) -> None:
    with pytest.raises(DeniedError):
        find(document(**changes), kid)


@pytest.mark.parametrize(
    "change",
    [
        {"controller": "did:web:other.example"},
        {"publicKeyJwk": jwk() | {"d": "AA"}},
        {"publicKeyJwk": jwk() | {"crv": "P-521"}},
        {"publicKeyJwk": jwk() | {"x": "AA"}},
        {"publicKeyJwk": {"kty": "RSA"}},
        {"publicKeyJwk": "key"},
        {"publicKeyMultibase": "z6Mk", "publicKeyJwk": jwk()},
        {"revoked": "2026-01-01T00:00:00Z"},
        {"expires": "2026-11-21T09:00:00Z"},
    ],
)
def test_a_key_that_is_not_one_is_refused(change: dict[str, Any]) -> None:
    method = document()["verificationMethod"][0] | change
    with pytest.raises(DeniedError):
        find(document(verificationMethod=[method]))


def test_a_key_that_is_published_twice_is_refused() -> None:
    with pytest.raises(DeniedError, match="twice"):
        find(document(verificationMethod=document()["verificationMethod"] * 2))


def test_another_connectors_token_on_p256_is_understood(database: Database, clock: FixedClock) -> None:
    now = int(clock.now().timestamp())
    claims = {"iss": DID, "sub": DID, "aud": "did:web:us.example", "jti": "1", "iat": now, "exp": now + 60}
    text = _signed({"alg": "ES256", "kid": f"{DID}#key-1", "typ": "JWT"}, claims)
    resolver = DidResolver(lambda _url: b"{}", {}, clock, own={DID: document()})
    verified = tokens.verify(text, "did:web:us.example", resolver, clock, ReplayStore(database))
    assert verified.issuer == DID
    wrong = _signed({"alg": "EdDSA", "kid": f"{DID}#key-1"}, claims | {"jti": "2"})
    with pytest.raises(DeniedError, match="another algorithm"):
        tokens.verify(wrong, "did:web:us.example", resolver, clock, ReplayStore(database))


def _signed(header: dict[str, Any], claims: dict[str, Any]) -> str:
    text = ".".join(encode_base64url(canonical_json(part)) for part in (header, claims))
    return f"{text}.{encode_base64url(es256(text.encode()))}"


def test_a_header_that_brings_its_own_key_is_not_read() -> None:
    addresses: tuple[dict[str, Any], ...] = ({"jku": "https://a.example"}, {"x5c": []})
    headers: tuple[dict[str, Any], ...] = ({"jwk": jwk()}, {"crit": ["exp"]}, {"kid": 5}, *addresses)
    for more in headers:
        with pytest.raises(InputError):
            read_compact(_signed({"alg": "ES256"} | more, {}))
