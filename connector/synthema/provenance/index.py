"""The log as triples: an index for questions about lineage, rebuilt from the log whenever needed.

The index is never the truth. It catches up by sequence number, checks each
entry's hash on the way in, and is thrown away when it does not fit the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from pyoxigraph import Literal, NamedNode, Quad, Triple

from synthema.errors import IntegrityError, NotFoundError
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.merkle import leaf_hash
from synthema.provenance.model import SYNTHEMA
from synthema.provenance.store import LogEntry
from synthema.provenance.triples import EmbeddedTriples, Triples

_PAGE = 500
_INDEXED = NamedNode(SYNTHEMA + "indexedEntries")


class ProvenanceIndex:
    """The triples of a log: by default in memory, which suits logs up to about 100,000 entries."""

    def __init__(self, log: ProvenanceLog, triples: Triples | None = None) -> None:
        self._log = log
        self._triples = EmbeddedTriples() if triples is None else triples
        self._marker = NamedNode(log.origin + "/log/index")
        self._lock = Lock()

    def match(
        self, subject: NamedNode | None, predicate: NamedNode | None, value: NamedNode | Literal | None
    ) -> Iterable[Quad]:
        """The statements that have these parts, each in the graph of its entry; describing ones are left out."""
        found = self._triples.match(subject, predicate, value)
        return (quad for quad in found if quad.graph_name != self._marker)

    def describe(
        self, subject: NamedNode | None, predicate: NamedNode, value: NamedNode | Literal | None
    ) -> Iterable[Triple]:
        """What any entry says of a thing's type, label or digest, or whom an agent acts for; each statement once."""
        return self._triples.describe(subject, predicate, value)

    def close(self) -> None:
        """Let go of the triples' store."""
        self._triples.close()

    def catch_up(self) -> int:
        """Take in the entries that are new since the last time; returns how many the index holds now."""
        with self._lock:
            return self._take_in(self._held())

    def rebuild(self) -> int:
        """Throw everything away and take in the whole log again; returns how many entries that were."""
        with self._lock:
            self._triples.clear()
            return self._take_in(0)

    def _take_in(self, held: int) -> int:
        first = held == 0
        while entries := self._log.entries(after=held - 1, limit=_PAGE):
            self._triples.add(b"".join(checked_body(entry) for entry in entries), first=first)
            mark = self._mark(entries[-1])
            self._triples.add(f"{mark.triple} {mark.graph_name} .\n".encode())
            # Only now the older marks go: whatever a crash leaves, the entries before a mark are in.
            for older in list(self._marks()):
                if older != mark:
                    self._triples.remove(older)
            held = entries[-1].sequence + 1
        return held

    def _held(self) -> int:
        """Number of entries taken in; an index of another or an older log is emptied first."""
        held = 0
        for mark in self._marks():
            count, _, leaf = mark.object.value.partition(" ") if isinstance(mark.object, Literal) else ("0", "", "")
            if self._leaf_of(int(count) - 1) != leaf:
                self._triples.clear()
                return 0
            held = max(held, int(count))
        return held

    def _leaf_of(self, sequence: int) -> str | None:
        try:
            return self._log.entry(sequence).leaf_hash
        except NotFoundError:
            return None

    def _marks(self) -> Iterable[Quad]:
        return self._triples.match(self._marker, _INDEXED, None)

    def _mark(self, last: LogEntry) -> Quad:
        return Quad(self._marker, _INDEXED, Literal(f"{last.sequence + 1} {last.leaf_hash}"), self._marker)


def checked_body(entry: LogEntry) -> bytes:
    """The bytes of an entry; raises :class:`IntegrityError` when they are not those of its hash."""
    if leaf_hash(entry.body).hex() != entry.leaf_hash:
        raise IntegrityError(
            f"the text of entry {entry.sequence} is not the one that was recorded",
            where=f"log entry {entry.sequence}",
            fix="run the log's verification and restore the log from its backup",
        )
    return entry.body
