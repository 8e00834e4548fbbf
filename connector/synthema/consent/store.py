"""Consents and opt-outs as they are kept: append-only, under keyed tokens, never a patient's key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    or_,
    select,
)

from synthema.consent.model import (
    VALID_STATES,
    ConsentItem,
    ConsentRecord,
    ConsentState,
    OptOut,
    OptOutState,
    Representative,
    WithdrawalLevel,
)
from synthema.consent.notice import ConsentNotice
from synthema.storage import CanonicalJson, UtcDateTime, metadata

consent_records = Table(
    "consent_records",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("dataset_id", String, nullable=False),
    Column("patient_token", String, nullable=False),
    Column("legal_basis", String),
    Column("state", String, nullable=False),
    Column("effective_at", UtcDateTime, nullable=False),
    Column("items", CanonicalJson, nullable=False),
    Column("valid_from", UtcDateTime),
    Column("valid_to", UtcDateTime),
    Column("notice_version", String),
    Column("purposes", CanonicalJson, nullable=False, server_default="[]"),
    Column("representative", String),
    Column("representative_until", UtcDateTime),
    Column("level", String),
    Column("no_new_data_since", UtcDateTime),
    Column("source", String),
    Column("source_version", String),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index("ix_consent_records_person", "dataset_id", "patient_token", "sequence"),
    Index("ix_consent_records_source", "dataset_id", "source"),
)

consent_opt_outs = Table(
    "consent_opt_outs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("patient_token", String, nullable=False),
    Column("state", String, nullable=False),
    Column("effective_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index("ix_consent_opt_outs_person", "patient_token", "sequence"),
)

consent_cohorts = Table(
    "consent_cohorts",
    metadata,
    Column("version_id", String, primary_key=True),
    Column("consent_token", String, primary_key=True),
    Column("opt_out_token", String, nullable=False),
)

consent_list_versions = Table(
    "consent_list_versions",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("digest", String, nullable=False),
)

consent_refreshes = Table(
    "consent_refreshes",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("opt_outs", Boolean, nullable=False),
)


consent_notices = Table(
    "consent_notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("version", String, nullable=False),
    Column("content", CanonicalJson, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("dataset_id", "version"),
)

consent_matchings = Table(
    "consent_matchings",
    metadata,
    Column("version_id", String, primary_key=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("closed_at", UtcDateTime, nullable=False),
    Column("list_version", Integer, nullable=False),
    Column("opted_out", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One version of the exclusion list; its digest chains all versions before it."""

    version: int
    digest: str
    changed_at: datetime | None


def consents_at(
    connection: Connection, dataset_id: str, at: datetime, tokens: Iterable[str] | None = None
) -> dict[str, ConsentRecord]:
    """Each person's consent for a dataset as it stood at a time, by token; of some people only, where named."""
    table = consent_records
    latest = (
        select(func.max(table.c.sequence))
        .where(table.c.dataset_id == dataset_id, table.c.effective_at <= at)
        .group_by(table.c.patient_token)
    )
    if tokens is not None:
        latest = latest.where(table.c.patient_token.in_(list(tokens)))
    rows = connection.execute(select(table).where(table.c.sequence.in_(latest))).mappings()
    return {row["patient_token"]: _consent(dict(row)) for row in rows}


def history(connection: Connection, dataset_id: str, token: str) -> list[tuple[ConsentRecord, datetime]]:
    """Every version of one person's consent for a dataset with the time it was recorded, oldest first."""
    table = consent_records
    query = (
        select(table).where(table.c.dataset_id == dataset_id, table.c.patient_token == token).order_by(table.c.sequence)
    )
    return [(_consent(dict(row)), row["recorded_at"]) for row in connection.execute(query).mappings()]


def run_out(connection: Connection, at: datetime) -> list[ConsentRecord]:
    """The consents in a valid state whose end, or whose representative's word, has run out by the clock."""
    table = consent_records
    latest = (
        select(func.max(table.c.sequence))
        .where(table.c.effective_at <= at)
        .group_by(table.c.dataset_id, table.c.patient_token)
    )
    query = select(table).where(
        table.c.sequence.in_(latest),
        table.c.state.in_(sorted(VALID_STATES)),
        or_(table.c.valid_to <= at, table.c.representative_until <= at),
    )
    return [_consent(dict(row)) for row in connection.execute(query.order_by(table.c.sequence)).mappings()]


