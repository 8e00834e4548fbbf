"""Studies, participations, rounds and received messages on disk. Each function works inside the caller's transaction.

A round id has its row before anything is said in the round, so that it is
never used twice, whatever crashes. A coordinator keeps what it has said and heard in
the open round, and where the algorithm stands, so that after a crash it goes on with
that very round (:mod:`.going_on`). A site keeps the number of the last message it acted on, so that
after a crash it hears what follows; the round it was in is lost to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, Connection, Float, Integer, RowMapping, String, Table, UniqueConstraint, func, select

from synthema.errors import ConflictError, DeniedError, NotFoundError
from synthema.federation.model import (
    FINAL_PARTICIPATION_STATES,
    FINAL_STUDY_STATES,
    Contributed,
    ParticipationState,
    RoundRecord,
    SiteLimits,
    StudyPlan,
    StudyState,
    advance_participation,
    advance_study,
)
from synthema.federation.round import Sets
from synthema.storage import CanonicalJson, UtcDateTime, metadata

Side = Literal["coordinator", "site"]

studies = Table(
    "federation_studies",
    metadata,
    Column("id", String, primary_key=True),
    Column("plan", CanonicalJson, nullable=False),
    Column("plan_digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("result", CanonicalJson, comment="the algorithm's last state, once finished"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)
participations = Table(
    "federation_participations",
    metadata,
    Column("study", String, primary_key=True),
    Column("plan", CanonicalJson, nullable=False),
    Column("plan_digest", String, nullable=False),
    Column("limits", CanonicalJson, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("sequence", Integer, nullable=False, server_default="0", comment="the coordinator's last message"),
)
rounds = Table(
    "federation_rounds",
    metadata,
    Column("side", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("state_digest", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("digest", String, comment="of the opened sum (coordinator) or of the masked vector that left (site)"),
    Column("sigma", Float),
    Column("rho", Float),
    Column("sets", CanonicalJson),
    Column("transcript", String),
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("side", "study", "number", name="uq_federation_rounds_number"),
    UniqueConstraint("side", "study", "state_digest", name="uq_federation_rounds_state"),
)
received = Table(
    "federation_received",
    metadata,
    Column("digest", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("round", String),
    Column("site", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("attachment", String, comment="digest of the attached vector"),
    Column("bytes", Integer, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as its coordinator stores it."""

    plan: StudyPlan
    state: StudyState
    reason: str | None
    result: Any
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ParticipationRow:
    """A participation as its site stores it."""

    plan: StudyPlan
    limits: SiteLimits
    state: ParticipationState
    reason: str | None
    changed_at: datetime
    sequence: int = 0


# The coordinator -------------------------------------------------------------------


def add_study(connection: Connection, plan: StudyPlan, now: datetime) -> None:
    """Store a study that invites its members; raises :class:`ConflictError` when the id is taken."""
    if connection.execute(select(studies.c.id).where(studies.c.id == plan.id)).first():
        raise ConflictError(f"there is already a study {plan.id}", fix="make a new plan with a fresh study id")
    state = advance_study(StudyState.PLANNED, "invite", "coordinator")
    values = {"plan": plan.model_dump(mode="json"), "plan_digest": plan.digest}
    connection.execute(studies.insert().values(id=plan.id, state=state, created_at=now, changed_at=now, **values))


def move_study(
    connection: Connection, study_id: str, message: str, role: str, now: datetime, **values: Any
) -> StudyState:
    """Take one step of the transition table; ``values`` may set ``reason`` and ``result``."""
    row = _one(connection, studies, studies.c.id, study_id)
    state = advance_study(StudyState(row["state"]), message, role)
    connection.execute(studies.update().where(studies.c.id == study_id).values(state=state, changed_at=now, **values))
    return state


def study(connection: Connection, study_id: str) -> StudyRow:
    """One study; raises :class:`NotFoundError`."""
    row = _one(connection, studies, studies.c.id, study_id)
    plan = StudyPlan.model_validate(row["plan"])
    return StudyRow(plan, StudyState(row["state"]), row["reason"], row["result"], row["changed_at"])


def forget_result(connection: Connection, study_id: str) -> None:
    """Delete what the sums of a study came to; that the study took place stays."""
    connection.execute(studies.update().where(studies.c.id == study_id).values(result=None))


def unfinished_studies(connection: Connection) -> list[StudyPlan]:
    """Plans of the studies that are neither finished nor failed."""
    rows = connection.execute(select(studies.c.plan).where(studies.c.state.not_in(FINAL_STUDY_STATES)))
    return [StudyPlan.model_validate(plan) for plan in rows.scalars()]


