"""Noisy marginals: rule packs, derived columns, missing values, subgroups, and what rules say of pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import synthema_marginals
from synthema.datasets.codebook import Codebook
from synthema.datasets.derive import derive
from synthema.spi.model import Aggregate, Generated, Plan, State
from synthema.spi.sampling import broken_rows
from synthema_marginals.gaps import GAPS, gap_chances, gap_limit
from synthema_marginals.implied import implied_pairs
from synthema_marginals.nodes import Shape, nodes_of
from synthema_marginals.privacy import rho_for
from tests.plugins.cohorts import COHORTS, FLCHAIN, LEUKSURV, Cohort
from tests.plugins.marginals_quality import synthesise
from tests.plugins.mgus import CODEBOOK, split

FINDINGS = 24
LABORATORY = 8


def study(
    codebook: Codebook,
    sites: list[pl.DataFrame],
    epsilon: float,
    parameters: dict[str, Any] | None = None,
    rows: int = 600,
) -> tuple[State, Generated]:
    """A study over sites; noise that a seed repeats, none for an infinite ``epsilon``."""
    random = np.random.default_rng(3)
    plan = Plan(codebook, rho_for(min(epsilon, 1e3), 1e-5), rows, parameters or {})
    state = synthema_marginals.federated_open(plan)
    while not state.finished:
        total = sum(synthema_marginals.federated_contribute(state, site, codebook).vector for site in sites)
        sigma = state.sensitivity / math.sqrt(2 * state.rho) if math.isfinite(epsilon) else 0.0
        noisy = np.asarray(total + np.rint(random.normal(0, sigma, state.length)), dtype=np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noisy, len(sites), sigma))
    return state, synthema_marginals.federated_sample(state, plan)


# rule packs ----------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [5.0, 0.5])
@pytest.mark.parametrize("name", list(COHORTS))
def test_no_row_breaks_the_rule_pack_and_derived_columns_follow(name: str, epsilon: float) -> None:
    cohort: Cohort = COHORTS[name]
    if cohort.absent:
        pytest.skip(cohort.absent)
    train, _ = cohort.split(7)
    made = synthesise(train, cohort.codebook, epsilon, 7, {})
    assert made.height == train.height
    assert not broken_rows(made, cohort.codebook).any()
    public = cohort.codebook.keep(tuple(v.name for v in cohort.codebook.variables if v.role != "identifier"))
    assert made.columns == list(public.names())
    assert made.equals(derive(made, public))
    assert not any(made[v.name].has_nulls() for v in public.variables if not v.may_be_missing)


def test_missing_values_are_as_frequent_as_in_the_data() -> None:
    train, _ = COHORTS["flchain"].split(7)
    made = synthesise(train, FLCHAIN, 5.0, 7, {})
    for name in ("creatinine", "chapter"):
        assert made[name].null_count() / made.height == pytest.approx(train[name].null_count() / train.height, abs=0.05)
    assert made.filter(pl.col("death") == "0")["chapter"].null_count() == made.filter(pl.col("death") == "0").height


def test_a_derived_column_costs_no_count() -> None:
    names = [node.name for node in nodes_of(LEUKSURV)]
    assert "leukocytosis" not in names
    assert "wbc" in names


def test_rules_between_categories_are_read_as_cells_that_cannot_be() -> None:
    pairs = {tuple(pair["nodes"]): pair for pair in implied_pairs(FLCHAIN, nodes_of(FLCHAIN))}
    deaths = pairs["futime+death", "chapter"]
    assert deaths["decides"]
    assert {cell % 2 for cell, _ in deaths["cells"]} == {0}  # alive, whatever the time
    assert {chapter for _, chapter in deaths["cells"]} == set(range(len(FLCHAIN.variable("chapter").categories)))


# what is missing together -----------------------------------------------------------------


def wide_codebook() -> Codebook:
    flag = {"type": "category", "categories": ["0", "1"]}
    return Codebook.model_validate(
        {
            "id": "wide-simulated",
            "version": "1",
            "title": "Simulated: findings, some from a laboratory that may fail",
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "patient",
            "variables": [
                {"name": "time", "label": "Time", "type": "decimal", "role": "time", "minimum": 0, "maximum": 10}
                | {"may_be_missing": False},
                {"name": "event", "label": "Event", "role": "event", "may_be_missing": False} | flag,
                *({"name": f"f{i}", "label": f"Finding {i}"} | flag for i in range(FINDINGS)),
            ],
            "outcomes": [{"name": "survival", "time": "time", "event": "event", "event_value": "1", "unit": "a"}],
            "rules": [
                {"id": "r", "sentence": "s", "left": "f1", "comparison": "==", "value": "1", "when": {"f0": "1"}}
            ],
        }
    )


def wide_table(rows: int = 1200) -> pl.DataFrame:
    """Eight findings are missing together in a fifth of the rows, others now and then."""
    random = np.random.default_rng(5)
    failed = random.random(rows) < 0.2
    columns: dict[str, pl.Series] = {
        "time": pl.Series(np.minimum(random.exponential(3.0, rows), 10.0)),
        "event": pl.Series(np.where(random.random(rows) < 0.7, "1", "0")),
    }
    for i in range(FINDINGS):
        found = random.random(rows) < 0.15
        if i == 1:
            found |= (columns["f0"] == "1").fill_null(value=False).to_numpy()
        lost = failed if i < LABORATORY else random.random(rows) < 0.03
        columns[f"f{i}"] = pl.Series([None if gone else str(int(one)) for gone, one in zip(lost, found, strict=True)])
    return pl.DataFrame(columns)


def test_what_is_missing_together_stays_missing_together() -> None:
    table, codebook = wide_table(), wide_codebook()
    state, made = study(codebook, [table], 5.0, rows=1200)
    assert GAPS in {shape["name"] for shape in state.values["shapes"]}
    both = [
        float((one["f2"].is_null() & one["f7"].is_null()).mean())  # type: ignore[arg-type]
        for one in (table, made.table)
    ]
    assert both[1] == pytest.approx(both[0], abs=0.06)
    assert made.table["f20"].null_count() / 1200 == pytest.approx(0.03, abs=0.04)
    assert not broken_rows(made.table, codebook).any()


def test_a_wide_study_gives_bit_for_bit_the_rows_of_pooled_data() -> None:
    table, codebook = wide_table(), wide_codebook()
    pooled, rows_pooled = study(codebook, [table], 2.0)
    apart, rows_apart = study(codebook, [table[:150], table[150:700], table[700:]], 2.0)
    assert pooled.values == apart.values
    assert rows_pooled.table.equals(rows_apart.table)


def test_one_row_with_any_gaps_changes_a_wide_round_by_at_most_its_sensitivity() -> None:
    table, codebook = wide_table(300), wide_codebook()
    nothing = table.head(1).with_columns(pl.lit(None, dtype=pl.String).alias(f"f{i}") for i in range(FINDINGS))
    everything = table.head(1).with_columns(pl.lit("1").alias(f"f{i}") for i in range(FINDINGS))
    rows = [*(table[i : i + 1] for i in range(20)), nothing, everything]
    random = np.random.default_rng(1)
    state = synthema_marginals.federated_open(Plan(codebook, 0.5, 60))
    while not state.finished:
        for row in rows:
            vector = synthema_marginals.federated_contribute(state, row, codebook).vector
            assert math.sqrt(float((vector.astype(np.float64) ** 2).sum())) <= state.sensitivity + 1e-9
        counts = synthema_marginals.federated_contribute(state, table, codebook).vector
        noisy = counts + np.rint(random.normal(0, 5, state.length)).astype(np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noisy, 3, 5.0))


def test_chances_of_gaps_add_up_and_no_gap_is_where_none_is() -> None:
    random = np.random.default_rng(0)
    shapes = {f"v{i}": Shape(f"v{i}", 2, 1, missing=True, outcome=False, ordered=False) for i in range(6)}
    shapes[GAPS] = Shape(GAPS, 5, 1, missing=False, outcome=False, ordered=False)
    shares = {f"v{i}": np.array([0.5, 0.4 - 0.05 * i, 0.1 + 0.05 * i]) for i in range(6)}
    shares[GAPS] = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
    found = gap_chances(shapes, shares, {"v0": (random.normal(0, 50, 4), 20.0)}, 1000.0)
    for name, chances in found.items():
        assert chances[0] == 0.0
        assert ((chances >= 0) & (chances <= 1)).all()
        assert float(chances @ shares[GAPS]) == pytest.approx(float(shares[name][-1]), abs=1e-3)
    assert gap_limit(shares[GAPS], 6) == 6
    assert gap_limit(np.array([0.98, 0.01, 0.01]), 6) == 1


@pytest.mark.parametrize("limits", [[0], [0, -1, 0, 0], [0, 0, 0, 0, 0]])
def test_a_site_refuses_limits_that_do_not_fit(limits: list[int]) -> None:
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.5, 60))
    lying = State(state.round, state.length, state.rho, state.sensitivity, False, state.values | {"limits": limits})
    with pytest.raises(ValueError, match="limits do not fit"):
        synthema_marginals.federated_contribute(lying, split()[0], CODEBOOK)


# subgroups and augmentation ------------------------------------------------------------------


def test_a_subgroup_of_a_study_is_all_there_is_when_it_is_asked_for() -> None:
    train, _ = split()
    _, found = study(CODEBOOK, [train], 5.0, {"where": {"sex": "F", "age": "70..80"}}, rows=200)
    assert found.table.height == 200
    assert set(found.table["sex"]) == {"F"}
    assert found.table["age"].is_between(70, 80).all()
    assert not broken_rows(found.table, CODEBOOK).any()


def test_a_subgroup_lives_as_long_as_the_subgroup_does() -> None:
    train, _ = split()
    old, young = (
        float(study(CODEBOOK, [train], math.inf, {"where": {"age": r}}, 300)[1].table["futime"].mean())  # type: ignore[arg-type]
        for r in ("80..", "..60")
    )
    real = [train.filter(pl.col("age") >= 80)["futime"].mean(), train.filter(pl.col("age") <= 60)["futime"].mean()]
    assert [old, young] == pytest.approx(real, rel=0.25)


def test_more_rows_than_patients_and_each_category_alike() -> None:
    train, _ = split()
    found = synthema_marginals.generate(train, CODEBOOK, {"epsilon": 5.0, "balance": "pstat"}, 2001)
    assert sorted(found.table["pstat"].value_counts()["count"].to_list()) == [1000, 1001]
    assert not broken_rows(found.table, CODEBOOK).any()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [({"where": {"sex": "X"}}, "none of the variable's categories"), ({"balance": "age"}, "no category variable")],
)
def test_a_subgroup_that_makes_no_sense_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        study(CODEBOOK, [split()[0]], 5.0, parameters, 50)
