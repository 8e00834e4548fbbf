"""Calls to an authority: the same guarded client as for partners, for one address that was agreed."""

from __future__ import annotations

from typing import Any

from synthema.assembly.remote import RemoteError
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.dataspace import PeerClient
from synthema.errors import PeerError
from synthema.identity.dcp.access import Keys


class AuthorityClient:
    """Speaks to authorities. Raises :class:`PeerError` when one does not answer, else the error it names."""

    def __init__(self, settings: Settings, keys: Keys, clock: Clock) -> None:
        self._known: dict[str, Peer] = {}
        self._client = PeerClient(settings, keys, clock, parties=self._known)

    def describe(self, did: str, url: str) -> dict[str, Any]:
        """Who it is, and what time it is there."""
        return self._object(did, url, "/authority")

    def join(self, did: str, url: str, invitation: str, code: str) -> dict[str, Any]:
        """Use an invitation; returns our credentials and the members."""
        return self._post(did, url, "/authority/join", {"invitation": invitation, "code": code})

    def leave(self, did: str, url: str, reason: str) -> dict[str, Any]:
        """Leave."""
        return self._post(did, url, "/authority/leave", {"reason": reason})

    def propose(self, did: str, url: str, proposal: dict[str, Any]) -> dict[str, Any]:
        """Propose a new member."""
        return self._post(did, url, "/authority/proposals", proposal)

    def standing(self, did: str, url: str) -> dict[str, Any]:
        """How it sees us."""
        return self._object(did, url, "/authority/standing")

    def follow(self, did: str, url: str) -> dict[str, Any]:
        """The members and our credentials, as of now."""
        return self._object(did, url, "/authority/members")

    def status_list(self, did: str, url: str, path: str) -> dict[str, Any]:
        """One of its status lists."""
        return self._object(did, url, path)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()

    def _object(self, did: str, url: str, path: str) -> dict[str, Any]:
        self._know(did, url)
        found = self._client.get(did, path)
        if not isinstance(found, dict):
            raise PeerError("the authority's answer is not understood", fix="compare the versions of both sides")
        return found

    def _post(self, did: str, url: str, path: str, value: dict[str, Any]) -> dict[str, Any]:
        self._know(did, url)
        status, found = self._client.post(did, path, value)
        if isinstance(found, dict) and status < 400:
            return found
        if isinstance(found, dict) and {"code", "message", "fix"} <= found.keys():
            raise RemoteError(found)
        raise PeerError(f"the authority answered {status} and nothing readable", fix="ask its operator", where=url)

    def _know(self, did: str, url: str) -> None:
        # The client knows partners; what an authority's role is among them, nobody asks.
        self._known[did] = Peer(did=did, url=url, role="hub", name="the authority")
