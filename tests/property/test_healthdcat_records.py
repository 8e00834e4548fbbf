"""Any dataset whose facts are complete gives a valid record, the same in every form; any that lacks one gives none."""

from __future__ import annotations

import dataclasses
import os
import string
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from synthema.datasets.codebook import Variable
from synthema.datasets.healthdcat import Copy, Named, Party, RecordFacts, Typed, health_record, missing
from synthema.datasets.healthdcat.terms import CATEGORIES, EHDS
from synthema.datasets.personal_data import known_personal_data
from synthema.dataspace.health import serialised, triples
from synthema.errors import InputError
from tests.conformance import catalogue
from tests.conformance.suite import STANDARDS
from tests.unit.datasets.records import LABEL, LEVELS, mandatory_properties

EXAMPLES = int(os.environ.get("SYNTHEMA_RECORD_EXAMPLES", "25"))
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40).filter(
    str.strip
)
names = st.text(string.ascii_lowercase, min_size=1, max_size=8)


def iris(kind: str) -> st.SearchStrategy[str]:
    """Things of one kind: two things of different kinds never share a name."""
    return st.builds(f"https://clinic.example/{kind}/{{}}".format, names)


def parties(kind: str) -> st.SearchStrategy[Party]:
    return st.builds(Party, iri=iris(kind), name=words, contact=addresses, kind=st.none() | names)


addresses = st.one_of(iris("contact"), st.builds("mailto:{}@clinic.example".format, names))
days = st.dates(date(1950, 1, 1), date(2100, 1, 1)).map(date.isoformat)
copies = st.builds(
    Copy,
    title=words,
    access_url=iris("access"),
    rights=st.none() | words,
    description=st.none() | words,
    media_type=st.none() | st.just("text/csv"),
    bytes=st.none() | st.integers(0, 10**12),
    digest=st.none() | st.just("sha256:" + "ab" * 32),
)
numbers = st.builds(
    Variable,
    name=names,
    label=words,
    type=st.sampled_from(["integer", "decimal"]),
    minimum=st.just(0),
    maximum=st.integers(1, 10**6),
    unit=st.none() | st.just("g/dL"),
    code=st.none() | st.builds("http://loinc.org/rdf/{}".format, names),
)
categories = st.builds(
    Variable,
    name=names,
    label=words,
    type=st.just("category"),
    categories=st.just(("F", "M")),
    may_be_missing=st.booleans(),
)
periods = st.none() | st.lists(days, min_size=2, max_size=2).map(lambda found: (min(found), max(found)))
facts = st.builds(
    RecordFacts,
    iri=iris("dataset"),
    title=words,
    description=words,
    access=st.sampled_from(LEVELS),
    legislation=st.just((EHDS,)),
    type=st.builds(Typed, code=st.just("STATISTICAL"), label=words, listed=st.just(value=True)),
    publisher=parties("holder"),
    hdab=parties("body"),
    creator=st.none() | parties("maker"),
    contact=addresses,
    keywords=st.lists(words, min_size=1, max_size=3).map(tuple),
    provenance=words,
    categories=st.sets(st.sampled_from(list(CATEGORIES)), min_size=1).map(
        lambda found: tuple(f"https://w3id.org/synthema/ns#Art51-1-{letter}" for letter in sorted(found))
    ),
    themes=st.lists(st.sampled_from(["RARE_DISEASES", "HEALTH_SYSTEMS"]), unique=True).map(tuple),
    disease=st.none() | st.builds(Named, iri=iris("disease"), label=words),
    issued=st.just(datetime(2026, 11, 21, tzinfo=UTC)),
    regime=st.sampled_from(["pre-EHDS", "EHDS"]),
    records=st.none() | st.integers(0, 10**9),
    persons=st.none() | st.integers(0, 10**9),
    typical_ages=st.none() | st.tuples(st.integers(0, 40), st.integers(40, 120)),
    population=st.lists(words, max_size=2).map(tuple),
    spatial=st.none() | iris("place") | st.just("http://publications.europa.eu/resource/authority/country/DEU"),
    period=periods,
    retention=periods,
    legal_bases=st.just(("https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",)),
    personal_data=st.lists(st.sampled_from(sorted(known_personal_data())), unique=True, max_size=4).map(tuple),
    variables=st.lists(numbers | categories, unique_by=lambda variable: variable.name, max_size=4).map(tuple),
    copies=st.lists(copies, min_size=1, max_size=2).map(tuple),
    samples=st.lists(copies, max_size=1).map(tuple),
    label=st.none() | st.just(LABEL),
)


@pytest.mark.article("EHDS 77")
# Shrinking would run the shapes for minutes; the record that fails is printed as it is.
@settings(max_examples=EXAMPLES, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(facts)
def test_complete_facts_give_a_valid_record(known: RecordFacts) -> None:
    graph = catalogue.graph_of(health_record(known, name="cohort"))
    assert catalogue.problem(graph, catalogue.own()) == ""
    if STANDARDS.is_dir():
        assert catalogue.problem(graph, catalogue.dcat_ap()) == ""


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(facts)
def test_every_form_says_the_same(known: RecordFacts) -> None:
    record = health_record(known, name="cohort")
    said = triples(record)
    turtle = {quad.triple for quad in parse(serialised(record, "text/turtle"), format=RdfFormat.TURTLE)}
    again = {quad.triple for quad in parse(serialised(record, "application/ld+json"), format=RdfFormat.JSON_LD)}
    assert turtle == again == said
    assert all(record[name] for name in mandatory_properties(known.access) if name != "healthdcatap:hasVariables")


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(facts, st.data())
def test_a_missing_fact_is_never_made_up(known: RecordFacts, data: st.DataObject) -> None:
    absent: dict[str, Any] = {"hdab": None, "contact": None, "categories": (), "copies": ()}
    if known.access == "non-public":
        absent |= {"keywords": (), "provenance": None, "type": None}
    gone = data.draw(st.sets(st.sampled_from(sorted(absent)), min_size=1))
    lacking = dataclasses.replace(known, **{name: absent[name] for name in gone})
    assert len(missing(lacking)) == len(gone)
    with pytest.raises(InputError, match="are not stated"):
        health_record(lacking, name="cohort")
