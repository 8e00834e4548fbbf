"""Parcels of a study as they travel over HTTP: the raw bytes, with their digest in a header.

A parcel whose bytes are not those of its digest is refused before anything is read in it; who sent it, and what it may
say, is settled by its own signature. How many bytes are in hand at once is bounded (:class:`Passage`): who comes when
the hands are full is told to come again (503), and a site does, so it sends no faster than the hub takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.canonical import digest_bytes
from synthema.dataspace.peer import DIGEST_HEADER, OCTETS
from synthema.errors import ConflictError, InputError, IntegrityError
from synthema.federation import Passage
from synthema.web.problems import TransportError

BUSY = 503
LENGTH_REQUIRED = 411


def octets_response(content: bytes) -> Response:
    """Bytes with their digest."""
    return Response(content, media_type=OCTETS, headers={DIGEST_HEADER: digest_bytes(content)})


@asynccontextmanager
async def parcel_of(request: Request, passage: Passage) -> AsyncIterator[bytes]:
    """The bytes of a request, checked against their digest, while there is room for them.

    Raises :class:`TransportError` where the length is not said before or no room came free, :class:`InputError` for
    another media type, no digest, or too many bytes, :class:`IntegrityError` for other bytes than the digest's.
    """
    _require_octets(request)
    hold = passage.hold(_declared(request))
    try:
        await run_in_threadpool(hold.__enter__)
    except ConflictError as error:
        raise TransportError(BUSY, error.message, fix=error.fix) from error
    try:
        body = await request.body()
        if await run_in_threadpool(digest_bytes, body) != request.headers[DIGEST_HEADER].strip():
            raise IntegrityError("these are not the bytes of the digest they came with", fix="send the parcel again")
        yield body
    finally:
        hold.__exit__(None, None, None)


def _require_octets(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != OCTETS:
        raise InputError(f"the content type is not {OCTETS}", fix="send the bytes of the parcel as they are")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise InputError("the body is compressed", fix="send it as it is: a compressed body could unfold to any size")
    if DIGEST_HEADER not in request.headers:
        raise InputError("the digest of the parcel is missing", fix=f"send '{DIGEST_HEADER}: sha256:<hexadecimal>'")


def _declared(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise TransportError(LENGTH_REQUIRED, "the length of the parcel is not said", fix="send Content-Length")
    return int(text)
