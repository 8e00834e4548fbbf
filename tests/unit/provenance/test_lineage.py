from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rdflib
from sqlalchemy import delete, update

from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError
from synthema.provenance import (
    Activity,
    Agent,
    EmbeddedTriples,
    Entity,
    Lineage,
    ProvenanceIndex,
    ProvenanceLog,
    lineage,
)
from synthema.provenance.model import SYNTHEMA
from synthema.provenance.reading import USED
from synthema.provenance.store import log_entries, log_nodes
from synthema.resources import bundled
from tests.unit.provenance.conftest import ORIGIN, Step


@pytest.fixture
def chain(log: ProvenanceLog, step: Step) -> ProvenanceLog:
    """Raw → harmonise (plugin-a) → table → generate (plugin-b) → synthetic → certify → certificate; and a side line."""
    log.record(step("harmonise", used=("raw", "plugin-a"), made=("table",), by="steward"))
    log.record(step("generate", used=("table", "plugin-b"), made=("synthetic",), by="operator"))
    log.record(step("certify", used=("synthetic",), made=("certificate",), by="operator"))
    log.record(step("count", used=("other", "plugin-b"), made=("figure",), by="operator"))
    return log


@pytest.fixture
def asked(chain: ProvenanceLog) -> Lineage:
    return Lineage(ProvenanceIndex(chain))


def _names(things: tuple[lineage.Thing, ...] | tuple[lineage.Step, ...]) -> set[str]:
    return {thing.iri.rpartition("/")[2] for thing in things}


def test_where_a_thing_comes_from(asked: Lineage, chain: ProvenanceLog) -> None:
    answer = asked.origin_of(chain.iri("thing", "certificate"))
    assert _names(answer.things) == {"certificate", "synthetic", "table", "plugin-b", "raw", "plugin-a"}
    assert _names(answer.steps) == {"certify", "generate", "harmonise"}
    assert answer.complete
    told = "\n".join(answer.sentences())
    assert told.startswith("Where does The certificate come from?")
    assert "Step generate. It used The plugin-b, The table. It made The synthetic." in told


def test_what_became_of_a_thing(asked: Lineage, chain: ProvenanceLog) -> None:
    answer = asked.derived_from(chain.iri("thing", "raw"))
    assert _names(answer.things) == {"raw", "table", "synthetic", "certificate"}
    assert _names(asked.derived_from(chain.iri("thing", "plugin-b")).things) == {
        "plugin-b",
        "synthetic",
        "certificate",
        "figure",
    }
    assert asked.derived_from(chain.iri("thing", "certificate")).steps == ()


def test_steps_know_their_entries(asked: Lineage, chain: ProvenanceLog) -> None:
    steps = {step.iri.rpartition("/")[2]: step for step in asked.origin_of(chain.iri("thing", "certificate")).steps}
    assert {name: step.entries for name, step in steps.items()} == {
        "harmonise": (0,),
        "generate": (1,),
        "certify": (2,),
    }
    assert steps["certify"].started == "2026-11-21T10:00:00.000000Z"
    assert steps["certify"].agents == (chain.iri("person", "operator"),)


def test_which_steps_used_a_plugin(asked: Lineage) -> None:
    answer = asked.runs_with_plugin("sha256:plugin-b")
    assert _names(answer.steps) == {"generate", "count"}
    assert asked.runs_with_plugin('" . ?s ?p ?o').steps == ()


@pytest.mark.article("EHDS 73")
def test_what_somebody_did(asked: Lineage, chain: ProvenanceLog) -> None:
    assert _names(asked.activities_of(chain.iri("person", "operator")).steps) == {"generate", "certify", "count"}
    assert _names(asked.activities_of(f"{ORIGIN}/org").steps) == {"harmonise", "generate", "certify", "count"}


