"""Anonymise: every promise holds in every output, nothing is invented, and what it costs is said."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthema_anonymise
from synthema.spi.manifest import load_manifest
from synthema.spi.simulated import check_conforms
from synthema_anonymise.scales import ANY, scale_of
from tests.plugins.anonymised import CODEBOOK, GROUPS, NAMES, allows, classes, simulated, tables
from tests.plugins.mgus import CODEBOOK as MGUS
from tests.plugins.mgus import mgus_table, split

Parameters = dict[str, Any]
WAYS: list[Parameters] = [
    {},
    {"groups": GROUPS},
    {"l": 2},
    {"l": 1.7, "diversity": "entropy"},
    {"t": 0.35},
    {"l": 2, "t": 0.4, "groups": GROUPS},
    {"method": "microaggregate"},
    {"method": "microaggregate", "groups": GROUPS},
]
METHODS = ["generalise", "microaggregate"]


def _run(table: pl.DataFrame, parameters: Parameters) -> Any:
    return synthema_anonymise.anonymise(table, CODEBOOK, parameters)


def _level(value: float | None) -> int | None:
    return None if value is None else min(int(value // 10), 4)


def _sensitive(table: pl.DataFrame) -> dict[str, list[Any]]:
    return {"finding": table["finding"].to_list(), "level": [_level(value) for value in table["level"].to_list()]}


def _entropy(values: list[Any]) -> float:
    shares = [count / len(values) for count in Counter(values).values()]
    return math.exp(-sum(share * math.log(share) for share in shares)) if values else 0.0


def _moved(mine: list[Any], whole: list[Any]) -> float:
    """The ordered earth mover's distance over five intervals, written out."""
    known, all_known = [v for v in mine if v is not None], [v for v in whole if v is not None]
    recorded = abs(len(known) / len(mine) - len(all_known) / len(whole))
    if not known:
        return recorded
    carried, work = 0.0, 0.0
    for step in range(4):
        carried += known.count(step) / len(known) - all_known.count(step) / len(all_known)
        work += abs(carried)
    return max(recorded, work / 4)


def _differs(mine: list[Any], whole: list[Any]) -> float:
    values = {*mine, *whole}
    return sum(abs(mine.count(v) / len(mine) - whole.count(v) / len(whole)) for v in values) / 2


# promises, checked in plain Python ---------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(tables, st.integers(1, 7), st.sampled_from(WAYS))
def test_every_promise_holds_in_every_output(table: pl.DataFrame, k: int, way: Parameters) -> None:
    try:
        found = _run(table, {"k": k, **way})
    except ValueError as error:
        assert "the table as a whole" in str(error)  # noqa: PT017 - most draws do not raise
        return
    sensitive = _sensitive(found.table)
    for rows in classes(found.table):
        assert len(rows) >= k
        for name, values in sensitive.items():
            mine = [values[row] for row in rows]
            known = [value for value in mine if value is not None]
            if way.get("diversity") == "entropy":
                assert _entropy(known) >= way["l"] - 1e-9
            else:
                assert len(set(known)) >= way.get("l", 0)
            distance = (_moved if name == "level" else _differs)(mine, values)
            assert distance <= way.get("t", 1.0) + 1e-9


@settings(max_examples=80, deadline=None)
@given(tables, st.integers(1, 7), st.sampled_from(WAYS))
def test_nothing_is_invented(table: pl.DataFrame, k: int, way: Parameters) -> None:
    try:
        found = _run(table, {"k": k, **way})
    except ValueError:
        return
    assert found.table.height == table.height
    untouched = ["finding", "level", "dose"]
    assert found.table.select(untouched).equals(table.select(untouched))
    check_conforms(found.table, found.codebook)
    assert found.codebook == synthema_anonymise.anonymised_codebook(CODEBOOK, {"k": k, **way})
    groups: dict[str, tuple[str, ...]] = {"north": ("a", "b"), "south": ("c", "d")} if "groups" in way else {}
    for name in NAMES:
        scale = scale_of(CODEBOOK.variable(name), groups if name == "place" else None)
        if way.get("method") == "microaggregate" and scale.ordered:
            for rows in classes(found.table):
                before, after = table[name][rows].to_list(), found.table[name][rows].to_list()
                assert len(set(after)) == 1
                if after[0] is not None:
                    assert min(before) <= after[0] <= max(before)
        else:
            codes = scale.codes(table[name])
            assert all(allows(scale, label, code) for label, code in zip(found.table[name], codes, strict=True))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_same_table_gives_the_same_result(way: Parameters) -> None:
    table = simulated(400, seed=3)
    one, other = _run(table, way), _run(table, way)
    assert one.table.equals(other.table)
    assert one.measures == other.measures


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(0, 2**31), st.sampled_from(WAYS[:6]))
def test_the_order_of_rows_makes_no_difference_to_generalisation(
    table: pl.DataFrame, seed: int, way: Parameters
) -> None:
    order = np.random.default_rng(seed).permutation(table.height).tolist()
    try:
        found = _run(table, {"k": 3, **way})
    except ValueError:
        return
    assert _run(table[order], {"k": 3, **way}).table.equals(found.table[order])


