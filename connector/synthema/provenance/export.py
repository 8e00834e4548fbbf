"""The whole log as RDF, for other tools."""

from __future__ import annotations

from collections.abc import Iterator

from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import PROV, RDF_TYPE, literal, node

_PAGE = 500


def export_nquads(log: ProvenanceLog, *, bundles: bool = False) -> Iterator[bytes]:
    """The N-Quads of all entries in order, one chunk per entry, byte for byte as hashed.

    With ``bundles``, each named graph is also declared a ``prov:Bundle`` with
    the time of its recording (PROV-O §3.2, "Bundle"), in a graph of its own, so
    that general PROV tools see what the graphs are. Those lines are not hashed.
    """
    after = -1
    while entries := log.entries(after=after, limit=_PAGE):
        for entry in entries:
            yield entry.body
            if bundles:
                graph, about = node(entry.graph), node(f"{log.origin}/log")
                yield (
                    f"{graph} {node(RDF_TYPE)} {node(PROV + 'Bundle')} {about} .\n"
                    f"{graph} {node(PROV + 'generatedAtTime')} {literal(entry.recorded_at)} {about} .\n"
                ).encode()
        after = entries[-1].sequence
