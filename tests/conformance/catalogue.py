"""Records of datasets under the official shapes of DCAT-AP and under our own of HealthDCAT-AP, each level of access."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyshacl
from rdflib import RDF, Graph, Literal, Namespace, URIRef

from synthema.canonical import parse_json_strictly
from synthema.certification import payload_of
from synthema.datasets.healthdcat import health_record, known_record
from synthema.datasets.healthdcat.terms import CODING_SYSTEMS, CONTEXT, HEALTH_LISTS, LISTS
from synthema.dataspace.health import serialised
from synthema.resources import bundled
from tests.conformance.suite import STANDARDS, Case
from tests.unit.certification.world import World
from tests.unit.datasets.records import LEVELS, facts_of, mandatory_properties

SHACL = Namespace("http://www.w3.org/ns/shacl#")
DCAT = Namespace("http://www.w3.org/ns/dcat#")
DCT = Namespace("http://purl.org/dc/terms/")
SHAPES = ("dcat-ap-SHACL.ttl", "ranges.ttl")


def records() -> Iterator[Case]:
    """Our record conforms; without its title, and with a date where an agent belongs, it does not."""
    record = _synthetic()
    yield Case("the record conforms", problem(record, dcat_ap()))
    untitled = Graph() + record
    untitled.remove((None, DCT.title, None))
    yield _noticed("a record without a title is noticed", untitled, dcat_ap())
    odd = Graph() + record
    (dataset,) = odd.subjects(RDF.type, DCAT.Dataset)
    odd.set((dataset, DCT.publisher, Literal("somebody")))
    yield _noticed("a publisher in words is noticed", odd, dcat_ap())


def levels() -> Iterator[Case]:
    """Records of patients' data at each level of access under DCAT-AP's shapes and ours, and the certified record."""
    for level in LEVELS:
        graph = graph_of(health_record(facts_of(level), name="aml"))
        yield Case(f"{level}: DCAT-AP", problem(graph, dcat_ap()))
        yield Case(f"{level}: HealthDCAT-AP", problem(graph, own()))
    yield Case("certified: HealthDCAT-AP", problem(_synthetic(), own()))


def lacking() -> Iterator[Case]:
    """Each mandatory property, taken out of a record, is noticed by our shapes at the levels that ask for it."""
    for level in LEVELS:
        for name in mandatory_properties(level):
            record = known_record(facts_of(level))
            del record[name]
            yield _noticed(f"{level} without {name}", graph_of(record), own())


def sdchealthdcatap() -> Iterator[Case]:
    """What PyPI's ``sdchealthdcatap`` checks without the official shapes, which its wheel does not hold.

    Its run of pySHACL folds nested results as the Commission's validator does; its tables name what the lists hold.
    """
    validate: Any = importlib.import_module("sdchealthdcatap.validate")
    theirs: Any = importlib.import_module("sdchealthdcatap.healthdcatap")
    for level in LEVELS:
        conforms, results = validate.run(graph_of(health_record(facts_of(level), name="aml")), own())
        yield Case(f"{level} with its run", "" if conforms else str(results)[:2000])
    same = {str(theirs.HEALTH): CONTEXT["healthdcatap"], str(theirs.CV): CONTEXT["cv"], str(theirs.HDEU): HEALTH_LISTS}
    yield Case("namespaces", "" if all(a == b for a, b in same.items()) else str(same))
    unknown = {iri for iri, _ in LISTS.values()} - set(theirs.SCHEME_TITLES) - {LISTS["country"][0]}
    yield Case("authority lists", ", ".join(sorted(unknown)))
    codes = {code for _, code, _ in CODING_SYSTEMS} - {code for _, code, _ in theirs.CODING_SYSTEMS}
    yield Case("coding systems", ", ".join(sorted(codes)))


def graph_of(record: dict[str, Any]) -> Graph:
    """A record as rdflib reads it."""
    return Graph().parse(data=serialised(record, "application/n-triples"), format="nt")


@cache
def dcat_ap() -> Graph:
    """The published shapes, less those without a path, which no SHACL processor takes."""
    shapes = Graph()
    for name in SHAPES:
        shapes.parse(STANDARDS / "vocabularies" / "dcat-ap" / name)
    for shape in {found for found in shapes.objects(None, SHACL.property) if isinstance(found, URIRef)}:
        if (shape, SHACL.path, None) not in shapes:
            shapes.remove((None, SHACL.property, shape))
    return shapes


@cache
def own() -> Graph:
    """Our shapes of HealthDCAT-AP release 8."""
    return Graph().parse(bundled("ontologies") / "shapes" / "healthdcat.ttl")


def _synthetic() -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        content = payload_of(world.package())["healthdcat-ap.jsonld"]
        world.close()
    return graph_of(parse_json_strictly(content))


def _noticed(name: str, record: Graph, shapes: Graph) -> Case:
    return Case(name, "" if problem(record, shapes) else "it was not noticed")


def problem(record: Graph, shapes: Graph) -> str:
    """What shapes find wrong with a record; empty where it conforms. Warnings are let pass."""
    conforms, _, text = pyshacl.validate(record, shacl_graph=shapes, allow_warnings=True)
    return "" if conforms else str(text)[:2000]
