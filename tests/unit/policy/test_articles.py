"""``legal/articles.yaml`` says which rule stands for an article, and what shows it; this holds it to its word."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from synthema.errors import InputError, NotFoundError
from synthema.policy import load_case_files, union_law
from synthema.policy.articles import (
    Article,
    enforcement_point,
    explain_article,
    find_articles,
    matrix_markdown,
    read_articles,
    rule_book,
)
from synthema.policy.phrases import ACTS
from synthema.resources import bundled
from tests.unit.policy.sample import V

ARTICLES = read_articles()
TESTS = Path(__file__).resolve().parents[2]
RULES = rule_book(V)
DECISIVE = {case.because for file in load_case_files(V) for case in file.cases}
# Articles of the Regulation that the product touches; what it cannot do about one of them is said in the entry.
TOUCHED = {
    *(f"EHDS {n}" for n in (51, 52, 53, 54, 57, 58, 59, 60, 61, 66, 67, 68, 69, 71, 73, 77, 78, 79, 86, 87, 88, 90)),
    *(f"GDPR {n}" for n in (5, 7, 9, 17, 21, 25, 32, 35, 44, 89)),
    *(f"AI Act {n}" for n in (10, 50)),
}


@pytest.mark.parametrize("entry", ARTICLES, ids=[entry.article for entry in ARTICLES])
def test_rules_places_and_tests_of_an_article_exist(entry: Article) -> None:
    assert entry.act in ACTS
    assert entry.number
    assert set(entry.rules) <= set(RULES)
    for point in entry.enforced:
        assert enforcement_point(point)
    assert entry.tests or entry.left_to, "an article needs a test, or a sentence that says what is left to people"
    assert entry.tests or not entry.rules, "a rule needs a test"
    assert entry.enforced or not entry.rules, "a rule needs a place where it bites"
    for test in entry.tests:
        _require_test(test, entry.article)
    assert explain_article(entry, RULES, V)[1].endswith(entry.demand)


def _require_test(test: str, article: str) -> None:
    """``case:<file>#<rule>`` names a case in which the rule decides; ``<path>::<function>`` a test marked with it."""
    kind, _, rest = test.partition(":")
    if kind == "case":
        file, _, rule = rest.partition("#")
        assert (bundled("policies") / "cases" / f"{file}.yaml").is_file()
        assert rule in DECISIVE, test
        return
    path, _, function = test.partition("::")
    marks = _marks(TESTS / path)
    assert function in marks, f"{test} does not exist"
    assert any(_same(article, mark) for mark in marks[function]), f'mark {test}: @pytest.mark.article("{article}")'


@cache
def _marks(path: Path) -> dict[str, set[str]]:
    """Test function → the articles it is marked with, its file's marks included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_file = {
        article
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for article in _named(ast.walk(node.value))
    }
    return {
        node.name: of_file | set(_named(part for decorator in node.decorator_list for part in ast.walk(decorator)))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


def _named(nodes: object) -> list[str]:
    return [
        node.args[0].value
        for node in nodes  # type: ignore[attr-defined]
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "article"
        and isinstance(node.args[0], ast.Constant)
    ]


def _same(article: str, mark: str) -> bool:
    """A mark fits an article if one is the other, or a paragraph or point of it."""
    return article == mark or article.startswith(f"{mark}(") or mark.startswith(f"{article}(")


def test_every_rule_of_the_law_pack_stands_under_an_article() -> None:
    named = {rule for entry in ARTICLES for rule in entry.rules}
    assert {rule.id for rule in union_law(V).rules} <= named


def test_every_article_the_product_touches_has_an_entry() -> None:
    assert {f"{entry.act} {entry.number.partition('(')[0]}" for entry in ARTICLES} >= TOUCHED


def test_a_law_reference_of_a_shipped_rule_has_an_entry() -> None:
    """What a decision names as its ground can be looked up in the matrix, at least by the article."""
    known = {f"{entry.act} {entry.number.partition('(')[0]}" for entry in ARTICLES} | {"GDPR 28"}
    cited = {
        f"{reference.act} {reference.article.partition('(')[0]}"
        for policy, rule in RULES.values()
        for reference in policy.law_of(rule)
    }
    assert cited <= known


def test_an_article_is_found_with_its_parts_or_as_a_part() -> None:
    assert [a.article for a in find_articles("EHDS 71")] == ["EHDS 71", "EHDS 71(4)"]
    assert [a.article for a in find_articles("EHDS 71(3)")] == ["EHDS 71"]
    assert [a.article for a in find_articles("GDPR Art. 7(3)")] == ["GDPR 7(3)"]
    with pytest.raises(NotFoundError, match="not in the legal matrix") as caught:
        find_articles("EHDS 7")
    assert "EHDS 71" in (caught.value.fix or "")


def test_the_matrix_reads_as_a_table() -> None:
    lines = matrix_markdown(ARTICLES).splitlines()
    assert len(lines) == len(ARTICLES) + 2
    assert len({line.count("|") - line.count("\\|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: []\n", "no list of articles"),
        ("articles: [{article: EHDS 1, rules: []}]\n", "is not understood"),
        ("articles: [{article: EHDS 1, demand: x, rules: [], proofs: []}]\n", "is not understood"),
        ("articles: [{article: BGB 1, demand: x, rules: []}]\n", "names no act"),
        (
            "articles: [{article: EHDS 1, demand: x, rules: []}, {article: EHDS 1, demand: y, rules: []}]\n",
            "two entries",
        ),
    ],
)
def test_a_faulty_matrix_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "articles.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_articles(path)


@pytest.mark.parametrize(
    "point", ["synthema.policy.decide::obey", "synthema.nowhere::x", "synthema.policy.decide", "::"]
)
def test_a_place_that_does_not_exist_is_found(point: str) -> None:
    with pytest.raises(NotFoundError):
        enforcement_point(point)
