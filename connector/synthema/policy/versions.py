"""Versions of policies as they are kept: their states, tables and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, Connection, ForeignKey, String, Table, Text, UniqueConstraint, or_, select, update

from synthema.canonical import canonical_json
from synthema.errors import ConflictError, IntegrityError, NotFoundError
from synthema.policy.model import Policy
from synthema.policy.odrl import from_odrl, policy_digest
from synthema.storage import CanonicalJson, UtcDateTime, metadata
from synthema.vocabulary import Vocabulary

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("id", String, primary_key=True),
    Column("policy_id", String, nullable=False, index=True),
    Column("version", String, nullable=False),
    # The agreement an L4 policy belongs to; empty for all other layers.
    Column("agreement", String, nullable=False, default="", index=True),
    Column("layer", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("form", Text, nullable=False),
    Column("odrl", CanonicalJson, nullable=False),
    Column("cases", Text, nullable=False, default=""),
    Column("acknowledged", CanonicalJson, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("drafted_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("policy_id", "version", "agreement"),
)

policy_signatures = Table(
    "policy_signatures",
    metadata,
    Column("id", String, primary_key=True),
    Column("version_id", String, ForeignKey("policy_versions.id"), nullable=False, index=True),
    Column("person_id", String, nullable=False),
    Column("roles", CanonicalJson, nullable=False),
    Column("signature", String, nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
    UniqueConstraint("version_id", "person_id"),
)


class PolicyState(StrEnum):
    """Where a version stands. Only :data:`TRANSITIONS` says how it may move."""

    DRAFT = "draft"
    IN_REVIEW = "in review"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


TRANSITIONS: Final[Mapping[tuple[PolicyState, str], PolicyState]] = {
    (PolicyState.DRAFT, "sign"): PolicyState.IN_REVIEW,
    (PolicyState.IN_REVIEW, "activate"): PolicyState.ACTIVE,
    (PolicyState.ACTIVE, "supersede"): PolicyState.SUPERSEDED,
    (PolicyState.DRAFT, "withdraw"): PolicyState.WITHDRAWN,
    (PolicyState.IN_REVIEW, "withdraw"): PolicyState.WITHDRAWN,
    (PolicyState.ACTIVE, "withdraw"): PolicyState.WITHDRAWN,
}
"""The whole life of a version; what is not listed cannot happen."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a policy with who signed it. What it says never changes."""

    id: str
    policy: Policy
    state: PolicyState
    digest: str
    form: str
    cases: str
    agreement: str | None
    signed_by: tuple[str, ...]
    signed_roles: tuple[tuple[str, ...], ...]
    acknowledged: tuple[str, ...]
    drafted_at: datetime
    activated_at: datetime | None
    ended_at: datetime | None


def signing_bytes(policy_id: str, version: str, digest: str) -> bytes:
    """What a person signs to approve a policy; the statement is part of it, so that it fits nothing else."""
    return canonical_json(
        {"statement": "I approve this policy.", "policy": policy_id, "version": version, "digest": digest}
    )


def find_version(
    connection: Connection, policy_id: str, version: str, vocabulary: Vocabulary, *, agreement: str = ""
) -> PolicyVersion:
    """One version; raises :class:`NotFoundError`."""
    row = (
        connection.execute(
            select(policy_versions).where(
                policy_versions.c.policy_id == policy_id,
                policy_versions.c.version == version,
                policy_versions.c.agreement == agreement,
            )
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFoundError("there is no such version of a policy", fix="list them with: synthema policy list")
    return version_of(connection, dict(row), vocabulary)


def version_of(connection: Connection, row: Mapping[str, Any], vocabulary: Vocabulary) -> PolicyVersion:
    """A row as a value; raises :class:`IntegrityError` when the stored policy is not the one that was drafted."""
    policy = from_odrl(row["odrl"], vocabulary)
    if policy_digest(policy) != row["digest"]:
        raise IntegrityError("a stored policy was changed", fix="restore the database from a backup")
    signatures = connection.execute(
        select(policy_signatures.c.person_id, policy_signatures.c.roles)
        .where(policy_signatures.c.version_id == row["id"])
        .order_by(policy_signatures.c.signed_at, policy_signatures.c.id)
    ).all()
    return PolicyVersion(
        id=row["id"],
        policy=policy,
        state=PolicyState(row["state"]),
        digest=row["digest"],
        form=row["form"],
        cases=row["cases"],
        agreement=row["agreement"] or None,
        signed_by=tuple(person for person, _ in signatures),
        signed_roles=tuple(tuple(roles) for _, roles in signatures),
        acknowledged=tuple(row["acknowledged"]),
        drafted_at=row["drafted_at"],
        activated_at=row["activated_at"],
        ended_at=row["ended_at"],
    )


def active_rows(connection: Connection, agreements: Sequence[str]) -> list[dict[str, Any]]:
    """Rows in force that belong to no agreement or to one of these, in a fixed order."""
    query = (
        select(policy_versions)
        .where(policy_versions.c.state == PolicyState.ACTIVE, policy_versions.c.agreement.in_(["", *agreements]))
        .order_by(policy_versions.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def rows_at(connection: Connection, agreements: Sequence[str], at: datetime) -> list[dict[str, Any]]:
    """Rows that were in force at an earlier time, like :func:`active_rows`."""
    query = (
        select(policy_versions)
        .where(
            policy_versions.c.activated_at <= at,
            or_(policy_versions.c.ended_at.is_(None), policy_versions.c.ended_at > at),
            policy_versions.c.agreement.in_(["", *agreements]),
        )
        .order_by(policy_versions.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def every_active_row(connection: Connection) -> list[dict[str, Any]]:
    """Rows in force, those of all agreements included, in a fixed order."""
    query = select(policy_versions).where(policy_versions.c.state == PolicyState.ACTIVE).order_by(policy_versions.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def active_ids(connection: Connection, agreement: str) -> tuple[str, ...]:
    """Identifiers of the rows in force for an agreement (or none), in a fixed order."""
    query = (
        select(policy_versions.c.id)
        .where(policy_versions.c.state == PolicyState.ACTIVE, policy_versions.c.agreement.in_(["", agreement]))
        .order_by(policy_versions.c.id)
    )
    return tuple(connection.execute(query).scalars())


def move(connection: Connection, version: PolicyVersion, event: str, **times: datetime) -> PolicyState:
    """Change the state; raises :class:`ConflictError` on a step the table does not know."""
    try:
        state = TRANSITIONS[(version.state, event)]
    except KeyError:
        raise ConflictError(
            f"a policy that is {version.state} cannot {event}", fix="draft a new version to change it"
        ) from None
    connection.execute(update(policy_versions).where(policy_versions.c.id == version.id).values(state=state, **times))
    return state
