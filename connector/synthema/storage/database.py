"""The database of a connector: many readers, one writer thread that commits in groups.

A durable commit costs one disk flush (0.1 to 5 ms, by the disk). The writer takes all units
of work that wait, runs each in its own savepoint, and commits them together: a
unit that fails is rolled back alone, and no caller hears of success before its
work is on disk. That the writer is single makes log positions strictly ordered.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from synthema.errors import StorageError

T = TypeVar("T")

GROUP_SIZE = 256


@dataclass(slots=True)
class _Unit:
    work: Callable[[Connection], Any]
    future: Future[Any]


class Database:
    """State of one connector. Use :func:`open_database`, which also brings the schema up to date."""

    def __init__(self, url: str | URL) -> None:
        self.engine = _engine(make_url(url))
        self._writing = self.engine.execution_options(writes=True)
        self._waiting: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._listeners: list[Callable[[], None]] = []
        self._writer = threading.Thread(target=self._write_groups, name="database-writer", daemon=True)
        self._writer.start()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run a unit of work in one durable transaction and return its result.

        What the unit raises is raised here, with nothing of it kept. Raises
        :class:`StorageError` when the database itself cannot take the work. A
        unit must not call :meth:`write` itself: pass its connection on instead.
        """
        if threading.current_thread() is self._writer:
            raise StorageError("a unit of work tried to start another", fix="pass the connection on")
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StorageError("the database is closed", fix="start the connector again")
            self._waiting.put(_Unit(work, future))
        return future.result()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection with a consistent view, for reading only."""
        try:
            with self.engine.connect() as connection:
                yield connection
                connection.rollback()
        except SQLAlchemyError as error:
            raise StorageError(f"state could not be read: {error}", fix="run: synthema doctor") from error

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each committed group, to wake whoever waits for new work."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish the waiting units and close."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._writer.join()
        self.engine.dispose()

    def _write_groups(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, last = self._gather(first)
            self._commit(group)
            for listener in self._listeners:
                listener()
            if last:
                return

    def _gather(self, first: _Unit) -> tuple[list[_Unit], bool]:
        group = [first]
        while len(group) < GROUP_SIZE:
            try:
                unit = self._waiting.get_nowait()
            except queue.Empty:
                break
            if unit is None:
                return group, True
            group.append(unit)
        return group, False

    def _commit(self, group: list[_Unit]) -> None:
        outcomes: list[tuple[_Unit, Any, BaseException | None]] = []
        try:
            with self._writing.begin() as connection:
                outcomes = [(unit, *_attempt(connection, unit.work)) for unit in group]
        except BaseException as error:  # noqa: BLE001 - the whole group failed: nobody may believe otherwise
            failure = StorageError(f"state could not be written: {error}", fix="check disk space and rights")
            failure.__cause__ = error
            for unit in group:
                unit.future.set_exception(failure)
            return
        for unit, result, problem in outcomes:
            if problem is None:
                unit.future.set_result(result)
            else:
                unit.future.set_exception(problem)


def _attempt(connection: Connection, work: Callable[[Connection], Any]) -> tuple[Any, BaseException | None]:
    # As SQL, not as SQLAlchemy's nested transaction, which costs as much as the work of a small unit.
    connection.exec_driver_sql("SAVEPOINT unit")
    try:
        result = work(connection)
        connection.exec_driver_sql("RELEASE SAVEPOINT unit")
    except Exception as error:  # noqa: BLE001 - handed to the caller as it is
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unit")
        connection.exec_driver_sql("RELEASE SAVEPOINT unit")
        if isinstance(error, SQLAlchemyError):
            failure = StorageError(f"state could not be written: {error}", fix="run: synthema doctor")
            failure.__cause__ = error
            return None, failure
        return None, error
    return result, None


def _engine(url: URL) -> Engine:
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling is switched off, so that BEGIN and SAVEPOINT are really ours.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock before it reads: what it decides on cannot change under it, not even by another process.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def open_database(path: Path) -> Database:
    """Open (or make) the SQLite state of a connector with the schema brought up to date."""
    # Importing Alembic takes a while, so it is left until a database is opened.
    from synthema.storage.migrate import upgrade  # noqa: PLC0415

    path.parent.mkdir(parents=True, exist_ok=True)
    url = URL.create("sqlite", database=str(path))
    upgrade(url)
    return Database(url)
