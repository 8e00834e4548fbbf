"""What every act of an authority rests on: its settings, state, keys and log."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from synthema.assembly.joining import store
from synthema.assembly.joining.certificates import Issuer
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.dataspace import PeerClient
from synthema.errors import SynthemaError
from synthema.identity import Claims, DidResolver, FileSigner, ReplayStore, tokens
from synthema.identity.parties import Live
from synthema.ids import new_id
from synthema.provenance import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity, Iri, Value
from synthema.storage import Database

CHANGED_PATH: Final = "/dataspace/changed"
"""Where a member hears that something has changed, and then asks."""


@dataclass(frozen=True, slots=True)
class Office:
    """The rooms of an authority. ``changed`` lets the members know that they should ask."""

    settings: Settings
    database: Database
    signer: FileSigner
    log: ProvenanceLog
    resolver: DidResolver
    issuer: Issuer
    clock: Clock
    herald: Herald

    @property
    def did(self) -> str:
        """The authority's own identifier."""
        return self.settings.did

    def caller(self, token: str) -> Claims:
        """Who sent a token; raises :class:`DeniedError`, or :class:`PeerError` when its keys cannot be read now."""
        return tokens.verify(token, self.did, self.resolver, self.clock, ReplayStore(self.database))

    def record(
        self,
        connection: Connection,
        type_: str,
        label: str,
        *,
        about: tuple[Entity, ...] = (),
        made: tuple[Entity, ...] = (),
        by: tuple[Agent, ...] = (),
        **attributes: Value | Iri | None,
    ) -> None:
        """Write an act into the log, in the transaction of what it does."""
        now = self.clock.now()
        known: dict[str, Value | Iri] = {name: value for name, value in attributes.items() if value is not None}
        kind = type_.lower()
        self.log.append(
            connection,
            Activity(
                iri=self.log.iri(kind, new_id(kind)),
                type=type_,
                label=label,
                started=now,
                ended=now,
                agents=(Agent(self.did, "Organization", self.settings.name), *by),
                used=about,
                generated=made,
                attributes=known,
            ),
        )

    def member_entity(self, did: str, state: str) -> Entity:
        """A member as the log names it."""
        return Entity(did, ("DataspaceMember",), attributes={"memberState": state})


@dataclass(slots=True)
class Herald:
    """Tells the members that something has changed; whoever is not reached asks by itself within a minute."""

    database: Database
    peers: PeerClient
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "herald"))
    _ended: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        """Begin to tell everybody; does not wait."""
        if self._ended.is_set():
            return
        for did in partners(self.database):
            self._pool.submit(self._tell, did)

    def close(self) -> None:
        """Tell those that are left, and end."""
        self._ended.set()
        self._pool.shutdown(wait=True)
        self.peers.close()

    def _tell(self, did: str) -> None:
        with suppress(SynthemaError):
            self.peers.post(did, CHANGED_PATH, {})


def partners(database: Database) -> Mapping[str, Peer]:
    """Who is to hear of changes, as the client for calls wants them: also who was revoked, and should know."""

    def members() -> Mapping[str, Peer]:
        with database.read() as connection:
            found = [store.member_from(row) for row in store.rows(connection, store.members, "did")]
        return {member.did: member.as_peer() for member in found if member.state != "left"}

    return Live(members)
