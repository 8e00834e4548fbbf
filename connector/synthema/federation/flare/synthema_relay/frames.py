"""Frames on a Unix socket: a short JSON header and bytes, with lengths known beforehand and one digest over both.

SYN1, length of the header (4 bytes, big-endian), length of the payload (8), SHA-256 of header and payload (32),
header, payload
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
from typing import Any

MAGIC = b"SYN1"
MOST_HEADER = 1 << 20
MOST_PAYLOAD = 1 << 30
_LEAD = struct.Struct(">4sIQ32s")
_PIECE = 1 << 20


class FrameError(ValueError):
    """The bytes are not a frame, are too many, or are not those that were sent."""


def send(connection: socket.socket, header: dict[str, Any], payload: bytes = b"", *, most: int = MOST_PAYLOAD) -> None:
    """Write one frame; raises :class:`FrameError` when it is larger than agreed."""
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MOST_HEADER or len(payload) > most:
        raise FrameError(f"a frame of {len(payload)} bytes is larger than the {most} agreed")
    connection.sendall(_LEAD.pack(MAGIC, len(text), len(payload), _digest(text, payload)) + text)
    if payload:  # whoever has read the header may have hung up where nothing follows
        connection.sendall(payload)


def receive(connection: socket.socket, *, most: int = MOST_PAYLOAD) -> tuple[dict[str, Any], bytes]:
    """Read one frame; raises :class:`FrameError` on anything else, before room is made for what is too large."""
    magic, header_length, payload_length, digest = _LEAD.unpack(_exactly(connection, _LEAD.size))
    if magic != MAGIC:
        raise FrameError("this is not a frame")
    if header_length > MOST_HEADER or payload_length > most:
        raise FrameError(f"a frame of {payload_length} bytes is larger than the {most} agreed")
    text, payload = _exactly(connection, header_length), _exactly(connection, payload_length)
    if _digest(text, payload) != digest:
        raise FrameError("the frame's digest is not that of its content")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise FrameError("the frame's header is not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("the frame's header is not an object")
    return header, payload


def ask(path: str, header: dict[str, Any], payload: bytes = b"", *, seconds: float) -> tuple[dict[str, Any], bytes]:
    """One question and its answer; raises :class:`OSError` when nobody answers in time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        send(connection, header, payload)
        return receive(connection)


def join(parcels: list[bytes]) -> bytes:
    """Several parcels in one piece: each behind its length in eight bytes."""
    return b"".join(part for parcel in parcels for part in (len(parcel).to_bytes(8, "big"), parcel))


def split(data: bytes) -> list[bytes]:
    """The parcels that :func:`join` put together; raises :class:`FrameError` on anything else."""
    parcels: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + 8 + int.from_bytes(data[start : start + 8], "big")
        if end > len(data) or start + 8 > len(data):
            raise FrameError("the parcels are cut short")
        parcels.append(data[start + 8 : end])
        start = end
    return parcels


def _digest(text: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(text)
    digest.update(payload)
    return digest.digest()


def _exactly(connection: socket.socket, length: int) -> bytes:
    buffer = bytearray(length)
    view, start = memoryview(buffer), 0
    while start < length:
        count = connection.recv_into(view[start : start + _PIECE])
        if count == 0:
            raise FrameError("the connection ended within a frame")
        start += count
    return bytes(buffer)
