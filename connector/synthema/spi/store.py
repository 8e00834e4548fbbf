"""Where approvals of plugins are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, String, Table, Text, insert, select, update

from synthema.storage import CanonicalJson, UtcDateTime, metadata

plugin_approvals = Table(
    "plugin_approvals",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("plugin", String(80), nullable=False, index=True),
    Column("version", String(40), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("manifest", CanonicalJson, nullable=False),
    Column("approvals", CanonicalJson, nullable=False),
    Column("approved_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(80)),
    Column("revocation_reason", Text),
)


def add_approval(connection: Connection, values: dict[str, Any]) -> None:
    """Keep one approval."""
    connection.execute(insert(plugin_approvals).values(**values))


def approvals_of(connection: Connection, plugin: str | None = None) -> list[dict[str, Any]]:
    """Approvals of one plugin or of all, the newest first."""
    query = select(plugin_approvals).order_by(plugin_approvals.c.approved_at.desc(), plugin_approvals.c.id.desc())
    if plugin is not None:
        query = query.where(plugin_approvals.c.plugin == plugin)
    return [dict(row) for row in connection.execute(query).mappings()]


def mark_revoked(connection: Connection, plugin: str, *, at: datetime, by: str, reason: str) -> int:
    """Revoke every valid approval of a plugin and say how many there were."""
    result = connection.execute(
        update(plugin_approvals)
        .where(plugin_approvals.c.plugin == plugin, plugin_approvals.c.revoked_at.is_(None))
        .values(revoked_at=at, revoked_by=by, revocation_reason=reason)
    )
    return result.rowcount
