"""Recomputes a log from its stored bytes and says which entry was changed.

What it finds: a changed, moved, missing or added entry, a changed subtree, a
changed or forged checkpoint, entries cut off behind a checkpoint, and a log
that was rewritten as a whole but no longer fits a head signed earlier. What it
cannot find alone: a rewrite by someone who holds the log key *and* rewrote all
kept checkpoints. Witnesses find that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from synthema.errors import InputError, IntegrityError
from synthema.provenance.checkpoint import HeadKeys, open_checkpoint
from synthema.provenance.merkle import EMPTY_ROOT, Node, completed_by, cover, fold, leaf_hash, node_hash
from synthema.provenance.model import SYNTHEMA, literal, node
from synthema.provenance.store import (
    LogEntry,
    entry_from,
    hashes_of,
    log_checkpoints,
    log_entries,
    log_nodes,
    size_of,
)

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Report:
    """What was recomputed and found unchanged. ``root`` is hexadecimal."""

    size: int
    root: str
    entries_checked: int
    checkpoints_checked: int
    since: int

    def sentence(self) -> str:
        """The report for people."""
        start = "All" if self.since == 0 else f"From entry {self.since} on, all"
        return (
            f"{start} {self.entries_checked} entries of the log are unchanged, "
            f"and it fits the {self.checkpoints_checked} checkpoints signed for them."
        )


def verify_log(connection: Connection, key: HeadKeys | None, graph_iri: Callable[[int], str], since: int) -> Report:
    """Walk the stored log from entry ``since`` on; raises :class:`IntegrityError` naming the first broken entry.

    Without a ``key`` the entries are compared with the tree alone, not with the signed heads.
    """
    size = size_of(connection)
    if not 0 <= since <= size:
        raise InputError(f"the log has {size} entries", fix="start at an entry of the log")
    heads = _signed_heads(connection, key, since) if key is not None else {}
    # The roots of the complete subtrees so far, from left to right, as (level, hash).
    peaks = _peaks_before(connection, since)
    checked_heads = _check_heads(heads, since, peaks, since)
    agreed = since
    for entry, stored in _entries_with_nodes(connection, since):
        if entry.sequence != (expected := _leaves_below(peaks)):
            raise _changed(expected, f"entry {expected} is missing from the log")
        _check_entry(entry, graph_iri(entry.sequence))
        _grow(peaks, entry, stored)
        found = _check_heads(heads, entry.sequence + 1, peaks, agreed)
        agreed = entry.sequence + 1 if found else agreed
        checked_heads += found
    if heads:
        cut = min(heads)
        raise _changed(size, f"a checkpoint of {cut} entries was signed, but the log holds only {size}")
    root = fold([digest for _, digest in peaks])
    return Report(size, root.hex(), size - since, checked_heads, since)


def _signed_heads(connection: Connection, key: HeadKeys, since: int) -> dict[int, bytes]:
    heads = {}
    for row in connection.execute(select(log_checkpoints).where(log_checkpoints.c.size >= since)):
        try:
            head = open_checkpoint(row.note, key)
        except IntegrityError as error:
            raise _head_changed(row.size, error.message) from error
        if head.size != row.size:
            raise _head_changed(row.size, f"it was signed for {head.size} entries")
        heads[head.size] = head.root
    return heads


def _peaks_before(connection: Connection, since: int) -> list[tuple[int, bytes]]:
    nodes = cover(0, since)
    return [(node.level, digest) for node, digest in zip(nodes, hashes_of(connection, nodes), strict=True)]


def _leaves_below(peaks: list[tuple[int, bytes]]) -> int:
    return sum(1 << level for level, _ in peaks)


def _entries_with_nodes(connection: Connection, since: int) -> Iterator[tuple[LogEntry, dict[Node, bytes]]]:
    after = since - 1
    while True:
        page = select(log_entries).where(log_entries.c.sequence > after).order_by(log_entries.c.sequence).limit(_PAGE)
        rows = connection.execute(page).all()
        if not rows:
            return
        entries = [entry_from(row) for row in rows]
        last = entries[-1].sequence
        nodes: dict[int, dict[Node, bytes]] = {}
        chosen = select(log_nodes).where(log_nodes.c.last_leaf > after, log_nodes.c.last_leaf <= last)
        for row in connection.execute(chosen):
            nodes.setdefault(row.last_leaf, {})[Node(row.level, row.last_leaf >> row.level)] = row.hash
        for entry in entries:
            yield entry, nodes.get(entry.sequence, {})
        after = last


def _check_entry(entry: LogEntry, graph: str) -> None:
    number = entry.sequence
    if leaf_hash(entry.body).hex() != entry.leaf_hash:
        raise _changed(number, f"the text of entry {number} is not the one that was recorded")
    recorded = f"{node(graph)} {node(SYNTHEMA + 'recordedAt')} {literal(entry.recorded_at)} {node(graph)} ."
    if entry.graph != graph or recorded.encode() not in entry.body.split(b"\n"):
        raise _changed(number, f"entry {number} stands at another place or time than the one it was recorded at")


def _grow(peaks: list[tuple[int, bytes]], entry: LogEntry, stored: dict[Node, bytes]) -> None:
    """Add a leaf to the tree and compare each subtree it completes with the stored one."""
    expected = {}
    peaks.append((0, bytes.fromhex(entry.leaf_hash)))
    for completed in completed_by(entry.sequence):
        (_, left), (_, right) = peaks[-2:]
        expected[completed] = node_hash(left, right)
        peaks[-2:] = [(completed.level, expected[completed])]
    if expected != stored:
        first = min(expected.keys() | stored.keys(), key=lambda n: (expected.get(n) == stored.get(n), n.level))
        start = entry.sequence + 1 - (1 << first.level)
        raise _changed(
            entry.sequence,
            f"the tree over the entries {start} to {entry.sequence} is not the one that was recorded: "
            "one of them was changed together with its hash, or the tree was",
        )


def _check_heads(heads: dict[int, bytes], size: int, peaks: list[tuple[int, bytes]], agreed: int) -> int:
    """Compare the tree with the head signed at this size, if there is one; returns how many there were."""
    signed = heads.pop(size, None)
    if signed is None:
        return 0
    if (fold([digest for _, digest in peaks]) if peaks else EMPTY_ROOT) != signed:
        first = min(agreed, max(size - 1, 0))
        which = f"entry {first}" if size - first <= 1 else f"one of the entries {first} to {size - 1}"
        raise _changed(first, f"{which} is not the one that the checkpoint of {size} entries was signed for")
    return 1


def _changed(sequence: int, message: str) -> IntegrityError:
    return IntegrityError(
        message,
        where=f"log entry {sequence}",
        fix="keep a copy as evidence, restore the log from its backup, and compare with the witnesses' checkpoints",
    )


def _head_changed(size: int, reason: str) -> IntegrityError:
    return IntegrityError(
        f"the kept checkpoint of {size} entries was changed: {reason}",
        where=f"checkpoint {size}",
        fix="keep a copy as evidence, and compare with the witnesses' checkpoints",
    )
