"""The pull of artefacts over HTTP: the whole or a part, never more than may still go.

Each request is proven by the caller's identity token and opened by the transfer's own token. Before every piece of an
answer the transfer, the agreement and the policies are asked again; where one of them says no in the midst of it, the
connection is closed with the rest unsent.

Source: RFC 9110, section 14 (range requests).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from synthema.dataspace import Dataspace
from synthema.dataspace.dataplane import HandOver
from synthema.dataspace.dataplane.ranges import (
    Span,
    UnsatisfiableError,
    asked_span,
    etag,
    pieces,
    size_of,
)
from synthema.dataspace.model import Caller
from synthema.dataspace.peer import DIGEST_HEADER, TRANSFER_HEADER
from synthema.errors import SynthemaError
from synthema.web.security import json_response

_log: Final = logging.getLogger(__name__)


def give_artefact(dataspace: Dataspace, caller: Caller, request: Request, artefact_id: str) -> Response:
    """The answer to a request for an artefact: 200, 206 or 416; raises what :meth:`Dataspace.artefact_asked` raises."""
    handing = dataspace.artefact_asked(caller, request.headers.get(TRANSFER_HEADER, ""), artefact_id)
    artefact = handing.artefact
    tag, size = etag(artefact.digest), size_of(artefact.content)
    headers = {DIGEST_HEADER: artefact.digest, "etag": tag, "accept-ranges": "bytes", "cache-control": "no-store"}
    try:
        span = asked_span(request.headers.get("range"), request.headers.get("if-range"), tag, size)
    except UnsatisfiableError as error:
        return json_response(error.as_dict(), 416, headers | {"content-range": f"bytes */{size}"})
    if span is not None:
        headers["content-range"] = span.content_range
    status, whole = (200, Span(0, size - 1, size)) if span is None else (206, span)
    headers["content-length"] = str(whole.length)
    return StreamingResponse(_flow(handing, whole), status, headers=headers, media_type=artefact.media_type)


def _flow(handing: HandOver, span: Span) -> Iterator[bytes]:
    """The pieces of an answer. The first was allowed with the request; each further one is asked for."""
    for number, piece in enumerate(pieces(handing.artefact.content, span)):
        if number:
            try:
                handing.still()
            except SynthemaError as refusal:
                _log.warning("a download was ended in its midst: %s", refusal.message)
                raise
        yield piece
