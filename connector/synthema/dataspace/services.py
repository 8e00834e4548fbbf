"""Calls to the services that a party names in its DID document, below its registered origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthema.dataspace.peer import PeerClient
from synthema.errors import PeerError
from synthema.identity import DidResolver


class PeerServices:
    """Finds and calls the credential and issuer services of other parties (an ``identity.dcp.Post``).

    The address comes from the party's DID document, and is used only where it
    lies on the origin that was registered for the party.
    """

    def __init__(self, peers: PeerClient, resolver: DidResolver) -> None:
        self._peers = peers
        self._resolver = resolver

    def post_service(
        self, did: str, service: str, path: str, json: Mapping[str, Any], *, token: str | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        """Post to ``path`` below a service; returns status, headers and the JSON of the answer."""
        return self._peers.exchange("POST", did, self._path(did, service) + path, dict(json), token=token)

    def get_service(self, did: str, service: str, path: str) -> Any:
        """The JSON value at a path below a service; raises :class:`PeerError` for anything but success."""
        status, _, value = self._peers.exchange("GET", did, self._path(did, service) + path)
        if not 200 <= status < 300 or value is None:
            raise PeerError(f"the {service} of {did} answered {status}", fix="ask its operator whether it works")
        return value

    def _path(self, did: str, service: str) -> str:
        entries = self._resolver.resolve(did).get("service")
        named = [
            entry.get("serviceEndpoint")
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and entry.get("type") == service
        ]
        if len(named) != 1 or not isinstance(named[0], str):
            raise PeerError(
                f"the DID document of {did} does not name one {service}",
                fix=f"ask its operator to publish a service of type {service} with its address",
            )
        return self._peers.path_of(did, named[0]).rstrip("/")
