"""Bitstring Status List 1.0 (W3C Recommendation, 2025): one bit per credential, for revocation or suspension.

A list holds at least 131 072 bits, so that a reader who fetches it does not
tell the issuer which credential is being checked (§6.1, group privacy).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Self

from synthema.clock import to_text
from synthema.errors import InputError
from synthema.identity.multibase import decode_base64url, encode_base64url

MINIMUM_SIZE: Final = 131_072
MAX_SIZE: Final = 8 * MINIMUM_SIZE
CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"

Purpose = Literal["revocation", "suspension"]
PURPOSES: Final = ("revocation", "suspension")


class StatusList:
    """Bits by index; the first is the highest bit of the first byte (§3.3)."""

    def __init__(self, size: int = MINIMUM_SIZE) -> None:
        if not MINIMUM_SIZE <= size <= MAX_SIZE or size % 8:
            raise InputError(f"a status list of {size} bits", fix=f"use {MINIMUM_SIZE} bits, or a multiple of it")
        self._bits = bytearray(size // 8)

    def __len__(self) -> int:
        return len(self._bits) * 8

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StatusList) and self._bits == other._bits

    __hash__ = None  # type: ignore[assignment]

    def get(self, index: int) -> bool:
        """Whether the bit is set."""
        byte, mask = self._place(index)
        return bool(self._bits[byte] & mask)

    def set(self, index: int, value: bool) -> None:  # noqa: FBT001 - the value of a bit is a truth value
        """Set or clear a bit."""
        byte, mask = self._place(index)
        if value:
            self._bits[byte] |= mask
        else:
            self._bits[byte] &= ~mask & 0xFF

    def encode(self) -> str:
        """``encodedList``: gzip, base64url, multibase ``u``; the same bits give the same text."""
        return "u" + encode_base64url(gzip.compress(bytes(self._bits), mtime=0))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read an ``encodedList``; raises :class:`InputError` when it is broken, too small or too large."""
        if not text.startswith("u"):
            raise _unreadable()
        inflate = zlib.decompressobj(wbits=31)
        try:
            bits = inflate.decompress(decode_base64url(text[1:]), MAX_SIZE // 8 + 1)
        except zlib.error as error:
            raise _unreadable() from error
        if not inflate.eof or inflate.unused_data:
            raise _unreadable()
        status_list = cls(len(bits) * 8)
        status_list._bits[:] = bits
        return status_list

    def _place(self, index: int) -> tuple[int, int]:
        if isinstance(index, bool) or not 0 <= index < len(self):
            raise InputError(f"the status list has no entry {index}", fix=f"use an index below {len(self)}")
        return index >> 3, 0x80 >> (index & 7)


def status_entry(list_url: str, index: int, purpose: Purpose) -> dict[str, str]:
    """The ``credentialStatus`` of a credential: where its bit lies (§2.1)."""
    return {
        "id": f"{list_url}#{index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": purpose,
        "statusListIndex": str(index),
        "statusListCredential": list_url,
    }


def status_list_credential(
    list_url: str, issuer: str, status_list: StatusList, purpose: Purpose, valid_from: datetime, valid_until: datetime
) -> dict[str, Any]:
    """The credential that carries a list, not yet signed (§2.2). Keep its validity short: it bounds how stale it is."""
    return {
        "@context": [CONTEXT],
        "id": list_url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer,
        "validFrom": to_text(valid_from),
        "validUntil": to_text(valid_until),
        "credentialSubject": {
            "id": f"{list_url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": purpose,
            "encodedList": status_list.encode(),
        },
    }


def is_set(entry: Mapping[str, Any], list_credential: Mapping[str, Any]) -> bool:
    """Whether a list credential, verified before, sets the bit that an entry names.

    Raises :class:`InputError` when entry and list do not belong together (§3.2).
    """
    subject = list_credential.get("credentialSubject")
    index = entry.get("statusListIndex")
    if (
        not isinstance(subject, Mapping)
        or subject.get("type") != "BitstringStatusList"
        or "BitstringStatusListCredential" not in _list(list_credential.get("type"))
        or entry.get("type") != "BitstringStatusListEntry"
        or entry.get("statusPurpose") not in PURPOSES
        or subject.get("statusPurpose") != entry.get("statusPurpose")
        or list_credential.get("id") != entry.get("statusListCredential")
    ):
        raise InputError("the status list does not belong to this credential", fix="publish the list the entry names")
    if not isinstance(index, str) or not index.isascii() or not index.isdigit() or len(index) > 9:
        raise InputError("the status index is not a number", fix="write statusListIndex as a decimal text")
    encoded = subject.get("encodedList")
    if not isinstance(encoded, str):
        raise _unreadable()
    return StatusList.decode(encoded).get(int(index))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unreadable() -> InputError:
    return InputError("this status list cannot be read", fix="publish it as multibase base64url of gzip")
