"""The record of a synthetic dataset under the official shapes of DCAT-AP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph
import pyshacl
from rdflib import RDF, Graph, Literal, Namespace, URIRef

from synthema.certification import payload_of
from tests.conformance.suite import STANDARDS, Case
from tests.unit.certification.world import World

SHACL = Namespace("http://www.w3.org/ns/shacl#")
DCAT = Namespace("http://www.w3.org/ns/dcat#")
DCT = Namespace("http://purl.org/dc/terms/")
SHAPES = ("dcat-ap-SHACL.ttl", "ranges.ttl")


def records() -> Iterator[Case]:
    """Our record conforms; without its title, and with a date where an agent belongs, it does not."""
    shapes = _shapes()
    yield Case("the record conforms", _problem(_record(), shapes))
    untitled = _record()
    untitled.remove((None, DCT.title, None))
    yield Case("a record without a title is noticed", "" if _problem(untitled, shapes) else "it was not noticed")
    odd = _record()
    (dataset,) = odd.subjects(RDF.type, DCAT.Dataset)
    odd.set((dataset, DCT.publisher, Literal("somebody")))
    yield Case("a publisher in words is noticed", "" if _problem(odd, shapes) else "it was not noticed")


def _record() -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        content = payload_of(world.package())["healthdcat-ap.jsonld"]
        world.close()
    triples = (quad.triple for quad in pyoxigraph.parse(content, format=pyoxigraph.RdfFormat.JSON_LD))
    return Graph().parse(data=pyoxigraph.serialize(triples, format=pyoxigraph.RdfFormat.N_TRIPLES), format="nt")


def _shapes() -> Graph:
    """The published shapes, less those without a path, which no SHACL processor takes."""
    shapes = Graph()
    for name in SHAPES:
        shapes.parse(STANDARDS / "vocabularies" / "dcat-ap" / name)
    for shape in {found for found in shapes.objects(None, SHACL.property) if isinstance(found, URIRef)}:
        if (shape, SHACL.path, None) not in shapes:
            shapes.remove((None, SHACL.property, shape))
    return shapes


def _problem(record: Graph, shapes: Graph) -> str:
    conforms, _, text = pyshacl.validate(record, shacl_graph=shapes, allow_warnings=True)
    return "" if conforms else str(text)[:2000]
