"""Persistence of joining: what an authority keeps of its data space, and what a member keeps of its membership."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Integer, RowMapping, String, Table, func, insert, select, update

from synthema.assembly.joining.model import Member
from synthema.errors import NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

invitations = Table(
    "authority_invitations",
    metadata,
    Column("id", String, primary_key=True),
    Column("did", String, nullable=False, index=True),
    Column("address", String, nullable=False),
    Column("role", String, nullable=False),
    Column("name", String, nullable=False),
    Column("place", String, nullable=True),
    Column("code_digest", String, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Column("withdrawn_at", UtcDateTime, nullable=True),
)

proposals = Table(
    "authority_proposals",
    metadata,
    Column("id", String, primary_key=True),
    Column("proposer", String, nullable=False),
    Column("address", String, nullable=False),
    Column("role", String, nullable=False),
    Column("name", String, nullable=False),
    Column("place", String, nullable=True),
    Column("reason", String, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("invitation", String, nullable=True),
)

members = Table(
    "authority_members",
    metadata,
    Column("did", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("role", String, nullable=False),
    Column("name", String, nullable=False),
    Column("place", String, nullable=True),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=True),
    Column("since", UtcDateTime, nullable=False),
    Column("invitation", String, nullable=False),
)

credentials = Table(
    "authority_credentials",
    metadata,
    Column("id", String, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("member", String, nullable=False, index=True),
    Column("type", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=True),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("document", CanonicalJson, nullable=False),
    Column("enveloped", String, nullable=False),
)

memberships = Table(
    "dataspace_memberships",
    metadata,
    Column("authority", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("space", String, nullable=False),
    Column("state", String, nullable=False),
    Column("joined_at", UtcDateTime, nullable=False),
    Column("left_at", UtcDateTime, nullable=True),
    Column("list_version", Integer, nullable=False),
    Column("list_seen_at", UtcDateTime, nullable=False),
    Column("list", CanonicalJson, nullable=False),
    Column("credentials", CanonicalJson, nullable=False),
)


def put(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Add a row."""
    connection.execute(insert(table).values(values))


def change(connection: Connection, table: Table, key: str, **values: Any) -> None:
    """Change the row with this primary key."""
    connection.execute(update(table).where(next(iter(table.primary_key)) == key).values(values))


def find(connection: Connection, table: Table, key: str) -> RowMapping | None:
    """The row with this primary key, if there is one."""
    chosen = select(table).where(next(iter(table.primary_key)) == key)
    return connection.execute(chosen).mappings().one_or_none()


def require(connection: Connection, table: Table, key: str, what: str) -> RowMapping:
    """The row with this primary key; raises :class:`NotFoundError` naming what is missing."""
    row = find(connection, table, key)
    if row is None:
        raise NotFoundError(f"there is no {what} '{key[:120]}'", fix="look it up with: synthema authority list")
    return row


def rows(connection: Connection, table: Table, order: str) -> list[RowMapping]:
    """All rows in this order."""
    return list(connection.execute(select(table).order_by(table.c[order])).mappings())


def next_number(connection: Connection) -> int:
    """The place of the next credential in the status lists; places are never used again."""
    last = connection.execute(select(func.max(credentials.c.number))).scalar()
    return 0 if last is None else int(last) + 1


def credentials_of(connection: Connection, did: str) -> list[RowMapping]:
    """All credentials that were issued to a member, the oldest first."""
    chosen = select(credentials).where(credentials.c.member == did).order_by(credentials.c.number)
    return list(connection.execute(chosen).mappings())


def numbers_in(connection: Connection, state: str) -> list[int]:
    """The places of all credentials in a state."""
    return list(connection.scalars(select(credentials.c.number).where(credentials.c.state == state)))


def member_from(row: RowMapping) -> Member:
    """A member as it stands in the list."""
    fields = ("did", "url", "role", "name", "place", "state", "since", "reason")
    return Member.model_validate({name: row[name] for name in fields})


def invited_dids(connection: Connection) -> dict[str, str]:
    """DID and address of everybody whose invitation was not used and not withdrawn."""
    unused = invitations.c.used_at.is_(None) & invitations.c.withdrawn_at.is_(None)
    chosen = select(invitations.c.did, invitations.c.address).where(unused)
    return {row.did: row.address for row in connection.execute(chosen)}
