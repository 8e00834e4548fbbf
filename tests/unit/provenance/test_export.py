"""Other tools read an export: the PROV library of PyPI, an RDF library, a SPARQL engine."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pyoxigraph
import pytest
import rdflib
from prov.model import ProvActivity, ProvAgent, ProvAssociation, ProvDocument, ProvEntity

from synthema.errors import InputError
from synthema.provenance import Entity, ProvenanceLog, export_nquads, serialise
from synthema.provenance.model import PROV
from tests.unit.provenance.conftest import ORIGIN, Step


@pytest.fixture
def told(log: ProvenanceLog, step: Step) -> ProvenanceLog:
    """Two steps, the second under a plan."""
    log.record(step("harmonise", used=("raw",), made=("table",), by="steward"))
    plan = Entity(log.iri("grant", "g"), ("Grant",))
    log.record(replace(step("generate", used=("table",), made=("synthetic",), by="operator"), plan=plan))
    return log


def _document(content: bytes, form: str) -> ProvDocument:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib, in the PROV library
        return ProvDocument.deserialize(content=content.decode(), format="rdf", rdf_format=form)


def test_the_prov_library_understands_it(told: ProvenanceLog) -> None:
    document = _document(serialise(export_nquads(told), "turtle"), "turtle")
    found: dict[type, set[str]] = {}
    for record in document.get_records():
        found.setdefault(type(record), set()).add(record.identifier.uri if record.identifier else str(record))
    assert found[ProvActivity] == {told.iri("step", name) for name in ("harmonise", "generate")}
    assert found[ProvEntity] >= {told.iri("thing", name) for name in ("raw", "table", "synthetic")}
    assert found[ProvAgent] == {told.iri("person", "steward"), told.iri("person", "operator"), f"{ORIGIN}/org"}
    (generate,) = (r for r in document.get_records(ProvActivity) if r.identifier.uri.endswith("generate"))
    assert generate.get_startTime() == generate.get_endTime() == told.entry(1).recorded_at
    (table,) = (r for r in document.get_records(ProvEntity) if r.identifier.uri.endswith("table"))
    assert {str(value) for name, value in table.attributes if str(name).endswith("digest")} == {"sha256:table"}
    plans = {str(value) for r in document.get_records(ProvAssociation) for _, value in r.attributes}
    assert any(value.endswith(":g") for value in plans)


def test_each_entry_is_a_bundle_of_its_own(told: ProvenanceLog) -> None:
    document = _document(serialise(export_nquads(told), "trig"), "trig")
    assert {bundle.identifier.uri for bundle in document.bundles} == {told.graph_iri(0), told.graph_iri(1)}


@pytest.mark.parametrize(("form", "reader"), [("nquads", "nquads"), ("trig", "trig"), ("jsonld", "json-ld")])
def test_each_format_says_the_same(told: ProvenanceLog, form: str, reader: str) -> None:
    read = rdflib.Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        read.parse(data=serialise(export_nquads(told), form), format=reader)
        count = len(list(read.quads()))
    assert count == sum(entry.body.count(b"\n") for entry in told.entries())


def test_a_sparql_client_finds_the_way_back(told: ProvenanceLog) -> None:
    store = pyoxigraph.Store()
    store.load(serialise(export_nquads(told), "turtle"), pyoxigraph.RdfFormat.TURTLE)
    question = f"SELECT ?x {{ <{told.iri('thing', 'synthetic')}> <{PROV}wasDerivedFrom>+ ?x }}"
    found: Any = store.query(question)
    assert {row["x"].value for row in found} == {told.iri("thing", "table"), told.iri("thing", "raw")}


def test_an_unknown_format_is_refused(told: ProvenanceLog) -> None:
    with pytest.raises(InputError, match="not a format"):
        serialise([], "xml")