def add_received(
    connection: Connection, *, digest: str, study: str, round_id: str | None, site: str, kind: str,
    attachment: str | None, size: int, now: datetime,
) -> bool:  # fmt: skip
    """Note a message from a site; False when this very message was noted before."""
    if was_received(connection, digest):
        return False
    connection.execute(
        received.insert().values(
            digest=digest, study=study, round=round_id, site=site, kind=kind, attachment=attachment, bytes=size,
            received_at=now,
        )
    )  # fmt: skip
    return True


def was_received(connection: Connection, digest: str) -> bool:
    """Whether this very message of a site was noted."""
    return connection.execute(select(received.c.digest).where(received.c.digest == digest)).first() is not None


def received_digests(connection: Connection, round_id: str) -> list[str]:
    """Digests of all messages of a round, in order of their text."""
    query = select(received.c.digest).where(received.c.round == round_id).order_by(received.c.digest)
    return list(connection.execute(query).scalars())


def accepted_by(connection: Connection, study_id: str) -> frozenset[str]:
    """The sites that have accepted a study."""
    query = select(received.c.site).where(received.c.study == study_id, received.c.kind == "accept")
    return frozenset(connection.execute(query).scalars())


# The sites -------------------------------------------------------------------------


def add_participation(connection: Connection, plan: StudyPlan, limits: SiteLimits, now: datetime) -> None:
    """Store that this site accepts a plan; raises :class:`DeniedError` when it already took part in this study."""
    if connection.execute(select(participations.c.study).where(participations.c.study == plan.id)).first():
        raise DeniedError(
            f"this site has already taken part in study {plan.id}; no study is entered twice",
            fix="ask the coordinator for a new plan with a fresh study id",
        )
    state = advance_participation(ParticipationState.OFFERED, "accept", "site")
    values = {
        "plan": plan.model_dump(mode="json"),
        "plan_digest": plan.digest,
        "limits": limits.model_dump(mode="json"),
    }
    connection.execute(
        participations.insert().values(study=plan.id, state=state, accepted_at=now, changed_at=now, **values)
    )


def move_participation(
    connection: Connection,
    study_id: str,
    message: str,
    role: str,
    now: datetime,
    *,
    reason: str | None = None,
    sequence: int | None = None,
) -> ParticipationState:
    """Take one step of the transition table; ``sequence`` is the number of the message that was acted on."""
    row = _one(connection, participations, participations.c.study, study_id)
    state = advance_participation(ParticipationState(row["state"]), message, role)
    heard = row["sequence"] if sequence is None else sequence
    connection.execute(
        participations.update()
        .where(participations.c.study == study_id)
        .values(state=state, changed_at=now, reason=reason, sequence=heard)
    )
    return state


def participation(connection: Connection, study_id: str) -> ParticipationRow:
    """One participation; raises :class:`NotFoundError`."""
    row = _one(connection, participations, participations.c.study, study_id)
    return ParticipationRow(
        StudyPlan.model_validate(row["plan"]),
        SiteLimits.model_validate(row["limits"]),
        ParticipationState(row["state"]),
        row["reason"],
        row["changed_at"],
        row["sequence"],
    )


def last_round(connection: Connection, study_id: str) -> tuple[int, str | None]:
    """Number and id of the last round this site was in; 0 and None before the first."""
    query = select(rounds.c.number, rounds.c.id).where(rounds.c.side == "site", rounds.c.study == study_id)
    row = connection.execute(query.order_by(rounds.c.number.desc()).limit(1)).one_or_none()
    return (0, None) if row is None else (int(row[0]), str(row[1]))


def unfinished_participations(connection: Connection) -> list[StudyPlan]:
    """Plans of the studies that this site still takes part in."""
    query = select(participations.c.plan).where(participations.c.state.not_in(FINAL_PARTICIPATION_STATES))
    return [StudyPlan.model_validate(plan) for plan in connection.execute(query).scalars()]


def finished_participations(connection: Connection) -> list[StudyPlan]:
    """Plans of the studies whose rounds are over for this site, and came to their end."""
    query = select(participations.c.plan).where(participations.c.state == ParticipationState.FINISHED)
    return [StudyPlan.model_validate(plan) for plan in connection.execute(query).scalars()]


