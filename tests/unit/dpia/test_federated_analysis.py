"""The shipped assessment of figures over several sites: what it covers, and the gates a report is held against."""

from __future__ import annotations

from synthema.dpia import load_dpia, read_dpia
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


def test_no_shipped_assessment_but_that_of_anonymised_tables_covers_them() -> None:
    folder = bundled("legal") / "dpia"
    covering = [path.name for path in sorted(folder.iterdir()) if load_dpia(path).covers("mgus", "odrl:anonymize")]
    assert covering == ["anonymised-table.yaml"]


def test_the_assessment_of_synthetic_data_stands_without_the_acts_of_reports() -> None:
    text = (bundled("legal") / "dpia" / "synthetic-data.yaml").read_text(encoding="utf-8")
    for act in ("trainModel", "analyse", "queryAggregate"):  # as the officer's guide says
        assert f"    - syn:{act}\n" in text
        text = text.replace(f"    - syn:{act}\n", "").replace(f"syn:{act}, ", "").replace(f", syn:{act}]", "]")
    assert not read_dpia(text.encode(), "synthetic-data.yaml").covers("mgus", SYN + "analyse")
