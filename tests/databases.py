"""Databases of tests: tables are made once a process, and each new database begins as a copy of that file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sqlalchemy import URL

from synthema.storage import Database, metadata, migrate

_migrate = migrate.upgrade


def new_database(path: Path) -> Database:
    """A database with the tables of all rooms imported by now; one that is there is opened as it is."""
    if not path.exists():
        _put(path, _with_tables(frozenset(metadata.tables)))
        return Database(f"sqlite:///{path}")
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    return database


def put_migrated(path: Path) -> None:
    """Put the state of a connector that was never used where there is none, as all migrations leave it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, _with_migrations())


def upgrade(url: URL) -> None:
    """What :func:`synthema.storage.migrate.upgrade` does, sooner done for a new SQLite file."""
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        put_migrated(Path(str(url.database)))
    _migrate(url)


@cache
def _with_tables(_names: frozenset[str]) -> bytes:
    def make(path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        metadata.create_all(database.engine)
        database.close()

    return _made(make)


@cache
def _with_migrations() -> bytes:
    return _made(lambda path: _migrate(URL.create("sqlite", database=str(path))))


def _put(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")  # whole or not at all: some processes here are killed
    draft.write_bytes(content)
    draft.replace(path)


def _made(make: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        make(path)
        assert [each.name for each in path.parent.iterdir()] == [path.name], "something is not in the file yet"
        return path.read_bytes()