def test_a_drawing_holds_all_that_it_connects(asked: Lineage, chain: ProvenanceLog) -> None:
    drawing = asked.graph_of(chain.iri("thing", "table"))
    ids = {node["id"] for node in drawing["nodes"]}
    kinds = {node["id"].rpartition("/")[2]: node["kind"] for node in drawing["nodes"]}
    assert kinds["harmonise"] == "activity"
    assert kinds["steward"] == "agent"
    assert kinds["certificate"] == "entity"
    assert "count" not in kinds
    assert all(edge["source"] in ids and edge["target"] in ids for edge in drawing["edges"])
    table, harmonise = chain.iri("thing", "table"), chain.iri("step", "harmonise")
    assert {"source": table, "target": harmonise, "relation": "wasGeneratedBy"} in drawing["edges"]
    assert drawing["complete"]


@pytest.mark.parametrize("text", ["", "x", "http://a b", "http://a> } #", "<http://a>", '"'])
def test_what_is_no_iri_is_refused(asked: Lineage, text: str) -> None:
    for question in (asked.origin_of, asked.derived_from, asked.activities_of, asked.graph_of):
        with pytest.raises(InputError):
            question(text)


def test_an_unknown_thing_has_no_story(asked: Lineage, chain: ProvenanceLog) -> None:
    answer = asked.origin_of(chain.iri("thing", "nowhere"))
    assert answer.steps == ()
    assert answer.sentences() == ("Where does nowhere come from?", "The log holds nothing about this.")


def test_circles_end(log: ProvenanceLog, step: Step) -> None:
    log.record(step("there", used=("a",), made=("b",)))
    log.record(step("back", used=("b",), made=("a",)))
    answer = Lineage(ProvenanceIndex(log)).origin_of(log.iri("thing", "a"))
    assert _names(answer.things) == {"a", "b"}


