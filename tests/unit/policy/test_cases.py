"""The shipped cases are tests; and a file of cases is read strictly."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from synthema.errors import PolicyLoadError
from synthema.policy import Case, CaseFile, load_case_files, read_cases, run_cases, schema_text
from synthema.policy.cases import case_record
from synthema.resources import bundled
from tests.unit.policy.sample import VALUES, V, render

FILES = load_case_files(V)
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
