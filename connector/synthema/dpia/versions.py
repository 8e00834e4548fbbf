"""The versions of assessments in the database: their states, their signatures, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, String, Table, UniqueConstraint, select, update

from synthema.dpia import records
from synthema.dpia.conformance import Circumstances, PluginState, Signature
from synthema.dpia.model import Dpia
from synthema.dpia.records import Declared
from synthema.errors import ConflictError, NotFoundError
from synthema.identity.four_eyes import OFFICER_ROLE
from synthema.storage import CanonicalJson, UtcDateTime, metadata

dpia_versions = Table(
    "dpia_versions",
    metadata,
    Column("id", String, primary_key=True),
    Column("dpia_id", String, nullable=False, index=True),
    Column("digest", String, nullable=False, unique=True),
    Column("document", CanonicalJson, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
)

dpia_signatures = Table(
    "dpia_signatures",
    metadata,
    Column("id", String, primary_key=True),
    Column("version_id", String, ForeignKey("dpia_versions.id"), nullable=False, index=True),
    Column("person_id", String, nullable=False),
    Column("roles", CanonicalJson, nullable=False),
    Column("signature", String, nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
    UniqueConstraint("version_id", "person_id"),
)


class DpiaState(StrEnum):
    """Where a version of an assessment stands. Only :data:`TRANSITIONS` says how it may move."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


TRANSITIONS: dict[tuple[DpiaState, str], DpiaState] = {
    (DpiaState.PROPOSED, "activate"): DpiaState.ACTIVE,
    (DpiaState.PROPOSED, "withdraw"): DpiaState.WITHDRAWN,
    (DpiaState.ACTIVE, "supersede"): DpiaState.SUPERSEDED,
    (DpiaState.ACTIVE, "withdraw"): DpiaState.WITHDRAWN,
}
"""The whole life of a version; what is not listed cannot happen."""


@dataclass(frozen=True, slots=True)
class DpiaVersion:
    """One version of an assessment with who signed it."""

    id: str
    dpia: Dpia
    state: DpiaState
    signed_by: tuple[str, ...]
    proposed_at: datetime
    activated_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def digest(self) -> str:
        return self.dpia.digest


def circumstances(connection: Connection, version: DpiaVersion, states: dict[str, PluginState]) -> Circumstances:
    """What the database knows of what a version rests on."""
    declared = records.declarations_of(connection, version.dpia.id)
    withdrawn = {d.person: d.at for d in declared if d.version == version.id and d.kind == "signature withdrawn"}
    query = select(dpia_signatures).where(dpia_signatures.c.version_id == version.id)
    return Circumstances(
        plugins=states,
        signatures=tuple(
            Signature(row["person_id"], tuple(row["roles"]), withdrawn.get(row["person_id"]))
            for row in connection.execute(query).mappings()
        ),
        done=_done(connection, version, declared),
        raised=records.still_raised(declared, version.id),
        releases=records.releases_of(
            connection, version.dpia.id, [item.subject for item in declared if item.kind == "recalled"]
        ),
    )


def _done(connection: Connection, version: DpiaVersion, declared: Sequence[Declared]) -> dict[str, datetime]:
    """Items of the plan that are done: declared of this version, or of an earlier one that had the very same item."""
    found: dict[str, datetime] = {}
    for item in declared:
        if item.kind == "done" and item.subject not in found:
            then = version.dpia if item.version == version.id else find(connection, item.version).dpia
            now = next((planned for planned in version.dpia.plan if planned.id == item.subject), None)
            if now is not None and now in then.plan:
                found[item.subject] = item.at
    return found


def find(connection: Connection, version_id: str) -> DpiaVersion:
    """One version; raises :class:`NotFoundError`."""
    row = connection.execute(select(dpia_versions).where(dpia_versions.c.id == version_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such impact assessment", fix="list them with: synthema dpia list")
    people = select(dpia_signatures.c.person_id).where(dpia_signatures.c.version_id == version_id)
    signed_by = connection.execute(people.order_by(dpia_signatures.c.signed_at, dpia_signatures.c.id)).scalars().all()
    return DpiaVersion(
        id=row["id"],
        dpia=Dpia.model_validate(row["document"]),
        state=DpiaState(row["state"]),
        signed_by=tuple(signed_by),
        proposed_at=row["proposed_at"],
        activated_at=row["activated_at"],
        ended_at=row["ended_at"],
    )


def has_officer(connection: Connection, version_id: str) -> bool:
    """Whether a data protection officer is among those who signed."""
    roles = select(dpia_signatures.c.roles).where(dpia_signatures.c.version_id == version_id)
    return any(OFFICER_ROLE in held for held in connection.execute(roles).scalars())


def move(connection: Connection, version: DpiaVersion, event: str, **changes: Any) -> None:
    """Move a version by an event of :data:`TRANSITIONS`; raises :class:`ConflictError` on any other."""
    state = TRANSITIONS.get((version.state, event))
    if state is None:
        raise ConflictError(
            f"an assessment that is {version.state} cannot be changed by '{event}'", fix="propose a new version"
        )
    connection.execute(update(dpia_versions).where(dpia_versions.c.id == version.id).values(state=state, **changes))
