"""Durable appends: the group-commit writer beside the plain way, a commit for each append.

Both insert the same rows into the same kind of table, from 32 threads, with
SQLite in WAL mode and ``synchronous=FULL``, so that every append is on disk
before its caller goes on. What a group saves is disk flushes, so the ratio
depends on what a flush costs. It is measured twice: on this machine's disk, and
with 3 milliseconds added to each commit of either side, which stands for a disk
that really flushes (the usual SSD of a server without a battery-backed cache).
The goal is for disks like that; on a disk whose flush costs next to nothing the
figure has no goal. Run it alone: ``python -m tests.benchmarks storage``.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, event, insert

from synthema.storage import Database

THREADS = 32
SECONDS = 2.0
GOAL = 8.0
SLOW_FLUSH = 1.0  # milliseconds from which a flush is what counts
BODY = bytes(range(256)) * 4  # about the size of a log entry

_metadata = MetaData()
_entries = Table(
    "entries", _metadata, Column("sequence", Integer, primary_key=True), Column("body", LargeBinary, nullable=False)
)


def run() -> list[dict[str, Any]]:
    """Appends per second of the group-commit writer and of one commit for each append."""
    flush = flush_milliseconds()
    return [
        _compare("each commit made to last 3 ms longer", 0.003, GOAL),
        _compare(f"this disk (flush {flush:.2f} ms)", 0.0, GOAL if flush >= SLOW_FLUSH else None),
    ]


def _compare(disk: str, added: float, goal: float | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        ours = _group_commit(Path(folder) / "ours.sqlite", added)
        peer = _commit_each(Path(folder) / "peer.sqlite", added)
    return {
        "name": f"durable appends from {THREADS} threads, {disk}: group commit vs. SQLite with a commit for each",
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 1),
        "goal": goal,
        "unit": "appends/s",
    }


def flush_milliseconds() -> float:
    """What it costs to bring 4 KiB to the disk of the temporary folder (median of 50)."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _group_commit(path: Path, added: float) -> float:
    database = Database(f"sqlite:///{path}")
    _metadata.create_all(database.engine)
    if added:
        event.listen(database.engine, "commit", lambda _connection: time.sleep(added))
    statement = insert(_entries).values(body=BODY)
    try:
        count, seconds = rate(lambda: lambda: database.write(lambda connection: connection.execute(statement)))
    finally:
        database.close()
    require(path, count, "entries")
    return count / seconds


def _commit_each(path: Path, added: float) -> float:
    with sqlite3.connect(path) as setup:
        setup.execute("PRAGMA journal_mode=WAL")
        setup.execute("CREATE TABLE entries (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    # SQLite lets one writer in at a time and makes the others poll; waiting in line spares the peer that polling.
    turn = threading.Lock()

    def appender() -> Callable[[], object]:
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")

        def append() -> None:
            with turn:
                connection.execute("INSERT INTO entries (body) VALUES (?)", (BODY,))
                if added:
                    time.sleep(added)

        return append

    count, seconds = rate(appender)
    require(path, count, "entries")
    return count / seconds


def rate(appender: Callable[[], Callable[[], object]]) -> tuple[int, float]:
    """How many appends all threads made together, and in which time."""
    counts = [0] * THREADS
    start = threading.Barrier(THREADS + 1)
    stop = threading.Event()

    def work(number: int) -> None:
        append = appender()
        start.wait()
        while not stop.is_set():
            append()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts), time.perf_counter() - began


def require(path: Path, acknowledged: int, table: str) -> None:
    """Raise unless all that was acknowledged is on disk."""
    with sqlite3.connect(path) as reader:
        kept = reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
    if kept != acknowledged:
        raise ArithmeticError(f"{acknowledged} appends were acknowledged, {kept} are on disk")
