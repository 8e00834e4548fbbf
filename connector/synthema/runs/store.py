"""Where runs, grants and artefacts are kept. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    insert,
    select,
    type_coerce,
    update,
)

from synthema.canonical import canonical_json
from synthema.errors import DeniedError, NotFoundError
from synthema.runs.model import Artefact, Grant, RunRequest, RunState, advance
from synthema.storage import CanonicalJson, UtcDateTime, metadata

ACTS: Final = "acts"
"""Where the decisions on a run's output are kept, beside the gates it was held against."""

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
    Column("resumed", Integer, nullable=False, server_default="0", comment="how often the run went on after a crash"),
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

    @property
    def measured(self) -> dict[str, Any] | None:
        """The gates that its output was held against, once it was."""
        found = {key: value for key, value in (self.evidence or {}).items() if key != ACTS}
        return found or None

    @property
    def acts(self) -> tuple[dict[str, Any], ...]:
        """What was decided of its output since: whether it may leave, and be certified."""
        return tuple((self.evidence or {}).get(ACTS, ()))


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


def keep_acts(connection: Connection, run: str, acts: Sequence[dict[str, Any]], at: datetime) -> None:
    """Keep what was decided of a run's output, after what was decided of it before."""
    record = find(connection, run)
    evidence = {**(record.evidence or {}), ACTS: [*record.acts, *acts]}
    connection.execute(update(runs).where(runs.c.id == run).values(evidence=evidence, changed_at=at))


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


def changed_since(connection: Connection, at: datetime) -> list[RunRecord]:
    """The runs to which something happened since a time, oldest first."""
    query = select(runs.c.id).where(runs.c.changed_at >= at).order_by(runs.c.created_at, runs.c.id)
    return [find(connection, run) for run in connection.execute(query).scalars().all()]


def under_agreement(connection: Connection, agreement: str) -> list[RunRecord]:
    """All runs that rest on an agreement or permit."""
    named = f'"agreement":{canonical_json(agreement).decode()}'  # requests are kept in canonical form
    chosen = select(runs.c.id).where(type_coerce(runs.c.request, Text).contains(named, autoescape=True))
    found = [find(connection, run) for run in connection.execute(chosen).scalars().all()]
    return [run for run in found if run.request.agreement == agreement]


def unfinished(connection: Connection) -> list[RunRecord]:
    """Runs that were under way; after a restart nobody works on them any more. Those that wait for people go on."""
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


def reopen(connection: Connection, grant: Grant) -> int:
    """Let the data of a consumed grant be opened once more, its run going on after a crash; returns how often."""
    changed = connection.execute(
        update(grants)
        .where(grants.c.id == grant.id, grants.c.run == grant.run, grants.c.consumed_at.is_not(None))
        .values(opened_at=None, resumed=grants.c.resumed + 1)
    )
    if changed.rowcount != 1:
        raise DeniedError("this grant was not consumed by a run", fix="start the run through the governor")
    return int(connection.execute(select(grants.c.resumed).where(grants.c.id == grant.id)).scalar_one())


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
    """The runs whose files stay: those that have released files, and those whose files wait for people."""
    rows = connection.execute(select(artefacts.c.run).where(artefacts.c.state == "released"))
    return frozenset(rows.scalars()) | {record.id for record in awaiting(connection)}


def awaiting(connection: Connection) -> list[RunRecord]:
    """The runs whose output waits for people, the one that waits longest first."""
    waits = select(runs.c.id).where(runs.c.state == RunState.AWAITING).order_by(runs.c.changed_at)
    return [find(connection, run) for run in connection.execute(waits).scalars().all()]
