"""``legal/articles.yaml`` says which rule and which test stand for an article; this holds it to its word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthema.policy import example_member_state_law, load_case_files, union_law
from synthema.policy.phrases import ACTS
from synthema.resources import bundled
from tests.unit.policy.sample import VALUES, V, template

ARTICLES: list[dict[str, Any]] = yaml.safe_load((bundled("legal") / "articles.yaml").read_text(encoding="utf-8"))[
    "articles"
]
TESTS = Path(__file__).resolve().parents[2]
LAW = union_law(V)
RULES = {rule.id for rule in (*LAW.rules, *example_member_state_law(V).rules)} | {
    f"template:{name}#{rule.id.partition('#')[2]}" for name in VALUES for rule in template(name).rules
}


@pytest.mark.parametrize("entry", ARTICLES, ids=[entry["article"] for entry in ARTICLES])
def test_rules_and_tests_of_an_article_exist(entry: dict[str, Any]) -> None:
    assert set(entry) == {"article", "demand", "rules", "tests"}
    act, _, number = entry["article"].partition(" ")
    assert act in ACTS
    assert number
    assert set(entry["rules"]) <= RULES
    assert entry["tests"]
    for test in entry["tests"]:
        _require_test(test)


def _require_test(test: str) -> None:
    """``case:<file>#<rule>`` names a case in which the rule decides; ``<path>::<function>`` a test."""
    kind, _, rest = test.partition(":")
    if kind == "case":
        file, _, rule = rest.partition("#")
        assert (bundled("policies") / "cases" / f"{file}.yaml").is_file()
        assert any(case.because == rule for cases in load_case_files(V) for case in cases.cases)
        return
    path, _, function = test.partition("::")
    text = (TESTS / path).read_text(encoding="utf-8")
    assert re.search(rf"^def {re.escape(function)}\(", text, re.MULTILINE), f"{test} does not exist"


def test_every_rule_of_the_law_pack_stands_under_an_article() -> None:
    named = {rule for entry in ARTICLES for rule in entry["rules"]}
    assert {rule.id for rule in LAW.rules} <= named
