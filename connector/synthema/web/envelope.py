"""The envelope of a request: what is refused before anybody looks at what it asks.

Two readers of one request — a proxy and this connector — must not understand it
differently: a header that may stand once stands once, a length is given in one
way, and an address holds no control characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from synthema.dataspace.peer import KEY_HEADER, TRANSFER_HEADER
from synthema.errors import NotFoundError
from synthema.provenance import HEAD_HEADER
from synthema.web.problems import TransportError, problem

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_ADDRESS: Final = 8 * 1024
LONGEST_HEAD: Final = 32 * 1024
_ONCE: Final = frozenset(
    name.lower().encode()
    for name in (
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        KEY_HEADER,
        TRANSFER_HEADER,
        HEAD_HEADER,
    )
)
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
_CONTROLS: Final = frozenset(map(chr, (*range(32), 127, 0x85, 0x2028, 0x2029)))
_CONTROL_BYTES: Final = frozenset((*range(32), 127))


class Envelope:
    """Refuses requests that could be read in two ways, and, where ``hosts`` is given, those meant for another host.

    ``hosts`` protects what a browser can reach: a page from elsewhere whose name
    was made to point at this machine sends its own name as host.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await problem(scope["path"], refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> TransportError | NotFoundError | None:
        return _wrong_head(scope) or _wrong_address(scope) or self._wrong_host(scope)

    def _wrong_host(self, scope: Scope) -> TransportError | None:
        if self._hosts is None or _host(scope) in self._hosts:
            return None
        return TransportError(421, "this address is not served here", fix="use the connector's own address")


def _wrong_head(scope: Scope) -> TransportError | None:
    names = Counter(name for name, _ in scope["headers"])
    if any(names[name] > 1 for name in _ONCE):
        return TransportError(400, "a header that may stand once stands twice", fix="send it once")
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > LONGEST_HEAD:
        return TransportError(431, "the headers are too long", fix=f"send at most {LONGEST_HEAD} bytes of them")
    if names.keys() >= _LENGTHS:
        return TransportError(400, "the body's length is given in two ways", fix="give one of them")
    return None


def _wrong_address(scope: Scope) -> TransportError | NotFoundError | None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
        return TransportError(414, "the address is too long", fix="send a shorter one")
    if not _CONTROLS.isdisjoint(scope["path"]):
        return NotFoundError("there is nothing here", fix="check the address")
    if not _CONTROL_BYTES.isdisjoint(unquote_to_bytes(scope["query_string"])):
        return TransportError(400, "the query holds control characters", fix="leave them out")
    return None


def _host(scope: Scope) -> str:
    value: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    try:
        return (urlsplit(f"//{value.decode('ascii')}").hostname or "").lower()
    except ValueError:
        return ""
