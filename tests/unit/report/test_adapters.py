from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from synthema.dpia.check import GateReport, GateResult
from synthema.provenance.index import ProvenanceIndex
from synthema.provenance.lineage import Lineage
from synthema.report import (
    Chapter,
    Story,
    certificate_items,
    decision_item,
    gates_item,
    graph_item,
    render,
    verification_item,
)
from synthema.report.graph import lay_out
from tests.unit.certification.world import CANDIDATE, ROWS, START, World

DENIAL = {
    "effect": "deny",
    "reasons": [
        {
            "layer": "L0",
            "rule": "advertising",
            "article": "EHDS 54(c)",
            "sentence": "Advertising is prohibited.",
            "explanation": "the purpose is advertising, which EHDS 54(c) prohibits",
        }
    ],
    "changes": [{"sentence": "Name another purpose."}],
    "obligations": [
        {"action": "http://www.w3.org/ns/odrl/2/delete", "due": None, "within": "P180D", "article": "EHDS 68(12)"},
        {"action": "http://www.w3.org/ns/odrl/2/delete", "due": "2027-01-01T00:00:00Z", "within": None, "article": ""},
    ],
    "unchangeable": "A purpose is nobody's to change.",
    "request_digest": "sha256:00",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


def test_a_stored_decision_becomes_an_item() -> None:
    item = decision_item("Use", DENIAL, ("It is denied.",))
    assert item.effect == "deny"
    assert item.reasons[0].sentence == "the purpose is advertising, which EHDS 54(c) prohibits"
    assert item.changes == ("Name another purpose.", "A purpose is nobody's to change.")
    assert item.obligations[0].endswith("within 180 days (EHDS 68(12))")
    assert item.obligations[1].endswith("until 2027-01-01")


def test_anything_but_a_permit_is_shown_as_a_denial() -> None:
    assert decision_item("Use", DENIAL | {"effect": "unclear"}).effect == "deny"


def test_gates_become_numbered_checks() -> None:
    results = (
        GateResult("g", "m", passed=True, sentence="m ≤ 1", n=10),
        GateResult("h", "k", passed=False, sentence="k"),
    )
    report = GateReport("pre-release", START, "d", "sha256:00", False, results, ())
    item = gates_item("Gates", report.as_dict())
    assert [(check.title, check.ok, check.note) for check in item.checks] == [("m ≤ 1", True, "n 10"), ("k", False, "")]


def test_a_certificate_and_its_checks_are_shown(world: World) -> None:
    record = world.issue()
    package = world.package(record).replace(ROWS, ROWS.replace(b"61", b"62"))
    report = world.verify(package)
    story = Story(
        "Certificate",
        chapters=(
            Chapter("Card", items=certificate_items(record.document)),
            Chapter("Checks", items=(verification_item("Checks", report),)),
        ),
    )
    html = render(story)
    for words in ("Differential privacy for one patient: epsilon 3", CANDIDATE, "membershipAUC", "Rare combinations"):
        assert words in html
    assert "2 of 11 checks failed." in html
    assert "dataset.csv was changed" in html


def test_lineage_is_drawn_from_origins_to_results(world: World) -> None:
    record = world.issue()
    world.clock.advance(timedelta(seconds=1))
    graph = Lineage(ProvenanceIndex(world.hub.log)).graph_of(record.id)
    item = graph_item("Origin", graph)
    columns = lay_out(item.nodes, item.edges).columns
    place = {slot: index for index, column in enumerate(columns) for slot in column}
    assert place[f"{record.id}/issue"] < place[record.id]
    assert all(node.shape != "agent" for node in item.nodes)
    assert any(node.shape == "agent" for node in graph_item("Origin", graph, agents=True).nodes)
    assert "links" in item.alt
