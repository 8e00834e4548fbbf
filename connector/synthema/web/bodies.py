"""Bodies of requests: read when a handler asks for them, never more than the cap, never longer than the deadline.

Handlers find out who calls before they ask for the body, so that a stranger can
make the connector keep no more than what the server's own small buffer holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synthema.canonical import MAX_JSON_BYTES, parse_json_strictly
from synthema.errors import InputError
from synthema.web.problems import TransportError, problem

RECEIVE_SECONDS: Final = 30.0
LARGE_RECEIVE_SECONDS: Final = 600.0
_LEFT_OVER_BYTES: Final = 64 * 1024
_LEFT_OVER_SECONDS: Final = 1.0
_PARSED_AT_ONCE: Final = 64 * 1024


class BodyLimit:
    """Stands between the server and the application: a body over its cap is a 413, one too slow a 408.

    ``larger`` gives other caps to paths that begin with a prefix.
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
        cap = max((cap for prefix, cap in self._larger.items() if scope["path"].startswith(prefix)), default=0)
        cap = max(cap, self._max_bytes)
        if _declared(scope) > cap:
            await problem(scope["path"], _too_large(cap), headers={"connection": "close"})(scope, receive, send)
            return
        seconds = self._seconds if cap <= MAX_JSON_BYTES else max(self._seconds, LARGE_RECEIVE_SECONDS)
        body = _Body(receive, cap, seconds)
        await self._app(scope, body.receive, body.finishing(send))


class _Body:
    """One body, counted and timed while it is read."""

    def __init__(self, receive: Receive, cap: int, seconds: float) -> None:
        self._receive = receive
        self._cap = cap
        self._seconds = seconds
        self._end: float | None = None
        self._size = 0
        self._whole = False

    async def receive(self) -> Message:
        """The next piece; raises :class:`TransportError` past the cap or the deadline."""
        if self._whole:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._end = self._end or now + self._seconds
        try:
            message = await asyncio.wait_for(self._receive(), self._end - now)
        except TimeoutError as error:
            raise TransportError(408, "the body came too slowly", fix="send it within the time allowed") from error
        self._size += len(message.get("body", b""))
        if self._size > self._cap:
            raise _too_large(self._cap)
        self._whole = not message.get("more_body", False)
        return message

    def finishing(self, send: Send) -> Send:
        """Sends an answer; what was left of a small body is read first, so that the connection can be used again."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and not await self._read_up():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        return answer

    async def _read_up(self) -> bool:
        """Whether the body has come whole, reading at most a little of it that nobody wanted."""
        end = asyncio.get_running_loop().time() + _LEFT_OVER_SECONDS
        self._end = min(self._end or end, end)
        self._cap = min(self._cap, self._size + _LEFT_OVER_BYTES)
        try:
            while not self._whole:
                await self.receive()
        except TransportError:
            return False
        return True


async def read_json(request: Request) -> Any:
    """The JSON value of a request, read strictly; raises :class:`InputError`. The media type must be JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise InputError("the content type is not application/json", fix="send JSON with its content type")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise InputError("the body is compressed", fix="send it as it is: a compressed body could unfold to any size")
    body = await request.body()
    if len(body) <= _PARSED_AT_ONCE:
        return parse_json_strictly(body, max_bytes=len(body))  # capped when it was read
    return await run_in_threadpool(parse_json_strictly, body, max_bytes=len(body))


def _declared(scope: Scope) -> int:
    text: bytes = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(text[:20]) if text.isdigit() else 0


def _too_large(cap: int) -> TransportError:
    return TransportError(413, f"the body has more than {cap} bytes", fix="send less")
