"""Where runs, grants and artefacts are kept. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, Integer, String, Table, Text, insert, select, update

from synthema.errors import DeniedError, NotFoundError
from synthema.runs.model import Artefact, Grant, RunRequest, RunState, advance
from synthema.storage import CanonicalJson, UtcDateTime, metadata

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False, index=True),
    Column("request", CanonicalJson, nullable=False),
    Column("decision", CanonicalJson),
    Column("reservation", String),
    Column("reason", Text),
    Column("evidence", CanonicalJson),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String, primary_key=True),
    Column("run", String, ForeignKey("runs.id"), nullable=False, unique=True),
    Column("grant_document", CanonicalJson, nullable=False),
    Column("consumed_at", UtcDateTime),
    Column("opened_at", UtcDateTime),
)

artefacts = Table(
    "artefacts",
    metadata,
    Column("run", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("state", String, nullable=False),  # quarantined | released | withheld
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as it stands."""

    id: str
    state: RunState
    request: RunRequest
    decision: dict[str, Any] | None
    reservation: str | None
    reason: str | None
    evidence: Any
    created_at: datetime
    changed_at: datetime


def insert_run(connection: Connection, request: RunRequest, at: datetime) -> None:
    """Keep a new request; an id that was used before is refused."""
    values = {"id": request.id, "state": RunState.REQUESTED, "request": request.model_dump(mode="json")}
    connection.execute(insert(runs).values(**values, created_at=at, changed_at=at))


def move(connection: Connection, run: str, event: str, at: datetime, **changes: Any) -> RunState:
    """Move a run along the transition table and keep what changed with it."""
    record = find(connection, run)
    state = advance(record.state, event)
    connection.execute(update(runs).where(runs.c.id == run).values(state=state, changed_at=at, **changes))
    return state


def find(connection: Connection, run: str) -> RunRecord:
    """The run of this id; raises :class:`NotFoundError`."""
    row = connection.execute(select(runs).where(runs.c.id == run)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such run", fix="list the runs with: synthema request list")
    values = dict(row) | {"state": RunState(row["state"]), "request": RunRequest.model_validate(row["request"])}
    return RunRecord(**values)


def recent(connection: Connection, limit: int = 200) -> list[RunRecord]:
    """The latest runs, newest first."""
    ids = connection.execute(select(runs.c.id).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))
    return [find(connection, run) for run in ids.scalars()]


def unfinished(connection: Connection) -> list[RunRecord]:
    """Runs that were under way; after a restart nobody works on them any more."""
    open_states = [RunState.REQUESTED, RunState.GRANTED, RunState.RUNNING, RunState.QUARANTINED]
    ids = connection.execute(select(runs.c.id).where(runs.c.state.in_(open_states))).scalars().all()
    return [find(connection, run) for run in ids]


def insert_grant(connection: Connection, grant: Grant) -> None:
    """Keep an issued grant."""
    connection.execute(insert(grants).values(id=grant.id, run=grant.run, grant_document=grant.model_dump(mode="json")))


def grant_of(connection: Connection, run: str) -> Grant:
    """The grant issued for a run; raises :class:`NotFoundError` where there is none."""
    document = connection.execute(select(grants.c.grant_document).where(grants.c.run == run)).scalar_one_or_none()
    if document is None:
        raise NotFoundError("this run has no grant", fix="ask what the decision says: synthema request show")
    return Grant.model_validate(document)


def consume_grant(connection: Connection, grant: Grant, at: datetime) -> None:
    """Use a grant up; exactly one caller ever succeeds. Raises :class:`DeniedError` on the second."""
    _mark_once(connection, grant, "consumed_at", at, "this grant was used before, or was never issued here")


def open_once(connection: Connection, grant: Grant, at: datetime) -> None:
    """Note that the data handle of a consumed grant was handed out; it is handed out once."""
    consumed = select(grants.c.consumed_at).where(grants.c.id == grant.id)
    if connection.execute(consumed).scalar_one_or_none() is None:
        raise DeniedError("this grant was not consumed by a run", fix="start the run through the governor")
    _mark_once(connection, grant, "opened_at", at, "the data was opened with this grant before")


def _mark_once(connection: Connection, grant: Grant, column: str, at: datetime, refusal: str) -> None:
    changed = connection.execute(
        update(grants)
        .where(
            grants.c.id == grant.id,
            grants.c.run == grant.run,
            grants.c.grant_document == grant.model_dump(mode="json"),
            grants.c[column].is_(None),
        )
        .values({column: at})
    )
    if changed.rowcount != 1:
        raise DeniedError(refusal, fix="make a new request; each grant works once")


def insert_artefacts(connection: Connection, run: str, files: list[Artefact]) -> None:
    """Keep what a run made, in quarantine."""
    for file in files:
        connection.execute(insert(artefacts).values(run=run, state="quarantined", **file.model_dump()))


def settle_artefacts(connection: Connection, run: str, state: str) -> None:
    """Move all files of a run out of quarantine: ``released`` or ``withheld``."""
    connection.execute(update(artefacts).where(artefacts.c.run == run).values(state=state))


def artefacts_of(connection: Connection, run: str) -> list[tuple[Artefact, str]]:
    """The files of a run, each with its state."""
    rows = connection.execute(select(artefacts).where(artefacts.c.run == run).order_by(artefacts.c.name)).mappings()
    return [(Artefact(**{k: row[k] for k in Artefact.model_fields}), row["state"]) for row in rows]


def released_artefact(connection: Connection, digest: str) -> tuple[str, Artefact]:
    """A released file by digest, with its run; one in quarantine is as unknown as one that never was."""
    row = (
        connection.execute(select(artefacts).where(artefacts.c.digest == digest, artefacts.c.state == "released"))
        .mappings()
        .first()
    )
    if row is None:
        raise NotFoundError("there is no such artefact", fix="check the digest; only released artefacts are served")
    return row["run"], Artefact(**{key: row[key] for key in Artefact.model_fields})


def runs_with_releases(connection: Connection) -> frozenset[str]:
    """The runs that have released files."""
    rows = connection.execute(select(artefacts.c.run).where(artefacts.c.state == "released"))
    return frozenset(rows.scalars())
