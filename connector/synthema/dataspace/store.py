"""Persistence of negotiations, transfers, agreements, messages and tasks.

Functions take the connection of the caller's transaction. There is one writer,
so that a function that reads and then writes sees no one else in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from synthema.dataspace.model import Agreement, Process
from synthema.dataspace.transitions import Kind
from synthema.errors import NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

processes = Table(
    "dataspace_processes",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("role", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("peer_pid", String),
    Column("callback", String, nullable=False),
    Column("state", String),
    Column("subject", String, nullable=False, index=True),
    Column("details", CanonicalJson, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("reasons", CanonicalJson, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("changed", UtcDateTime, nullable=False),
    # A peer opens a process of its own only once, however often it repeats the message.
    UniqueConstraint("peer", "kind", "role", "peer_pid"),
)

agreements = Table(
    "dataspace_agreements",
    metadata,
    Column("id", String, primary_key=True),
    Column("negotiation", String, nullable=False, unique=True),
    Column("dataset", String, nullable=False, index=True),
    Column("provider", String, nullable=False),
    Column("consumer", String, nullable=False),
    Column("policy", CanonicalJson, nullable=False),
    Column("agreed", UtcDateTime, nullable=False),
    Column("role", String, nullable=False),
)

messages = Table(
    "dataspace_messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("process", String, nullable=False, index=True),
    Column("direction", String, nullable=False),
    Column("message", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("key", String),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("peer", "key", "direction"),
)

tasks = Table(
    "dataspace_tasks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("process", String, nullable=False, index=True),
    Column("what", String, nullable=False),
    Column("message", String),
    Column("path", String),
    Column("body", CanonicalJson),
    Column("key", String),
    Column("attempts", Integer, nullable=False),
    Column("rejections", Integer, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False, index=True),
    # Who works on it now. A lease is a due time in the future: when it is over, the task is due again.
    Column("leased_by", String),
    # Numbers are never used twice: a worker that lost its task must not find another under its number.
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Task:
    """Slow work that waits: a step of our own, or a message to send until it is acknowledged.

    ``attempts`` counts the times it was taken up, ``rejections`` those that ended with a plain refusal.
    """

    number: int
    process: str
    what: Literal["step", "send"]
    message: str | None
    path: str | None
    body: Any
    key: str | None
    attempts: int
    rejections: int
    created: datetime
    due: datetime
    leased_by: str | None = None

    @property
    def in_the_air(self) -> bool:
        """Whether the counterparty may have got this message without our knowing: an attempt has no known outcome."""
        return self.what == "send" and self.attempts > self.rejections


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was acted on before under the same key."""

    process: str
    message: str
    digest: str


def add_process(connection: Connection, process: Process) -> None:
    """Keep a new process."""
    connection.execute(_ADD_PROCESS, _process_row(process))


def save_process(connection: Connection, process: Process) -> None:
    """Keep the changed process."""
    connection.execute(_SAVE_PROCESS, _process_row(process) | {"of": process.id})


def process(connection: Connection, kind: Kind, identifier: str) -> Process:
    """A process by our identifier; raises :class:`NotFoundError`."""
    found = any_process(connection, identifier)
    if found is None or found.kind != kind:
        raise unknown(kind)
    return found


def any_process(connection: Connection, identifier: str) -> Process | None:
    """A process of either kind by our identifier, if there is one."""
    row = connection.execute(_PROCESS, {"of": identifier}).one_or_none()
    return None if row is None else _process_from(row)


def process_of_peer(connection: Connection, kind: Kind, role: str, peer: str, peer_pid: str) -> Process | None:
    """The process that a peer opened under its own identifier, if there is one."""
    row = connection.execute(
        select(processes).where(
            processes.c.kind == kind,
            processes.c.role == role,
            processes.c.peer == peer,
            processes.c.peer_pid == peer_pid,
        )
    ).one_or_none()
    return None if row is None else _process_from(row)


def list_processes(connection: Connection, kind: Kind, *, pending: bool | None = None) -> tuple[Process, ...]:
    """All processes of a kind, newest first; only those that wait for a person, or only others, if asked."""
    chosen = select(processes).where(processes.c.kind == kind).order_by(processes.c.created.desc(), processes.c.id)
    if pending is not None:
        chosen = chosen.where(processes.c.pending.is_(pending))
    return tuple(_process_from(row) for row in connection.execute(chosen))


def transfers_under(connection: Connection, agreement: str) -> tuple[Process, ...]:
    """The transfers of an agreement, oldest first."""
    rows = connection.execute(
        select(processes)
        .where(processes.c.kind == "transfer", processes.c.subject == agreement)
        .order_by(processes.c.created, processes.c.id)
    )
    return tuple(_process_from(row) for row in rows)


