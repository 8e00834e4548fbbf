"""Speaks to a server byte by byte, as no library would."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

PATIENCE = 10.0


def connected(url: str) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE)


def said(url: str, *pieces: bytes) -> bytes:
    """Everything a server answers to these bytes until it closes, or until nothing more comes."""
    with connected(url) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return heard(connection)


def heard(connection: socket.socket) -> bytes:
    """What comes until the other side closes or the answer is whole."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
            if is_whole(found):
                break
    except ConnectionResetError:
        pass
    return found


def is_whole(answer: bytes) -> bool:
    """Whether an answer has all the bytes its head announces."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(separator and lengths) and len(body) >= int(lengths[0])


def status(answer: bytes) -> int:
    """The status of an answer; 0 where none came."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def head(method: str, path: str, headers: Iterable[str] = ()) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")
