"""What a coordinator keeps to go on after a crash: what it said and heard in the open round, and the algorithm's state.

Everything a coordinator says is written here before a site can read it, everything
it hears before it takes effect. So a coordinator that was killed goes on with the very round it
was in: no site is asked twice, no site is told two things, and no vector leaves a site a
second time. It holds signed messages, masked vectors' digests and noisy sums, and is
emptied when the study ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, String, Table, delete, select

from synthema.federation.messages import Message, message_from_json
from synthema.federation.store import rounds
from synthema.storage import CanonicalJson, UtcDateTime, metadata

sent = Table(
    "federation_sent",
    metadata,
    Column("study", String, primary_key=True),
    Column("site", String, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("round_id", String),
    Column("kind", String, nullable=False),
    Column("parcel", LargeBinary, nullable=False),
)
heard = Table(
    "federation_heard",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("digest", String, nullable=False, unique=True),
    Column("study", String, nullable=False, index=True),
    Column("round_id", String),
    Column("kind", String, nullable=False),
    Column("message", CanonicalJson, nullable=False, comment="signed, without its vector"),
)
progress = Table(
    "federation_progress",
    metadata,
    Column("study", String, primary_key=True),
    Column("round", Integer, nullable=False, comment="the last round in the state; 0 before the first"),
    Column("state", CanonicalJson, nullable=False, comment="of the algorithm"),
    Column("total", LargeBinary, comment="a sum that was opened and is not in the state yet: int64, little-endian"),
    Column("changed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the coordinator to a site, sealed."""

    site: str
    sequence: int
    round_id: str | None
    kind: str
    parcel: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the algorithm stands: its state after ``round``, and an opened sum that is not in it yet."""

    round: int
    state: Any
    total: bytes | None


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round that has begun and whose sum is not open."""

    number: int
    round_id: str


def keep_said(connection: Connection, study_id: str, said: Iterable[Said]) -> None:
    """Keep what is about to be said."""
    for each in said:
        connection.execute(sent.insert().values(study=study_id, **asdict(each)))


def forget_said(connection: Connection, study_id: str, sites: Collection[str]) -> None:
    """Delete what sites have read and answered: they are asked something new."""
    connection.execute(delete(sent).where(sent.c.study == study_id, sent.c.site.in_(sites)))


def said_in(connection: Connection, study_id: str) -> list[Said]:
    """What was said and may not have been read, in order."""
    query = select(*(column for column in sent.columns if column.name != "study")).where(sent.c.study == study_id)
    rows = connection.execute(query.order_by(sent.c.site, sent.c.sequence)).mappings()
    return [Said(**dict(row)) for row in rows]


def keep_heard(connection: Connection, message: Message) -> None:
    """Keep a site's message before it takes effect."""
    connection.execute(
        heard.insert().values(
            digest=message.digest, study=message.study, round_id=message.round_id, kind=message.kind,
            message=message.as_json(),
        )
    )  # fmt: skip


def heard_in(connection: Connection, study_id: str) -> list[Message]:
    """What the sites said in the open round, and all refusals, in the order in which they came."""
    query = select(heard.c.message).where(heard.c.study == study_id).order_by(heard.c.number)
    return [message_from_json(value) for value in connection.execute(query).scalars()]


def open_round(connection: Connection, study_id: str) -> OpenRound | None:
    """The coordinator's round that has begun and is not opened, if there is one."""
    query = select(rounds.c.number, rounds.c.id).where(
        rounds.c.side == "coordinator", rounds.c.study == study_id, rounds.c.phase == "begun"
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else OpenRound(*row)


def keep_state(connection: Connection, study_id: str, number: int, state: Any, now: datetime) -> None:
    """Keep the algorithm's state after a round; whatever sum was waiting is in it."""
    connection.execute(delete(progress).where(progress.c.study == study_id))
    connection.execute(progress.insert().values(study=study_id, round=number, state=state, total=None, changed_at=now))


def keep_total(connection: Connection, study_id: str, total: bytes, now: datetime) -> None:
    """Keep an opened sum until it is in the state; what was said by the sites in its round is not needed any more."""
    connection.execute(progress.update().where(progress.c.study == study_id).values(total=total, changed_at=now))
    connection.execute(delete(heard).where(heard.c.study == study_id, heard.c.kind != "refusal"))


def progress_of(connection: Connection, study_id: str) -> Progress | None:
    """Where the algorithm stands; None before its first state."""
    query = select(progress.c.round, progress.c.state, progress.c.total).where(progress.c.study == study_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else Progress(*row)


def forget(connection: Connection, study_id: str) -> None:
    """Empty all of it: the study has ended."""
    for table in (sent, heard, progress):
        connection.execute(delete(table).where(table.c.study == study_id))
