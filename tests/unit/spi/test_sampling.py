"""What generators do after drawing: rules kept, derived columns recomputed, subgroups taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from synthema.datasets.codebook import Codebook
from synthema.spi.sampling import broken_rows, keep_rules, ordered_below, rows_of, subgroup, written


def _codebook(*rules: dict[str, Any]) -> Codebook:
    number = {"type": "integer", "minimum": 0, "maximum": 100}
    return Codebook.model_validate(
        {
            "id": "test", "version": "1", "title": "Test", "disease": "http://www.orpha.net/ORDO/Orphanet_29073",
            "patient_key": "id",
            "variables": [
                {"name": "first", "label": "First", **number},
                {"name": "last", "label": "Last", **number},
                {"name": "arm", "label": "Arm", "type": "category", "categories": ["A", "B"]},
            ],
            "rules": [{"id": f"rule-{i}", "sentence": "It holds.", **rule} for i, rule in enumerate(rules)],
        }
    )  # fmt: skip


def _drawing(seed: int = 0) -> Callable[[int], pl.DataFrame]:
    random = np.random.default_rng(seed)

    def draw(rows: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "first": random.integers(0, 101, rows), "last": random.integers(0, 101, rows),
                "arm": [("A", "B")[i] for i in random.integers(0, 2, rows)],
            }
        )  # fmt: skip

    return draw


ORDER = {"left": "first", "comparison": "<=", "right": "last"}


def test_rows_that_break_a_rule_are_drawn_again() -> None:
    book = _codebook(ORDER)
    assert broken_rows(_drawing()(200), book).mean() > 0.3
    made = keep_rules(_drawing(), book, 200)
    assert made.height == 200
    assert not broken_rows(made, book).any()


def test_what_is_never_drawn_right_is_mended() -> None:
    book = _codebook({"left": "first", "comparison": "==", "right": "last"})
    made = keep_rules(_drawing(), book, 50)
    assert made["first"].to_list() == made["last"].to_list()


def test_a_row_that_cannot_be_mended_is_replaced() -> None:
    always_b = _codebook({"left": "arm", "comparison": "==", "value": "B"})
    made = keep_rules(_drawing(), always_b, 40)
    assert set(made["arm"]) == {"B"}
    assert made.height == 40


def test_rules_that_contradict_each_other_are_an_error() -> None:
    book = _codebook(
        {"left": "first", "comparison": "<", "right": "last"}, {"left": "first", "comparison": ">", "right": "last"}
    )
    with pytest.raises(ValueError, match="contradictions"):
        keep_rules(_drawing(), book, 20)


def test_orders_between_numbers_are_found_and_never_in_a_circle() -> None:
    book = _codebook(ORDER, {"left": "first", "comparison": ">=", "right": "last"})
    assert {name: anchor.name for name, anchor in ordered_below(book).items()} == {"first": "last"}
    assert ordered_below(_codebook({**ORDER, "when": {"arm": "A"}})) == {}


def test_a_subgroup_is_taken_from_whole_cohorts() -> None:
    wanted = subgroup(_codebook(), {"arm": "B", "first": "20..40"})
    made = rows_of(_drawing(), wanted, 30)
    assert made.height == 30
    assert set(made["arm"]) == {"B"}
    assert made["first"].is_between(20, 40).all()


@pytest.mark.parametrize("where", [{"arm": "C"}, {"first": "twenty"}, {"first": "40..20"}, {"unheard": "1"}])
def test_a_subgroup_that_makes_no_sense_is_refused(where: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="where"):
        subgroup(_codebook(), where)


def test_what_hardly_exists_is_refused() -> None:
    with pytest.raises(ValueError, match="hardly any"):
        rows_of(_drawing(), lambda table: pl.Series([False] * table.height), 5)


def test_numbers_are_written_within_bounds() -> None:
    variable = _codebook().variable("first")
    assert written(np.array([-3.0, 1.4, 1.6, 200.0]), variable).tolist() == [0.0, 1.0, 2.0, 100.0]
