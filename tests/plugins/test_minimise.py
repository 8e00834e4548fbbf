"""Minimise: fields, bands, classes of at least k, and the stability a private algorithm may rely on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthema_minimise
from synthema.spi.manifest import load_manifest
from tests.plugins.mgus import CODEBOOK, mgus_table, split

FIELDS = ["age", "sex", "hgb", "futime", "death"]


def test_keeps_only_the_named_fields_and_never_the_identifier() -> None:
    found = synthema_minimise.anonymise(mgus_table(), CODEBOOK, {"fields": [*FIELDS, "id"], "band": ["age"], "k": 2})
    assert found.table.columns == FIELDS
    assert found.codebook.names() == tuple(FIELDS)


def test_bands_come_from_the_codebook_and_depend_on_the_row_alone() -> None:
    table = mgus_table()
    parameters = {"fields": ["age"], "band": ["age"], "k": 1}
    whole = synthema_minimise.anonymise(table, CODEBOOK, parameters).table["age"].to_list()
    alone = [synthema_minimise.anonymise(table[i], CODEBOOK, parameters).table["age"][0] for i in range(20)]
    assert whole[:20] == alone
    assert set(whole) == {"18–49", "50–59", "60–69", "70–79", "80–100"}
    assert [whole[i] for i in (0, 3)] == ["80–100", "60–69"]  # aged 88 and 68


def test_the_codebook_is_computed_without_data_and_is_the_one_that_comes_out() -> None:
    parameters = {"fields": FIELDS, "band": ["age"], "k": 2}
    before = synthema_minimise.anonymised_codebook(CODEBOOK, parameters)
    after = synthema_minimise.anonymise(mgus_table(), CODEBOOK, parameters).codebook
    assert before.digest == after.digest
    assert before.variable("age").type == "category"
    assert before.outcomes[0].name == "survival"
    assert not before.rules  # ptime is gone, and its rule with it


@pytest.mark.article("GDPR 5(1)(c)")
def test_small_classes_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"share their quasi-identifiers with fewer than k.*band or drop"):
        synthema_minimise.anonymise(mgus_table(), CODEBOOK, {})


def test_refusing_costs_no_stability_and_suppressing_costs_k() -> None:
    parameters = {"fields": FIELDS, "band": ["age"], "k": 5}
    refused = synthema_minimise.anonymise(mgus_table(), CODEBOOK, parameters)
    assert refused.stability == 1
    assert refused.measures["smallestClass"] >= 5
    parameters = {"k": 5, "small_classes": "suppress", "band": ["age"]}
    suppressed = synthema_minimise.anonymise(mgus_table(), CODEBOOK, parameters)
    assert suppressed.stability == 5
    assert suppressed.measures["smallestClass"] >= 5
    assert suppressed.measures["suppressedRows"] == mgus_table().height - suppressed.table.height > 0
    assert suppressed.measures["prosecutorRisk"] <= 1 / 5


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"fields": ["nothing"]}, "no variable nothing"),
        ({"fields": ["id"]}, "no variable is left"),
        ({"band": ["futime"]}, "cannot be banded"),
        ({"band": ["hgb"]}, "gives no bands for 'hgb'"),
        ({"fields": ["sex"], "band": ["age"]}, "not among the kept fields"),
        ({"k": 0}, "whole number"),
        ({"small_classes": "keep"}, "'refuse' or 'suppress'"),
        ({"k": 2000, "small_classes": "suppress"}, "every class has fewer than k"),
    ],
)
def test_what_cannot_be_done_is_said(parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        synthema_minimise.anonymise(mgus_table(), CODEBOOK, parameters)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(18, 100), st.sampled_from("FM")), min_size=1, max_size=25), st.integers(1, 4))
def test_one_patient_changes_at_most_stability_rows(rows: list[tuple[int, str]], k: int) -> None:
    parameters = {"fields": ["age", "sex"], "band": ["age"], "k": k, "small_classes": "suppress"}
    outcomes = []
    for chosen in (rows, rows[:-1]):
        table = pl.DataFrame(chosen, schema={"age": pl.Int64, "sex": pl.String}, orient="row")
        try:
            found = synthema_minimise.anonymise(table, CODEBOOK, parameters)
        except ValueError:
            outcomes.append(table.clear())
        else:
            assert found.stability == k
            outcomes.append(found.table)
    before, after = (Counter(table.rows()) for table in outcomes)
    assert ((before - after) + (after - before)).total() <= k


def test_patients_are_counted_and_not_rows() -> None:
    table = pl.DataFrame({"id": [1, 1, 1, 2, 3, 4], "age": [60] * 6, "sex": ["F"] * 4 + ["M"] * 2})
    parameters: dict[str, object] = {"fields": ["age", "sex"], "k": 2}
    assert synthema_minimise.anonymise(table, CODEBOOK, parameters).measures["smallestClass"] == 2
    with pytest.raises(ValueError, match="fewer than k"):
        synthema_minimise.anonymise(table, CODEBOOK, parameters | {"k": 3})  # four rows, but two patients
    parameters |= {"k": 2, "small_classes": "suppress"}
    alone = synthema_minimise.anonymise(table[:4].vstack(table[4:5]), CODEBOOK, parameters)
    assert alone.table["sex"].to_list() == ["F"] * 4
    assert alone.stability == 2 * 3  # a class of two patients with up to three rows each
    assert alone.measures["suppressedRows"] == 1
    with pytest.raises(ValueError, match="which patient"):
        synthema_minimise.anonymise(table.with_columns(pl.lit(None, pl.Int64).alias("id")), CODEBOOK, parameters)


def test_rows_kept_apart_are_recoded_alike_and_have_no_say() -> None:
    train, holdout = split()
    parameters: dict[str, object] = {"fields": FIELDS, "band": ["age"], "k": 5}
    control = synthema_minimise.anonymise_control(holdout, train, CODEBOOK, parameters)
    fitted = synthema_minimise.anonymise(train, CODEBOOK, parameters)
    assert control.schema == fitted.table.schema
    assert control.height == holdout.height  # nobody is refused among them, however few they are
    whole = {"k": 5, "band": ["age"], "small_classes": "suppress"}
    kept = synthema_minimise.anonymise(train, CODEBOOK, whole).table
    apart = synthema_minimise.anonymise_control(holdout, train, CODEBOOK, whole)
    names = ["age", "sex", "dxyr"]
    assert 0 < apart.height < holdout.height
    assert set(apart.select(names).rows()) <= set(kept.select(names).rows())


def test_a_derived_column_is_kept_as_a_plain_one_where_it_can_no_longer_follow() -> None:
    document = CODEBOOK.model_dump(mode="json")
    end = {"name": "end", "label": "Age at the end", "type": "decimal", "minimum": 0, "maximum": 150}
    document["variables"].append(end | {"derivation": {"kind": "sum", "of": {"age": 1, "futime": 1 / 12}}})
    codebook = type(CODEBOOK).model_validate(document)
    fields = ["age", "sex", "futime", "death", "end"]
    assert synthema_minimise.anonymised_codebook(codebook, {"fields": fields}).derived == ("end",)
    assert synthema_minimise.anonymised_codebook(codebook, {"fields": fields, "band": ["age"]}).derived == ()


def test_the_manifest_describes_it() -> None:
    manifest = load_manifest(Path(synthema_minimise.__file__).parent / "plugin.toml")
    assert manifest.kinds == ("anonymiser",)
    assert manifest.validate_parameters({}) == {
        "k": 5, "small_classes": "refuse", "pseudonyms": False, "shift_days": 182
    }  # fmt: skip
