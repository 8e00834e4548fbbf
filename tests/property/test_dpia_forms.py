"""Whatever an assessment says, it says the same as YAML, as N-Quads and as Turtle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from synthema.dpia import Dpia, dump_yaml, read_dpia
from synthema.dpia.diff import compare
from synthema.dpia.rdf import from_rdf, iri_of, to_nquads, to_turtle
from tests.property.dpia_strategies import dpias


@settings(max_examples=60)
@given(dpias())
@pytest.mark.article("GDPR 35(7)")
def test_yaml_loses_nothing(dpia: Dpia) -> None:
    again = read_dpia(dump_yaml(dpia).encode(), "x.yaml")
    assert again == dpia
    assert again.digest == dpia.digest


@settings(max_examples=40)
@given(dpias())
def test_rdf_loses_nothing_and_has_no_blank_nodes(dpia: Dpia) -> None:
    quads = to_nquads(dpia)
    assert not any(line.startswith(b"_:") for line in quads.splitlines())
    assert quads.splitlines() == sorted(set(quads.splitlines()))
    assert from_rdf(quads, "nquads") == dpia
    assert from_rdf(to_turtle(dpia).encode(), "turtle") == dpia


@settings(max_examples=20)
@given(dpias())
def test_rdf_under_another_name_is_the_same_assessment(dpia: Dpia) -> None:
    named = to_nquads(dpia, "https://clinic.example/id/dpia/dpia-1")
    assert iri_of(dpia).encode() not in named
    assert from_rdf(named, "nquads") == dpia


@settings(max_examples=30)
@given(dpias(), dpias())
def test_a_version_differs_from_another_exactly_when_something_is_said_of_it(one: Dpia, other: Dpia) -> None:
    assert compare(one, one) == ()
    same = one.model_copy(update={"version": other.version})
    assert compare(one, same) == ()  # a version number alone changes nothing
    if one.model_copy(update={"version": other.version}) != other:
        assert compare(one, other)
        assert compare(other, one)
