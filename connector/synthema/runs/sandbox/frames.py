"""Messages between connector and worker: four bytes of length, then that many bytes of JSON."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

MAX_MESSAGE_BYTES = 64 * 1024**2
_HEADER = struct.Struct(">I")


def pack(value: Any) -> bytes:
    """The bytes of one message; raises :class:`ValueError` when it is too long or holds NaN."""
    data = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(data)} bytes")
    return _HEADER.pack(len(data)) + data


def length(header: bytes) -> int:
    """The length a header announces; raises :class:`ValueError` beyond the limit."""
    (size,) = _HEADER.unpack(header)
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {size} bytes")
    return int(size)


def send(descriptor: int, value: Any) -> None:
    """Write one message, whole."""
    view = memoryview(pack(value))
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int) -> Any:
    """Read one message from the connector, or ``None`` at the end."""
    header = _exactly(descriptor, _HEADER.size)
    return None if header is None else json.loads(_exactly(descriptor, length(header)) or b"null")


def _exactly(descriptor: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
