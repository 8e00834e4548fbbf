"""Keys of one round and the keystreams made from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from synthema_secure_sum.wire import KEY_BYTES, SecureSumError

CHUNK_BYTES = 128 * 1024  # these stay in the processor's cache between cipher and addition
_BLOCK = 16
_ZEROS = bytes(CHUNK_BYTES)


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


def apply_masks(vector: NDArray[Any], keys: Iterable[tuple[bytes, int]], others: Sequence[NDArray[Any]] = ()) -> None:
    """Add (+1) or subtract (-1) the keystream of each key, modulo the width of the vector's type, in place.

    ``others`` are vectors of the same form to add as well. Piece by piece, everything over one piece
    before the next: the piece stays in the cache, and no keystream is ever held whole.
    """
    streams = [(keystream(key), np.add if sign > 0 else np.subtract) for key, sign in keys]
    buffer = bytearray(CHUNK_BYTES + _BLOCK - 1)
    step = CHUNK_BYTES // vector.itemsize
    mask = np.frombuffer(buffer, vector.dtype, step)
    zeros = memoryview(_ZEROS)
    for start in range(0, len(vector), step):
        part = vector[start : start + step]
        plain = zeros[: part.nbytes]
        for other in others:
            np.add(part, other[start : start + step], out=part)
        for cipher, combine in streams:
            cipher.update_into(plain, buffer)
            combine(part, mask[: len(part)], out=part)


class Fingerprints:
    """Recognises a vector that was seen before, by GHASH under a key that never leaves this process.

    Two different vectors share a fingerprint with probability below 2^-100 (GHASH is a universal hash).
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(KEY_BYTES)

    def of(self, vector: NDArray[Any]) -> bytes:
        """16 bytes for the vector's content and type; kept in this process only."""
        hashing = Cipher(AES256(self._key), GCM(bytes(12))).encryptor()
        hashing.authenticate_additional_data(vector.dtype.str.encode().ljust(_BLOCK))
        hashing.authenticate_additional_data(np.ascontiguousarray(vector).data.cast("B"))
        hashing.finalize()
        return hashing.tag
