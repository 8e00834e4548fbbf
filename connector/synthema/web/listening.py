"""How the server listens: nobody may hold a connection by being slow, and what is no HTTP is refused in our form.

uvicorn limits the time between requests only. Here the head of a request has a
deadline too, and so has a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from synthema.canonical import canonical_json
from synthema.errors import InputError
from synthema.web.envelope import LONGEST_HEAD

HEAD_SECONDS: Final = 10.0
STALL_SECONDS: Final = 30.0
MOST_CONNECTIONS: Final = 512
_NOT_HTTP: Final = InputError("this is no HTTP request", fix="send HTTP 1.1, with a head of at most 32 KiB")


def server(app: FastAPI, host: str, port: int, *, head_seconds: float = HEAD_SECONDS) -> Server:
    """A server for an application at an address; it trusts no header about who calls or from where."""
    http: Any = type("Impatient", (Impatient,), {"head_seconds": head_seconds})
    config = Config(
        app,
        host=host,
        port=port,
        http=http,
        ws="none",
        lifespan="off",
        log_level="warning",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    return Server(config)


class Impatient(H11Protocol):
    """HTTP/1.1 with deadlines for the head of a request and for reading an answer."""

    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = _Deadline()
        self._stall = _Deadline()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head.set(self.loop, self.head_seconds, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.lift()
        self._stall.lift()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._head.set(self.loop, self.head_seconds, self.transport)
        else:
            self._head.lift()

    def pause_writing(self) -> None:
        self._stall.set(self.loop, self.stall_seconds, self.transport)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stall.lift()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; ``msg`` is uvicorn's and is not repeated."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()  # an answer is under way: what follows it cannot be answered as well
            return
        body = canonical_json(_NOT_HTTP.as_dict())
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Deadline:
    """A moment at which a connection is cut. Once set it is not put off: a drip of bytes gains no time."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, loop: asyncio.AbstractEventLoop, seconds: float, transport: asyncio.Transport) -> None:
        """Cut the connection after this time, unless a deadline stands already."""
        if self._timer is None:
            self._timer = loop.call_later(seconds, transport.abort)

    def lift(self) -> None:
        """What was waited for has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
