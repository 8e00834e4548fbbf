"""Records in the forms of RDF: the same graph as JSON-LD, Turtle, RDF/XML or N-Triples. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyoxigraph import RdfFormat, Triple, parse, serialize

from synthema.canonical import canonical_json
from synthema.datasets.healthdcat import CONTEXT
from synthema.errors import InputError

JSON_LD: Final = "application/ld+json"
TURTLE: Final = "text/turtle"
RDF_XML: Final = "application/rdf+xml"
N_TRIPLES: Final = "application/n-triples"


def serialised(record: Mapping[str, Any], media_type: str) -> bytes:
    """A JSON-LD value in the form of a media type; raises :class:`InputError` for one that is not offered."""
    if media_type == JSON_LD:
        return canonical_json(record)
    forms = {TURTLE: RdfFormat.TURTLE, RDF_XML: RdfFormat.RDF_XML, N_TRIPLES: RdfFormat.N_TRIPLES}
    if media_type not in forms:
        raise InputError(f"there is no catalogue as {media_type[:60]}", fix=f"ask for {', '.join((JSON_LD, *forms))}")
    prefixes = {name: iri for name, iri in CONTEXT.items() if isinstance(iri, str)}
    return bytes(serialize(sorted(triples(record), key=str), format=forms[media_type], prefixes=prefixes) or b"")


def triples(record: Mapping[str, Any]) -> set[Triple]:
    """The triples of a JSON-LD value whose context is written out in it."""
    return {quad.triple for quad in parse(canonical_json(record), format=RdfFormat.JSON_LD)}
