"""How the target and the kit reach each other: no tokens, one header, and an address that each message names.

The product talks to registered origins only, with a token for each request.
The kit knows neither, so these two stand-ins take the places of the product's
client and of its check of callers. Both are for this machine: an address that
is not loopback is refused unless its host was named when the target started.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import Request

from synthema.canonical import MAX_JSON_BYTES, canonical_json
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.dataspace import Caller, PeerClient
from synthema.errors import PeerError
from synthema.identity import FileSigner
from synthema.web.security import nothing_here
from tests.conformance.dsp.seeds import KIT


class KitCallers:
    """Whoever sends the agreed header is the kit; without an agreed header, whoever calls."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def caller(self, request: Request) -> Caller:
        if self._authorization is not None and request.headers.get("authorization") != self._authorization:
            raise nothing_here()
        return Caller(KIT, "conformance kit", "hub")


class KitClient(PeerClient):
    """Posts to full addresses: what the product calls a path below a peer's origin is a whole address here."""

    def __init__(
        self, settings: Settings, signer: FileSigner, clock: Clock, hosts: Sequence[str], authorization: str | None
    ) -> None:
        super().__init__(settings, signer, clock)
        self._hosts = frozenset(hosts)
        self._kit = httpx.Client(timeout=10, follow_redirects=False, trust_env=False)
        self._own_headers = {"Content-Type": "application/json"} | (
            {"Authorization": authorization} if authorization else {}
        )

    def peer(self, did: str) -> Peer:
        """The kit, whatever it is asked for."""
        return Peer(did=did, url="http://127.0.0.1", role="hub", name="conformance kit")

    def path_of(self, did: str, url: str) -> str:
        """The address itself, if it lies on this machine or on a host that was named."""
        host = urlsplit(url).hostname or ""
        if urlsplit(url).scheme not in ("http", "https") or not (host in self._hosts or _is_here(host)):
            raise PeerError(
                f"{url[:120]} is not on this machine", fix="name the kit's host: make tck-target KIT_HOST=…"
            )
        return url

    def post(
        self, did: str, path: str, json: Any, *, key: str | None = None, max_bytes: int = MAX_JSON_BYTES
    ) -> tuple[int, Any]:
        """Send a message; the kit answers some with nothing."""
        try:
            answer = self._kit.post(path, content=canonical_json(json), headers=self._own_headers)
            value = answer.json() if answer.content.strip() else None
        except httpx.HTTPError as error:
            raise PeerError(f"the kit does not answer: {type(error).__name__}", fix="start the kit") from error
        except ValueError:
            value = None
        return answer.status_code, value

    def close(self) -> None:
        self._kit.close()
        super().close()


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified  # the kit calls itself 0.0.0.0 inside a container
