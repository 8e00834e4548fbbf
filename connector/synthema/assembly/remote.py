"""Runs an operation of a connector over its management address."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import httpx

from synthema.canonical import canonical_json
from synthema.errors import PeerError, SynthemaError

CALL_SECONDS = 600.0


class RemoteError(SynthemaError):
    """An error that a running connector reported, passed on as it was."""

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(
            str(value.get("message", "the connector reported an error")),
            fix=str(value.get("fix", "look at its log")),
            where=value.get("where"),
        )
        self.code = str(value.get("code", "remote"))  # type: ignore[misc]
        self.exit_status = _exit_status(self.code)  # type: ignore[misc]


def _exit_status(code: str) -> int:
    kinds = [SynthemaError]
    for kind in kinds:
        if kind.code == code:
            return kind.exit_status
        kinds += kind.__subclasses__()
    return 1


@cache
def _tls() -> ssl.SSLContext:
    """One for all calls of this process: making it costs ten times as much as a call."""
    return httpx.create_ssl_context(trust_env=False)


def call_remote(url: str, token: str, operation: str, value: dict[str, Any] | None = None) -> Any:
    """Run an operation and return its JSON result; raises :class:`RemoteError` or :class:`PeerError`."""
    try:
        response = httpx.post(
            f"{url}/management/{operation}",
            content=canonical_json(value or {}),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=CALL_SECONDS,
            trust_env=False,
            verify=_tls(),
        )
    except httpx.HTTPError as error:
        raise PeerError(f"the connector at {url} does not answer", fix="is it running? see its server.log") from error
    if response.is_success:
        return response.json()
    raise RemoteError(response.json() if "json" in response.headers.get("content-type", "") else {})
