"""Tables at rest: Parquet under AES-256-GCM, bound to the digest of what they hold."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synthema.errors import IntegrityError, StorageError

MAGIC = b"SYNDATA\x01"
_NONCE_BYTES = 12
_LAYOUTS = {"Int64": "<i8", "Float64": "<f8"}


def table_digest(table: pl.DataFrame, codebook_digest: str) -> str:
    """``sha256:<hex>`` over a table's contents under its codebook.

    Hashed are names, types, nulls and values in row order, not the bytes of a file
    format: another version of Parquet gives the same digest.
    """
    hasher = hashlib.sha256()

    def add(part: bytes) -> None:
        hasher.update(struct.pack("<Q", len(part)) + part)

    add(b"synthema/table/v1")
    add(codebook_digest.encode())
    add(struct.pack("<Q", table.height))
    for name in table.columns:
        column = table[name]
        add(name.encode())
        add(str(column.dtype).encode())
        add(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            for text in column.fill_null(""):
                add(str(text).encode())
        else:
            add(column.fill_null(0).to_numpy().astype(_LAYOUTS[str(column.dtype)]).tobytes())
    return f"sha256:{hasher.hexdigest()}"


def seal(table: pl.DataFrame, secret: bytes, digest: str) -> bytes:
    """The table as ciphertext; ``digest`` is bound to it, so that files cannot be exchanged."""
    stream = io.BytesIO()
    table.write_parquet(stream, compression="zstd", statistics=False)
    return seal_bytes(stream.getvalue(), secret, digest)


def unseal(data: bytes, secret: bytes, digest: str) -> pl.DataFrame:
    """The table of a sealed file; raises :class:`IntegrityError` when file, key or digest do not belong together."""
    return pl.read_parquet(io.BytesIO(unsealed_bytes(data, secret, digest)))


def seal_bytes(plain: bytes, secret: bytes, name: str) -> bytes:
    """Bytes as ciphertext; ``name`` is bound to it, so that one sealed thing cannot stand in for another."""
    nonce = os.urandom(_NONCE_BYTES)
    return MAGIC + nonce + AESGCM(secret).encrypt(nonce, plain, name.encode())


def unsealed_bytes(data: bytes, secret: bytes, name: str) -> bytes:
    """What was sealed under this name; raises :class:`IntegrityError` when data, key or name do not belong together."""
    start = len(MAGIC) + _NONCE_BYTES
    if data[: len(MAGIC)] != MAGIC or len(data) <= start:
        raise IntegrityError("this was not sealed here", fix="restore it from a backup")
    try:
        return AESGCM(secret).decrypt(data[len(MAGIC) : start], data[start:], name.encode())
    except InvalidTag as error:
        raise IntegrityError(
            "what was sealed was changed, exchanged, or sealed with another key", fix="restore it from a backup"
        ) from error


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there in full after a crash, or not at all; raises :class:`StorageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as stream:
            partial.chmod(0o600)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(f"a file could not be written: {error.strerror}", fix="check disk and rights") from error
