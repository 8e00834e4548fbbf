from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from synthema.dpia import confirm_gates, describe, load_dpia, read_dpia
from synthema.errors import InputError
from synthema.resources import bundled

EXAMPLE = bundled("legal") / "dpia" / "synthetic-data.yaml"


def changed(change: Any) -> bytes:
    document = yaml.safe_load(EXAMPLE.read_text())
    change(document)
    return yaml.safe_dump(document, sort_keys=False).encode()


@pytest.mark.article("GDPR 35(7)")
def test_the_shipped_assessment_leads_from_every_risk_to_a_gate() -> None:
    dpia = load_dpia(EXAMPLE)
    told = "\n".join(describe(dpia))
    for risk in dpia.risks:
        assert f"Against '{risk.id}'" in told
    assert {gate.phase for gate in dpia.gates} == {"pre-run", "pre-release"}
    assert dpia.unconfirmed() == tuple(gate.id for gate in dpia.gates)  # a site confirms, nobody else


def test_its_terms_exist_in_the_vocabularies() -> None:
    folder = Path(__file__).resolve().parents[4] / "shared" / "standards" / "vocabularies" / "dpv"
    if not folder.is_dir():
        pytest.skip("the vocabularies are not at hand")
    known = {
        "dpv": (folder / "dpv.ttl").read_text(),
        "risk": (folder / "risk.ttl").read_text(),
        "eu-ehds": (folder / "eu-ehds.ttl").read_text(),
        "eu-gdpr": (folder / "eu-gdpr.ttl").read_text(),
    }
    dpia = load_dpia(EXAMPLE)
    terms = [risk.type for risk in dpia.risks] + [measure.type for measure in dpia.measures]
    terms += [*dpia.processing.purposes, *dpia.processing.data_categories, *dpia.processing.legal_bases]
    terms.append(f"eu-gdpr:{dpia.outcome}")
    for term in terms:
        assert f"\n{term} a " in known[term.split(":")[0]], term


def test_confirming_and_choosing_thresholds() -> None:
    dpia = load_dpia(EXAMPLE)
    one = confirm_gates(dpia, "membership-attack", thresholds={"membership-attack": 0.55})
    assert one.gate("membership-attack").threshold == 0.55
    assert "membership-attack" not in one.unconfirmed()
    assert "crowd" in one.unconfirmed()
    assert confirm_gates(dpia).unconfirmed() == ()
    assert one.digest != dpia.digest
    with pytest.raises(InputError, match="no gate 'none'"):
        confirm_gates(dpia, "none")


def test_a_fault_is_named_by_file_line_and_field() -> None:
    text = EXAMPLE.read_text()
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "operator: gteq" in row)
    with pytest.raises(InputError) as error:
        read_dpia(text.replace("operator: gteq", "operator: atleast", 1).encode(), "x.yaml")
    assert error.value.where == f"x.yaml:{line}"
    assert "gates.0.operator" in error.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("gates"), "gates"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d["gates"][0].update(maximum_age="one day"), "not a duration"),
        (lambda d: d["gates"][0].update(threshold=float("nan")), "threshold"),
        (lambda d: d["gates"][0].update(on_missing="allow"), "on_missing"),
        (lambda d: d["gates"][0].update(metric="nothing"), "names the metric 'nothing'"),
        (lambda d: d["gates"].append(dict(d["gates"][0])), "defined twice"),
        (lambda d: d["risks"][0].update(measures=["prayer"]), "names the measure 'prayer'"),
        (lambda d: d["risks"][0].update(measures=[]), "measures"),
        (lambda d: d["measures"][1].update(metrics=["nothing"]), "names the metric 'nothing'"),
        (lambda d: d["gates"].pop(4), "membershipAUC"),
        (lambda d: [g.update(phase="pre-release") for g in d["gates"]], "no pre-run gate"),
        (lambda d: [g.update(phase="pre-run") for g in d["gates"]], "no pre-release gate"),
        (lambda d: d["risks"][0]["residual"].update(likelihood=4), "contradicts the high residual risk"),
        (lambda d: d["risks"][0]["before"].update(severity=5), "severity"),
        (lambda d: d.update(outcome="fine"), "outcome"),
        (lambda d: d.update(review_due="soon"), "review_due"),
        (lambda d: d["processing"].update(actions=[]), "processing.actions"),
    ],
)
def test_what_cannot_be_executed_is_refused(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_dpia(changed(change), "x.yaml")
    assert error.value.where
    assert error.value.where.startswith("x.yaml:")


def test_a_risk_that_nothing_measures_is_refused() -> None:
    def only_words(document: dict[str, Any]) -> None:
        document["measures"].append({"id": "promise", "type": "dpv:StaffTraining", "sentence": "We are careful."})
        document["risks"][0]["measures"] = ["promise"]

    with pytest.raises(InputError, match="nothing can stop a run"):
        read_dpia(changed(only_words), "x.yaml")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "mapping of fields"),
        (b"- a\n- b\n", "mapping of fields"),
        (b"id: [unclosed\n", "not valid YAML"),
        (b"id: x\nid: y\n", "'id' is given twice"),
        (b"\xff\xfe\x00", "not UTF-8|not valid YAML"),
        (b"a: !!python/object:os.system {}\n", "not valid YAML"),
        (b"x" * (1024 * 1024 + 1), "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_assessment(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_dpia(data, "x.yaml")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_dpia(tmp_path / "none.yaml")
