"""The catalogue's forms: which one a reader gets, offers without blank nodes, and the same graph in every form."""

from __future__ import annotations

from typing import Any

import pytest
from pyoxigraph import BlankNode, NamedNode, RdfFormat, parse

from synthema.datasets.healthdcat import CONTEXT, health_record
from synthema.dataspace.health import MEDIA_TYPES, best_media_type, offer_node, serialised, triples
from synthema.dataspace.policy_wire import to_wire
from synthema.errors import InputError
from tests.unit.datasets.records import IRI, facts_of
from tests.unit.dataspace.world import DATASET, OFFER, POLICY

FORMS = {
    "text/turtle": RdfFormat.TURTLE,
    "application/rdf+xml": RdfFormat.RDF_XML,
    "application/n-triples": RdfFormat.N_TRIPLES,
}
ODRL = "http://www.w3.org/ns/odrl/2/"


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (None, "application/ld+json"),
        ("", "application/ld+json"),
        ("*/*", "application/ld+json"),
        ("application/json", "application/ld+json"),
        ("text/turtle", "text/turtle"),
        ("text/*", "text/turtle"),
        ("text/html, text/turtle;q=0.3, application/rdf+xml;q=0.4", "application/rdf+xml"),
        ("application/ld+json;q=0, */*;q=0.1", "text/turtle"),
        ("TEXT/Turtle ; Q=1.0", "text/turtle"),
        ("text/html", None),
        ("text/turtle;q=0", None),
        ("text/turtle;q=nan, text/turtle;q=much, text/turtle;q=7", None),
        (",,;,", None),
    ],
)
def test_readers_get_the_form_they_like_best(accept: str | None, given: str | None) -> None:
    assert best_media_type(accept) == given


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(InputError, match="no catalogue as text/html"):
        serialised({"@context": CONTEXT, "@id": IRI}, "text/html")
    assert set(FORMS) | {"application/ld+json"} == set(MEDIA_TYPES)


def test_every_form_says_the_same_without_a_blank_node() -> None:
    record = health_record(facts_of("non-public"), name="aml", policies=(offer(),))
    said = triples(record)
    assert len(said) > 150
    assert not [term for triple in said for term in (triple.subject, triple.object) if isinstance(term, BlankNode)]
    for media_type, form in FORMS.items():
        assert {quad.triple for quad in parse(serialised(record, media_type), format=form)} == said


def test_an_offer_keeps_every_rule_and_constraint_on_the_way_to_rdf() -> None:
    said = triples({"@context": CONTEXT, **offer()})
    objects = {str(triple.object) for triple in said if triple.predicate == NamedNode(ODRL + "leftOperand")}
    wire = to_wire(POLICY, DATASET)
    assert objects == {f"<{each}>" for each in operands_in(wire)}
    actions = {str(triple.object) for triple in said if triple.predicate == NamedNode(ODRL + "action")}
    assert f"<{ODRL}use>" in actions
    assert NamedNode(DATASET) in {t.object for t in said if t.predicate == NamedNode(ODRL + "target")}
    assert all("://" in str(t.predicate) for t in said)


def offer() -> dict[str, Any]:
    return offer_node(OFFER, to_wire(POLICY, DATASET), DATASET)


def operands_in(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in operands_in(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["leftOperand"]} if "leftOperand" in value else set()
    return own | {name for item in value.values() for name in operands_in(item)}
