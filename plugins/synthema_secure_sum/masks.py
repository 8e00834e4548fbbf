"""Keys of one round and the keystreams made from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synthema_secure_sum.wire import KEY_BYTES, SecureSumError

CHUNK = 16 * 1024  # numbers at a time: 128 KiB stay in the processor's cache between cipher and addition
_BLOCK = 16
_ZEROS = bytes(CHUNK * 8)


def derive(secret: bytes, transcript: bytes, *purpose: str) -> bytes:
    """A 256-bit key for one purpose, bound to all that was agreed about the round (HKDF, RFC 5869)."""
    info = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in ("synthema-secure-sum-1", *purpose))
    return HKDF(SHA256(), KEY_BYTES, salt=transcript, info=info).derive(secret)


def agree(private: X25519PrivateKey, public: bytes, owner: str) -> bytes:
    """The Diffie-Hellman secret of two members; raises :class:`SecureSumError` on a degenerate key."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise SecureSumError(f"the public key of {owner} is degenerate") from error


def pair_key(private: X25519PrivateKey, public: bytes, transcript: bytes, me: str, other: str) -> bytes:
    """The key of the mask that two members share; the same from either side."""
    return derive(agree(private, public, other), transcript, "pair", *sorted((me, other)))


def self_key(seed: bytes, transcript: bytes) -> bytes:
    """The key of a member's own mask."""
    return derive(seed, transcript, "self")


def commitment(seed: bytes, round_id: str, owner: str) -> bytes:
    """What binds a member to its seed before it is shared; tells nothing about a seed of 256 random bits."""
    return derive(seed, b"", "commitment", round_id, owner)


def keystream(key: bytes) -> CipherContext:
    """AES-256 in counter mode from zero. A key must serve one keystream only."""
    return Cipher(AES256(key), CTR(bytes(_BLOCK))).encryptor()


def apply_masks(vector: np.ndarray[tuple[int], np.dtype[np.uint64]], keys: Iterable[tuple[bytes, int]]) -> None:
    """Add (+1) or subtract (-1) the keystream of each key, modulo 2^64, in place."""
    buffer = bytearray(len(_ZEROS) + _BLOCK - 1)
    stream = np.frombuffer(buffer, np.dtype("<u8"), CHUNK)
    for key, sign in keys:
        cipher = keystream(key)
        combine = np.add if sign > 0 else np.subtract
        for start in range(0, len(vector), CHUNK):
            part = vector[start : start + CHUNK]
            cipher.update_into(memoryview(_ZEROS)[: 8 * len(part)], buffer)
            combine(part, stream[: len(part)], out=part)
