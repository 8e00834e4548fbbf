"""Collects RDF statements without blank nodes and writes them as Turtle, N-Quads or JSON-LD."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import pyoxigraph
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Triple

from synthema.canonical import sorted_nquads
from synthema.policy.evaluator.terms import FS, REPORT
from synthema.policy.intake.graph import TYPE, Node, Syntax
from synthema.policy.intake.jsonld import prefixes

COMMENT: Final = "http://www.w3.org/2000/01/rdf-schema#comment"
PROV: Final = "http://www.w3.org/ns/prov#"


class Statements:
    """Statements in the order they were made, each once."""

    def __init__(self, seed: str) -> None:
        self._triples: dict[Triple, None] = {}
        self._seed = seed

    def name(self, *path: str) -> str:
        """A name for a thing that has none: the same inputs give the same name."""
        hexes = hashlib.sha256("\n".join((self._seed, *path)).encode()).hexdigest()
        # RFC 9562, version 8 (custom) with the variant bits set.
        return f"urn:uuid:{hexes[:8]}-{hexes[8:12]}-8{hexes[13:16]}-a{hexes[17:20]}-{hexes[20:32]}"

    def node(self, subject: str, predicate: str, *objects: str) -> None:
        """Say that a subject is related to nodes."""
        for iri in objects:
            self._triples[Triple(NamedNode(subject), NamedNode(predicate), NamedNode(iri))] = None

    def value(self, subject: str, predicate: str, *values: Node | str) -> None:
        """Say what a subject's values are; text is a plain literal."""
        for value in values:
            node = Literal(value) if isinstance(value, str) else value
            self._triples[Triple(NamedNode(subject), NamedNode(predicate), node)] = None

    def type(self, subject: str, *classes: str) -> None:
        """Say to which classes a subject belongs."""
        self.node(subject, TYPE, *classes)

    def written(self, syntax: Syntax, graph: str | None = None) -> bytes:
        """The statements in a syntax; N-Quads are sorted and stand in ``graph`` if one is named."""
        if syntax in (Syntax.N_QUADS, Syntax.N_TRIPLES):
            inside = None if graph is None else NamedNode(graph)
            return sorted_nquads(self._lines(inside))
        known = {**prefixes(), "report": REPORT, "odrl-fs": FS, "prov": PROV}
        subjects: dict[str, list[Triple]] = {}
        for triple in self._triples:
            subjects.setdefault(str(triple.subject), []).append(triple)
        ordered = [triple for said in subjects.values() for triple in said]
        used = {p: iri for p, iri in known.items() if any(iri in str(triple) for triple in ordered)}
        form = RdfFormat.JSON_LD if syntax is Syntax.JSON_LD else RdfFormat.TURTLE
        return pyoxigraph.serialize(ordered, format=form, prefixes=used) or b""

    def _lines(self, inside: NamedNode | None) -> Iterable[str]:
        for triple in self._triples:
            yield f"{triple if inside is None else Quad(triple.subject, triple.predicate, triple.object, inside)} ."
