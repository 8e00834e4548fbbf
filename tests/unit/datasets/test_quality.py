from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from synthema.datasets import Codebook, Quality, Rule, assess
from synthema.datasets.rules import broken
from synthema.errors import InputError
from tests.unit.datasets.test_source import codebook


def with_rule() -> Codebook:
    rule = {
        "id": "old",
        "sentence": "Nobody is observed longer than they live.",
        "left": "time",
        "comparison": "<=",
        "right": "age",
    }
    return codebook(rules=[rule])


def table(hgb: list[float | None], **changes: list[Any]) -> pl.DataFrame:
    n = len(hgb)
    values = {"id": [f"P-{i}" for i in range(n)], "age": [60] * n, "sex": ["F"] * n, "hgb": hgb, "time": [10] * n}
    return pl.DataFrame(values | changes, schema_overrides={"hgb": pl.Float64, "age": pl.Int64, "time": pl.Int64})


def test_a_good_table_passes() -> None:
    quality = assess(table([13.0, 12.0, None]), with_rule())
    assert quality.passes
    assert quality.completeness["hgb"] == pytest.approx(2 / 3)
    assert quality.rule_violations == {"old": 0}
    assert Quality.from_dict(quality.as_dict()) == quality
    quality.require("here")


def test_a_column_in_the_wrong_unit_is_kept_out() -> None:
    quality = assess(table([8.1, 8.4, 7.9]), codebook())  # mmol/L: possible as g/dL, but no cohort's median
    assert not quality.passes
    with pytest.raises(InputError, match="fits the unit mmol/L"):
        quality.require("data.csv")


def test_an_unusual_median_without_an_explanation_only_warns() -> None:
    quality = assess(table([18.0, 18.5, 19.0]), codebook())
    assert quality.passes
    assert "where 10 to 17 g/dL is usual" in quality.findings[0].sentence


def test_sparse_columns_warn_and_empty_ones_block() -> None:
    assert assess(table([13.0, None, None]), codebook()).findings[0].severity == "warn"
    assert not assess(table([None, None]), codebook()).passes


def test_many_broken_rules_block_and_few_warn() -> None:
    few = assess(table([13.0] * 200, time=[70] + [10] * 199), with_rule())
    assert few.passes
    assert few.rule_violations == {"old": 1}
    assert few.findings[0].severity == "warn"
    many = assess(table([13.0] * 200, time=[70] * 3 + [10] * 197), with_rule())
    assert not many.passes


@pytest.mark.parametrize(
    ("comparison", "right", "expected"),
    [
        ("<=", "b", [False, False, True]),
        ("<", "b", [False, True, True]),
        ("==", "b", [True, False, True]),
        ("!=", "b", [False, True, False]),
        (">=", "b", [True, False, False]),
        (">", 1.0, [True, False, False]),
    ],
)
def test_rules_mean_what_they_say(comparison: Any, right: Any, expected: list[bool]) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": [2, 2, 2], "c": ["x", "x", "y"]})
    rule = Rule(id="r", sentence="s", left="a", comparison=comparison, right=right)
    assert broken(frame, rule).to_list() == expected
    limited = rule.model_copy(update={"when": {"c": "x"}})
    assert broken(frame, limited).to_list() == [*expected[:2], False]
    unknown = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias("a"))
    assert broken(unknown, rule).to_list() == [False] * 3
