"""The provenance log: durable appends, lineage over 100,000 activities, rebuilding its index, proofs.

Appends go through the group-commit writer from 32 threads with all that an
entry costs (canonical N-Quads, leaf hash, the tree's nodes); the peer is plain
SQLite, which inserts the finished bytes of the same entry and commits for each.
What a group saves is disk flushes, so the ratio depends on what a flush costs:
see :mod:`tests.benchmarks.bench_storage`. The other figures are times of ours
beside a limit or another implementation, in one run on one machine.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymerkle
from pyoxigraph import RdfFormat, Store
from sqlalchemy import event, insert

from synthema.clock import FixedClock
from synthema.identity import FileSigner
from synthema.provenance import (
    Activity,
    Agent,
    Entity,
    Lineage,
    ProvenanceIndex,
    ProvenanceLog,
    make_bundle,
    open_checkpoint,
    verify_bundle,
)
from synthema.provenance.merkle import Node, completed_by, leaf_hash, node_hash, siblings_completed_by, verify_inclusion
from synthema.provenance.store import log_entries, log_nodes
from synthema.storage import Database, metadata
from tests.benchmarks.bench_storage import SLOW_FLUSH, flush_milliseconds, rate, require

ACTIVITIES = 100_000
CHAIN = 50
"""Steps from a thing back to its beginning: every so many activities begin a new line."""

AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ORIGIN = "http://127.0.0.1:8101"
APPENDS_GOAL = 8.0
LINEAGE_LIMIT = 10.0  # milliseconds


def run() -> Iterator[dict[str, Any]]:
    """All figures, each as soon as it is measured."""
    flush = flush_milliseconds()
    yield _appends("each commit made to last 3 ms longer", 0.003, APPENDS_GOAL)
    yield _appends(f"this disk (flush {flush:.2f} ms)", 0.0, APPENDS_GOAL if flush >= SLOW_FLUSH else None)
    with _large_log() as log:
        bodies = [entry.body for entry in _all_entries(log)]
        index = ProvenanceIndex(log)
        yield _rebuild(index, bodies)
        yield _lineage(log, index)
        yield from _proofs(log, bodies)


def _appends(disk: str, added: float, goal: float | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, _log(Path(folder)) as log:
        if added:
            event.listen(log.database.engine, "commit", lambda _connection: time.sleep(added))
        activity = _activity(0)
        count, seconds = rate(lambda: lambda: log.record(activity))
        ours = count / seconds
        require(Path(folder) / "state.sqlite", count, "log_entries")
        log.verify()
        peer = _commit_each(Path(folder) / "peer.sqlite", added)
    return {
        "name": f"durable log entries from 32 threads, {disk}: group commit vs. SQLite with a commit for each",
        "ours": round(ours),
        "peer": round(peer),
        "ratio": round(ours / peer, 1),
        "goal": goal,
        "unit": "appends/s",
    }


def _commit_each(path: Path, added: float) -> float:
    body = _activity(0).nquads(f"{ORIGIN}/log/0", recorded=AT)
    with sqlite3.connect(path) as setup:
        setup.execute("PRAGMA journal_mode=WAL")
        setup.execute("CREATE TABLE entries (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL, leaf BLOB NOT NULL)")
    turn = threading.Lock()

    def appender() -> Callable[[], object]:
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")

        def append() -> None:
            leaf = leaf_hash(body)
            with turn:
                connection.execute("INSERT INTO entries (body, leaf) VALUES (?, ?)", (body, leaf))
                if added:
                    time.sleep(added)

        return append

    count, seconds = rate(appender)
    require(path, count, "entries")
    return count / seconds


def _rebuild(index: ProvenanceIndex, bodies: list[bytes]) -> dict[str, Any]:
    text = b"".join(bodies)
    began = time.perf_counter()
    Store().bulk_load(text, RdfFormat.N_QUADS)
    peer = time.perf_counter() - began
    began = time.perf_counter()
    index.rebuild()
    return _time(
        f"index of {ACTIVITIES:,} activities made anew, each hash checked, vs. bulk load of their text",
        time.perf_counter() - began,
        peer,
        "s",
        goal=None,
    )


def _lineage(log: ProvenanceLog, index: ProvenanceIndex) -> dict[str, Any]:
    asked = Lineage(index)
    ends = [log.iri("thing", str(number)) for number in range(CHAIN - 1, ACTIVITIES, ACTIVITIES // 40 // CHAIN * CHAIN)]
    for end in ends[:3]:
        if len(asked.origin_of(end).steps) != CHAIN:
            raise ArithmeticError("the chain is not the one that was written")
    return _time(
        f"lineage through {CHAIN} steps among {ACTIVITIES:,} activities, as sentences, vs. the limit",
        _median(lambda number: asked.origin_of(ends[number % len(ends)]).sentences(), 60),
        LINEAGE_LIMIT,
        "ms",
        goal=1.0,
    )


def _proofs(log: ProvenanceLog, bodies: list[bytes]) -> Iterator[dict[str, Any]]:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for body in bodies:
        tree.append_entry(body)
    root = log.root()
    if root != tree.get_root():
        raise ArithmeticError("the two trees differ")
    places = [(number * 7919) % ACTIVITIES for number in range(100)]
    tree.prove_inclusion(1)  # its first proof fills its memory
    yield _time(
        f"inclusion proof among {ACTIVITIES:,} entries, read from SQLite, vs. pymerkle in memory",
        _median(lambda number: log.inclusion_proof(places[number]), 100),
        _median(lambda number: tree.prove_inclusion(places[number] + 1), 100),
        "ms",
        goal=None,
    )
    proofs = [log.inclusion_proof(place) for place in places]
    theirs = [tree.prove_inclusion(place + 1) for place in places]

    def check(number: int) -> None:
        verify_inclusion(places[number], ACTIVITIES, leaf_hash(bodies[places[number]]), proofs[number], root)

    def check_theirs(number: int) -> None:
        pymerkle.verify_inclusion(tree.get_leaf(places[number] + 1), root, theirs[number])

    yield _time(
        "inclusion proof verified vs. pymerkle", _median(check, 100), _median(check_theirs, 100), "ms", goal=None
    )
    log.checkpoint()
    bundle = make_bundle(log, places[1])
    size = open_checkpoint(log.checkpoint(), log.key).size
    if size != ACTIVITIES:
        raise ArithmeticError("the head is not of all entries")
    yield _time(
        "proof bundle (tlog-proof) verified, signature included, vs. made",
        _median(lambda _: verify_bundle(bundle, log.key), 100),
        _median(lambda number: make_bundle(log, places[number]), 100),
        "ms",
        goal=None,
    )
    began = time.perf_counter()
    log.verify()
    whole = time.perf_counter() - began
    began = time.perf_counter()
    for body in bodies:
        leaf_hash(body)
    yield _time(
        f"log of {ACTIVITIES:,} entries verified as a whole vs. its leaves hashed",
        whole,
        time.perf_counter() - began,
        "s",
        goal=None,
    )


def _time(name: str, ours: float, peer: float, unit: str, *, goal: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours, 4),
        "peer": round(peer, 4),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": unit,
    }


def _median(work: Callable[[int], object], times: int) -> float:
    """Milliseconds of one piece of work."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def _activity(number: int) -> Activity:
    """A step with three things and two agents: about 15 statements, as those of a run."""

    def thing(which: int) -> Entity:
        derived = (f"{ORIGIN}/id/thing/{which - 1}",) if which % CHAIN else ()
        return Entity(f"{ORIGIN}/id/thing/{which}", ("Artefact",), f"result {which}", f"sha256:{which:064x}", derived)

    plugin = Entity(f"{ORIGIN}/id/plugin/generate", ("Plugin",), "generate", f"sha256:{0:064x}")
    return Activity(
        f"{ORIGIN}/id/step/{number}",
        "Run",
        f"step {number}",
        AT,
        AT,
        agents=(Agent("did:web:hospital.example", "Organization", "Hospital"),),
        used=(thing(number - 1), plugin) if number % CHAIN else (plugin,),
        generated=(thing(number),),
    )


