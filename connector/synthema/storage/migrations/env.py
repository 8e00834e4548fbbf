"""Runs migrations on the database that the caller names; there is no ini file."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from synthema.storage.schema import metadata

with create_engine(context.config.attributes["url"]).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
