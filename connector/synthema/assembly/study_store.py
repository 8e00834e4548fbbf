"""Studies a hub conducts: their state, what happened so far, and the candidate in quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, String, Table, Text, insert, select, update

from synthema.clock import to_text
from synthema.errors import ConflictError, NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata


class ConductState(StrEnum):
    """Where a conducted study stands."""

    NEGOTIATING = "negotiating"
    INVITING = "inviting"
    REFUSED = "refused"
    RUNNING = "running"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    STOPPED = "stopped"
    FAILED = "failed"


FINAL = frozenset({ConductState.REFUSED, ConductState.RELEASED, ConductState.STOPPED, ConductState.FAILED})

TRANSITIONS: dict[ConductState, frozenset[ConductState]] = {
    ConductState.NEGOTIATING: frozenset({ConductState.INVITING, ConductState.REFUSED, ConductState.FAILED}),
    ConductState.INVITING: frozenset({ConductState.RUNNING, ConductState.REFUSED, ConductState.FAILED}),
    ConductState.RUNNING: frozenset({ConductState.QUARANTINED, ConductState.FAILED}),
    ConductState.QUARANTINED: frozenset({ConductState.RELEASED, ConductState.STOPPED, ConductState.FAILED}),
}
"""Where a study may go from each state; what is not listed cannot happen."""

conducted = Table(
    "conducted_studies",
    metadata,
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("state", String, nullable=False),
    Column("study", CanonicalJson, nullable=False),
    Column("plan", CanonicalJson),
    Column("candidate", String),
    Column("events", CanonicalJson, nullable=False),
    Column("result", CanonicalJson),
    Column("reason", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ConductedStudy:
    """One study as it stands at the hub."""

    id: str
    title: str
    state: ConductState
    study: dict[str, Any]
    plan: dict[str, Any] | None
    candidate: str | None
    events: list[dict[str, Any]]
    result: dict[str, Any] | None
    reason: str | None
    started_at: datetime
    changed_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """The study as JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "state": str(self.state),
            "reason": self.reason,
            "candidate": self.candidate,
            "events": self.events,
            "result": self.result,
            "started": to_text(self.started_at),
            "changed": to_text(self.changed_at),
        }


def insert_study(connection: Connection, identifier: str, title: str, study: dict[str, Any], at: datetime) -> None:
    """Keep a new study."""
    connection.execute(
        insert(conducted).values(
            id=identifier, title=title, state=ConductState.NEGOTIATING, study=study, events=[],
            started_at=at, changed_at=at,
        )
    )  # fmt: skip


def find_study(connection: Connection, identifier: str) -> ConductedStudy:
    """A study by id; raises :class:`NotFoundError`."""
    row = connection.execute(select(conducted).where(conducted.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such study", fix="list the studies with: synthema study list")
    return ConductedStudy(**{**row, "state": ConductState(row["state"])})


def all_studies(connection: Connection) -> list[ConductedStudy]:
    """All studies, newest first."""
    ids = connection.execute(select(conducted.c.id).order_by(conducted.c.started_at.desc())).scalars().all()
    return [find_study(connection, identifier) for identifier in ids]


def note(connection: Connection, identifier: str, at: datetime, event: dict[str, Any], **changes: Any) -> None:
    """Add an event to a study's story and keep what changed with it; a final study stays as it is."""
    study = find_study(connection, identifier)
    target = changes.get("state", study.state)
    if target != study.state and target not in TRANSITIONS.get(study.state, frozenset()):
        raise ConflictError(f"a study that is {study.state} cannot become {target}", fix="start a new study")
    events = [*study.events, {"at": to_text(at), **event}]
    connection.execute(
        update(conducted).where(conducted.c.id == identifier).values(events=events, changed_at=at, **changes)
    )
