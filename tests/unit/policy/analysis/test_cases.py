"""The shipped cases are tests; and a file of cases is read strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from synthema.errors import PolicyLoadError
from synthema.policy import Case, CaseFile, load_case_files, parse_policy, read_cases, run_cases, schema_text
from synthema.policy.analysis import case_record, inherited, read_what_if, resolved
from synthema.policy.analysis.junit import junit_xml
from synthema.policy.model import Parent
from synthema.resources import bundled
from tests.unit.policy.sample import CASE_FILES as FILES
from tests.unit.policy.sample import VALUES, V, render

CASES = [(file, case) for file in FILES for case in file.cases]


@pytest.mark.article("EHDS 53")
@pytest.mark.article("EHDS 54")
@pytest.mark.article("EHDS 61")
@pytest.mark.article("EHDS 66")
@pytest.mark.article("EHDS 68(12)")
@pytest.mark.article("EHDS 71")
@pytest.mark.article("EHDS 73(2)")
@pytest.mark.article("GDPR 7(3)")
@pytest.mark.article("GDPR 9(2)")
@pytest.mark.article("GDPR 35")
@pytest.mark.parametrize(("file", "case"), CASES, ids=[case.name for _, case in CASES])
def test_shipped_cases(file: CaseFile, case: Case) -> None:
    (result,) = run_cases([case], file.beside, V)
    assert result.passed, f"{case.where}: {result.sentence}"
    assert case_record(result)["got"] == case.expect


def test_every_rule_of_the_law_is_shown_to_decide() -> None:
    (law,) = [file for file in FILES if file.policy.endswith("/law/ehds")]
    policy = next(policy for policy in law.beside if policy.id == law.policy)
    shown = {case.because for case in law.cases}
    named = {rule.id.rpartition("#")[2] for rule in policy.rules if rule.kind == "prohibition"}
    assert named == shown - {None}


def test_a_case_that_fails_says_how() -> None:
    text = (bundled("policies") / "cases" / "union-law.yaml").read_text(encoding="utf-8")
    file = read_cases(text.replace("because: ehds-54-c", "because: ehds-54-d"), V)
    failed = [result.sentence for result in run_cases(file.cases, file.beside, V) if not result.passed]
    assert any("expected the rule ehds-54-d to decide, but it was" in sentence for sentence in failed)
    wrong = read_cases(text.replace("stands in the way, expect: permit", "stands in the way, expect: deny"), V)
    assert "expected deny, got permit" in run_cases(wrong.cases[:1], wrong.beside, V)[0].sentence


HEAD = "policy: urn:p\nrequest: {action: use, target: urn:t, assignee: urn:a}\ncases:\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "  - {name: a, expect: maybe}\n", "is no decision"),
        (HEAD + "  - {expect: permit}\n", "lacks 'name'"),
        (HEAD + "  - {name: a, expect: permit, facts: {epsylon: 6}}\n", "not a known operand"),
        (HEAD + "  - {name: a, expect: permit, facts: {epsilon: six}}\n", "not a number"),
        (HEAD + "  - {name: a, expect: permit, wish: x}\n", "has no 'wish'"),
        ("policy: urn:p\n", "holds policy, with"),
        ("with: [{file: ../x.yaml}]\n" + HEAD + "  - {name: a, expect: permit}\n", "no bundled policy"),
        ("with: [{folder: x}]\n" + HEAD + "  - {name: a, expect: permit}\n", "is a file, or a template"),
    ],
)
def test_bad_case_files_are_refused_with_a_line(text: str, message: str) -> None:
    with pytest.raises(PolicyLoadError, match=message) as caught:
        read_cases(text, V, file="c.yaml")
    assert caught.value.where is not None
    assert caught.value.where.startswith("c.yaml:")


def test_a_case_may_state_duties_collections_units_and_what_comes_with_the_decision() -> None:
    text = (bundled("policies") / "cases" / "research-synthetic-data.yaml").read_text(encoding="utf-8")
    text += """
  - name: duties come with a permit
    obligations: [publish results, acknowledge]
    expect: permit

  - name: the smallest change is proposed
    facts: {epsilon: 12, epsilon remaining: 20}
    expect: deny
    change: {epsilon: 6}

  - name: nothing helps a purpose that is not true
    facts: {purpose: dpv:Marketing}
    expect: deny
    change: none

  - name: what is known of duties and collections
    facts: {epsilon: {value: 2, unit: patients, shown by: "urn:x"}}
    at: 2027-02-01
    done:
      - sign agreement
      - {do: publish results, at: 2027-01-01, by: did:web:hub.example, shown by: none, rule: "urn:p#r"}
      - {not kept: inform, at: 2027-01-01}
    collections: {target: ["urn:collection"], assignee: ["urn:network"]}
    expect: deny
