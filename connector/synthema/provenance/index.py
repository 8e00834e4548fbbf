"""The log as triples: an index for questions about lineage, rebuilt from the log whenever needed.

The index is never the truth. It catches up by sequence number, checks each
entry's hash on the way in, and is thrown away when it does not fit the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from pyoxigraph import DefaultGraph, Literal, NamedNode, Quad, RdfFormat, Store, Variable, parse

from synthema.errors import IntegrityError, NotFoundError
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.merkle import leaf_hash
from synthema.provenance.model import SYNTHEMA
from synthema.provenance.store import LogEntry

_PAGE = 500
_INDEXED = NamedNode(SYNTHEMA + "indexedEntries")


class ProvenanceIndex:
    """A triple store beside the log: in memory (``path=None``) or in a folder. One process may open a folder."""

    def __init__(self, log: ProvenanceLog, path: Path | None = None) -> None:
        self._log = log
        self._store = Store() if path is None else Store(str(path))
        self._marker = NamedNode(log.origin + "/log")
        self._lock = Lock()

    @property
    def store(self) -> Store:
        """The triples, each entry in its named graph; for this room's own questions only."""
        return self._store

    def catch_up(self) -> int:
        """Take in the entries that are new since the last time; returns how many the index holds now."""
        with self._lock:
            held = self._held()
            while entries := self._log.entries(after=held - 1, limit=_PAGE):
                quads = [quad for entry in entries for quad in _quads_of(entry)]
                mark = self._mark(entries[-1])
                self._store.extend([*quads, mark])
                # Only now the older marks go: whatever a crash leaves, the entries before a mark are in.
                for older in list(self._store.quads_for_pattern(self._marker, _INDEXED, None, DefaultGraph())):
                    if older != mark:
                        self._store.remove(older)
                held = entries[-1].sequence + 1
            return held

    def query(self, question: str, values: Mapping[str, str] | None = None) -> Any:
        """Run a SPARQL question of our own with IRIs bound to variables that it selects.

        Internal: the text is never built from what somebody sent, and there is
        no time limit (pyoxigraph has none).
        """
        bound: dict[Variable, Any] = {Variable(name): NamedNode(iri) for name, iri in (values or {}).items()}
        return self._store.query(question, use_default_graph_as_union=True, substitutions=bound)

    def _held(self) -> int:
        """Number of entries taken in; an index of another or an older log is emptied first."""
        marks = self._store.quads_for_pattern(self._marker, _INDEXED, None, DefaultGraph())
        held = 0
        for mark in marks:
            count, _, leaf = mark.object.value.partition(" ") if isinstance(mark.object, Literal) else ("0", "", "")
            if self._leaf_of(int(count) - 1) != leaf:
                self._store.clear()
                return 0
            held = max(held, int(count))
        return held

    def _leaf_of(self, sequence: int) -> str | None:
        try:
            return self._log.entry(sequence).leaf_hash
        except NotFoundError:
            return None

    def _mark(self, last: LogEntry) -> Quad:
        value = Literal(f"{last.sequence + 1} {last.leaf_hash}")
        return Quad(self._marker, _INDEXED, value, DefaultGraph())


def _quads_of(entry: LogEntry) -> list[Quad]:
    if leaf_hash(entry.body).hex() != entry.leaf_hash:
        raise IntegrityError(
            f"the text of entry {entry.sequence} is not the one that was recorded",
            where=f"log entry {entry.sequence}",
            fix="run the log's verification and restore the log from its backup",
        )
    return list(parse(entry.body, RdfFormat.N_QUADS))
