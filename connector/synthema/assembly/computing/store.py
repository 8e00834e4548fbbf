"""Which run a transfer set going, and whether the counterparty has been told how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Connection, String, Table, insert, select, update

from synthema.errors import NotFoundError
from synthema.storage import UtcDateTime, metadata

computations = Table(
    "computations",
    metadata,
    Column("transfer", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("agreement", String, nullable=False, index=True),
    Column("requester", String, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("rounds", Boolean, nullable=False),
    Column("begun", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, index=True),
)


@dataclass(frozen=True, slots=True)
class Computation:
    """A transfer and its latest run. ``rounds`` tells a study between sites; ``ended`` when nothing is left to tell."""

    transfer: str
    title: str
    agreement: str
    requester: str
    run: str
    rounds: bool
    begun: datetime
    ended: datetime | None = None


def keep(connection: Connection, computation: Computation) -> None:
    """Keep a computation; one that is begun again after a suspension has a new run."""
    values = {column.name: getattr(computation, column.name) for column in computations.columns}
    if find(connection, computation.transfer) is None:
        connection.execute(insert(computations).values(values))
    else:
        connection.execute(update(computations).where(computations.c.transfer == computation.transfer).values(values))


def find(connection: Connection, transfer: str) -> Computation | None:
    """The computation of a transfer, if it has one."""
    row = connection.execute(select(computations).where(computations.c.transfer == transfer)).mappings().one_or_none()
    return None if row is None else _computation(row)


def get(connection: Connection, transfer: str) -> Computation:
    """The computation of a transfer; raises :class:`NotFoundError`."""
    found = find(connection, transfer)
    if found is None:
        raise NotFoundError("there is no such computation", fix="use the identifier of your own transfer")
    return found


def unfinished(connection: Connection) -> list[Computation]:
    """The computations whose end has not been told yet."""
    rows = connection.execute(select(computations).where(computations.c.ended.is_(None))).mappings()
    return [_computation(row) for row in rows]


def finish(connection: Connection, transfer: str, at: datetime) -> None:
    """Note that there is nothing left to tell about a computation."""
    connection.execute(update(computations).where(computations.c.transfer == transfer).values(ended=at))


def _computation(row: Any) -> Computation:
    return Computation(**dict(row))
