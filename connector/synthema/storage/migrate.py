"""Brings a database's schema up to date with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL

_SCRIPTS = Path(__file__).resolve().parent / "migrations"


def alembic_config(url: URL) -> Config:
    """Alembic's configuration for one database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = url
    return config


def upgrade(url: URL) -> None:
    """Apply all migrations that are still missing."""
    command.upgrade(alembic_config(url), "head")
