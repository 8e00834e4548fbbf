"""The log as RDF, for other tools: PROV-O, which any SPARQL client or PROV library can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pyoxigraph import RdfFormat, parse, serialize

from synthema.errors import InputError
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL, SYNTHEMA, XSD, literal, node
from synthema.provenance.store import LogEntry

_PAGE = 500
FORMATS: Final = {
    "nquads": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "turtle": RdfFormat.TURTLE,
    "jsonld": RdfFormat.JSON_LD,
}
"""Formats by the names people give. Turtle knows no named graphs: it holds the statements of all entries together."""

_PREFIXES = {"prov": PROV, "syn": SYNTHEMA, "rdfs": RDFS_LABEL.removesuffix("label"), "xsd": XSD}


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
                yield bundle_lines(log.origin, entry)
        after = entries[-1].sequence


def bundle_lines(origin: str, entry: LogEntry) -> bytes:
    """What declares an entry's graph a ``prov:Bundle``, as N-Quads."""
    graph, about = node(entry.graph), node(f"{origin}/log")
    return (
        f"{graph} {node(RDF_TYPE)} {node(PROV + 'Bundle')} {about} .\n"
        f"{graph} {node(PROV + 'generatedAtTime')} {literal(entry.recorded_at)} {about} .\n"
    ).encode()


def serialise(nquads: Iterable[bytes], form: str) -> bytes:
    """Entries in another format of RDF; raises :class:`InputError` for one that is not known.

    N-Quads are passed on byte for byte, as they are hashed.
    """
    if form not in FORMATS:
        raise InputError(f"'{form[:20]}' is not a format of the export", fix=f"choose one of: {', '.join(FORMATS)}")
    text = b"".join(nquads)
    if form == "nquads":
        return text
    quads = parse(text, RdfFormat.N_QUADS)
    if form == "turtle":
        triples = sorted({quad.triple for quad in quads}, key=str)
        return serialize(triples, format=FORMATS[form], prefixes=_PREFIXES) or b""
    return serialize(quads, format=FORMATS[form], prefixes=_PREFIXES) or b""
