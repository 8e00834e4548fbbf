"""Commands that need no connector, on the real templates, dictionaries and plugins."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthema.cli import doctor
from synthema.datasets import dictionary
from synthema.policy import template_names
from synthema.resources import bundled
from tests.unit.cli.support import TEMPLATE_VALUES, data_of, new_policy, run

STUDY = """\
title: Progression from MGUS
codebook: mgus
purpose: https://w3id.org/synthema/ns#RareDiseaseResearch
action: synthesise
sites:
  - {did: "did:web:a.example", dataset: mgus}
  - {did: "did:web:b.example", dataset: mgus}
  - {did: "did:web:c.example", dataset: mgus}
fields: [age, sex, hgb]
anonymiser: {plugin: minimise}
algorithm: {plugin: marginals}
privacy: {epsilon: 3.0, delta: 1.0e-6}
rounds: 2
minimum_sites: 3
rows: 1000
"""

CASES = """\
policy: {policy}
request:
  action: synthesise
  target: https://a.example/id/dataset/mgus
  assignee: did:web:hub.example
cases:
  - name: nothing is known about the request
    expect: {expect}
"""


def test_templates_are_listed_with_what_they_need() -> None:
    listed = {row["template"]: row["values"] for row in data_of("policy", "templates")}
    assert set(listed) == set(template_names())
    assert set(listed["research-synthetic-data"]) == set(TEMPLATE_VALUES)


def test_a_policy_from_a_template_is_clean_and_can_be_explained(tmp_path: Path) -> None:
    file = new_policy(tmp_path / "research.yaml")
    assert data_of("policy", "lint", file)["clean"]
    assert "nothing stands against it" in run("policy", "lint", file).stdout
    assert "the privacy loss ε of this release is at most 6" in run("policy", "explain", file).stdout


def test_a_policy_is_never_overwritten(tmp_path: Path) -> None:
    file = new_policy(tmp_path / "research.yaml")
    values = [part for key, value in TEMPLATE_VALUES.items() for part in ("--set", f"{key}={value}")]
    run("policy", "new", "research-synthetic-data", *values, "-o", file, status=5)


def test_missing_and_misshapen_values_are_named() -> None:
    assert "dataset" in run("policy", "new", "study-agreement", "--set", "name=x", status=2).stderr
    assert "key=value" in run("policy", "new", "study-agreement", "--set", "name", status=2).stderr


def test_lint_names_line_and_fix(tmp_path: Path) -> None:
    file = new_policy(tmp_path / "research.yaml")
    file.write_text(file.read_text().replace("purpose is:", "porpose is:", 1))
    assert f"{file}:" in run("policy", "lint", file, status=2).stderr


def test_lint_fails_on_an_unconfirmed_threshold(tmp_path: Path) -> None:
    file = new_policy(tmp_path / "research.yaml")
    text = file.read_text()
    file.write_text(text[: text.index("confirmed:")])
    result = run("policy", "lint", file, status=2)
    assert "error" in result.stdout
    assert "mend the errors" in result.stdout


@pytest.mark.parametrize("name", ["ehds.yaml", "example-member-state.yaml"])
def test_the_law_packs_are_clean(name: str) -> None:
    run("policy", "lint", bundled("policies") / "law" / name)
    run("policy", "explain", bundled("policies") / "law" / name)


def test_cases_are_decided_under_the_policy_they_are_about(tmp_path: Path) -> None:
    file, cases = new_policy(tmp_path / "research.yaml"), tmp_path / "cases.yaml"
    policy = data_of("policy", "lint", file)["policy"]
    cases.write_text(CASES.format(policy=policy, expect="deny"))
    assert "1 of 1 cases" in run("policy", "test", cases, "--policy", file).stdout
    assert data_of("policy", "test", tmp_path / "cases.yaml", "--policy", file)["passed"] == 1
    cases.write_text(CASES.format(policy=policy, expect="permit"))
    assert "FAILED" in run("policy", "test", cases, "--policy", file, status=1).stdout
    assert "--policy" in run("policy", "test", cases, status=2).stderr


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    run("policy", "test", tmp_path, status=2)


def table(tmp_path: Path, cell: str = "70") -> Path:
    book = dictionary("mgus")
    header = [variable.name for variable in book.variables]
    rows = []
    for number in range(40):
        cells = {
            v.name: v.categories[number % len(v.categories)]
            if v.categories
            else "1"
            if v.minimum is None
            else f"{(v.typical or (v.minimum, v.maximum))[0]:g}"
            for v in book.variables
        }
        rows.append(cells | {book.patient_key: str(number + 1), "age": cell})
    path = tmp_path / "mgus.csv"
    lines = [",".join(header), *(",".join(row[name] for name in header) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_without_faults_is_fit(tmp_path: Path) -> None:
    found = data_of("dataset", "check", table(tmp_path), "--codebook", "mgus")
    assert found["fit"]
    assert found["rows"] == 40


def test_faults_of_a_table_are_named_by_line_and_column(tmp_path: Path) -> None:
    result = run("dataset", "check", table(tmp_path, "700"), "--codebook", "mgus", status=2)
    assert "column age" in result.stdout
    assert "line" in result.stdout
    assert "700" not in result.stdout  # a patient's value is never repeated


def test_an_unknown_codebook_names_those_there_are(tmp_path: Path) -> None:
    assert "mgus" in run("dataset", "check", table(tmp_path), "--codebook", "mgux", status=2).stderr


def test_a_codebook_is_drafted_from_a_schema_and_says_what_is_open(tmp_path: Path) -> None:
    schema, into = tmp_path / "schema.json", tmp_path / "book.yaml"
    schema.write_text('{"data": {"clinical": {"ID": ["string"], "HB": ["float"], "FERRITIN": ["float"]}}}')
    named = ("--name", "aml", "--title", "AML", "--disease", "AML", "--dictionary", "aml")
    said = run("dataset", "codebook", schema, *named, "-o", into).stdout
    assert "Open: FERRITIN" in said
    assert "unit: g/dL" in into.read_text()
    run("dataset", "codebook", schema, *named, "-o", into, status=5)  # never overwritten


def test_a_study_is_checked_with_its_codebook(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    assert "3 sites" in run("study", "check", file).stdout
    file.write_text(STUDY.replace("[age, sex, hgb]", "[age, shoe_size]"))
    assert "shoe_size" in run("study", "check", file, status=2).stderr
    file.write_text(STUDY.replace("rounds: 2", "rounds: none"))
    assert f"{file}:13" in run("study", "check", file, status=2).stderr


def test_a_codebook_lies_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text((bundled("ontologies") / "dictionaries" / "mgus.yaml").read_text())
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("codebook: mgus", "codebook: book.yaml"))
    run("study", "check", file)
    run("study", "check", file, "--codebook", "missing.yaml", status=2)


def test_a_plugin_is_described_without_a_connector() -> None:
    found = data_of("plugin", "inspect", "marginals")
    assert found["digest"].startswith("sha256:")
    assert all(sentence.endswith(".") for sentence in found["sentences"])
    run("plugin", "inspect", "unheard-of", status=8)


def test_a_plugin_keeps_its_contract_with_parameters_that_suit() -> None:
    run("plugin", "check", "minimise", "--set", "small_classes=suppress")
    run("plugin", "check", "minimise", "--set", "k=1000", status=8)


def test_the_settings_are_all_explained() -> None:
    rows = data_of("doctor", "--settings")
    assert all(row["meaning"] for row in rows)
    assert "minimum_isolation" in {row["setting"] for row in rows}


@pytest.mark.parametrize(("status", "expected"), [("ok", 0), ("warn", 1), ("fail", 4)])
def test_the_doctor_exits_with_the_worst_result(status: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"check": "isolation", "result": "found", "status": status, "fix": "mend it"}
    monkeypatch.setattr(doctor, "_isolation", lambda: row)
    monkeypatch.setattr(doctor, "_EXTRAS", {})
    result = run("doctor", status=expected)
    assert "How to fix" in result.stdout


def test_the_doctor_says_when_there_is_no_connector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"check": "isolation", "result": "found", "status": "ok", "fix": ""}
    monkeypatch.setattr(doctor, "_isolation", lambda: row)
    assert "synthema init" in run("doctor", "--home", tmp_path, status=4).stdout
