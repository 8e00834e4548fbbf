"""Who uses a dataset of a registry, where its rows were put, and what its users were told.

A user is a role account, an office or a party's identifier, never a person's name. Whoever is known here is told when a
dataset is taken out and when it is there again; the notices stay until they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, String, Table, Text, insert, select, update

from synthema.errors import InputError, NotFoundError
from synthema.ids import new_id
from synthema.storage import UtcDateTime, metadata

users = Table(
    "registry_users",
    metadata,
    Column("certificate", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
)

notices = Table(
    "registry_notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("certificate", String, nullable=False, index=True),
    Column("user", String, nullable=False, index=True),
    Column("event", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime),
)

loads = Table(
    "registry_loads",
    metadata,
    Column("id", String, primary_key=True),
    Column("certificate", String, nullable=False, index=True),
    Column("artefact", String, nullable=False),
    Column("kind", String, nullable=False),  # parquet | postgres | fhir
    Column("place", Text, nullable=False),
    Column("state", String, nullable=False),  # loaded | out
    Column("problem", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

TELLING: Final = {
    "suspend": "is not to be used for now",
    "withdraw": "is not to be used any more; delete what you copied",
    "reinstate": "may be used again",
}
LONGEST_USER: Final = 200


@dataclass(frozen=True, slots=True)
class Load:
    """Rows of a dataset that this registry put somewhere. ``problem`` says why a change is still due there."""

    id: str
    certificate: str
    artefact: str
    kind: str
    place: str
    state: str
    problem: str
    at: datetime
    changed_at: datetime


def note_user(connection: Connection, certificate: str, user: str, at: datetime) -> None:
    """Remember that someone uses a dataset; raises :class:`InputError` for a text that is no identifier."""
    if not user.strip() or len(user) > LONGEST_USER or not user.isprintable():
        raise InputError("this is no identifier of a user", fix="give a role account, an office or a did")
    known = (users.c.certificate == certificate) & (users.c.user == user)
    if connection.execute(select(users).where(known)).first() is None:
        connection.execute(insert(users).values(certificate=certificate, user=user, since=at))


def users_of(connection: Connection, certificate: str) -> list[str]:
    """Who uses a dataset."""
    chosen = select(users.c.user).where(users.c.certificate == certificate).order_by(users.c.user)
    return list(connection.scalars(chosen))


def tell_users(connection: Connection, certificate: str, title: str, event: str, reason: str, at: datetime) -> int:
    """Leave a notice for every user of a dataset; returns how many there are."""
    text = f"'{title}' {TELLING[event]}: {reason}"
    told = users_of(connection, certificate)
    for user in told:
        connection.execute(
            insert(notices).values(
                id=new_id("notice"), certificate=certificate, user=user, event=event, text=text, at=at
            )
        )
    return len(told)


def notices_for(connection: Connection, user: str | None, *, unseen: bool) -> list[Mapping[str, Any]]:
    """Notices, oldest first: to one user or to all, those not yet seen or all."""
    chosen = select(notices).order_by(notices.c.at, notices.c.id)
    if user is not None:
        chosen = chosen.where(notices.c.user == user)
    if unseen:
        chosen = chosen.where(notices.c.seen_at.is_(None))
    return [dict(row) for row in connection.execute(chosen).mappings()]


def mark_seen(connection: Connection, notice: str, at: datetime) -> None:
    """A user has seen a notice; raises :class:`NotFoundError`."""
    done = connection.execute(
        update(notices).where(notices.c.id == notice, notices.c.seen_at.is_(None)).values(seen_at=at)
    )
    if not done.rowcount:
        raise NotFoundError("there is no such notice that was not seen yet", fix="list the notices first")


def keep_load(connection: Connection, certificate: str, artefact: str, kind: str, place: str, at: datetime) -> Load:
    """Remember where rows were put; one that is there already counts as put there anew."""
    for known in loads_of(connection, certificate):
        if known.kind == kind:
            settle_load(connection, known.id, "loaded", "", at)
            return known
    load = Load(new_id("load"), certificate, artefact, kind, place, "loaded", "", at, at)
    connection.execute(insert(loads).values(**{name: getattr(load, name) for name in Load.__slots__}))
    return load


def loads_of(connection: Connection, certificate: str | None = None) -> list[Load]:
    """Where rows were put, of one dataset or of all."""
    chosen = select(loads).order_by(loads.c.at, loads.c.id)
    if certificate is not None:
        chosen = chosen.where(loads.c.certificate == certificate)
    return [Load(**row) for row in connection.execute(chosen).mappings()]


def settle_load(connection: Connection, identifier: str, state: str, problem: str, at: datetime) -> None:
    """Note how rows stand at their place now."""
    values = {"state": state, "problem": problem, "changed_at": at}
    connection.execute(update(loads).where(loads.c.id == identifier).values(**values))