def state_counts(connection: Connection, dataset_id: str, at: datetime) -> dict[str, int]:
    """How many people of a dataset are in each consent state."""
    table = consent_records
    latest = (
        select(func.max(table.c.sequence))
        .where(table.c.dataset_id == dataset_id, table.c.effective_at <= at)
        .group_by(table.c.patient_token)
    )
    query = select(table.c.state, func.count()).where(table.c.sequence.in_(latest)).group_by(table.c.state)
    return {row[0]: int(row[1]) for row in connection.execute(query.order_by(table.c.state))}


def opt_out_counts(connection: Connection, at: datetime) -> dict[str, int]:
    """How many people of the site are in each state of opting out."""
    table = consent_opt_outs
    latest = select(func.max(table.c.sequence)).where(table.c.effective_at <= at).group_by(table.c.patient_token)
    query = select(table.c.state, func.count()).where(table.c.sequence.in_(latest)).group_by(table.c.state)
    return {row[0]: int(row[1]) for row in connection.execute(query.order_by(table.c.state))}


def imported(connection: Connection, dataset_id: str) -> dict[str, list[ConsentRecord]]:
    """What was read from records elsewhere, by the token of the source record, oldest first."""
    table = consent_records
    query = (
        select(table).where(table.c.dataset_id == dataset_id, table.c.source.is_not(None)).order_by(table.c.sequence)
    )
    found: dict[str, list[ConsentRecord]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["source"], []).append(_consent(dict(row)))
    return found


def opt_outs_at(connection: Connection, at: datetime, tokens: Iterable[str] | None = None) -> dict[str, OptOut]:
    """Each person's opt-out as it stood at a time, by token; of some people only, where named."""
    table = consent_opt_outs
    latest = select(func.max(table.c.sequence)).where(table.c.effective_at <= at).group_by(table.c.patient_token)
    if tokens is not None:
        latest = latest.where(table.c.patient_token.in_(list(tokens)))
    rows = connection.execute(select(table).where(table.c.sequence.in_(latest))).mappings()
    return {
        row["patient_token"]: OptOut(row["id"], row["patient_token"], OptOutState(row["state"]), row["effective_at"])
        for row in rows
    }


# writing ---------------------------------------------------------------------------------------


def insert_consents(connection: Connection, records: Iterable[ConsentRecord], at: datetime) -> None:
    """Append records."""
    rows = [_row(record) | {"recorded_at": at} for record in records]
    if rows:
        connection.execute(insert(consent_records), rows)


def _row(record: ConsentRecord) -> dict[str, object]:
    whose = record.representative
    return {
        "id": record.id,
        "dataset_id": record.dataset_id,
        "patient_token": record.patient_token,
        "legal_basis": record.legal_basis,
        "state": record.state,
        "effective_at": record.effective_at,
        "items": sorted(record.items),
        "valid_from": record.valid_from,
        "valid_to": record.valid_to,
        "notice_version": record.notice_version,
        "purposes": sorted(record.purposes),
        "representative": None if whose is None else whose.kind,
        "representative_until": None if whose is None else whose.ends_at,
        "level": record.level,
        "no_new_data_since": record.no_new_data_since,
        "source": record.source,
        "source_version": record.source_version,
    }


def insert_opt_outs(connection: Connection, records: Iterable[OptOut], at: datetime) -> None:
    """Append opt-outs and reversals."""
    rows = [
        {
            "id": record.id,
            "patient_token": record.patient_token,
            "state": record.state,
            "effective_at": record.effective_at,
            "recorded_at": at,
        }
        for record in records
    ]
    if rows:
        connection.execute(insert(consent_opt_outs), rows)


def cohort(connection: Connection, version_id: str) -> dict[str, str]:
    """The people of a dataset version: consent token → opt-out token; empty for a version nobody enrolled."""
    table = consent_cohorts
    rows = connection.execute(select(table).where(table.c.version_id == version_id))
    return {row.consent_token: row.opt_out_token for row in rows}


