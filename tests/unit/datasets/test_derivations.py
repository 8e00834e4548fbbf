from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from synthema.datasets import Codebook, dictionary
from synthema.datasets.derive import derive
from synthema.datasets.rules import breach, violations


def book(*derived: dict[str, Any], rules: tuple[dict[str, Any], ...] = ()) -> Codebook:
    flag = {"label": "A flag", "type": "category", "categories": ["0", "1"]}
    number = {"label": "A number", "type": "decimal", "minimum": 0, "maximum": 200}
    return Codebook.model_validate(
        {
            "id": "test",
            "version": "1",
            "title": "Test",
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "id",
            "variables": [
                {"name": "id", "label": "Patient", "type": "text", "role": "identifier"},
                *({"name": name, **flag} for name in ("a", "b", "c")),
                *({"name": name, **number} for name in ("x", "y")),
                *({"label": "Derived"} | each for each in derived),
            ],
            "rules": list(rules),
        }
    )


def number(name: str = "d", **derivation: Any) -> dict[str, Any]:
    return {"name": name, "type": "decimal", "minimum": 0, "maximum": 100, "derivation": derivation}


def category(*values: str, name: str = "d", **derivation: Any) -> dict[str, Any]:
    return {"name": name, "type": "category", "categories": list(values), "derivation": derivation}


ROWS = pl.DataFrame(
    {"a": ["1", "0", None], "b": ["1", "0", "0"], "c": ["0", "0", "1"], "x": [10.0, 4.0, None], "y": [2.0, 0.0, 1.0]}
)
ONE = [{"variable": "a", "value": "1"}]


@pytest.mark.parametrize(
    ("derived", "expected"),
    [
        (number(kind="sum", of={"x": 1, "y": -0.5}, plus=1), [10.0, 5.0, None]),
        (number(kind="sum", of={"x": 0.33}, rounding="down"), [3.0, 1.0, None]),
        (number(kind="sum", of={"x": 0.27}, rounding="nearest"), [3.0, 1.0, None]),
        (number(kind="product", of={"x": 1, "y": -2}, times=4), [10.0, None, None]),
        (number(kind="sum", of={"x": -1}), [None, None, None]),  # below the minimum
        (number(kind="count", of={"a": ["1"], "b": ["1"], "c": ["0"]}), [3.0, 1.0, None]),
        (category("low", "high", kind="bands", of="x", edges=[0, 5, 10]), ["high", "low", None]),
        (
            category("yes", "no", kind="cases", cases=[{"when": ONE, "value": "yes"}], otherwise="no"),
            ["yes", "no", None],
        ),
        (
            category("yes", "no", kind="cases", cases=[{"when": ONE, "value": "yes"}], otherwise="yes"),
            ["yes", "yes", "yes"],  # whatever a is
        ),
        (
            category(
                "yes",
                "no",
                kind="cases",
                cases=[{"when": [*ONE, {"variable": "b", "one_of": ["1"]}], "value": "yes"}],
                otherwise="no",
            ),
            ["yes", "no", "no"],  # b alone decides the last row
        ),
        (
            number(
                kind="score",
                parts=[
                    {"cases": [{"when": [{"variable": "y", "comparison": ">=", "value": 1}], "points": 2}]},
                    {"cases": [{"when": [{"variable": "b", "value": "1"}], "points": 1.5}], "otherwise": 0.5},
                ],
            ),
            [3.5, 0.5, 2.5],
        ),
    ],
)
def test_a_derived_column_holds_what_follows(derived: dict[str, Any], expected: list[Any]) -> None:
    codebook = book(derived)
    found = derive(ROWS, codebook)
    assert found["d"].to_list() == pytest.approx(expected) if expected[0] is None else found["d"].to_list() == expected
    assert codebook.derived == ("d",)
    assert Codebook.model_validate(codebook.model_dump(mode="json")) == codebook


def test_columns_follow_from_each_other_in_any_order_of_writing() -> None:
    codebook = book(number(kind="sum", of={"e": 2}), number("e", kind="sum", of={"x": 1}))
    assert derive(ROWS, codebook)["d"].to_list() == [20.0, 8.0, None]
    assert derive(ROWS.drop("x"), codebook).columns == ["a", "b", "c", "y"]