def test_a_walk_stops_at_its_bound(log: ProvenanceLog, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MAX_THINGS", 5)
    for number in range(9):
        log.record(step(f"run-{number}", used=(f"t{number}",), made=(f"t{number + 1}",)))
    answer = Lineage(ProvenanceIndex(log)).origin_of(log.iri("thing", "t9"))
    assert len(answer.things) == 5
    assert not answer.complete
    assert answer.sentences()[-1] == "There is more than is shown here."


def test_the_index_catches_up(chain: ProvenanceLog, step: Step) -> None:
    index = ProvenanceIndex(chain)
    assert index.catch_up() == 4
    chain.record(step("later", used=("certificate",), made=("copy",)))
    assert index.catch_up() == 5
    assert index.catch_up() == 5
    assert len(list(index.match(None, USED, None))) == 8


def test_an_index_on_disk_goes_on_where_it_was(chain: ProvenanceLog, step: Step, tmp_path: Path) -> None:
    index = ProvenanceIndex(chain, EmbeddedTriples(tmp_path / "index"))
    assert index.catch_up() == 4
    triples = set(index.match(None, None, None))
    del index
    again = ProvenanceIndex(chain, EmbeddedTriples(tmp_path / "index"))
    assert set(again.match(None, None, None)) == triples
    chain.record(step("later"))
    assert again.catch_up() == 5


def test_an_index_of_another_log_is_thrown_away(chain: ProvenanceLog, step: Step) -> None:
    index = ProvenanceIndex(chain)
    index.catch_up()

    def forget(connection: object) -> None:
        for table in (log_entries, log_nodes):
            connection.execute(delete(table))  # type: ignore[attr-defined]

    chain.database.write(forget)
    chain.record(step("only"))
    assert index.catch_up() == 1
    assert list(index.match(None, USED, None)) == []


def test_a_changed_entry_does_not_enter_the_index(chain: ProvenanceLog) -> None:
    body = chain.entry(2).body.replace(b"certificate", b"certificatf")
    change = update(log_entries).where(log_entries.c.sequence == 2).values(body=body)
    chain.database.write(lambda connection: connection.execute(change).close())
    with pytest.raises(IntegrityError, match="entry 2"):
        ProvenanceIndex(chain).catch_up()


@pytest.fixture
def run(log: ProvenanceLog, clock: FixedClock) -> ProvenanceLog:
    """A run as the connector records it: decision under a permit, grant, start, quarantine; and a disclosure later."""
    us = Agent("did:web:hospital.example", "Organization", "Hospital")

    def record(kind: str, type_: str, used: dict[str, str], made: dict[str, str], after: str | None = None) -> None:
        def things(named: dict[str, str]) -> tuple[Entity, ...]:
            return tuple(Entity(log.iri(place, name), (place.capitalize(),)) for place, name in named.items())

        base = log.iri("run", "r1")
        causes = (f"{base}/{after}",) if after else ()
        now = clock.now()
        log.record(
            Activity(
                f"{base}/{kind}", type_, f"{kind} happened", now, now, (us,), things(used), things(made), causes,
                {"run": base},
            )
        )  # fmt: skip

    record("decision", "PolicyDecision", {"permit": "p1", "dataset": "d1"}, {"decision": "r1"})
    record("grant", "Granting", {"decision": "r1"}, {"grant": "g1"})
    record("run", "Run", {"grant": "g1", "dataset": "d1"}, {})
    record("quarantine", "Quarantine", {"dataset": "d1"}, {"artefact": "a1"}, "run")
    clock.advance(timedelta(days=20))
    record("handed", "ArtefactHandedOut", {"artefact": "a1"}, {})
    log.record(Activity(log.iri("run", "r2") + "/run", "Run", "another run", clock.now(), clock.now(), (us,)))
    return log


def test_what_happened_under_a_permit(run: ProvenanceLog) -> None:
    answer = Lineage(ProvenanceIndex(run)).under_permit(run.iri("permit", "p1"))
    assert [step.label.split()[0] for step in answer.steps] == ["decision", "grant", "run", "quarantine", "handed"]
    assert answer.sentences()[:2] == (
        "What happened under permit p1?",
        "2026-11-21 10:00 UTC: Decision happened. It used dataset d1, permit p1. It made decision r1. By Hospital.",
    )


def test_where_a_file_comes_from_goes_back_to_what_allowed_it(run: ProvenanceLog) -> None:
    answer = Lineage(ProvenanceIndex(run)).origin_of(run.iri("artefact", "a1"))
    assert _names(answer.things) == {"a1", "d1", "g1", "r1", "p1"}
    assert [step.label.split()[0] for step in answer.steps] == ["decision", "grant", "run", "quarantine"]


def test_who_saw_what_in_a_time(run: ProvenanceLog) -> None:
    asked = Lineage(ProvenanceIndex(run))

    def labels(*days: tuple[int, int]) -> list[str]:
        since, until = (datetime(2026, month, day, tzinfo=UTC) for month, day in days)
        return [step.label for step in asked.seen_between(since, until).steps]

    assert labels((11, 1), (12, 1)) == ["run happened"]
    assert labels((12, 1), (12, 31)) == ["handed happened", "another run"]
    assert labels((1, 1), (11, 21)) == []
    told = asked.seen_between(datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)).sentences()
    assert told[0] == "Who saw what from 2026-12-01 00:00 until 2027-01-01 00:00 UTC?"
    assert told[1] == "2026-12-11 10:00 UTC: Handed happened. It used artefact a1. By Hospital."


def test_what_was_derived_from_a_patients_record(run: ProvenanceLog) -> None:
    asked = Lineage(ProvenanceIndex(run))
    answer = asked.derived_from_record([run.iri("dataset", "d1"), run.iri("dataset", "unknown")])
    assert {"d1", "a1"} <= _names(answer.things)
    assert "quarantine happened" in [step.label for step in answer.steps]
    assert asked.derived_from_record([]).sentences()[1] == "The log holds nothing about this."


def test_the_steps_in_which_somebody_sees_something_are_those_of_the_ontology() -> None:
    ontology = rdflib.Graph().parse(bundled("ontologies") / "provenance.ttl")
    found = ontology.subjects(rdflib.RDFS.subClassOf, rdflib.URIRef(SYNTHEMA + "Disclosure"))
    assert {str(term).removeprefix(SYNTHEMA) for term in found} == set(lineage.DISCLOSURES)


def test_an_index_is_made_anew(chain: ProvenanceLog) -> None:
    index = ProvenanceIndex(chain)
    index.catch_up()
    before = {str(quad) for quad in index.match(None, None, None)}
    assert index.rebuild() == 4
    assert {str(quad) for quad in index.match(None, None, None)} == before
