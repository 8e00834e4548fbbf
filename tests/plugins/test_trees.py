"""Sequential trees: rules, missing values, subgroups, survival, and what may never be copied."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import synthema_trees
from synthema.datasets.codebook import Codebook
from synthema.datasets.rules import broken
from synthema.runs.sandbox import Sandbox
from synthema.spi.loader import InstalledPlugin, find
from synthema.spi.manifest import describe
from synthema.spi.registry import ApprovedPlugin
from synthema.spi.sampling import ordered_below
from synthema.spi.testing import Caller, GeneratorContract, check_conforms
from synthema_trees.bags import CategoryBag, NumberBag, Settings, spread_within
from synthema_trees.growth import Limits, grow
from synthema_trees.risk import Followed, Risk, slope
from synthema_trees.sequence import parts_of
from synthema_trees.survival import Curve, hand_out
from tests.plugins import amlsg, trees_quality
from tests.plugins.mgus import CODEBOOK, split


@cache
def made_from(text: str, rows: int, seed: int) -> pl.DataFrame:
    train, _ = split(seed)
    return synthema_trees.generate(train, CODEBOOK, {"seed": 1, **json.loads(text)}, rows).table


def made(parameters: dict[str, Any] | None = None, rows: int = 400, seed: int = 0) -> pl.DataFrame:
    return made_from(json.dumps(parameters or {}), rows, seed)


class Trees(GeneratorContract):
    plugin = "trees"
    parameters: ClassVar[dict[str, Any]] = {"seed": 3}


class TestTrees(Trees):
    pass


class TestTreesInSandbox(Trees):
    def new_session(self, installed: InstalledPlugin, folder: Path) -> Caller:
        approved = ApprovedPlugin(
            installed.name, installed.module, installed.folder, installed.manifest, installed.digest, "approval-0"
        )
        return Sandbox().open_session([approved], folder)


def test_the_manifest_promises_no_privacy_of_its_own() -> None:
    sentences = describe(find("trees").manifest)
    assert "It gives no privacy guarantee of its own." in sentences
    generated = synthema_trees.generate(split()[0], CODEBOOK, {}, 20)
    assert (generated.epsilon, generated.delta) == (None, 0.0)


def test_a_seed_repeats_the_rows_and_none_does_not() -> None:
    train, _ = split()
    assert made().equals(synthema_trees.generate(train, CODEBOOK, {"seed": 1}, 400).table)
    free = [synthema_trees.generate(train, CODEBOOK, {}, 50).table for _ in range(2)]
    assert not free[0].equals(free[1])


# rules ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_no_row_breaks_a_rule_and_all_conform(seed: int) -> None:
    rows = made(seed=seed)
    assert not any(broken(rows, rule).any() for rule in CODEBOOK.rules)
    check_conforms(rows, CODEBOOK.keep(tuple(rows.columns)).model_copy(update={"patient_key": "age"}))


def test_an_order_of_times_is_learned_as_a_share_so_equal_times_stay_equal() -> None:
    train, _ = split()
    same = [float((table["ptime"] == table["futime"]).mean()) for table in (train, made())]  # type: ignore[arg-type]
    assert same[1] == pytest.approx(same[0], abs=0.04)


def test_orders_in_a_circle_do_not_hang() -> None:
    rules = [
        {"id": f"r{left}", "sentence": "s", "left": left, "comparison": "<=", "right": right}
        for left, right in (("ptime", "futime"), ("futime", "ptime"))
    ]
    circle = Codebook.model_validate({**CODEBOOK.model_dump(), "rules": rules})
    assert list(ordered_below(circle)) == ["ptime"]
    rows = synthema_trees.generate(split()[0], circle, {"seed": 1}, 60).table
    assert (rows["ptime"] == rows["futime"]).all()


def toy_codebook(rules: list[dict[str, Any]]) -> Codebook:
    number = {"type": "integer", "minimum": 0, "maximum": 100, "may_be_missing": False}
    return Codebook.model_validate(
        {
            "id": "toy",
            "version": "1",
            "title": "Toy",
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "a",
            "variables": [
                {"name": "a", "label": "a", **number},
                {"name": "b", "label": "b", **number},
                {"name": "risk", "label": "risk", "type": "category", "categories": ["low", "high"]},
                {"name": "fusion", "label": "fusion", "type": "category", "categories": ["0", "1"]},
            ],
            "rules": [{"id": f"r{i}", "sentence": "s", **rule} for i, rule in enumerate(rules)],
        }
    )


def toy_table(rows: int = 200) -> pl.DataFrame:
    random = np.random.default_rng(0)
    a = random.integers(0, 50, rows)
    fusion = random.random(rows) < 0.3
    return pl.DataFrame(
        {
            "a": a,
            "b": 2 * a,
            "risk": np.where(fusion, "low", random.choice(["low", "high"], rows)).tolist(),
            "fusion": np.where(fusion, "1", "0").tolist(),
        }
    )


def test_a_column_that_equals_another_is_recomputed() -> None:
    doubled = toy_codebook([{"left": "b", "comparison": "==", "right": 0.0, "plus": {"variable": "a", "factor": -2.0}}])
    rows = synthema_trees.generate(toy_table(), doubled, {"seed": 1}, 150).table
    assert (rows["b"] == 2 * rows["a"]).all()
    assert rows["a"].n_unique() > 10


def test_a_rule_between_values_of_categories_holds_in_every_row() -> None:
    """Two hundred patients of whom none has both: no synthetic patient has, though leaves are smoothed."""
    apart = toy_codebook([{"left": "a", "comparison": ">=", "right": 10.0, "when": {"fusion": "1"}}])
    rows = synthema_trees.generate(toy_table(), apart, {"seed": 1, "prior": 50}, 150).table
    assert not broken(rows, apart.rules[0]).any()
    assert 0.15 < float((rows["fusion"] == "1").mean()) < 0.45  # type: ignore[arg-type]


def test_rules_that_contradict_each_other_are_an_error() -> None:
    never = toy_codebook(
        [{"left": "a", "comparison": "<", "right": 5.0}, {"left": "a", "comparison": ">", "right": 60.0}]
    )
    with pytest.raises(ValueError, match="contradictions"):
        synthema_trees.generate(toy_table(), never, {"seed": 1}, 20)


# codebook and missing values ---------------------------------------------------------


def test_missing_values_are_as_frequent_as_in_the_data_and_where_they_were() -> None:
    table = toy_table(600).with_columns(
        pl.when(pl.col("fusion") == "1").then(None).otherwise(pl.col("risk")).alias("risk"),
    )
    codebook = toy_codebook([])
    order = ("fusion", "a", "b", "risk")
    reordered = codebook.model_copy(update={"variables": tuple(codebook.variable(n) for n in order)})
    rows = synthema_trees.generate(table, reordered, {"seed": 1, "prior": 0}, 600).table
    gone = rows["risk"].is_null()
    assert gone.mean() == pytest.approx(table["risk"].is_null().mean(), abs=0.05)
    assert float((rows.filter(gone)["fusion"] == "1").mean()) > 0.95  # type: ignore[arg-type]


def test_values_outside_the_codebook_never_come_out() -> None:
    table = toy_table().with_columns(
        pl.when(pl.col("a") > 45).then(pl.lit(4000)).otherwise(pl.col("a")).alias("a"),
        pl.when(pl.col("a") < 5).then(pl.lit("unheard of")).otherwise(pl.col("risk")).alias("risk"),
    )
    rows = synthema_trees.generate(table, toy_codebook([]), {"seed": 1}, 200).table
    assert rows["a"].max() <= 100  # type: ignore[operator]
    assert set(rows["risk"].drop_nulls()) <= {"low", "high"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"a": None}, "has no value at all"),
        ({"drop": "a"}, "lacks a column"),
        ({"empty": True}, "no rows"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused(change: dict[str, Any], sentence: str) -> None:
    table = toy_table()
    if "a" in change:
        table = table.with_columns(pl.lit(None, dtype=pl.Int64).alias("a"))
    table = table.drop(change["drop"]) if "drop" in change else table
    table = table.clear() if "empty" in change else table
    with pytest.raises(ValueError, match=sentence):
        synthema_trees.generate(table, toy_codebook([]), {"seed": 1}, 20)


@pytest.mark.parametrize("rows", [1, 3, 30])
def test_few_patients_give_rows_all_the_same(rows: int) -> None:
    train, _ = split()
    assert synthema_trees.generate(train.head(rows), CODEBOOK, {"seed": 1}, 5).table.height == 5


def test_a_cohort_without_events_or_with_events_only_works() -> None:
    train, _ = split()
    for level in ("0", "1"):
        table = train.with_columns(pl.lit(level).alias("death"))
        assert set(synthema_trees.generate(table, CODEBOOK, {"seed": 1}, 40).table["death"]) == {level}


def test_outcomes_that_are_not_known_of_all_stay_unknown_of_some() -> None:
    train, _ = split()
    variables = [v.model_copy(update={"may_be_missing": True}) for v in CODEBOOK.variables]
    open_book = CODEBOOK.model_copy(update={"variables": tuple(variables)})
    table = train.with_columns(pl.when(pl.col("sex") == "F").then(None).otherwise(pl.col("death")).alias("death"))
    rows = synthema_trees.generate(table, open_book, {"seed": 1}, 400).table
    assert rows["death"].is_null().mean() == pytest.approx(table["death"].is_null().mean(), abs=0.08)


# subgroups and augmentation ------------------------------------------------------------


def test_a_subgroup_is_all_there_is_when_it_is_asked_for() -> None:
    rows = made({"where": {"sex": "F", "age": "80.."}}, rows=150)
    assert rows.height == 150
    assert set(rows["sex"]) == {"F"}
    assert rows["age"].min() >= 80  # type: ignore[operator]


def test_a_subgroup_lives_as_long_as_the_subgroup_does() -> None:
    train, _ = split()
    old, young = (float(made({"where": {"age": r}}, 300)["futime"].mean()) for r in ("80..", "..60"))  # type: ignore[arg-type]
    real = [train.filter(pl.col("age") >= 80)["futime"].mean(), train.filter(pl.col("age") <= 60)["futime"].mean()]
    assert old < young
    assert [old, young] == pytest.approx(real, rel=0.2)


def test_a_rare_group_can_be_given_as_many_rows_as_the_others() -> None:
    rows = made({"balance": "pstat"}, rows=101)
    assert sorted(rows["pstat"].value_counts()["count"].to_list()) == [50, 51]
    assert not any(broken(rows, rule).any() for rule in CODEBOOK.rules)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"where": {"sex": "X"}}, "none of the variable's categories"),
        ({"where": {"nothing": "1"}}, "does not have"),
        ({"where": {"id": "1..2"}}, "an identifier"),
        ({"where": {"age": "old"}}, "two numbers"),
        ({"where": {"age": "80..70"}}, "two numbers"),
        ({"where": {"age": "18..18.5"}}, "hardly any"),
        ({"balance": "age"}, "no category variable"),
        ({"balance": "nothing"}, "no category variable"),
    ],
)
def test_a_subgroup_that_makes_no_sense_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(parameters, rows=100)


# the parts -----------------------------------------------------------------------------


def test_no_leaf_is_smaller_than_the_limit_and_the_best_cut_is_found() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 6, (400, 3))
    scores = (codes[:, 1] > 2).astype(np.float64)[:, None] + random.normal(0, 0.1, (400, 1))
    tree = grow(codes, np.array([6, 6, 6]), scores, Limits(leaf=20, evidence=0.0))
    sizes = np.bincount(tree.leaves(codes))
    assert sizes[sizes > 0].min() >= 20
    assert (tree.feature[0], tree.cut[0]) == (1, 2)


def test_noise_alone_is_hardly_cut_when_evidence_is_asked_for() -> None:
    random = np.random.default_rng(0)
    codes, scores = random.integers(0, 2, (400, 5)), random.normal(0, 1, (400, 1))
    sizes = np.full(5, 2)
    assert grow(codes, sizes, scores, Limits(20, 0.0)).nodes > 9
    assert grow(codes, sizes, scores, Limits(20, 12.0)).nodes == 1


def test_numbers_are_drawn_between_patients_and_not_at_the_outermost() -> None:
    random = np.random.default_rng(0)
    values = np.append(random.normal(0, 1, 99), 1000.0)
    nothing = np.zeros((100, 0), dtype=np.int64), np.zeros(0, dtype=np.int64)
    bag = NumberBag(values, *nothing, Settings(trees=1, share=1.0), random)
    drawn = bag.draw(np.zeros((5000, 0), dtype=np.int64), random)
    assert drawn.max() < 500
    assert np.isin(drawn, values).mean() < 0.01
    assert np.median(drawn) == pytest.approx(np.median(values), abs=0.1)


def test_shares_of_a_leaf_are_kept_to_within_a_row() -> None:
    random = np.random.default_rng(0)
    levels = np.repeat([0, 1, 2], [50, 30, 20])
    nothing = np.zeros((100, 0), dtype=np.int64)
    bag = CategoryBag(levels, 3, nothing, np.zeros(0, dtype=np.int64), Settings(trees=1, share=1.0), random)
    counts = np.bincount(bag.draw(np.zeros((1000, 0), dtype=np.int64), random))
    assert np.abs(counts - [500, 300, 200]).max() <= 1
    places = spread_within(np.array([4, 4, 7, 4]), random)
    assert sorted(np.floor(places[[0, 1, 3]] * 3).tolist()) == [0, 1, 2]


def survival_cohort(rows: int = 600) -> Followed:
    random = np.random.default_rng(1)
    codes = random.integers(1, 3, (rows, 4))
    times = random.exponential(100, rows) * np.where(codes[:, 0] == 2, 0.25, 1.0)
    end = random.uniform(20, 300, rows)
    return Followed(np.minimum(times, end), times <= end, codes, np.full(4, 3))


def test_the_survival_curve_is_kept_whatever_the_risk_says() -> None:
    random = np.random.default_rng(0)
    cohort = survival_cohort()
    for log_risk in (np.zeros(500), random.normal(0, 3, 500)):
        times, events = hand_out(log_risk, random.normal(0, 1, (500, 2)), Curve(cohort.times, cohort.events), random)
        assert abs(float(events.mean()) - float(cohort.events.mean())) < 0.01
        gap = np.quantile(times, [0.1, 0.5, 0.9]) / np.quantile(cohort.times, [0.1, 0.5, 0.9])
        assert gap == pytest.approx(1.0, abs=0.05)


def test_the_risk_that_was_there_is_found_and_handed_on() -> None:
    random = np.random.default_rng(0)
    cohort = survival_cohort()
    risk = Risk(cohort, Settings(), random)
    log_risk = risk.log_risk(cohort.codes)
    high = cohort.codes[:, 0] == 2
    assert log_risk[high].mean() - log_risk[~high].mean() == pytest.approx(np.log(4), abs=0.35)
    times, events = hand_out(log_risk, risk.effects(cohort.codes), Curve(cohort.times, cohort.events), random)
    assert slope(high.astype(float), times, events) == pytest.approx(
        slope(high.astype(float), cohort.times, cohort.events), abs=0.35
    )


def test_chance_gives_no_covariate_an_effect_that_the_risk_has_not() -> None:
    cohort = survival_cohort()
    curve = Curve(cohort.times, cohort.events)
    found: dict[str, list[float]] = {"evened": [], "not": []}
    for seed in range(6):
        random = np.random.default_rng(seed)
        noise, same = random.normal(0, 1, (500, 1)), np.zeros(500)
        for name, effects in (("evened", noise), ("not", np.zeros((500, 1)))):
            times, events = hand_out(same, effects, curve, random)
            found[name].append(max(slope(noise[:, 0], times, events), slope(-noise[:, 0], times, events)))
    assert np.mean(found["evened"]) < 0.2 * np.mean(found["not"])


def test_a_cohort_in_which_nothing_matters_gets_no_invented_effects() -> None:
    cohort = survival_cohort()
    shuffled = Followed(cohort.times, cohort.events, np.random.default_rng(5).permutation(cohort.codes), cohort.sizes)
    risk = Risk(shuffled, Settings(), np.random.default_rng(0))
    assert risk.log_risk(shuffled.codes).std() < 0.12


def test_competing_events_come_back_as_often_as_they_were() -> None:
    train, _ = split()
    kinds = pl.when((pl.col("death") == "0") & (pl.col("age") > 75)).then(pl.lit("2")).otherwise(pl.col("death"))
    variables = [
        v.model_copy(update={"categories": ("0", "1", "2")}) if v.name == "death" else v for v in CODEBOOK.variables
    ]
    codebook = CODEBOOK.model_copy(update={"variables": tuple(variables)})
    table = train.with_columns(kinds.alias("death"))
    rows = synthema_trees.generate(table, codebook, {"seed": 1}, table.height).table
    for level in "012":
        share = [float((t["death"] == level).mean()) for t in (table, rows)]  # type: ignore[arg-type]
        assert share[1] == pytest.approx(share[0], abs=0.03)


def test_each_column_has_one_place_in_the_sequence() -> None:
    names = [variable.name for part in parts_of(CODEBOOK) for variable in part.variables]
    assert sorted(names) == sorted(set(CODEBOOK.names()) - {"id"})
    assert names.index("futime") < names.index("ptime")


# quality -------------------------------------------------------------------------------


def test_mgus_rows_predict_as_the_real_ones_do() -> None:
    found = [trees_quality.quality("mgus2", seed, {}) for seed in range(2)]
    mean = {name: float(np.mean([f[name] for f in found])) for name in found[0]}
    assert mean["C"] >= mean["real C"] - 0.02
    assert mean["KM"] <= 0.010
    assert mean["SDM"] >= 0.955
    assert mean["broken"] == 0


def test_the_attack_finds_nothing_much_in_mgus_rows() -> None:
    found = trees_quality.membership("mgus2", 0, 8, {})
    assert found["LiRA AUC"] <= 0.56


def test_the_attack_does_find_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthema.spi.model import Generated

    def copies(table: pl.DataFrame, *_: object) -> Generated:
        return Generated(table.drop("id").sample(table.height, with_replacement=True, seed=1), None, 0.0)

    monkeypatch.setattr(synthema_trees, "generate", copies)
    assert trees_quality.membership("mgus2", 0, 12, {})["LiRA AUC"] > 0.7


@pytest.mark.skipif(not amlsg.present(), reason="the AMLSG data are not there; set SYNTHEMA_TEST_DATA")
def test_amlsg_rows_reach_the_goal() -> None:
    found = trees_quality.quality("amlsg", 0, {})
    assert found["KM"] <= 0.010
    assert found["C"] >= found["real C"] - 0.04
    assert found["SDM"] >= 0.975