@contextmanager
def _log(folder: Path) -> Iterator[ProvenanceLog]:
    database = Database(f"sqlite:///{folder}/state.sqlite")
    metadata.create_all(database.engine)
    signer = FileSigner.create(folder / "keys", b"correct horse battery")
    try:
        yield ProvenanceLog(database, signer, ORIGIN, FixedClock(AT))
    finally:
        database.close()


@contextmanager
def _large_log() -> Iterator[ProvenanceLog]:
    """A log of 100,000 activities, written in bulk: what it would hold had they been recorded one by one."""
    with tempfile.TemporaryDirectory() as folder, _log(Path(folder)) as log:
        hashes: dict[Node, bytes] = {}
        entries, nodes = [], []
        for number in range(ACTIVITIES):
            graph = log.graph_iri(number)
            body = _activity(number).nquads(graph, recorded=AT)
            total = hashes[Node(0, number)] = leaf_hash(body)
            entries.append({"sequence": number, "graph": graph, "body": body, "leaf_hash": total, "recorded_at": AT})
            for node, left in zip(completed_by(number), siblings_completed_by(number), strict=True):
                total = hashes[node] = node_hash(hashes[left], total)
                nodes.append({"last_leaf": number, "level": node.level, "hash": total})
        log.database.write(lambda connection: connection.execute(insert(log_entries), entries).close())
        log.database.write(lambda connection: connection.execute(insert(log_nodes), nodes).close())
        yield log


def _all_entries(log: ProvenanceLog) -> Iterator[Any]:
    after = -1
    while page := log.entries(after, 1000):
        yield from page
        after = page[-1].sequence
