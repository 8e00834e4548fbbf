"""Calls an operation of a connector: over its management address when it runs, else in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from synthema.assembly import Connector, find_operation, home_lock
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.canonical import canonical_json
from synthema.config import load_settings
from synthema.errors import ConflictError, PeerError, SynthemaError

CALL_SECONDS = 600


class RemoteError(SynthemaError):
    """An error that the running connector reported, passed on as it was."""

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(
            str(value.get("message", "the connector reported an error")),
            fix=str(value.get("fix", "look at its log")),
            where=value.get("where"),
        )
        self.code = str(value.get("code", "remote"))  # type: ignore[misc]
        self.exit_status = next(
            (kind.exit_status for kind in SynthemaError.__subclasses__() if kind.code == self.code), 1
        )  # type: ignore[misc]


def call(home: Path, operation: str, value: dict[str, Any] | None = None) -> Any:
    """Run an operation on the connector in ``home`` and return its JSON result."""
    settings = load_settings(home)
    try:
        with home_lock(settings.home):
            connector = Connector.open(settings)
            try:
                return find_operation(operation).call(connector, value or {})
            finally:
                connector.close()
    except ConflictError as error:
        if "running already" not in error.message:
            raise
    token = (settings.home / MANAGEMENT_TOKEN).read_text().strip()
    return call_remote(settings.management_url, token, operation, value)


def call_remote(url: str, token: str, operation: str, value: dict[str, Any] | None = None) -> Any:
    """Run an operation over a management address."""
    try:
        response = httpx.post(
            f"{url}/management/{operation}",
            content=canonical_json(value or {}),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=CALL_SECONDS,
        )
    except httpx.HTTPError as error:
        raise PeerError(f"the connector at {url} does not answer", fix="is it running? see its server.log") from error
    if response.is_success:
        return response.json()
    raise RemoteError(response.json() if "json" in response.headers.get("content-type", "") else {})
