"""Compact JSON Web Signatures (RFC 7515): written in one way, read strictly.

One algorithm per key, and the key is the one that ``kid`` names in the
signer's DID document: nothing in a signed text can bring its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.errors import InputError, IntegrityError
from synthema.identity.methods import PublicKey
from synthema.identity.multibase import decode_base64url, encode_base64url

MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 16
# Exactly these members: no embedded keys, no addresses of keys, no critical extensions.
_MEMBERS: Final = frozenset({"alg", "kid", "typ", "cty"})


@dataclass(frozen=True, slots=True)
class Jws:
    """A signed text taken apart. Nothing of it is proven before :meth:`verify`."""

    kid: str | None
    type: str | None
    payload: Mapping[str, Any]
    algorithm: str
    signed: bytes
    signature: bytes

    def verify(self, key: PublicKey) -> None:
        """Raise :class:`IntegrityError` unless this key made the signature with the algorithm of the key."""
        if self.algorithm != key.algorithm:
            raise IntegrityError(
                "the signature is of another algorithm than its key", fix="sign with the algorithm of the key"
            )
        key.verify(self.signed, self.signature)


def sign_compact(
    payload: Mapping[str, Any], kid: str, sign: Callable[[bytes], bytes], *, typ: str = "JWT", cty: str | None = None
) -> str:
    """The payload signed with Ed25519 by the key that ``kid`` names."""
    header = {"alg": "EdDSA", "typ": typ, "kid": kid} | ({} if cty is None else {"cty": cty})
    signed = f"{encode_base64url(canonical_json(header))}.{encode_base64url(canonical_json(dict(payload)))}"
    return f"{signed}.{encode_base64url(sign(signed.encode()))}"


def read_compact(text: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Jws:
    """Take a signed text apart; raises :class:`InputError` where it is not one, or its header says too much."""
    parts = text.split(".", 3)
    if len(text) > max_bytes or len(parts) != 3:
        raise _unreadable()
    header = parse_json_strictly(decode_base64url(parts[0]), max_depth=4)
    payload = parse_json_strictly(decode_base64url(parts[1]), max_depth=max_depth)
    signature = decode_base64url(parts[2])
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise _unreadable()
    named = {name: header.get(name) for name in _MEMBERS}
    if (
        header.keys() - _MEMBERS
        or "alg" not in header
        or not all(v is None or isinstance(v, str) for v in named.values())
    ):
        raise InputError("its header must name its algorithm and at most its key and type", fix="leave the rest out")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Jws(named["kid"], named["typ"], payload, header["alg"], signed, signature)


def _unreadable() -> InputError:
    return InputError("this is not a signed JSON text", fix="send a compact JSON Web Signature, whole and unchanged")
