"""What this room needs from the outside; the assembly fits the real things in."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection

from synthema.provenance.model import Activity


class SiteSession(Protocol):
    """An open sandbox session of a governed run: plugins stay loaded, data stay inside.

    At a site the session itself adds ``table`` (excluded patients removed,
    anonymised) to ``federated_contribute``: rows never pass through this room.
    At the coordinator there is no table.
    """

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call one hook of one plugin; raises a :class:`synthema.errors.SynthemaError` when it fails."""
        ...


class Channel(Protocol):
    """A site's way to the coordinator of a study; the site always calls, it is never called."""

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel; raises a :class:`synthema.errors.SynthemaError` when it was not taken."""
        ...

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The parcel that follows number ``after``, waiting a while for it; None when there is none yet."""
        ...


class Signer(Protocol):
    """The keys of this connector."""

    def sign(self, key_id: str, data: bytes) -> bytes:
        """An Ed25519 signature."""
        ...


class DidResolver(Protocol):
    """The keys of the other connectors, from their registered identities."""

    def verification_key(self, did_url: str) -> bytes:
        """The raw Ed25519 key (32 bytes) of a ``did#key`` address; raises when it is not known."""
        ...


class ActivityLog(Protocol):
    """The provenance log."""

    def append(self, connection: Connection, activity: Activity) -> Any:
        """Write into the log within the caller's transaction."""
        ...

    def iri(self, kind: str, identifier: str) -> str:
        """The IRI of one of this connector's things."""
        ...
