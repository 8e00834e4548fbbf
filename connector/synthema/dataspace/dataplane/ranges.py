"""Parts of a representation: the ``Range`` and ``If-Range`` of HTTP, as far as a download needs them.

One range of bytes is understood; several at once are answered with the whole, as RFC 9110 lets a server do.

Source: RFC 9110, sections 13.1.5 (If-Range), 14.1.2 (byte ranges), 15.3.7 (206), 15.5.17 (416).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synthema.errors import InputError

PIECE: Final = 4 * 1024 * 1024
"""Bytes that are read, sent or asked for at a time."""

_BYTES = re.compile(r"^bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*$", re.IGNORECASE)
_CONTENT = re.compile(r"^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$")


class UnsatisfiableError(InputError):
    """A range that begins after the end (416)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range begins after the end: there are {size} bytes", fix="ask for a part that is there")
        self.size = size


@dataclass(frozen=True, slots=True)
class Span:
    """Some consecutive bytes of ``size``: from ``first`` to ``last``, both included."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.first}-{self.last}/{self.size}"


def etag(digest: str) -> str:
    """The strong entity tag of bytes with this digest."""
    return f'"{digest}"'


def asked_span(range_header: str | None, if_range: str | None, tag: str, size: int) -> Span | None:
    """The part a request asks for; None for the whole. Raises :class:`UnsatisfiableError`.

    A part of other bytes than those the client has begun with is no use to it: where ``If-Range`` names another
    tag than the present one, the whole is given.
    """
    if size == 0 or range_header is None or (if_range is not None and if_range.strip() != tag):
        return None
    found = _BYTES.match(range_header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many bytes
        wanted = min(int(found[2]), size)
        if wanted == 0:
            raise UnsatisfiableError(size)
        return Span(size - wanted, size - 1, size)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None  # not a valid range: it is as if none had been sent
    if first >= size:
        raise UnsatisfiableError(size)
    return Span(first, last, size)


def given_span(content_range: str | None) -> Span | None:
    """What a 206 answer says it holds; None where it says nothing that can be understood."""
    found = _CONTENT.match(content_range or "")
    if found is None:
        return None
    span = Span(int(found[1]), int(found[2]), int(found[3]))
    return span if span.first <= span.last < span.size else None


def size_of(content: bytes | Path) -> int:
    """How many bytes there are."""
    return content.stat().st_size if isinstance(content, Path) else len(content)


def pieces(content: bytes | Path, span: Span) -> Iterator[bytes]:
    """The bytes of a span, a piece at a time."""
    if isinstance(content, bytes):
        for start in range(span.first, span.last + 1, PIECE):
            yield content[start : min(start + PIECE, span.last + 1)]
        return
    with content.open("rb") as file:
        file.seek(span.first)
        left = span.length
        while left and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece
