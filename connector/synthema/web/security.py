"""What stands before every handler: limits on bodies, strict JSON, plain errors, proof of who calls.

No handler of this connector lets the framework read a body: NaN, duplicate keys
or coerced types would pass, and odd input would become a 500. Bodies are read
here, within a size and a time, and errors leave as code, sentence and fix.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synthema.canonical import MAX_JSON_BYTES, canonical_json, parse_json_strictly
from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace.model import Caller
from synthema.errors import InputError, NotFoundError, SynthemaError
from synthema.identity import tokens
from synthema.identity.did import DidResolver

RECEIVE_SECONDS = 30.0
LARGE_RECEIVE_SECONDS = 600.0

_STATUS: Mapping[str, int] = {
    "input": 400,
    "policy-load": 400,
    "denied": 403,
    "not-found": 404,
    "conflict": 409,
    "integrity": 422,
    "plugin": 422,
    "peer": 502,
    "isolation": 503,
    "storage": 503,
}
_log = logging.getLogger(__name__)


class BodyLimit:
    """Reads each body before the application runs: at most so many bytes, within so many seconds.

    A body that is too large is answered with 413 and one that comes too slowly
    with 408, before any handler sees it. ``larger`` gives other caps to paths
    that begin with a prefix.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int = MAX_JSON_BYTES,
        larger: Mapping[str, int] | None = None,
        seconds: float = RECEIVE_SECONDS,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = dict(larger or {})
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cap = self._cap(scope["path"])
        seconds = self._seconds if cap <= MAX_JSON_BYTES else max(self._seconds, LARGE_RECEIVE_SECONDS)
        try:
            body = await asyncio.wait_for(_whole_body(scope, receive, cap), seconds)
        except TimeoutError:
            await _say(408, "the body came too slowly", "send it within the time allowed")(scope, receive, send)
        except _TooLargeError:
            await _say(413, f"the body has more than {cap} bytes", "send less")(scope, receive, send)
        except _GoneError:
            return
        else:
            await self._app(scope, _replayed(body, receive), send)

    def _cap(self, path: str) -> int:
        caps = [cap for prefix, cap in self._larger.items() if path.startswith(prefix)]
        return max(caps, default=self._max_bytes)


class _TooLargeError(Exception):
    """The body is over its cap."""


class _GoneError(Exception):
    """The client went away in the middle of its body."""


async def _whole_body(scope: Scope, receive: Receive, cap: int) -> bytes:
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared[:20]) > cap:
        raise _TooLargeError
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > cap:
            raise _TooLargeError
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def read_json(request: Request) -> Any:
    """The JSON value of a request, read strictly; raises :class:`InputError`. The media type must be JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise InputError("the content type is not application/json", fix="send JSON with its content type")
    body = await request.body()
    return parse_json_strictly(body, max_bytes=len(body))  # capped when it was read


def status_of(error: SynthemaError) -> int:
    """The HTTP status that fits an error."""
    return _STATUS.get(error.code, 500)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in canonical form."""
    return Response(canonical_json(value), status, headers=dict(headers or {}), media_type="application/json")


def install_guards(
    app: FastAPI,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    larger: Mapping[str, int] | None = None,
    seconds: float = RECEIVE_SECONDS,
) -> None:
    """Put the body limit before an application, and let every error leave as code, sentence and fix."""
    app.add_middleware(BodyLimit, max_bytes=max_bytes, larger=larger, seconds=seconds)

    @app.exception_handler(SynthemaError)
    async def on_purpose(_request: Request, error: SynthemaError) -> Response:
        return json_response(error.as_dict(), status_of(error))

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(_request: Request, error: RequestValidationError) -> Response:
        first: Mapping[str, Any] = next(iter(_errors(error)), {})
        field = ".".join(str(part) for part in first.get("loc", ()))
        problem = InputError(f"{field}: {first.get('msg', 'not valid')}", fix="correct this parameter")
        return json_response(problem.as_dict(), 400)

    @app.exception_handler(StarletteHTTPException)
    async def by_the_framework(_request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return json_response(NotFoundError("there is nothing here", fix="check the address").as_dict(), 404)
        body = {"code": "http", "message": str(error.detail), "fix": "check the address and the method"}
        return json_response(body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def by_mistake(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        body = {"code": "internal", "message": "the connector made a mistake", "fix": "see its log"}
        return json_response(body, 500)


def _errors(error: RequestValidationError) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = error.errors()
    return found


def _say(status: int, message: str, fix: str) -> Response:
    return json_response(InputError(message, fix=fix).as_dict(), status, {"connection": "close"})


class Security:
    """Finds out who calls on the public protocol: registered peers with a good token, nobody else."""

    def __init__(self, settings: Settings, resolver: DidResolver, replay: tokens.ReplayStore, clock: Clock) -> None:
        self._did = settings.did
        self._peers = {peer.did: peer for peer in settings.peers}
        self._resolver = resolver
        self._replay = replay
        self._clock = clock

    def caller(self, request: Request) -> Caller:
        """Who sent this request; raises :class:`NotFoundError` for anybody who cannot prove it.

        Unknown and unauthorised are answered alike, so that nothing can be
        learned by asking. May fetch the caller's DID document: call it in a
        thread, not in the event loop.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise nothing_here()
        try:
            claims = tokens.verify(token.strip(), self._did, self._resolver, self._clock, self._replay)
        except SynthemaError as error:
            _log.info("a token was refused: %s", error.message)
            raise nothing_here() from error
        peer = self._peers.get(claims.issuer)
        if peer is None or claims.subject != claims.issuer:
            raise nothing_here()
        return Caller(peer.did, peer.name, peer.role)


def nothing_here() -> NotFoundError:
    """The one answer of the public protocol to the unknown and to the unauthorised."""
    return NotFoundError("there is nothing here for this caller", fix="check the address and the token")
