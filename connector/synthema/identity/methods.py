"""Finds the key with which somebody signed: verification methods of DID documents, ours and other connectors'.

Our own documents hold Ed25519 keys as Multikey. Other connectors publish theirs
as JSON Web Keys, many of them on P-256; both are read here, nothing else is.

Sources: Controlled Identifiers 1.0 §2.2–2.3 (methods, relationships); RFC 7517, RFC 8037 (JWK); RFC 7518 §3.4 (ES256).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity.did import DidResolver, counts_at
from synthema.identity.keys import verify_signature
from synthema.identity.multibase import decode_base64url, decode_ed25519_key

Relationship = Literal["authentication", "assertionMethod", "capabilityInvocation"]
Algorithm = Literal["EdDSA", "ES256"]

_FIELD_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that checks signatures of exactly one algorithm; ``material`` is raw Ed25519, or x and y on P-256."""

    method: str
    algorithm: Algorithm
    material: bytes

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raise :class:`IntegrityError` unless the signature is one over the data by this key."""
        if self.algorithm == "EdDSA":
            verify_signature(self.material, data, signature)
            return
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + self.material)
            point.verify(_as_der(signature), data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise IntegrityError(
                "the signature does not fit the data", fix="get it again from its origin, unchanged"
            ) from error


def _as_der(signature: bytes) -> bytes:
    if len(signature) != 2 * _FIELD_BYTES:
        raise InvalidSignature
    first, second = signature[:_FIELD_BYTES], signature[_FIELD_BYTES:]
    return encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))


def key_of(
    resolver: DidResolver, did: str, kid: str | None, relationship: Relationship, made_at: datetime
) -> PublicKey:
    """The key of a party that ``kid`` names and that the party allows for this use.

    ``made_at`` is when the signature was made: a key that was replaced since is
    still good for it. Without a ``kid`` the party must have one single key.
    Raises :class:`DeniedError` where there is no such key, and
    :class:`~synthema.errors.PeerError` when the party's document cannot be read now.
    """
    try:
        return find_method(resolver.resolve(did), did, kid, relationship, made_at)
    except DeniedError:
        # The key may be newer than our copy of the document.
        return find_method(resolver.resolve(did, newest=True), did, kid, relationship, made_at)


def find_method(
    document: Mapping[str, Any], did: str, kid: str | None, relationship: Relationship, made_at: datetime
) -> PublicKey:
    """:func:`key_of` in one document."""
    if document.get("id") != did:
        raise _no_key(did, "its DID document is another party's")
    methods = [method for method in _list(document.get("verificationMethod")) if isinstance(method, dict)]
    if kid is None:
        if len(methods) != 1:
            raise _no_key(did, "the signature names no key (kid), and its DID document has more than one")
        name = _absolute(methods[0].get("id"), did)
    else:
        name = _absolute(kid, did)
    if name is None or not name.startswith(f"{did}#"):
        raise _no_key(did, "the key that is named is not one of its own")
    allowed, found = _allowed(document, did, relationship), [m for m in methods if _absolute(m.get("id"), did) == name]
    embedded = [entry for entry in _list(document.get(relationship)) if isinstance(entry, dict)]
    found += [entry for entry in embedded if _absolute(entry.get("id"), did) == name]
    if not found:
        raise _no_key(did, f"it publishes no key '{name.partition('#')[2][:40]}'")
    if name not in allowed:
        raise _no_key(did, f"its key '{name.partition('#')[2][:40]}' is not listed under {relationship}")
    # Two methods under one id could be read differently by two readers.
    if len(found) != 1 or found[0].get("controller", did) != did:
        raise _no_key(did, "the key is published twice, or controlled by another party")
    if not counts_at(found[0], made_at):
        raise _no_key(did, f"its key '{name.partition('#')[2][:40]}' had ended, or was revoked")
    return _read(found[0], name, did)


def _allowed(document: Mapping[str, Any], did: str, relationship: str) -> set[str]:
    return set(_names(_list(document.get(relationship)), did))


def _names(entries: list[Any], did: str) -> Iterator[str]:
    for entry in entries:
        name = _absolute(entry.get("id") if isinstance(entry, dict) else entry, did)
        if name is not None:
            yield name


def _absolute(name: Any, did: str) -> str | None:
    if not isinstance(name, str):
        return None
    return did + name if name.startswith("#") else name


def _read(method: Mapping[str, Any], name: str, did: str) -> PublicKey:
    multibase, jwk = method.get("publicKeyMultibase"), method.get("publicKeyJwk")
    try:
        if isinstance(multibase, str) and jwk is None and method.get("type") == "Multikey":
            return PublicKey(name, "EdDSA", decode_ed25519_key(multibase))
        if isinstance(jwk, dict) and multibase is None and "d" not in jwk:
            return _from_jwk(jwk, name)
    except InputError as error:
        raise _no_key(did, "its key cannot be read") from error
    raise _no_key(did, "its key is of a kind that is not read here")


def _from_jwk(jwk: Mapping[str, Any], name: str) -> PublicKey:
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            return PublicKey(name, "EdDSA", _coordinate(jwk, "x"))
        case "EC", "P-256":
            return PublicKey(name, "ES256", _coordinate(jwk, "x") + _coordinate(jwk, "y"))
    raise InputError("an unknown kind of key", fix="publish an Ed25519 or P-256 key")


def _coordinate(jwk: Mapping[str, Any], member: str) -> bytes:
    text = jwk.get(member)
    value = decode_base64url(text) if isinstance(text, str) else b""
    if len(value) != _FIELD_BYTES:
        raise InputError("a key of the wrong length", fix="publish the whole key")
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _no_key(did: str, reason: str) -> DeniedError:
    return DeniedError(
        f"{did[:120]} has no key for this: {reason}",
        fix="ask the other side which key it signs with, and whether its DID document is up to date",
    )
