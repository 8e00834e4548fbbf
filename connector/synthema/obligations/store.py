"""The obligations ledger as it is kept: tasks, and the decisions that imposed each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    insert,
    or_,
    select,
    update,
)

from synthema.clock import from_text, to_text
from synthema.errors import NotFoundError
from synthema.obligations.model import UNFINISHED, Evidence, EvidenceKind, Task, TaskState
from synthema.policy.model import Event, Timing
from synthema.storage import CanonicalJson, UtcDateTime, metadata

obligations = Table(
    "obligations",
    metadata,
    Column("id", String, primary_key=True),
    Column("action", String, nullable=False),
    Column("party", String, nullable=False, index=True),
    Column("timing", String, nullable=False),
    Column("rule", String),
    Column("articles", CanonicalJson, nullable=False),
    Column("dataset", String, index=True),
    Column("basis", String, index=True),
    Column("run", String, index=True),
    Column("subject", String, index=True),
    Column("decision", String),
    Column("after", String, nullable=False),
    Column("within", BigInteger),  # seconds
    Column("starts", UtcDateTime),
    Column("due", UtcDateTime, index=True),
    Column("evidence_type", Text),
    Column("state", String, nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("evidence", CanonicalJson, nullable=False),
    Column("reason", Text),
    Column("parent", String, ForeignKey("obligations.id"), index=True),
    Column("statutory", Boolean, nullable=False),
    Column("reminded", Integer, nullable=False),
    # What follows if the duty is not kept: kept as JSON until then, tasks of their own from then on.
    Column("consequences", CanonicalJson, nullable=False),
)

obligation_causes = Table(
    "obligation_causes",
    metadata,
    Column("obligation", String, ForeignKey("obligations.id"), primary_key=True),
    Column("run", String, primary_key=True),
    Column("imposed_at", UtcDateTime, nullable=False),
)

_FIELDS = tuple(field.name for field in fields(Task))


def insert_task(connection: Connection, task: Task, consequences: Sequence[dict[str, Any]] = ()) -> None:
    """Keep a new task, with the duties that follow if it is not kept."""
    connection.execute(insert(obligations).values(_row(task) | {"consequences": list(consequences)}))


def update_task(connection: Connection, task: Task) -> None:
    """Keep a task as it now stands."""
    row = _row(task)
    connection.execute(update(obligations).where(obligations.c.id == row.pop("id")).values(row))


def add_cause(connection: Connection, task: Task, run: str, at: datetime) -> None:
    """Note that a decision on a run imposed (or imposed again) a task; twice is once."""
    known = select(obligation_causes.c.run).where(
        obligation_causes.c.obligation == task.id, obligation_causes.c.run == run
    )
    if connection.execute(known).first() is None:
        connection.execute(insert(obligation_causes).values(obligation=task.id, run=run, imposed_at=at))


def causes_of(connection: Connection, task_id: str) -> list[str]:
    """The runs whose decisions imposed a task, the earliest first."""
    query = select(obligation_causes.c.run).where(obligation_causes.c.obligation == task_id)
    return list(connection.execute(query.order_by(obligation_causes.c.imposed_at, obligation_causes.c.run)).scalars())


def find_task(connection: Connection, task_id: str) -> Task:
    """The task of this id; raises :class:`NotFoundError`."""
    row = connection.execute(select(obligations).where(obligations.c.id == task_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such obligation", fix="list them with: synthema obligation list")
    return _task(row)


def consequences_of(connection: Connection, task_id: str) -> list[dict[str, Any]]:
    """The duties that follow if a task is not kept."""
    query = select(obligations.c.consequences).where(obligations.c.id == task_id)
    return list(connection.execute(query).scalar_one())


def find_tasks(
    connection: Connection,
    *,
    party: str | None = None,
    dataset: str | None = None,
    basis: str | None = None,
    run: str | None = None,
    subject: str | None = None,
    parent: str | None = None,
    after: Event | None = None,
    timing: Timing | None = None,
    states: Sequence[TaskState] = (),
    due_before: datetime | None = None,
) -> list[Task]:
    """The tasks that fit all that is given: those with a last moment first, the nearest before the others.

    ``run`` finds the tasks that a decision on this run imposed, alone or among others.
    """
    query = select(obligations)
    given = {
        "party": party, "dataset": dataset, "basis": basis, "subject": subject, "parent": parent, "after": after,
        "timing": timing,
    }  # fmt: skip
    for name, value in given.items():
        if value is not None:
            query = query.where(obligations.c[name] == value)
    if run is not None:
        caused = select(obligation_causes.c.obligation).where(obligation_causes.c.run == run)
        query = query.where(or_(obligations.c.run == run, obligations.c.id.in_(caused)))
    if states:
        query = query.where(obligations.c.state.in_([str(state) for state in states]))
    if due_before is not None:
        query = query.where(obligations.c.due.is_not(None), obligations.c.due < due_before)
    ordered = query.order_by(obligations.c.due.is_(None), obligations.c.due, obligations.c.created_at, obligations.c.id)
    return [_task(row) for row in connection.execute(ordered).mappings()]


def standing_like(connection: Connection, task: Task) -> Task | None:
    """The unfinished, unbroken task that already covers what this one asks."""
    query = select(obligations).where(
        obligations.c.state.in_([str(TaskState.WAITING), str(TaskState.OPEN)]),
        obligations.c.party == task.party,
        obligations.c.action == task.action,
        obligations.c.timing == str(task.timing),
        obligations.c.after == str(task.after),
        _same(obligations.c.rule, task.rule),
        _same(obligations.c.dataset, task.dataset),
        _same(obligations.c.basis, task.basis),
        _same(obligations.c.subject, task.subject),
        _same(obligations.c.evidence_type, task.evidence_type),
        _same(obligations.c.within, _seconds(task.within)),
    )
    row = connection.execute(query.order_by(obligations.c.id)).mappings().first()
    return None if row is None else _task(row)


def unfinished(connection: Connection) -> list[Task]:
    """Every task that is neither done nor dropped."""
    return find_tasks(connection, states=UNFINISHED)


def _same(column: Column[Any], value: Any) -> Any:
    return column.is_(None) if value is None else column == value


def _seconds(value: timedelta | None) -> int | None:
    return None if value is None else int(value.total_seconds())


def _row(task: Task) -> dict[str, Any]:
    values = {name: getattr(task, name) for name in _FIELDS}
    return values | {
        "timing": str(task.timing),
        "after": str(task.after),
        "state": str(task.state),
        "articles": list(task.articles),
        "within": _seconds(task.within),
        "evidence": [
            {"kind": str(item.kind), "value": item.value, "by": item.by, "at": to_text(item.at)}
            for item in task.evidence
        ],
    }


def _task(row: Any) -> Task:
    values = {name: row[name] for name in _FIELDS}
    values |= {
        "timing": Timing(row["timing"]),
        "after": Event(row["after"]),
        "state": TaskState(row["state"]),
        "articles": tuple(row["articles"]),
        "within": None if row["within"] is None else timedelta(seconds=row["within"]),
        "evidence": tuple(
            Evidence(EvidenceKind(item["kind"]), item["value"], item["by"], from_text(item["at"]))
            for item in row["evidence"]
        ),
    }
    return Task(**values)
