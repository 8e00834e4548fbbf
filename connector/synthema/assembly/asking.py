"""Asks a peer for something of ours (not of the Dataspace Protocol) and understands its refusals."""

from __future__ import annotations

from typing import Any

from synthema.dataspace import PeerClient
from synthema.errors import PeerError


def ask(peers: PeerClient, did: str, path: str, value: Any) -> dict[str, Any]:
    """Post a JSON value and return the JSON object of the answer; raises :class:`PeerError` with the peer's words."""
    status, answer = peers.post(did, path, value)
    if status >= 400 or not isinstance(answer, dict):
        said = answer.get("message", "") if isinstance(answer, dict) else ""
        fix = answer.get("fix", "") if isinstance(answer, dict) else ""
        raise PeerError(f"{did} answered {status}: {said or 'nothing readable'}", fix=fix or "ask its operator")
    return answer