def versions_with(connection: Connection, tokens: Iterable[str]) -> tuple[str, ...]:
    """The dataset versions whose cohort holds a person with one of these tokens."""
    table = consent_cohorts
    known = list(tokens)
    held = table.c.consent_token.in_(known) | table.c.opt_out_token.in_(known)
    return tuple(connection.scalars(select(table.c.version_id).where(held).distinct().order_by(table.c.version_id)))


def insert_cohort(connection: Connection, version_id: str, tokens: dict[str, str]) -> None:
    """Keep the people of a dataset version."""
    rows = [{"version_id": version_id, "consent_token": c, "opt_out_token": o} for c, o in tokens.items()]
    if rows:
        connection.execute(insert(consent_cohorts), rows)


def list_version(connection: Connection) -> ListVersion:
    """The present version of the exclusion list; version 0 before the first entry."""
    table = consent_list_versions
    row = connection.execute(select(table).order_by(table.c.version.desc()).limit(1)).mappings().one_or_none()
    return ListVersion(0, "", None) if row is None else ListVersion(row["version"], row["digest"], row["changed_at"])


def insert_version(connection: Connection, version: ListVersion, changes: int) -> None:
    """Append a version of the exclusion list."""
    connection.execute(
        insert(consent_list_versions).values(
            version=version.version, changed_at=version.changed_at, changes=changes, digest=version.digest
        )
    )


def insert_refresh(connection: Connection, dataset_id: str, at: datetime, *, opt_outs: bool) -> None:
    """Note that the lists were brought up to date from their source."""
    connection.execute(insert(consent_refreshes).values(dataset_id=dataset_id, at=at, opt_outs=opt_outs))


def refreshed_at(connection: Connection, dataset_id: str, at: datetime) -> datetime | None:
    """When the opt-outs of a dataset's people were last brought up to date, seen from a time."""
    table = consent_refreshes
    query = (
        select(table.c.at)
        .where(table.c.dataset_id == dataset_id, table.c.opt_outs, table.c.at <= at)
        .order_by(table.c.sequence.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def notice(connection: Connection, dataset_id: str, version: str) -> tuple[str, ConsentNotice] | None:
    """Identifier and content of a version of a dataset's consent notice, if it is kept."""
    table = consent_notices
    query = select(table.c.id, table.c.content).where(table.c.dataset_id == dataset_id, table.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.id, ConsentNotice.model_validate(row.content))


def insert_notice(connection: Connection, identifier: str, content: ConsentNotice, at: datetime) -> None:
    """Append a version of a consent notice."""
    connection.execute(
        insert(consent_notices).values(
            id=identifier,
            dataset_id=content.dataset,
            version=content.version,
            content=content.model_dump(mode="json"),
            recorded_at=at,
        )
    )


def matching_closed_at(connection: Connection, version_id: str | None) -> datetime | None:
    """When the people of a dataset version could be matched with opt-outs for the last time; None while they can."""
    if version_id is None:
        return None
    table = consent_matchings
    return connection.execute(select(table.c.closed_at).where(table.c.version_id == version_id)).scalar_one_or_none()


def insert_matching(
    connection: Connection, version_id: str, dataset_id: str, at: datetime, list_version: int, opted_out: int
) -> None:
    """Note that the people of a dataset version can no longer be matched with opt-outs."""
    connection.execute(
        insert(consent_matchings).values(
            version_id=version_id, dataset_id=dataset_id, closed_at=at, list_version=list_version, opted_out=opted_out
        )
    )


def _consent(row: dict[str, object]) -> ConsentRecord:
    apart = ("sequence", "recorded_at", "items", "purposes", "state", "level", "representative", "representative_until")
    values = {key: value for key, value in row.items() if key not in apart}
    kind, until = row["representative"], row["representative_until"]
    return ConsentRecord(
        **values,  # type: ignore[arg-type]
        state=ConsentState(str(row["state"])),
        items=frozenset(ConsentItem(item) for item in _texts(row["items"])),
        purposes=frozenset(_texts(row["purposes"])),
        level=None if row["level"] is None else WithdrawalLevel(str(row["level"])),
        representative=(
            Representative("parent" if kind == "parent" else "guardian", until.date())
            if isinstance(until, datetime)
            else None
        ),
    )


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
