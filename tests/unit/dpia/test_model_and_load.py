from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from synthema.dpia import FIGURES, confirm_gates, describe, load_dpia, pin_plugins, read_dpia
from synthema.dpia.terms import compact, expand, known_measures, known_risks
from synthema.errors import InputError
from synthema.resources import bundled
from synthema.spi.loader import installed

EXAMPLE = bundled("legal") / "dpia" / "synthetic-data.yaml"


CONSULTATION = {
    "reference": "authority, file 1",
    "submitted_on": "2026-01-01",
    "answered_on": "2026-03-01",
    "permits": True,
    "advice": "go on",
}


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
    assert {gate.phase for gate in dpia.gates} == {"pre-run", "in-run", "pre-release", "post-release"}
    assert dpia.unconfirmed() == tuple(gate.id for gate in dpia.gates)  # a site confirms, nobody else


def test_it_names_what_the_issue_of_synthetic_data_is_about() -> None:
    dpia = load_dpia(EXAMPLE)
    assert {risk.id for risk in dpia.risks} >= {
        "singling-out", "linkability", "inference", "membership", "outliers", "malicious-coordinator",
        "leaking-updates", "memorisation", "modification", "disappearance", "opaque-processing", "lack-of-control",
        "under-representation",
    }  # fmt: skip
    assert {risk.feared_event for risk in dpia.risks} == {
        "illegitimate access", "unwanted modification", "disappearance", "other",
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(EXAMPLE.parent.glob("*.yaml")), ids=lambda file: file.stem)
def test_its_measures_and_figures_are_those_of_the_shipped_plugins(file: Path) -> None:
    dpia, plugins = load_dpia(file), installed()
    for measure in dpia.measures:
        if measure.plugin is not None:
            assert measure.capability in plugins[measure.plugin].manifest.capabilities, measure.id
    evaluators = [plugin.manifest for plugin in plugins.values() if "evaluate" in plugin.manifest.capabilities]
    figures = {metric for manifest in evaluators for metric in manifest.metrics}
    assert figures <= set(FIGURES)
    for metric in dpia.metrics:
        known = FIGURES[metric.id]
        assert (known.unit, known.population, known.direction) == (metric.unit, metric.population, metric.direction)
        assert {expand(g.evidence) for g in dpia.gates if g.metric == metric.id} == {known.evidence}
        own = known.evidence.endswith("EvaluationReport")
        assert (metric.id in figures) == own, metric.id


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
    terms = [risk.type for risk in dpia.risks if not risk.type.startswith("syn:")]
    terms += [measure.type for measure in dpia.measures] + sorted(known_risks() | known_measures())
    terms = [term for term in terms if not term.startswith("syn:")]
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
        (lambda d: d["gates"][0].update(on_missing="note"), "pre-release gate"),
        (lambda d: d["gates"][0].update(metric="nothing"), "names the metric 'nothing'"),
        (lambda d: d["gates"].append(dict(d["gates"][0])), "defined twice"),
        (lambda d: d["risks"][0].update(measures=["prayer"]), "names the measure 'prayer'"),
        (lambda d: d["risks"][0].update(measures=[]), "measures"),
        (lambda d: d["measures"][1].update(metrics=["nothing"]), "names the metric 'nothing'"),
        (lambda d: d.update(gates=[g for g in d["gates"] if g["metric"] != "membershipAUC"]), "membershipAUC"),
        (lambda d: [g.update(phase="pre-release") for g in d["gates"]], "no pre-run gate"),
        (lambda d: [g.update(phase="pre-run", on_missing="deny") for g in d["gates"]], "no pre-release gate"),
        (lambda d: d["risks"][0]["residual"].update(likelihood=4), "contradicts the high residual risk"),
        (lambda d: d["risks"][0]["before"].update(severity=5), "severity"),
        (lambda d: d.update(outcome="fine"), "outcome"),
        (lambda d: d.update(review_due="soon"), "review_due"),
        (lambda d: d["processing"].update(actions=[]), "processing.actions"),
        (lambda d: d["processing"].update(actions=["syn:a", "syn:a"]), "named twice"),
        (lambda d: d["risks"][0].update(affects=["syn:link"]), "names the action 'syn:link'"),
        (lambda d: d["risks"][0].update(type="risk:Reidentifikation"), "did you mean 'risk:Reidentification'"),
        (lambda d: d["risks"][0].update(type="rsk:Reidentification"), "did you mean 'risk'"),
        (lambda d: d["measures"][0].update(type="dpv:Anonymization"), "did you mean 'dpv:Anonymisation'"),
        (lambda d: d["measures"][0].pop("plugin"), "say which 'plugin' does it"),
        (lambda d: d["measures"][0].update(capability="people"), "nothing a plugin does"),
        (lambda d: d["gates"][0].update(operator="lteq"), "would stop what is good"),
        (lambda d: d["gates"][6].update(bound="lower"), "better end of its interval"),
        (lambda d: d["gates"][0].update(maximum_age="P36500D"), "at most ten years"),
        (lambda d: d["gates"][0].update(maximum_age="PT0S"), "more than none"),
        (lambda d: d["risks"][0]["residual"].update(likelihood=4), "residual"),
        (lambda d: d["risks"][1]["before"].update(severity=1), "greater after its measures"),
        (lambda d: d["plan"][0].update(measure="hope"), "names the measure 'hope'"),
        (lambda d: d.update(title="a" + chr(7)), "control character"),
        (lambda d: d.update(consultation=CONSULTATION), "belongs to the outcome"),
        (lambda d: d["metrics"][0].update(unit="patient"), "unit"),
    ],
)
def test_what_cannot_be_executed_is_refused(change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_dpia(changed(change), "x.yaml")
    assert error.value.where
    assert error.value.where.startswith("x.yaml:")


def test_a_risk_that_nothing_measures_is_refused() -> None:
    def only_words(document: dict[str, Any]) -> None:
        document["measures"].append(
            {"id": "promise", "type": "dpv:StaffTraining", "sentence": "We are careful.", "capability": "people"}
        )
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


@pytest.mark.parametrize(
    ("old", "new", "line", "fix"),
    [
        ("operator: gteq", "operator: gteqq", "operator: gteqq", "did you mean 'gteq'?"),
        ("    maximum_age: PT1H", "    maximum_agge: PT1H", "maximum_agge", "did you mean 'maximum_age'?"),
        ("    metric: cohortSize", "    metric: cohortsize", "metric: cohortsize", "did you mean 'cohortSize'?"),
        ("    unit: patients", "    unit: patient", "unit: patient", "did you mean 'patients'?"),
        ("    type: syn:SinglingOut", "    type: syn:SingelingOut", "syn:SingelingOut", "'syn:SinglingOut'?"),
        ("measures: [secure-sum, ", "measures: [secure-sums, ", "secure-sums", "did you mean 'secure-sum'?"),
        ("outcome: DPIAOutcomeRisksMitigated", "outcome: RisksMitigated", "outcome: Ri", "DPIAOutcomeRisksMitigated"),
        ("review_due: 2027-11-21", "review_due: 2027-11-31", None, "correct the date"),
    ],
)
def test_the_nearest_valid_name_is_offered_at_the_line(old: str, new: str, line: str | None, fix: str) -> None:
    text = EXAMPLE.read_text().replace(old, new, 1)
    with pytest.raises(InputError) as error:
        read_dpia(text.encode(), "x.yaml")
    assert fix in error.value.fix
    if line is not None:
        number = next(n for n, row in enumerate(text.splitlines(), 1) if line in row)
        assert error.value.where == f"x.yaml:{number}"


def test_terms_are_written_shortly_whatever_way_they_were_given() -> None:
    document = yaml.safe_load(EXAMPLE.read_text())
    document["risks"][2]["type"] = "https://w3id.org/dpv/risk#ConfidentialityBreach"
    document["processing"]["purposes"] = ["ehds:HealthcareScientificResearch"]
    dpia = read_dpia(yaml.safe_dump(document).encode(), "x.yaml")
    assert dpia.risks[2].type == "risk:ConfidentialityBreach"
    assert dpia.processing.purposes == ("eu-ehds:HealthcareScientificResearch",)
    assert compact(expand("syn:synthesise")) == "syn:synthesise"
    assert dpia.covers("mgus", "https://w3id.org/synthema/ns#synthesise")


@pytest.mark.article("GDPR 36")
def test_a_high_risk_that_remains_needs_the_authority() -> None:
    def high(document: dict[str, Any]) -> None:
        document["risks"][0]["residual"]["likelihood"] = 3

    with pytest.raises(InputError, match=r"GDPR Art. 36\(1\)"):
        read_dpia(changed(high), "x.yaml")

    def consulted(document: dict[str, Any]) -> None:
        high(document)
        document.update(outcome="DPIAOutcomeDPAConsultation", consultation=CONSULTATION)

    assert read_dpia(changed(consulted), "x.yaml").standing_outcome == "DPIAOutcomeRisksAcceptable"

    def refused(document: dict[str, Any]) -> None:
        consulted(document)
        document["consultation"] = CONSULTATION | {"permits": False}

    assert read_dpia(changed(refused), "x.yaml").standing_outcome == "DPIAOutcomeDPAConsultation"


@pytest.mark.article("GDPR 35(9)")
def test_the_views_of_persons_were_sought_or_it_is_said_why_not() -> None:
    for change in (lambda d: d.pop("views"), lambda d: d["views"].pop("text"), lambda d: d["views"].update(text=" ")):
        with pytest.raises(InputError, match="views"):
            read_dpia(changed(change), "x.yaml")
    views = load_dpia(EXAMPLE).views
    assert not views.sought  # the example cannot speak for patients, and says so
    assert "GDPR Art. 35(9)" in views.text


@pytest.mark.article("GDPR 35(7)")
@pytest.mark.parametrize("part", ["processing", "principles", "risks", "measures"])
def test_what_the_law_asks_an_assessment_to_hold_cannot_be_left_out(part: str) -> None:
    with pytest.raises(InputError, match=part):
        read_dpia(changed(lambda d: d.pop(part)), "x.yaml")


def test_plugins_are_pinned_once() -> None:
    dpia = load_dpia(EXAMPLE)
    first, second = ("sha256:" + digit * 64 for digit in "12")
    pinned = pin_plugins(dpia, {"minimise": first})
    assert {m.plugin_digest for m in pinned.measures if m.plugin == "minimise"} == {first}
    assert {m.plugin_digest for m in pinned.measures if m.plugin == "marginals"} == {None}
    assert pin_plugins(pinned, {"minimise": second}) == pinned
    assert pinned.digest != dpia.digest


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_dpia(tmp_path / "none.yaml")
