"""The shapes that other tools read (SHACL, checked by pyshacl) fit what the log writes, and see what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyshacl
import pytest
import rdflib

from synthema.clock import FixedClock
from synthema.identity import People, PersonKey
from synthema.provenance import Activity, Entity, PeopleLog, ProvenanceLog, serialise
from synthema.resources import bundled
from tests.unit.provenance.conftest import ORIGIN, PASSPHRASE, Step

SH = rdflib.Namespace("http://www.w3.org/ns/shacl#")


@pytest.fixture(scope="module")
def shapes() -> rdflib.Graph:
    return rdflib.Graph().parse(bundled("ontologies") / "shapes" / "provenance.ttl")


def violations(shapes: rdflib.Graph, *entries: bytes) -> set[str]:
    """The property shapes that entries break, taken together."""
    data = rdflib.Graph().parse(data=serialise(entries, "turtle"), format="turtle")
    _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inference="none")
    return {str(shape).rpartition("#")[2] for shape in report.objects(None, SH.sourceShape)}


def test_what_the_log_writes_fits(
    shapes: rdflib.Graph, log: ProvenanceLog, step: Step, clock: FixedClock, tmp_path: Any
) -> None:
    plain = step("run-1", by="operator")
    digest = "sha256:" + "0" * 64
    used, made = Entity(log.iri("thing", "a"), digest=digest), Entity(log.iri("thing", "b"), derived_from=(ORIGIN,))
    plan = Entity(log.iri("grant", "g"), ("Grant",))
    log.record(replace(plain, used=(used,), generated=(made,), informed_by=(log.iri("step", "before"),), plan=plan))
    people = People(log.database, PeopleLog(log), clock)
    person = people.register(["dpo"], PersonKey.create(tmp_path / "k.pem", PASSPHRASE).public_key, by=f"{ORIGIN}/x")
    people.revoke(person.id)
    assert [violations(shapes, entry.body) for entry in log.entries()] == [set(), set(), set()]


@pytest.mark.article("GDPR 5(1)(c)")
def test_what_does_not_fit_is_seen(shapes: rdflib.Graph, log: ProvenanceLog, step: Step, clock: FixedClock) -> None:
    good = step("run-1", by="operator")

    def broken(activity: Activity) -> set[str]:
        return violations(shapes, activity.nquads(log.graph_iri(0)))

    assert broken(good) == set()
    assert broken(replace(good, label="")) == {"ActivityShape-label"}
    assert broken(replace(good, started=clock.now().replace(year=2027))) == {"ActivityShape-started"}
    assert broken(replace(good, type="http://www.w3.org/ns/prov#Activity")) == {"ActivityShape-type"}
    assert broken(replace(good, used=(Entity(ORIGIN, digest="md5:1"),))) == {"EntityShape-digest"}
    named = Entity(good.agents[0].iri, attributes={"http://xmlns.com/foaf/0.1/name": "…"})
    assert broken(replace(good, used=(named,))) == {"AgentShape-foafName"}
    whole = replace(good, plan=Entity(log.iri("grant", "g"))).nquads(log.graph_iri(0))
    cut = b"".join(line + b"\n" for line in whole.split(b"\n")[:-1] if b"hadPlan" not in line)
    assert violations(shapes, cut) == {"AssociationShape-plan"}