@pytest.mark.parametrize(
    ("derived", "said"),
    [
        ([number(kind="sum", of={"d": 1})], "go in a circle"),
        ([number(kind="sum", of={"z": 1})], "unknown variables: z"),
        ([number(kind="sum", of={"a": 1})], "another type"),
        ([number(kind="sum", of={"id": 1})], "another type"),
        ([number(kind="count", of={"x": ["1"]})], "another type"),
        ([number(kind="count", of={"a": ["7"]})], "no category of a"),
        ([number(kind="bands", of="x", edges=[0, 1])], "derive a category"),
        ([category("a", "b", kind="sum", of={"x": 1})], "the others a number"),
        ([category("low", "high", kind="bands", of="x", edges=[0, 5])], "one more than categories"),
        ([category("a", "b", kind="cases", cases=[{"when": ONE, "value": "c"}])], "no category of it"),
        (
            [category("a", "b", kind="cases", cases=[{"when": [{"variable": "a", "value": 1.0}], "value": "a"}])],
            "another type",
        ),
    ],
)
def test_derivations_that_make_no_sense(derived: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        book(*derived)


def test_a_derivation_goes_with_what_it_follows_from() -> None:
    codebook = book(number(kind="sum", of={"x": 1}))
    assert codebook.keep(("x", "d")).derived == ("d",)
    assert codebook.keep(("d", "y")).derived == ()


def test_contradictions_are_counted_and_named() -> None:
    codebook = book(
        number(kind="sum", of={"x": 1, "y": 1}, tolerance=0.5),
        rules=({"id": "one", "sentence": "At most one is set.", "at_most_one": {"a": "1", "b": "1", "c": "1"}},),
    )
    table = ROWS.with_columns(pl.Series("d", [12.4, 9.0, 50.0]))
    found = {name: flags.to_list() for name, flags in violations(table, codebook).items()}
    assert found == {
        "one/a/b": [True, False, False],
        "one/a/c": [False, False, False],
        "one/b/c": [False, False, False],
        "derived/d": [False, True, False],
    }
    assert breach(codebook, "one/a/b") == ("b", "At most one is set: here a and b.")
    assert breach(codebook, "derived/d") == ("d", "Derived does not agree with what it follows from (x, y).")
    outside = ROWS.with_columns(pl.Series("x", [150.0, 4.0, None]), pl.Series("d", [None, 4.0, None]))
    assert violations(outside, codebook)["derived/d"].to_list() == [True, False, False]


def test_a_rule_compares_with_a_variable_or_a_category() -> None:
    with pytest.raises(ValidationError, match="and not with both"):
        book(rules=({"id": "r", "sentence": "S", "left": "a", "comparison": "=="},))
    with pytest.raises(ValidationError, match="says == or !="):
        book(rules=({"id": "r", "sentence": "S", "left": "a", "comparison": "<", "value": "1"},))
    with pytest.raises(ValidationError, match="is no category of a"):
        book(rules=({"id": "r", "sentence": "S", "left": "a", "comparison": "==", "value": "7"},))
    with pytest.raises(ValidationError, match="same id"):
        book(rules=({"id": "r", "sentence": "S", "left": "x", "comparison": "<", "right": 7},) * 2)


def patient(name: str, **values: Any) -> pl.DataFrame:
    """One patient of a dictionary: categories at their first value, numbers in the middle, but for what is named."""
    codebook = dictionary(name)
    found: dict[str, Any] = {}
    for variable in codebook.variables:
        if variable.type == "category":
            found[variable.name] = variable.categories[0]
        elif variable.type != "text":
            found[variable.name] = variable.minimum
    return derive(pl.DataFrame({key: [value] for key, value in (found | values).items()}), codebook)


@pytest.mark.parametrize(
    ("dictionary_name", "values", "column", "expected"),
    [
        ("aml", {"t_8_21": "1", "tp53": "1"}, "eln2022", "favourable"),
        ("aml", {"npm1": "1"}, "eln2022", "favourable"),
        ("aml", {"npm1": "1", "asxl1": "1"}, "eln2022", "favourable"),
        ("aml", {"npm1": "1", "flt3_itd": "1"}, "eln2022", "intermediate"),
        ("aml", {"npm1": "1", "complex_karyotype": "1"}, "eln2022", "adverse"),
        ("aml", {"npm1": "1", "tp53": "1"}, "eln2022", "adverse"),
        ("aml", {"t_9_11": "1", "asxl1": "1"}, "eln2022", "intermediate"),
        ("aml", {"srsf2": "1"}, "eln2022", "adverse"),
        ("aml", {"t_15_17": "1"}, "eln2022", "not applicable"),
        ("aml", {}, "eln2022", "intermediate"),
        ("aml", {"npm1": None}, "eln2022", None),
        ("aml", {"npm1": "1", "tet2": "1"}, "mutated_genes", 2),
        ("mm", {"b2m": 6.0}, "iss", "III"),
        ("mm", {"b2m": 3.0, "albumin": 4.0}, "r_iss", "I"),
        ("mm", {"b2m": 6.0, "del17p": "1"}, "r_iss", "III"),
        ("mm", {"b2m": 6.0}, "r_iss", "II"),
        ("mds", {"hb": 12.0, "platelets": 200.0, "anc": 2.0}, "ipss_r", "very low"),
        ("mds", {"hb": 9.0, "platelets": 60.0, "anc": 2.0, "cyto_risk": "good"}, "ipss_r_score", 2.5),
        ("mds", {"hb": 7.0, "platelets": 20.0, "anc": 0.2, "cyto_risk": "very poor"}, "ipss_r", "very high"),
        ("scd", {"genotype": "S-beta0"}, "severe_genotype", "1"),
        ("scd", {"genotype": "other"}, "severe_genotype", None),
    ],
)
def test_the_dictionaries_know_published_scores(
    dictionary_name: str, values: dict[str, Any], column: str, expected: Any
) -> None:
    assert patient(dictionary_name, **values)[column].to_list() == [expected]
