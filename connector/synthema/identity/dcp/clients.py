"""Clients of the secure token service: other programs of the house that may ask for our self-issued tokens.

The interface is OAuth 2.0 client credentials (RFC 6749 §4.4), as the protocol
suggests. A client's secret is shown once and kept as a digest; it is 32 random
bytes, so nothing slower than a digest is needed.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from sqlalchemy import Connection, insert, select, update

from synthema.canonical import digest_bytes
from synthema.clock import Clock
from synthema.errors import DeniedError, NotFoundError
from synthema.identity.dcp.store import ClaimsLog, ClaimStep, token_clients
from synthema.ids import new_id
from synthema.storage import Database


class TokenClients:
    """Who may use the secure token service."""

    def __init__(self, database: Database, log: ClaimsLog, did: str, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._did = did
        self._clock = clock

    def make(self, *, by: str | None = None) -> tuple[str, str]:
        """A new client's id and secret; the secret is never shown again."""
        client, secret, now = new_id("client"), secrets.token_urlsafe(32), self._clock.now()
        row = {"client_id": client, "secret_digest": digest_bytes(secret.encode()), "made_at": now}

        def work(connection: Connection) -> None:
            connection.execute(insert(token_clients).values(**row))
            self._log.record_claim_step(connection, ClaimStep("TokenClientMade", self._did, now, client, by=by))

        self._database.write(work)
        return client, secret

    def end(self, client: str, *, by: str | None = None) -> None:
        """End a client; it gets no more tokens. Raises :class:`NotFoundError` for one that there is not."""
        now = self._clock.now()
        open_ = (token_clients.c.client_id == client) & token_clients.c.ended_at.is_(None)

        def work(connection: Connection) -> None:
            if not connection.execute(update(token_clients).where(open_).values(ended_at=now)).rowcount:
                raise NotFoundError("there is no such client", fix="list them with: synthema credential clients")
            self._log.record_claim_step(connection, ClaimStep("TokenClientEnded", self._did, now, client, by=by))

        self._database.write(work)

    def require(self, client: str, secret: str) -> None:
        """Raise :class:`DeniedError` unless this is the secret of a client that has not been ended."""
        open_ = (token_clients.c.client_id == client) & token_clients.c.ended_at.is_(None)
        with self._database.read() as connection:
            kept = connection.execute(select(token_clients.c.secret_digest).where(open_)).scalar() or ""
        if not hmac.compare_digest(kept, digest_bytes(secret.encode())):
            raise DeniedError("the client or its secret is not known", fix="make one with: synthema credential client")

    def all(self) -> list[dict[str, Any]]:
        """Every client, without its secret."""
        query = select(token_clients.c.client_id, token_clients.c.made_at, token_clients.c.ended_at)
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]