"""
    file = read_cases(text, V)
    results = run_cases(file.cases[-4:], file.beside, V, standing=file.standing)
    assert [result.sentence for result in results if not result.passed] == []
    request = file.cases[-1].request
    signed, published, informed = request.fulfilled
    assert (signed.evidence, published.evidence, published.rule) == ("case", None, "urn:p#r")
    assert (informed.state, published.at < signed.at) == ("violated", True)
    assert request.collections == {request.target: ("urn:collection",), request.assignee: ("urn:network",)}
    assert request.facts[V.operand("epsilon").iri].unit == "patients"


def test_a_missed_duty_or_another_change_fails_and_says_how() -> None:
    text = (bundled("policies") / "cases" / "research-synthetic-data.yaml").read_text(encoding="utf-8")
    text += """
  - {name: a duty that is not there, obligations: [return data], expect: permit}
  - {name: another change, facts: {epsilon: 12, epsilon remaining: 20}, expect: deny, change: {epsilon: 5}}
"""
    file = read_cases(text, V)
    duty, change = run_cases(file.cases[-2:], file.beside, V, standing=file.standing)
    assert "expected with these duties, but they do not come with it" in duty.sentence
    assert "expected this change: syn:epsilonRequested; proposed is: " in change.sentence


def test_a_request_for_what_if_is_a_case_without_expectations() -> None:
    now = datetime(2027, 3, 1, tzinfo=UTC)
    text = "{action: use, target: urn:t, assignee: urn:a, facts: {epsilon: 2}}"
    assert read_what_if(text, V, file="r.yaml", now=now).at == now
    with pytest.raises(PolicyLoadError, match="belongs into a case"):
        read_what_if(text[:-1] + ", expect: permit}", V, file="r.yaml", now=now)


def test_inherited_rules_take_part_in_cases() -> None:
    head = "title: P\nlayer: site\nversion: 1\nlaw: GDPR 9(2)(j)\n"
    parent = parse_policy(f"policy: urn:parent\n{head}permit: [{{id: p, action: use}}]\n", V)
    child = parse_policy(f"policy: urn:child\n{head}forbid: [{{id: c, action: link}}]\n", V)
    child = replace(child, inherits=(Parent("urn:parent", "1"),))
    whole = next(each for each in resolved([parent, child]) if each.id == child.id)
    assert {rule.id for rule in whole.rules} == {"urn:parent#p", "urn:child#c"}
    assert inherited([parent, child]) == {("urn:parent", "1")}
    with pytest.raises(PolicyLoadError, match="not among the policies given"):
        resolved([child])


def test_results_are_written_as_junit() -> None:
    file = FILES[0]
    results = run_cases(file.cases, file.beside, V, standing=file.standing)
    failed = replace(results[0], passed=False, sentence="expected <permit> & got deny")
    suite = ET.fromstring(junit_xml([(file, [failed, *results[1:]])]))[0]  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures")) == (str(len(results)), "1")
    assert suite[0][0].get("message") == "expected <permit> & got deny"


def test_the_published_schema_is_current() -> None:
    path = bundled("policies") / "policy.schema.json"
    assert path.read_text(encoding="utf-8") == schema_text(V), "write it again: synthema.policy.schema_text"


def test_the_schema_takes_what_is_shipped_and_refuses_misspelt_keys() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text(V)))
    texts = [path.read_text(encoding="utf-8") for path in sorted((bundled("policies") / "law").glob("*.yaml"))]
    texts += [render(name, values) for name, values in VALUES.items()]
    for text in texts:
        value = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes strings only
        validator.validate(value)
        assert list(validator.iter_errors({**value, "permits": []}))
        assert list(validator.iter_errors({**value, "permit": [{"action": "use", "when": {"epsylon at most": "6"}}]}))


def test_the_cases_of_one_policy_are_found_among_all() -> None:
    for file in FILES:
        assert load_case_files(V, policy=file.policy) == tuple(each for each in FILES if each.policy == file.policy)
    assert load_case_files(V, policy="https://hospital.example/id/policy/unheard-of") == ()


def test_other_files_are_read_no_further_than_to_their_policy(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("policy: other\ncases: nothing of the kind\n")
    (tmp_path / "nameless.yaml").write_text("cases: []\n")
    with pytest.raises(PolicyLoadError, match="a case file holds"):
        load_case_files(V, tmp_path, policy="mine")
    (tmp_path / "nameless.yaml").unlink()
    assert load_case_files(V, tmp_path, policy="mine") == ()
    with pytest.raises(PolicyLoadError):
        load_case_files(V, tmp_path, policy="other")