def spent(connection: Connection, study_id: str) -> float:
    """Privacy loss (ρ) of all vectors that have left this site in a study."""
    query = select(func.coalesce(func.sum(rounds.c.rho), 0.0))
    return float(connection.execute(query.where(rounds.c.side == "site", rounds.c.study == study_id)).scalar_one())


def contributions(connection: Connection, study_id: str) -> tuple[Contributed, ...]:
    """The rounds in which a vector left this site, in order."""
    query = select(rounds).where(rounds.c.side == "site", rounds.c.study == study_id, rounds.c.digest.is_not(None))
    rows = connection.execute(query.order_by(rounds.c.number)).mappings()
    return tuple(Contributed(row["number"], row["id"], row["digest"], row["sigma"], row["rho"]) for row in rows)


# Rounds, on either side ------------------------------------------------------------


def begin_round(
    connection: Connection, side: Side, study_id: str, number: int, round_id: str, state_digest: str, now: datetime
) -> None:
    """Note a round before a word is said in it.

    Raises :class:`DeniedError` unless the number follows the last one (at a site, which may have missed
    rounds: is above it), the id is new, and this state of the algorithm was never asked about before in this study.
    """
    mine = select(rounds).where(rounds.c.side == side)
    last = connection.execute(
        select(func.max(rounds.c.number)).where(rounds.c.side == side, rounds.c.study == study_id)
    ).scalar()
    problems = {
        f"round {number} does not follow round {last or 0}": (
            number <= (last or 0) if side == "site" else number != (last or 0) + 1
        ),
        f"the round id {round_id[:80]} was used before": connection.execute(
            mine.where(rounds.c.id == round_id)
        ).first(),
        "a round on this very state was asked for before": connection.execute(
            mine.where(rounds.c.study == study_id, rounds.c.state_digest == state_digest)
        ).first(),
    }
    for problem, found in problems.items():
        if found:
            raise DeniedError(problem, fix="a round is never run again; the coordinator must start a new study")
    connection.execute(
        rounds.insert().values(
            side=side,
            id=round_id,
            study=study_id,
            number=number,
            state_digest=state_digest,
            phase="begun",
            changed_at=now,
        )
    )


def note_contribution(connection: Connection, contributed: Contributed, now: datetime) -> None:
    """Note what is about to leave this site; raises :class:`DeniedError` if something has left in this round before."""
    _move_round(
        connection, "site", contributed.round_id, "begun", "contributed", now,
        digest=contributed.digest, sigma=contributed.sigma, rho=contributed.rho,
    )  # fmt: skip


def note_answer(connection: Connection, round_id: str, sets: Sets, now: datetime) -> None:
    """Note that this site answers; raises :class:`DeniedError` if it has answered in this round before."""
    named = {"survivors": list(sets.survivors), "dropped": list(sets.dropped)}
    _move_round(connection, "site", round_id, "contributed", "answered", now, sets=named)


def note_opening(connection: Connection, record: RoundRecord, now: datetime) -> None:
    """Note an opened sum."""
    _move_round(
        connection, "coordinator", record.round_id, "begun", "opened", now,
        digest=record.total_digest, sigma=record.sigma, rho=record.rho, transcript=record.transcript,
        sets={"survivors": list(record.survivors), "dropped": list(record.dropped)},
    )  # fmt: skip


def opened_rounds(connection: Connection, study_id: str) -> tuple[RoundRecord, ...]:
    """The opened rounds of a study, in order."""
    query = select(rounds).where(rounds.c.side == "coordinator", rounds.c.study == study_id, rounds.c.phase == "opened")
    return tuple(
        RoundRecord(
            row["number"], row["id"], tuple(row["sets"]["survivors"]), tuple(row["sets"]["dropped"]),
            row["rho"], row["sigma"], row["digest"], row["transcript"],
        )
        for row in connection.execute(query.order_by(rounds.c.number)).mappings()
    )  # fmt: skip


def _move_round(
    connection: Connection, side: Side, round_id: str, before: str, after: str, now: datetime, **values: Any
) -> None:
    moved = connection.execute(
        rounds.update()
        .where(rounds.c.side == side, rounds.c.id == round_id, rounds.c.phase == before)
        .values(phase=after, changed_at=now, **values)
    )
    if moved.rowcount != 1:
        raise DeniedError(f"this step of round {round_id} was done before", fix="each step is done once; start anew")


def _one(connection: Connection, table: Table, column: Column[Any], identifier: str) -> RowMapping:
    row = connection.execute(select(table).where(column == identifier)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no study {identifier[:80]}", fix="look at the list of studies")
    return row