def unknown(kind: str) -> NotFoundError:
    """The one answer for what does not exist or is not the caller's to see."""
    return NotFoundError(f"there is no such {kind}", fix=f"use the identifier that this connector gave the {kind}")


def add_agreement(connection: Connection, agreement: Agreement) -> None:
    """Keep a final agreement."""
    connection.execute(insert(agreements).values(asdict(agreement)))


def agreement(connection: Connection, identifier: str) -> Agreement:
    """A final agreement by its IRI; raises :class:`NotFoundError`."""
    row = connection.execute(select(agreements).where(agreements.c.id == identifier)).one_or_none()
    if row is None:
        raise unknown("agreement")
    return Agreement(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row's mapping


def agreement_of(connection: Connection, negotiation: str) -> Agreement | None:
    """The final agreement of a negotiation, if it has come to one."""
    row = connection.execute(select(agreements).where(agreements.c.negotiation == negotiation)).one_or_none()
    return None if row is None else Agreement(**row._mapping)  # noqa: SLF001


def list_agreements(connection: Connection) -> tuple[Agreement, ...]:
    """All final agreements, newest first."""
    rows = connection.execute(select(agreements).order_by(agreements.c.agreed.desc(), agreements.c.id))
    return tuple(Agreement(**row._mapping) for row in rows)  # noqa: SLF001


def keep_message(
    connection: Connection,
    process: Process,
    direction: Literal["in", "out"],
    message: str,
    digest: str,
    key: str | None,
    at: datetime,
) -> None:
    """Note a message that has been acted on, for the timeline and against repetition."""
    connection.execute(
        _ADD_MESSAGE,
        {
            "process": process.id,
            "direction": direction,
            "message": message,
            "digest": digest,
            "state": process.state,
            "peer": process.peer,
            "key": key,
            "at": at,
        },
    )


def received_before(connection: Connection, peer: str, key: str) -> Received | None:
    """What was done for this peer's message with this key, if it came before."""
    row = connection.execute(_RECEIVED, {"from": peer, "under": key}).one_or_none()
    return None if row is None else Received(row.process, row.message, row.digest)


def was_sent(connection: Connection, peer: str, key: str) -> bool:
    """Whether our message with this key has already changed our state."""
    mine = select(messages.c.number).where(
        messages.c.peer == peer, messages.c.key == key, messages.c.direction == "out"
    )
    return connection.execute(mine).first() is not None


def timeline(connection: Connection, process_id: str) -> tuple[dict[str, Any], ...]:
    """The messages of a process in order: direction, message, state after it, time."""
    rows = connection.execute(
        select(messages.c.direction, messages.c.message, messages.c.state, messages.c.at)
        .where(messages.c.process == process_id)
        .order_by(messages.c.number)
    )
    return tuple(dict(row._mapping) for row in rows)  # noqa: SLF001


def add_task(
    connection: Connection,
    process_id: str,
    what: Literal["step", "send"],
    now: datetime,
    *,
    message: str | None = None,
    path: str | None = None,
    body: Any = None,
    key: str | None = None,
) -> None:
    """Queue slow work; it happens after the transaction has committed."""
    connection.execute(
        _ADD_TASK,
        {
            "process": process_id,
            "what": what,
            "message": message,
            "path": path,
            "body": body,
            "key": key,
            "attempts": 0,
            "rejections": 0,
            "created": now,
            "due": now,
        },
    )


def drop_tasks(connection: Connection, process_id: str) -> None:
    """Forget the waiting work of a process."""
    connection.execute(delete(tasks).where(tasks.c.process == process_id))


def sending(connection: Connection, process_id: str) -> Task | None:
    """The oldest message of a process that is on its way, if there is one."""
    row = connection.execute(
        select(tasks).where(tasks.c.process == process_id, tasks.c.what == "send").order_by(tasks.c.number).limit(1)
    ).one_or_none()
    return None if row is None else Task(**row._mapping)  # noqa: SLF001


def waiting(connection: Connection, process_id: str) -> tuple[tuple[int, str | None], ...]:
    """The work of a process that waits, oldest first: its number, and the message to send (None for a step)."""
    rows = connection.execute(_WAITING, {"of": process_id})
    return tuple((row.number, row.message if row.what == "send" else None) for row in rows)


def outgoing(connection: Connection, process_id: str) -> tuple[tuple[int, str], ...]:
    """The messages of a process that wait to be acknowledged, oldest first: number and name of each."""
    return tuple((number, message) for number, message in waiting(connection, process_id) if message is not None)


def waits_to_end(connection: Connection, process_id: str) -> bool:
    """Whether a message of ours that ends the process waits to be sent."""
    ends = tasks.c.message.like("%Termination%")
    return connection.execute(select(tasks.c.number).where(tasks.c.process == process_id, ends)).first() is not None


def next_due(connection: Connection) -> datetime | None:
    """When the next task can be taken; None when there is none."""
    due: datetime | None = connection.scalar(_NEXT_DUE)
    return due


def lease_tasks(
    connection: Connection, holder: str, now: datetime, duration: timedelta, limit: int
) -> tuple[Task, ...]:
    """Take the oldest due tasks, one for each process at most, so that messages of a process keep their order."""
    chosen = _FIRST.where(tasks.c.due <= now).order_by(tasks.c.due, tasks.c.number).limit(limit)
    rows = connection.execute(chosen).all()
    return _lease(connection, rows, holder, now + duration) if rows else ()


def lease_next(connection: Connection, process_id: str, holder: str, now: datetime, duration: timedelta) -> Task | None:
    """Take the next task of a process if it is due, within the transaction that has just made or freed it."""
    row = connection.execute(_OLDEST, {"of": process_id}).one_or_none()
    if row is None or row.due > now or row.leased_by is not None:
        return None
    return _lease(connection, [row], holder, now + duration)[0]


def release_leases(connection: Connection, holder: str, now: datetime) -> None:
    """Free what this holder had taken before it died: it is due now."""
    connection.execute(update(tasks).where(tasks.c.leased_by == holder).values(leased_by=None, due=now))


def put_back(connection: Connection, task: Task, now: datetime) -> None:
    """Undo a lease of a task that was not begun."""
    connection.execute(
        update(tasks)
        .where(tasks.c.number == task.number, tasks.c.attempts == task.attempts)
        .values(due=now, leased_by=None, attempts=tasks.c.attempts - 1)
    )


def postpone(connection: Connection, task: Task, due: datetime, *, rejected: bool) -> None:
    """Try a task again later, unless it was taken by another since: the number of attempts tells."""
    connection.execute(
        update(tasks)
        .where(tasks.c.number == task.number, tasks.c.attempts == task.attempts)
        .values(due=due, leased_by=None, rejections=tasks.c.rejections + int(rejected))
    )


def finish(connection: Connection, number: int) -> bool:
    """Remove a task that is done; False when it was dropped, or done by another, meanwhile."""
    return connection.execute(_FINISH, {"done": number}).rowcount == 1


def _lease(connection: Connection, rows: Sequence[Row[Any]], holder: str, until: datetime) -> tuple[Task, ...]:
    taken = {"leased_by": holder, "due": until}
    numbers = [row.number for row in rows]
    connection.execute(update(tasks).where(tasks.c.number.in_(numbers)).values(**taken, attempts=tasks.c.attempts + 1))
    return tuple(Task(**dict(row._mapping) | taken | {"attempts": row.attempts + 1}) for row in rows)  # noqa: SLF001


def _is_first() -> ColumnElement[bool]:
    """The task is the oldest of its process, so that a process does one thing after the other."""
    earlier = tasks.alias()
    return ~exists().where(earlier.c.process == tasks.c.process, earlier.c.number < tasks.c.number)


# Used for every message or at every commit, so they are put together once.
_ADD_PROCESS = insert(processes)
_SAVE_PROCESS = update(processes).where(processes.c.id == bindparam("of"))
_PROCESS = select(processes).where(processes.c.id == bindparam("of"))
_ADD_MESSAGE = insert(messages)
_RECEIVED = select(messages.c.process, messages.c.message, messages.c.digest).where(
    messages.c.peer == bindparam("from"), messages.c.key == bindparam("under"), messages.c.direction == "in"
)
_ADD_TASK = insert(tasks)
_FINISH = delete(tasks).where(tasks.c.number == bindparam("done"))
_FIRST = select(tasks).where(_is_first())
_NEXT_DUE = select(tasks.c.due).where(_is_first()).order_by(tasks.c.due).limit(1)
_WAITING = (
    select(tasks.c.number, tasks.c.what, tasks.c.message)
    .where(tasks.c.process == bindparam("of"))
    .order_by(tasks.c.number)
)
_OLDEST = select(tasks).where(tasks.c.process == bindparam("of")).order_by(tasks.c.number).limit(1)


def _process_row(process: Process) -> dict[str, Any]:
    return {
        "id": process.id,
        "kind": process.kind,
        "role": process.role,
        "peer": process.peer,
        "peer_pid": process.peer_pid,
        "callback": process.callback,
        "state": process.state,
        "subject": process.subject,
        "details": dict(process.details),
        "pending": process.pending,
        "reasons": list(process.reasons),
        "created": process.created,
        "changed": process.changed,
    }


def _process_from(row: Row[Any]) -> Process:
    values = dict(row._mapping)  # noqa: SLF001
    return Process(**values | {"reasons": tuple(values["reasons"])})
