"""Text forms of keys and signatures: multibase base58btc and base64url, multicodec Ed25519 (W3C Multikey).

Source: W3C Controlled Identifiers 1.0 §2.4 (Multibase) and §2.5 (Multikey).
"""

from __future__ import annotations

import base64
import binascii

from synthema.errors import InputError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_ED25519_PUBLIC = b"\xed\x01"
# Reading base58 takes time quadratic in its length; keys and signatures need 88 characters.
_MAX_BASE58 = 128


def encode_base58btc(data: bytes) -> str:
    """``z`` and the base58 of the data, a leading zero byte written as ``1``."""
    number = int.from_bytes(data, "big")
    characters = ""
    while number:
        number, rest = divmod(number, 58)
        characters = _ALPHABET[rest] + characters
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "z" + "1" * zeros + characters


def decode_base58btc(text: str) -> bytes:
    """The bytes of :func:`encode_base58btc`; raises :class:`InputError` on anything else."""
    if not text.startswith("z") or len(text) > _MAX_BASE58:
        raise _unreadable()
    number = 0
    for character in text[1:]:
        if character not in _VALUES:
            raise _unreadable()
        number = number * 58 + _VALUES[character]
    zeros = len(text) - 1 - len(text[1:].lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_ed25519_key(public_key: bytes) -> str:
    """A raw Ed25519 public key as ``publicKeyMultibase`` (``z6Mk…``)."""
    return encode_base58btc(_ED25519_PUBLIC + public_key)


def decode_ed25519_key(text: str) -> bytes:
    """The raw 32 bytes of a ``publicKeyMultibase``; raises :class:`InputError` for another kind of key."""
    data = decode_base58btc(text)
    if len(data) != 34 or not data.startswith(_ED25519_PUBLIC):
        raise InputError("this is not an Ed25519 public key", fix="publish the key as Multikey with an Ed25519 key")
    return data[2:]


def encode_base64url(data: bytes) -> str:
    """Base64url without padding and without a multibase prefix (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """The bytes of :func:`encode_base64url`; refuses padding, other characters and second spellings."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable() from error
    if encode_base64url(data) != text:
        raise _unreadable()
    return data


def _unreadable() -> InputError:
    return InputError("this text is not the encoded value it should be", fix="copy the value whole and unchanged")
