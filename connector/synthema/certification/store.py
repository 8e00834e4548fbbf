"""Where certificates, their status, and a registry's holdings are kept, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, Integer, RowMapping, String, Table, Text, func, insert, select, update

from synthema.errors import NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

CertificateState = Literal["valid", "suspended", "revoked"]
HoldingState = Literal["held", "suspended", "withdrawn"]
_NO_CERTIFICATE: Final = "give the identifier of a certificate this connector issued"

certificates = Table(
    "certificates",
    metadata,
    Column("id", String, primary_key=True),
    Column("candidate", String, nullable=False, index=True),
    Column("status_index", Integer, nullable=False, unique=True),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("document", CanonicalJson, nullable=False),
    Column("readme", Text, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

ingests = Table(
    "registry_ingests",
    metadata,
    Column("id", String, primary_key=True),
    Column("outcome", String, nullable=False),  # accepted | refused
    Column("package", String, nullable=False, index=True),
    Column("certificate", String),
    Column("artefact", String),
    Column("intended_use", CanonicalJson, nullable=False),
    Column("report", CanonicalJson, nullable=False),
    Column("log_position", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

holdings = Table(
    "registry_holdings",
    metadata,
    Column("certificate", String, primary_key=True),
    Column("artefact", String, nullable=False, index=True),
    Column("package", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by_issuer", Integer, nullable=False),  # 1 when the issuer's status list brought the state about
    Column("ingested_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate this connector issued, with the state its status list shows."""

    id: str
    candidate: str
    status_index: int
    state: CertificateState
    reason: str
    document: dict[str, Any]
    readme: str
    issued_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """A dataset a registry took in: served while ``held``, kept but not served while ``suspended``."""

    certificate: str
    artefact: str
    package: str
    state: HoldingState
    reason: str
    by_issuer: bool
    ingested_at: datetime
    changed_at: datetime


def next_status_index(connection: Connection) -> int:
    """The first bit of the status lists that was never used."""
    last = connection.scalar(select(func.max(certificates.c.status_index)))
    return 0 if last is None else last + 1


def insert_certificate(connection: Connection, record: CertificateRecord) -> None:
    """Keep an issued certificate."""
    connection.execute(
        insert(certificates).values(**{column.name: getattr(record, column.name) for column in certificates.columns})
    )


def certificate_of(connection: Connection, identifier: str) -> CertificateRecord:
    """The certificate of this IRI; raises :class:`NotFoundError`."""
    row = connection.execute(select(certificates).where(certificates.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such certificate", fix=_NO_CERTIFICATE)
    return CertificateRecord(**row)


def all_certificates(connection: Connection, limit: int) -> list[CertificateRecord]:
    """The latest certificates, newest first."""
    chosen = select(certificates).order_by(certificates.c.issued_at.desc(), certificates.c.id.desc()).limit(limit)
    return [CertificateRecord(**row) for row in connection.execute(chosen).mappings()]


def certificates_of_candidate(connection: Connection, candidate: str) -> list[CertificateRecord]:
    """All certificates about these synthetic rows."""
    chosen = select(certificates).where(certificates.c.candidate == candidate).order_by(certificates.c.issued_at)
    return [CertificateRecord(**row) for row in connection.execute(chosen).mappings()]


def set_certificate_state(
    connection: Connection, identifier: str, state: CertificateState, reason: str, at: datetime
) -> None:
    """Change what the status list will show."""
    values = {"state": state, "reason": reason, "changed_at": at}
    connection.execute(update(certificates).where(certificates.c.id == identifier).values(**values))


def set_certificate_document(connection: Connection, identifier: str, document: dict[str, Any]) -> CertificateRecord:
    """Keep a certificate with one more signature."""
    connection.execute(update(certificates).where(certificates.c.id == identifier).values(document=document))
    return certificate_of(connection, identifier)


def set_bits(connection: Connection, state: CertificateState) -> list[int]:
    """The status indices of all certificates in this state."""
    return list(connection.scalars(select(certificates.c.status_index).where(certificates.c.state == state)))


def insert_ingest(connection: Connection, **values: Any) -> None:
    """Keep an attempt to bring a package in, accepted or refused."""
    connection.execute(insert(ingests).values(**values))


def ingest_rows(connection: Connection, limit: int) -> list[RowMapping]:
    """The latest attempts, newest first."""
    return list(
        connection.execute(select(ingests).order_by(ingests.c.at.desc(), ingests.c.id.desc()).limit(limit)).mappings()
    )


def ingest_row(connection: Connection, identifier: str) -> RowMapping:
    """One attempt to bring a package in; raises :class:`NotFoundError`."""
    row = connection.execute(select(ingests).where(ingests.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such attempt", fix="list them with: synthema cert quarantine")
    return row


def keep_holding(connection: Connection, certificate: str, artefact: str, package: str, at: datetime) -> None:
    """Keep a dataset that passed all checks; one that is there already stays as it stands."""
    if find_holding(connection, certificate) is not None:
        return
    connection.execute(
        insert(holdings).values(
            certificate=certificate,
            artefact=artefact,
            package=package,
            state="held",
            reason="",
            by_issuer=0,
            ingested_at=at,
            changed_at=at,
        )
    )


def find_holding(connection: Connection, certificate: str) -> Holding | None:
    """What is held under this certificate, in any state."""
    row = connection.execute(select(holdings).where(holdings.c.certificate == certificate)).mappings().one_or_none()
    return None if row is None else _holding(row)


def all_holdings(connection: Connection) -> list[Holding]:
    """Everything ever taken in, oldest first."""
    chosen = select(holdings).order_by(holdings.c.ingested_at, holdings.c.certificate)
    return [_holding(row) for row in connection.execute(chosen).mappings()]


def held_artefact(connection: Connection, artefact: str) -> Holding:
    """A holding that may be served; one that is suspended or withdrawn is as unknown as one that never was."""
    chosen = select(holdings).where(holdings.c.artefact == artefact, holdings.c.state == "held")
    row = connection.execute(chosen.order_by(holdings.c.ingested_at.desc())).mappings().first()
    if row is None:
        raise NotFoundError(
            "there is no such dataset", fix="check the digest; only datasets in good standing are served"
        )
    return _holding(row)


def set_holding_state(
    connection: Connection, certificate: str, state: HoldingState, reason: str, at: datetime, *, by_issuer: bool
) -> None:
    """Change whether a dataset is served."""
    values = {"state": state, "reason": reason, "by_issuer": int(by_issuer), "changed_at": at}
    connection.execute(update(holdings).where(holdings.c.certificate == certificate).values(**values))


def _holding(row: RowMapping) -> Holding:
    return Holding(**{**row, "by_issuer": bool(row["by_issuer"])})
