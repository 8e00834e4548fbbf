"""Takes the head of the sender's log that comes with a message, and answers as its witness."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synthema.errors import SynthemaError
from synthema.provenance import ANSWER_HEADER, HEAD_HEADER, Heads
from synthema.web.problems import problem


class LogHeads:
    """Stands before every handler: a message whose log contradicts itself reaches none of them."""

    def __init__(self, app: ASGIApp, heads: Heads) -> None:
        self._app = app
        self._heads = heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = _header(scope, HEAD_HEADER) if scope["type"] == "http" else None
        if shown is None:
            await self._app(scope, receive, send)
            return
        try:
            answer = await run_in_threadpool(self._heads.taken, shown)
        except SynthemaError as error:
            await problem(scope["path"], error)(scope, receive, send)
            return

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (ANSWER_HEADER.lower().encode(), answer.encode())]
            await send(message)

        await self._app(scope, receive, answering)


def _header(scope: Scope, name: str) -> str | None:
    wanted = name.lower().encode()
    found: bytes | None = next((value for key, value in scope["headers"] if key == wanted), None)
    return None if found is None else found.decode("latin-1")