@settings(max_examples=40, deadline=None)
@given(st.integers(10, 80), st.integers(2, 5), st.integers(0, 2**31))
def test_a_patient_with_many_rows_counts_once(rows: int, k: int, seed: int) -> None:
    people = np.random.default_rng(seed).integers(0, max(rows // 3, 1), rows)
    table = simulated(rows, seed).with_columns(pl.Series("patient", [f"p{number}" for number in people]))
    try:
        found = _run(table, {"k": k})
    except ValueError:
        return
    counted = [len({people[row] for row in members}) for members in classes(found.table)]
    assert min(counted) == found.measures["smallestClass"] >= k


def test_a_patient_with_many_rows_cannot_be_microaggregated() -> None:
    table = simulated(40).with_columns(pl.lit("the same").alias("patient"))
    with pytest.raises(ValueError, match="several rows"):
        _run(table, {"method": "microaggregate"})


# steps -------------------------------------------------------------------------------


def test_steps_come_from_the_codebook_and_read_well() -> None:
    years, size = scale_of(CODEBOOK.variable("years")), scale_of(CODEBOOK.variable("size"))
    assert years.leaves[:3] == ("0–17", "18–29", "30–39")
    assert years.leaves[-1] == "90–100"
    assert "18–39" in years.steps
    assert len(size.leaves) == 32  # no edges in the codebook: even parts of its bounds
    assert size.leaves[0] == "1 to under 1.046875"
    assert years.codes(pl.Series("years", [0, 17, 18, 100, None])).tolist() == [0, 0, 1, 8, 9]


def test_a_group_is_used_before_everything_is_hidden() -> None:
    table = pl.DataFrame({"years": [50] * 12, "place": list("aaabbbcccddd"), "size": [1.5] * 12}).with_columns(
        pl.lit("p").alias("finding"), dose=pl.lit(1), level=pl.lit(1.0)
    )
    found = _run(table.with_columns(finding=pl.lit("mild")), {"k": 5, "groups": GROUPS})
    assert found.table["place"].to_list() == ["north"] * 6 + ["south"] * 6
    without = _run(table.with_columns(finding=pl.lit("mild")), {"k": 5})
    assert set(without.table["place"]) == {ANY}


def test_missing_and_recorded_are_told_apart_only_where_both_are_enough() -> None:
    table = simulated(12).with_columns(years=pl.Series([None] * 6 + [40] * 6), place=pl.lit("a"), size=pl.lit(1.5))
    found = _run(table, {"k": 5})
    assert found.table["years"].to_list() == [None] * 6 + ["40–49"] * 6
    mixed = _run(table, {"k": 7})
    assert set(mixed.table["years"]) == {ANY}


def test_rules_about_what_was_made_coarser_go_and_others_stay() -> None:
    assert [rule.id for rule in synthema_anonymise.anonymised_codebook(CODEBOOK, {}).rules] == ["dose-level"]


def test_only_the_asked_fields_are_kept_and_never_an_identifier() -> None:
    found = _run(simulated(50), {"fields": ["patient", "dose", "years"]})
    assert found.table.columns == ["years", "dose"] == list(found.codebook.names())


def test_stability_says_that_one_patient_can_move_every_row() -> None:
    assert _run(simulated(50), {}).stability == 51


# population --------------------------------------------------------------------------


def _town(people: float) -> dict[str, float]:
    scales = [scale_of(CODEBOOK.variable(name)) for name in ("years", "place")]
    return {f"{age} | {place}": people for age in scales[0].leaves for place in scales[1].leaves}


TOWN_FIELDS = ["years", "place", "finding"]


@pytest.mark.parametrize("presence", [0.5, 0.2])
def test_presence_bounds_the_share_of_the_population_in_each_class(presence: float) -> None:
    table = simulated(300, missing=0.0)
    parameters = {"fields": TOWN_FIELDS, "population": _town(40), "presence": presence}
    found = _run(table, parameters)
    years, place = (scale_of(CODEBOOK.variable(name)) for name in ("years", "place"))
    for (age, where), group in found.table.group_by("years", "place"):
        people = (
            40 * years.covers[years.steps.index(age)][:-1].sum() * place.covers[place.steps.index(where)][:-1].sum()
        )
        assert group.height <= presence * people + 1e-9
    assert found.measures["presence"] <= presence
    assert found.measures["journalistRisk"] < found.measures["prosecutorRisk"]
    assert found.measures["marketerRisk"] < found.measures["averageRisk"]


def test_more_patients_than_presence_allows_are_refused() -> None:
    table = simulated(300, missing=0.0)
    with pytest.raises(ValueError, match="presence"):
        _run(table, {"fields": TOWN_FIELDS, "population": _town(5), "presence": 0.5})


# risk, loss, utility -----------------------------------------------------------------


def test_risks_are_those_of_a_table_counted_by_hand() -> None:
    table = pl.DataFrame(
        {
            "years": [20, 20, 20, 75, 75, 33],
            "place": ["a", "a", "a", "b", "b", "c"],
            "size": [1.5] * 6,
            "finding": ["mild", "mild", "none", "severe", "severe", "none"],
            "level": [5.0] * 6,
            "dose": [1] * 6,
        }
    )
    measures = _run(table, {"k": 2, "sensitive": ["finding"]}).measures
    assert measures["smallestClassBefore"] == 1
    assert measures["classesBefore"] == 3
    assert measures["prosecutorRiskBefore"] == 1
    assert measures["averageRiskBefore"] == pytest.approx(3 / 6)
    assert measures["uniquenessBefore"] == pytest.approx(1 / 6)
    assert measures["diversityBefore"] == 1
    assert measures["closenessBefore"] == pytest.approx(2 / 3)  # "severe" alone against 2/6, 2/6, 2/6
    assert measures["uniqueness"] == 0
    assert measures["smallestClass"] >= 2
    assert measures["journalistRisk"] == measures["prosecutorRisk"]


def test_more_is_lost_and_less_is_risked_with_a_larger_k() -> None:
    found = [synthema_anonymise.anonymise(mgus_table(), MGUS, {"k": k}).measures for k in (2, 10, 100)]
    assert [f["prosecutorRisk"] for f in found] == sorted((f["prosecutorRisk"] for f in found), reverse=True)
    assert [f["informationLoss"] for f in found] == sorted(f["informationLoss"] for f in found)
    assert [f["pairUtility"] for f in found] == sorted((f["pairUtility"] for f in found), reverse=True)
    assert all(f["uniqueness"] == 0 < f["uniquenessBefore"] for f in found)


@pytest.mark.parametrize("method", METHODS)
def test_every_result_says_what_it_costs(method: str) -> None:
    found = synthema_anonymise.anonymise(mgus_table(), MGUS, {"method": method})
    for name in ("informationLoss", "marginalUtility", "pairUtility", "averageClass", "discernibility", "atRisk"):
        assert found.measures[name] >= 0
    for name in MGUS.names("quasi-identifier"):
        assert 0 <= found.measures[f"informationLoss.{name}"] <= 1
        assert any(note.startswith(f"{name}: ") for note in found.notes)


def test_nothing_hidden_is_nothing_lost() -> None:
    measures = _run(simulated(200, missing=0), {"k": 1}).measures
    assert measures["informationLoss"] == 0
    assert measures["marginalUtility"] == measures["pairUtility"] == 1


def test_means_keep_the_mean_of_a_column() -> None:
    table = simulated(500, missing=0.0)
    found = _run(table, {"method": "microaggregate"})
    before, after = table["size"].to_numpy(), found.table["size"].to_numpy()
    assert float(after.mean()) == pytest.approx(float(before.mean()))
    assert all(len(rows) >= 5 for rows in classes(found.table))


def test_large_tables_are_microaggregated_in_blocks() -> None:
    found = _run(simulated(3000), {"method": "microaggregate", "k": 4})
    assert min(map(len, classes(found.table))) >= 4
    assert found.measures["averageClass"] < 1.5


# what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"fields": ["nothing"]}, "none of the codebook's variables"),
        ({"fields": ["patient"]}, "no variable is left"),
        ({"k": 0}, "whole number"),
        ({"k": 51}, "the table as a whole"),
        ({"l": 4}, "the table as a whole"),
        ({"method": "other"}, "'generalise' or 'microaggregate'"),
        ({"method": "microaggregate", "l": 2}, "gives k alone"),
        ({"t": 2.0}, "between 0 and 1"),
        ({"fields": ["years"], "l": 2}, "none is kept"),
        ({"sensitive": ["years"]}, "quasi-identifier"),
        ({"presence": 0.5}, "give the population"),
        ({"population": {"0–17": 3}}, "each cell of the population"),
        ({"population": {"0–17 | a | 1 to under 1.046875": -3}}, "negative"),
        ({"groups": {"place": "a | b"}}, "a group is written"),
        ({"groups": {"finding: any": "mild"}}, "groups are for"),
        ({"groups": {"place: x": "a | b", "place: y": "b | c"}}, "overlap"),
        ({"groups": {"years: old": "80–89 | 90–100"}}, "is a number"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(parameters: Parameters, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("|", r"\|")):
        _run(simulated(50), parameters)


@pytest.mark.parametrize("column", [{"years": 101}, {"place": "z"}, {"level": 51.0}])
def test_values_outside_the_codebook_are_refused(column: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="correct the table or the codebook"):
        _run(simulated(50).with_columns(**{name: pl.lit(value) for name, value in column.items()}), {})


def test_a_row_without_a_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="patient key"):
        _run(simulated(50).with_columns(patient=pl.lit(None, dtype=pl.String)), {})


@pytest.mark.article("GDPR 25")
def test_a_broken_promise_is_never_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthema_anonymise, "partition", lambda codes, *_, **__: np.arange(len(codes)))
    with pytest.raises(ValueError, match="does not keep what was asked"):
        _run(simulated(50), {"k": 5})


@pytest.mark.parametrize("way", [{"l": 2}, {"method": "microaggregate"}], ids=["steps", "means"])
def test_rows_kept_apart_look_like_the_others_and_have_no_say(way: Parameters) -> None:
    train, holdout = split()
    parameters: Parameters = {"k": 5, "sensitive": ["creat"]} | way
    fitted = synthema_anonymise.anonymise(train, MGUS, parameters)
    control = synthema_anonymise.anonymise_control(holdout, train, MGUS, parameters)
    names = list(fitted.codebook.names("quasi-identifier"))
    assert control.schema == fitted.table.schema
    assert control.height == holdout.height
    assert set(control.select(names).rows()) <= set(fitted.table.select(names).rows())  # no class of its own
    others = [name for name in control.columns if name not in names]
    assert control.select(others).equals(holdout.select(others))


def test_a_row_of_the_table_looks_the_same_when_it_is_kept_apart() -> None:
    parameters: Parameters = {"k": 4, "l": 2, "sensitive": ["creat"]}
    fitted = synthema_anonymise.anonymise(mgus_table(), MGUS, parameters).table
    assert synthema_anonymise.anonymise_control(mgus_table(), mgus_table(), MGUS, parameters).equals(fitted)


def test_the_manifest_describes_it() -> None:
    manifest = load_manifest(Path(synthema_anonymise.__file__).parent / "plugin.toml")
    assert manifest.kinds == ("anonymiser",)
    assert manifest.validate_parameters({}) == {
        "method": "generalise", "k": 5, "l": 1, "diversity": "distinct", "t": 1, "presence": 1
    }  # fmt: skip
