"""The shapes that other tools read fit what the log writes; checked with a reader of the SHACL terms they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyoxigraph as ox
import pytest

from synthema.clock import FixedClock
from synthema.identity import People, PersonKey
from synthema.provenance import Activity, Entity, PeopleLog, ProvenanceLog
from synthema.resources import bundled
from tests.unit.provenance.conftest import ORIGIN, PASSPHRASE, Step

SH = "http://www.w3.org/ns/shacl#"
TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
KNOWN = {"path", "datatype", "minCount", "maxCount", "nodeKind", "class", "pattern", "minLength", "lessThanOrEquals"}
FRAME = {"property", "targetClass", "targetSubjectsOf", "message"}


@pytest.fixture(scope="module")
def shapes() -> ox.Store:
    store = ox.Store()
    store.load(path=bundled("ontologies") / "shapes" / "provenance.ttl", format=ox.RdfFormat.TURTLE)
    return store


def violations(shapes: ox.Store, body: bytes) -> list[str]:
    """``<shape> <node>`` for each property shape that an entry breaks."""
    data = ox.Store()
    data.extend(ox.Quad(q.subject, q.predicate, q.object) for q in ox.parse(body, ox.RdfFormat.N_QUADS))
    broken = []
    for shape in _subjects(shapes, TYPE, ox.NamedNode(SH + "NodeShape")):
        for focus in _targets(shapes, data, shape):
            for rule in _objects(shapes, shape, "property"):
                terms = {name: _objects(shapes, rule, name) for name in KNOWN}
                values = [q.object for q in data.quads_for_pattern(focus, terms["path"][0], None, None)]
                if not _holds(data, focus, terms, values):
                    broken.append(f"{rule.value.rpartition('#')[2]} {focus.value}")
    return sorted(broken)


def _targets(shapes: ox.Store, data: ox.Store, shape: Any) -> set[Any]:
    found = {q.subject for c in _objects(shapes, shape, "targetClass") for q in data.quads_for_pattern(None, TYPE, c)}
    for predicate in _objects(shapes, shape, "targetSubjectsOf"):
        found |= {q.subject for q in data.quads_for_pattern(None, predicate, None)}
    return found


def _holds(data: ox.Store, focus: Any, terms: dict[str, list[Any]], values: list[Any]) -> bool:
    def one(name: str) -> Any:
        return terms[name][0] if terms[name] else None

    checks = [
        one("minCount") is None or len(values) >= int(one("minCount").value),
        one("maxCount") is None or len(values) <= int(one("maxCount").value),
    ]
    for value in values:
        text = value.value
        checks += [
            one("datatype") is None or (isinstance(value, ox.Literal) and value.datatype == one("datatype")),
            one("nodeKind") is None or isinstance(value, ox.NamedNode),
            one("class") is None or ox.Quad(value, TYPE, one("class")) in data,
            one("pattern") is None or re.search(one("pattern").value, text) is not None,
            one("minLength") is None or len(text) >= int(one("minLength").value),
        ]
        if one("lessThanOrEquals") is not None:
            later = [q.object.value for q in data.quads_for_pattern(focus, one("lessThanOrEquals"), None)]  # type: ignore[union-attr]
            checks.append(all(text <= other for other in later))
    return all(checks)


def _objects(store: ox.Store, subject: Any, name: str) -> list[Any]:
    return [quad.object for quad in store.quads_for_pattern(subject, ox.NamedNode(SH + name), None)]


def _subjects(store: ox.Store, predicate: ox.NamedNode, value: Any) -> Iterator[Any]:
    return (quad.subject for quad in store.quads_for_pattern(None, predicate, value))


def test_this_reader_knows_every_term_the_shapes_use(shapes: ox.Store) -> None:
    used = {quad.predicate.value.removeprefix(SH) for quad in shapes if quad.predicate.value.startswith(SH)}
    assert used <= KNOWN | FRAME
    assert not any(isinstance(quad.subject, ox.BlankNode) for quad in shapes)


def test_what_the_log_writes_fits(
    shapes: ox.Store, log: ProvenanceLog, step: Step, clock: FixedClock, tmp_path: Any
) -> None:
    plain = step("run-1", by="operator")
    digest = "sha256:" + "0" * 64
    used, made = Entity(log.iri("thing", "a"), digest=digest), Entity(log.iri("thing", "b"), derived_from=(ORIGIN,))
    log.record(replace(plain, used=(used,), generated=(made,), informed_by=(log.iri("step", "before"),)))
    people = People(log.database, PeopleLog(log), clock)
    person = people.register(["dpo"], PersonKey.create(tmp_path / "k.pem", PASSPHRASE).public_key, by=f"{ORIGIN}/x")
    people.revoke(person.id)
    assert [violations(shapes, entry.body) for entry in log.entries()] == [[], [], []]


@pytest.mark.article("GDPR 5(1)(c)")
def test_what_does_not_fit_is_seen(shapes: ox.Store, log: ProvenanceLog, step: Step, clock: FixedClock) -> None:
    good = step("run-1", by="operator")

    def broken(activity: Activity) -> set[str]:
        return {line.partition(" ")[0] for line in violations(shapes, activity.nquads(log.graph_iri(0)))}

    assert broken(good) == set()
    assert broken(replace(good, label="")) == {"ActivityShape-label"}
    assert broken(replace(good, started=clock.now().replace(year=2027))) == {"ActivityShape-started"}
    assert broken(replace(good, type="http://www.w3.org/ns/prov#Activity")) == {"ActivityShape-type"}
    assert broken(replace(good, used=(Entity(ORIGIN, digest="md5:1"),))) == {"EntityShape-digest"}
    named = Entity(good.agents[0].iri, attributes={"http://xmlns.com/foaf/0.1/name": "…"})
    assert broken(replace(good, used=(named,))) == {"AgentShape-foafName"}
