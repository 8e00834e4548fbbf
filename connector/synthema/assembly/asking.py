"""Asks a peer for something of ours (not of the Dataspace Protocol) and understands its refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from synthema.dataspace import PeerClient
from synthema.errors import PeerError

SECONDS_BETWEEN_CALLS = 1.0


def ask(
    peers: PeerClient,
    did: str,
    path: str,
    value: Any,
    *,
    patience: float = 0.0,
    pause: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """Post a JSON value and return the JSON object of the answer; raises :class:`PeerError` with the peer's words.

    One that cannot be reached is asked again for so many seconds, with a ``pause`` between: it may be on its way back.
    """
    status, answer = _posted(peers, did, path, value, time.monotonic() + patience, pause)
    if status >= 400 or not isinstance(answer, dict):
        said = answer.get("message", "") if isinstance(answer, dict) else ""
        fix = answer.get("fix", "") if isinstance(answer, dict) else ""
        raise PeerError(f"{did} answered {status}: {said or 'nothing readable'}", fix=fix or "ask its operator")
    return answer


def _posted(
    peers: PeerClient, did: str, path: str, value: Any, end: float, pause: Callable[[float], object]
) -> tuple[int, Any]:
    while True:
        try:
            return peers.post(did, path, value)
        except PeerError:
            if time.monotonic() >= end:
                raise
            pause(SECONDS_BETWEEN_CALLS)
