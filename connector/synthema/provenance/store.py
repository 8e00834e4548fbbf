"""Where the log lives: entries, complete subtrees, signed checkpoints, and what this connector witnessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    Row,
    SmallInteger,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)

from synthema.errors import IntegrityError
from synthema.provenance.merkle import Node, completed_by, leaf_hash, node_hash, siblings_completed_by
from synthema.storage import UtcDateTime, metadata

log_entries = Table(
    "log_entries",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("graph", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

# A complete subtree is named by the leaf that completed it, so that an entry and
# the nodes written with it are found by the same number.
log_nodes = Table(
    "log_nodes",
    metadata,
    Column("last_leaf", BigInteger, primary_key=True, autoincrement=False),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
)

log_cosignatures = Table(
    "log_cosignatures",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", String, primary_key=True),
    Column("line", Text, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

# Which entries hand the log over from one key to the next; what they say stands in the entries.
log_handovers = Table(
    "log_handovers",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
)

witnessed_logs = Table(
    "witnessed_logs",
    metadata,
    Column("origin", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("cosigned_at", UtcDateTime, nullable=False),
)

witness_findings = Table(
    "witness_findings",
    metadata,
    Column("id", String, primary_key=True),
    Column("origin", String, nullable=False, index=True),
    Column("found_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cosigned_note", Text, nullable=False),
    Column("refused_note", Text, nullable=False),
)


# Made once: to build a statement anew for each entry costs more than to run it.
_LAST = select(func.max(log_entries.c.sequence))
_TAIL = select(log_entries.c.sequence, log_entries.c.leaf_hash).order_by(log_entries.c.sequence.desc()).limit(1)
_ADD_ENTRY = insert(log_entries)
_ADD_NODES = insert(log_nodes)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the log. ``sequence`` counts from 0 and is the leaf's index in the tree.

    ``leaf_hash`` is the RFC 9162 leaf hash of ``body`` in hexadecimal; ``body``
    is the canonical N-Quads of the activity in the named graph ``graph``.
    """

    sequence: int
    leaf_hash: str
    graph: str
    recorded_at: datetime
    body: bytes


def size_of(connection: Connection) -> int:
    """Number of entries."""
    last = connection.scalar(_LAST)
    return 0 if last is None else last + 1


class Tail(NamedTuple):
    """Where a log ends: its size, and the leaf hash of its last entry."""

    size: int
    leaf: bytes


def tail_of(connection: Connection) -> Tail:
    """The end of the log, which the next entry is added to."""
    last = connection.execute(_TAIL).first()
    return Tail(0, b"") if last is None else Tail(last.sequence + 1, last.leaf_hash)


def add_entry(connection: Connection, tail: Tail, graph: str, body: bytes, at: datetime) -> LogEntry:
    """Write the entry after the tail, and the subtrees it completes."""
    sequence, leaf = tail.size, leaf_hash(body)
    row = {"sequence": sequence, "graph": graph, "body": body, "leaf_hash": leaf, "recorded_at": at}
    connection.execute(_ADD_ENTRY, row)
    completed = completed_by(sequence)
    if completed:
        total, rows = leaf, []
        inner = hashes_of(connection, siblings_completed_by(sequence)[1:])  # the first is the entry before
        for node, left in zip(completed, [tail.leaf, *inner], strict=True):
            total = node_hash(left, total)
            rows.append({"last_leaf": sequence, "level": node.level, "hash": total})
        connection.execute(_ADD_NODES, rows)
    return LogEntry(sequence, leaf.hex(), graph, at, body)


def hashes_of(connection: Connection, nodes: Sequence[Node]) -> list[bytes]:
    """Stored hashes of complete subtrees, in the order asked for; raises :class:`IntegrityError` on a gap."""
    if not nodes:
        return []
    leaves = [node.position for node in nodes if node.level == 0]
    inner = [node.last_leaf for node in nodes if node.level]
    found: dict[Node, bytes] = {}
    if leaves:
        chosen = select(log_entries.c.sequence, log_entries.c.leaf_hash).where(log_entries.c.sequence.in_(leaves))
        found |= {Node(0, row.sequence): row.leaf_hash for row in connection.execute(chosen)}
    if inner:
        # By the leaf alone, which the key begins with: SQLite would read the whole table for pairs.
        chosen = select(log_nodes).where(log_nodes.c.last_leaf.in_(inner))
        found |= {Node(row.level, row.last_leaf >> row.level): row.hash for row in connection.execute(chosen)}
    try:
        return [found[node] for node in nodes]
    except KeyError as error:
        raise IntegrityError(
            f"a part of the log's tree is missing: {error}",
            where="log_nodes",
            fix="run the log's verification; restore the database from its backup",
        ) from error


def put_cosignature(connection: Connection, size: int, witness: str, line: str, seen_at: datetime) -> None:
    """Keep a witness's newest line for a checkpoint."""
    same = (log_cosignatures.c.size == size) & (log_cosignatures.c.witness == witness)
    connection.execute(delete(log_cosignatures).where(same))
    row = {"size": size, "witness": witness, "line": line, "seen_at": seen_at}
    connection.execute(insert(log_cosignatures).values(row))


def cosignature_lines(connection: Connection, size: int) -> tuple[str, ...]:
    """The witnesses' lines kept for the checkpoint of this size, by the witnesses' names."""
    chosen = select(log_cosignatures.c.line).where(log_cosignatures.c.size == size)
    return tuple(connection.scalars(chosen.order_by(log_cosignatures.c.witness)))


def signed_note(connection: Connection, size: int) -> str | None:
    """The checkpoint that was signed at exactly this size, if one was."""
    note: str | None = connection.scalar(select(log_checkpoints.c.note).where(log_checkpoints.c.size == size))
    return note


def entry_from(row: Row[tuple[int, str, bytes, bytes, datetime]]) -> LogEntry:
    """An entry out of a row of ``log_entries``."""
    return LogEntry(row.sequence, row.leaf_hash.hex(), row.graph, row.recorded_at, row.body)
