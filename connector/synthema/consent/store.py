"""Consents and opt-outs as they are kept: append-only, under keyed tokens, never a patient's key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Column, Connection, Integer, String, Table, func, insert, select

from synthema.consent.model import ConsentItem, ConsentRecord, ConsentState, OptOut, OptOutState
from synthema.storage import CanonicalJson, UtcDateTime, metadata

consent_records = Table(
    "consent_records",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("dataset_id", String, nullable=False, index=True),
    Column("patient_token", String, nullable=False, index=True),
    Column("legal_basis", String, nullable=False),
    Column("state", String, nullable=False),
    Column("effective_at", UtcDateTime, nullable=False),
    Column("items", CanonicalJson, nullable=False),
    Column("valid_from", UtcDateTime),
    Column("valid_to", UtcDateTime),
    Column("notice_version", String),
    Column("recorded_at", UtcDateTime, nullable=False),
)

consent_opt_outs = Table(
    "consent_opt_outs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("patient_token", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("effective_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
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


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One version of the exclusion list; its digest chains all versions before it."""

    version: int
    digest: str
    changed_at: datetime | None


def consents_at(connection: Connection, dataset_id: str, at: datetime) -> dict[str, ConsentRecord]:
    """Each person's consent for a dataset as it stood at a time, by token."""
    table = consent_records
    latest = (
        select(func.max(table.c.sequence))
        .where(table.c.dataset_id == dataset_id, table.c.effective_at <= at)
        .group_by(table.c.patient_token)
    )
    rows = connection.execute(select(table).where(table.c.sequence.in_(latest))).mappings()
    return {row["patient_token"]: _consent(dict(row)) for row in rows}


def opt_outs_at(connection: Connection, at: datetime) -> dict[str, OptOut]:
    """Each person's opt-out as it stood at a time, by token."""
    table = consent_opt_outs
    latest = select(func.max(table.c.sequence)).where(table.c.effective_at <= at).group_by(table.c.patient_token)
    rows = connection.execute(select(table).where(table.c.sequence.in_(latest))).mappings()
    return {
        row["patient_token"]: OptOut(row["id"], row["patient_token"], OptOutState(row["state"]), row["effective_at"])
        for row in rows
    }


def insert_consents(connection: Connection, records: Iterable[ConsentRecord], at: datetime) -> None:
    """Append records."""
    rows = [
        {
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
            "recorded_at": at,
        }
        for record in records
    ]
    if rows:
        connection.execute(insert(consent_records), rows)


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


def _consent(row: dict[str, object]) -> ConsentRecord:
    values = {key: value for key, value in row.items() if key not in ("sequence", "recorded_at", "items", "state")}
    items: object = row["items"]
    return ConsentRecord(
        **values,  # type: ignore[arg-type]
        state=ConsentState(str(row["state"])),
        items=frozenset(ConsentItem(item) for item in items if isinstance(item, str))
        if isinstance(items, list)
        else frozenset(),
    )
