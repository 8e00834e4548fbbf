"""The shipped assessment of figures over several sites: what it covers, and the gates a report is held against."""

from __future__ import annotations

from synthema.dpia import load_dpia
from synthema.resources import bundled
from synthema.vocabulary.namespaces import SYN


def test_it_covers_analyses_and_no_synthesis_and_holds_the_report_itself_against_gates() -> None:
    found = load_dpia(bundled("legal") / "dpia" / "federated-analysis.yaml")
    for name in ("analyse", "queryAggregate", "trainModel"):
        assert found.covers("mgus", SYN + name)
    assert not found.covers("mgus", SYN + "synthesise")
    held = {gate.metric: gate.threshold for gate in found.gates if gate.phase == "pre-release"}
    assert held == {"contributingParties": 3, "minCellCount": 10}
    assert all(gate.metric != "privacyLoss" for gate in found.gates)  # exact sums have none that could be measured
