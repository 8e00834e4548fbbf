"""Which numbers a codebook's rules order: what every generator that draws a number as a share of another relies on."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from synthema.datasets.codebook import Codebook
from synthema.spi.sampling import broken_rows, ordered_below, ordered_pair

NUMBERS = ("a", "b", "c", "d")
COMPARISONS = ("<=", "<", ">=", ">", "==", "!=")
rules = st.lists(
    st.fixed_dictionaries(
        {
            "left": st.sampled_from(NUMBERS),
            "comparison": st.sampled_from(COMPARISONS),
            "right": st.sampled_from(NUMBERS),
        },
        optional={"when": st.just({"arm": "A"}), "plus": st.just({"variable": "a", "factor": 2})},
    ).filter(lambda rule: rule["left"] != rule["right"]),
    max_size=5,
)


def codebook(given_rules: list[dict[str, Any]]) -> Codebook:
    number = {"type": "decimal", "minimum": 0, "maximum": 8}
    return Codebook.model_validate(
        {
            "id": "orders", "version": "1", "title": "Orders", "disease": "http://www.orpha.net/ORDO/Orphanet_29073",
            "patient_key": "arm",
            "variables": [
                *({"name": name, "label": name, **number} for name in NUMBERS),
                {"name": "arm", "label": "Arm", "type": "category", "categories": ["A", "B"]},
            ],
            "rules": [{"id": f"rule-{i}", "sentence": "It holds.", **rule} for i, rule in enumerate(given_rules)],
        }
    )  # fmt: skip


def rows(seed: int, number: int) -> pl.DataFrame:
    """Rows of few values, so that equal ones are frequent."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: random.integers(0, 9, number).astype(float) for name in NUMBERS}
    return pl.DataFrame({**columns, "arm": random.choice(["A", "B"], number).tolist()})


def held(book: Codebook, low: str, high: str) -> bool:
    """Whether one order after the other leads from the one number to the other."""
    found = ordered_below(book)
    while low != high and low in found:
        low = found[low].name
    return low == high


@given(rules, st.integers(0, 1000))
def test_an_order_that_is_found_holds_in_every_row_that_keeps_the_rules(
    given_rules: list[dict[str, Any]], seed: int
) -> None:
    book = codebook(given_rules)
    table = rows(seed, 300)
    kept = table.filter(~broken_rows(table, book))
    for low, high in ordered_below(book).items():
        assert (kept[low] <= kept[high.name]).all()


@given(rules)
def test_no_order_that_a_rule_says_is_passed_over_strict_or_not(given_rules: list[dict[str, Any]]) -> None:
    """A rule's lower number hangs on the higher one, or already on another; only a circle is left open."""
    book = codebook(given_rules)
    for rule in book.rules:
        pair = ordered_pair(rule)
        if pair is not None:
            assert pair[0] in ordered_below(book) or held(book, pair[1], pair[0])


@given(st.sampled_from(["<", ">"]), st.integers(0, 1000))
def test_a_strict_order_drawn_as_a_share_breaks_only_where_both_are_equal(comparison: str, seed: int) -> None:
    """Why strict orders count: a free draw breaks half of all rows, a share of the other those at its end only."""
    low, high = ("a", "b") if comparison == "<" else ("b", "a")
    book = codebook([{"left": "a", "comparison": comparison, "right": "b"}])
    assert ordered_below(book)[low].name == high
    free = rows(seed, 200)
    share = np.random.default_rng(seed).integers(0, 5, 200) / 4
    bound = free.with_columns((free[high] * share).alias(low))
    broken = broken_rows(bound, book)
    assert (broken == (bound[low] == bound[high]).to_numpy()).all()
    assert not broken_rows(bound.filter(bound[low] < bound[high]), book).any()


@given(rules)
def test_orders_never_close_a_circle(given_rules: list[dict[str, Any]]) -> None:
    found = ordered_below(codebook(given_rules))
    for start in found:
        seen, name = {start}, start
        while name in found:
            name = found[name].name
            assert name not in seen
            seen.add(name)
