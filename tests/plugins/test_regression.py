"""Regression from sums: coefficients and errors of the pooled fit by statsmodels, and honest under noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

import synthema_regression
from synthema.datasets.codebook import Codebook
from synthema.spi.model import Plan
from synthema.spi.simulated import simulated_codebook
from synthema_regression.problem import problem
from tests.plugins.analyses import coefficients, study, thirds
from tests.plugins.mgus import CODEBOOK, mgus_table

COVARIATES = ["age", "sex", "hgb", "creat"]
LOGISTIC = {"model": "logistic", "outcome": "death", "positive": "1", "covariates": COVARIATES}
COX = {"model": "cox", "outcome": "survival", "covariates": COVARIATES}
PIECEWISE = {"model": "piecewise", "outcome": "survival", "covariates": COVARIATES, "largest_risk": 1000}
Floats = NDArray[np.float64]


def complete() -> pl.DataFrame:
    """The rows without missing covariates, with the number of their site."""
    sites = [site.with_columns(site=pl.lit(number)) for number, site in enumerate(thirds(mgus_table()))]
    return pl.concat(sites).drop_nulls(COVARIATES)


def columns(table: pl.DataFrame, codebook: Codebook, names: list[str]) -> Floats:
    found = []
    for variable in map(codebook.variable, names):
        if variable.type == "category":
            found += [(table[variable.name] == value).cast(pl.Float64).to_numpy() for value in variable.categories[1:]]
        else:
            found.append(table[variable.name].cast(pl.Float64).to_numpy())
    return np.stack(found, axis=1)


def estimates(parameters: dict[str, Any], **how: Any) -> tuple[Floats, Floats]:
    """Coefficients and standard errors of a study over three sites."""
    _, found = study(synthema_regression, thirds(mgus_table()), CODEBOOK, parameters, **how)
    return np.array(list(coefficients(found).values())), np.array(list(found.series["standardErrors"].values()))


def test_logistic_regression_under_the_secure_sum_is_the_pooled_fit() -> None:
    table = complete()
    died = (table["death"] == "1").cast(pl.Float64).to_numpy()
    theirs = sm.Logit(died, sm.add_constant(columns(table, CODEBOOK, COVARIATES))).fit(disp=0)
    ours, errors = estimates(LOGISTIC, secure=True)
    assert np.abs(ours - theirs.params).max() < 1e-6
    assert np.allclose(errors, theirs.bse, rtol=1e-4)


def test_cox_regression_under_the_secure_sum_is_the_pooled_fit_stratified_by_site() -> None:
    table = complete()
    theirs = sm.PHReg(
        table["futime"].cast(pl.Float64).to_numpy(), columns(table, CODEBOOK, COVARIATES),
        status=(table["death"] == "1").cast(pl.Float64).to_numpy(), strata=table["site"].to_numpy(), ties="breslow",
    ).fit()  # fmt: skip
    ours, errors = estimates(COX, secure=True)
    assert np.abs(ours - theirs.params).max() < 1e-6
    assert np.allclose(errors, theirs.bse, rtol=1e-4)


def test_poisson_regression_under_the_secure_sum_is_the_pooled_fit() -> None:
    written = CODEBOOK.model_dump()
    for variable in written["variables"]:
        if variable["name"] == "dxyr":
            variable |= {"minimum": 0, "maximum": 200, "edges": (), "bands": ()}
    codebook = Codebook.model_validate(written)
    sites = [site.with_columns(pl.col("dxyr") - 1960) for site in thirds(mgus_table())]
    table = complete().with_columns(pl.col("dxyr") - 1960)
    theirs = sm.GLM(
        table["dxyr"].cast(pl.Float64).to_numpy(), sm.add_constant(columns(table, CODEBOOK, COVARIATES)),
        family=sm.families.Poisson(), exposure=table["age"].cast(pl.Float64).to_numpy(),
    ).fit(tol=1e-14)  # fmt: skip
    asked = {"model": "poisson", "outcome": "dxyr", "exposure": "age", "covariates": COVARIATES}
    _, found = study(synthema_regression, sites, codebook, asked, secure=True)
    assert np.abs(np.array(list(coefficients(found).values())) - theirs.params).max() < 1e-6


def test_a_constant_rate_in_short_intervals_gives_coxs_hazard_ratios() -> None:
    asked = PIECEWISE | {"time_edges": list(range(6, 420, 6))}
    _, found = study(synthema_regression, [mgus_table()], CODEBOOK, asked)
    _, cox = study(synthema_regression, [mgus_table()], CODEBOOK, COX)
    errors = cox.series["standardErrors"]
    for words, value in coefficients(cox).items():
        assert abs(coefficients(found)[words] - value) < 0.1 * errors[words]


@pytest.mark.parametrize("asked", [LOGISTIC, PIECEWISE], ids=["logistic", "piecewise"])
def test_a_study_over_sites_is_bit_for_bit_the_study_over_all_rows(asked: dict[str, Any]) -> None:
    pooled, figures = study(synthema_regression, [mgus_table()], CODEBOOK, asked)
    apart, federated = study(synthema_regression, thirds(mgus_table()), CODEBOOK, asked)
    assert pooled.values == apart.values
    assert figures == federated


def simulated(rows: int, seed: int) -> pl.DataFrame:
    """A cohort whose true coefficients are known: age 0.03, sex 0.7, haemoglobin -0.1. No row describes a person."""
    random = np.random.default_rng(seed)
    age, male = random.integers(20, 98, rows), random.random(rows) < 0.5
    haemoglobin = np.clip(random.normal(11.5, 3, rows), 3, 20)
    linear = 0.03 * (age - 59) + 0.7 * male - 0.1 * (haemoglobin - 11.5)
    until, censored = random.exponential(np.exp(4.2 - linear)), random.uniform(20, 240, rows)
    return pl.DataFrame(
        {
            "age": age,
            "sex": np.where(male, "male", "female"),
            "haemoglobin": haemoglobin,
            "marker": np.where(random.random(rows) < 1 / (1 + np.exp(1 - linear)), "present", "absent"),
            "followup": np.minimum(until, censored),
            "status": np.where(until <= censored, "dead", "alive"),
        }
    )


@pytest.mark.parametrize(
    ("asked", "rho"),
    [
        ({"model": "logistic", "outcome": "marker", "positive": "present", "steps": 4}, 0.1),
        ({"model": "logistic", "outcome": "marker", "positive": "present", "steps": 4}, 5.0),
        (
            {
                "model": "piecewise",
                "outcome": "overall survival",
                "time_edges": [12, 60],
                "largest_risk": 8,
                "steps": 6,
            },
            2.0,
        ),
    ],
    ids=["logistic, much noise", "logistic, little noise", "piecewise"],
)
def test_intervals_under_noise_hold_the_true_coefficients(asked: dict[str, Any], rho: float) -> None:
    codebook = simulated_codebook(with_identifier=False)
    codebook = codebook.keep(tuple(name for name in codebook.names() if name != "progression"))
    asked = asked | {"covariates": ["age", "sex", "haemoglobin"]}
    held: list[bool] = []
    for seed in range(40):
        _, found = study(synthema_regression, [simulated(3000, seed)], codebook, asked, rho=rho, seed=seed)
        given = [metric for metric in found.metrics if metric.id == "coefficient" and metric.definition != "intercept"]
        for metric, truth in zip(given, (0.03, 0.7, -0.1) if given else (), strict=True):
            assert metric.lower is not None
            assert metric.upper is not None
            held.append(metric.lower <= truth <= metric.upper)
    assert len(held) >= 90
    assert np.mean(held) >= 0.9


def test_where_noise_hides_everything_no_coefficient_is_given() -> None:
    _, found = study(synthema_regression, thirds(mgus_table()), CODEBOOK, LOGISTIC | {"steps": 3}, rho=1e-4)
    assert not found.metrics
    assert "No coefficient is given" in found.notes[-1]


def test_covariates_that_follow_from_each_other_give_no_coefficient() -> None:
    table = mgus_table().with_columns(hgb=pl.col("creat").clip(0.2, 25) * 16 / 24.8 + 4 - 0.2 * 16 / 24.8)
    _, found = study(synthema_regression, [table], CODEBOOK, LOGISTIC)
    assert not found.metrics


def test_too_few_patients_give_no_figure_at_all() -> None:
    _, found = study(synthema_regression, [mgus_table()[:4], mgus_table()[4:8]], CODEBOOK, LOGISTIC)
    assert not found.metrics
    assert found.series == {"patients": None}


@pytest.mark.parametrize("asked", [LOGISTIC, PIECEWISE | {"largest_risk": 3}, COX | {"spread": 1.0}])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_coefficients_the_coordinator_sends_a_row_stays_within_its_bound(
    asked: dict[str, Any], seed: int
) -> None:
    random = np.random.default_rng(seed)
    table = mgus_table().sample(60, seed=seed)
    state = synthema_regression.federated_open(Plan(CODEBOOK, 1.0, 0, asked | {"most_patients": 100}))
    length = len(state.values["beta"])
    state = replace(state, values={**state.values, "beta": random.normal(0, 3, length).tolist()})
    whole = synthema_regression.federated_contribute(state, table, CODEBOOK).vector
    for row in range(0, 60, 6):
        fewer = synthema_regression.federated_contribute(state, pl.concat([table[:row], table[row + 1 :]]), CODEBOOK)
        assert np.linalg.norm((whole - fewer.vector).astype(float)) <= state.sensitivity


def test_the_longest_survivor_of_a_site_changes_cox_by_less_than_the_bound() -> None:
    """The worst case of the bound: one patient stands in every risk set, alone in the last ones."""
    table = mgus_table().sample(80, seed=4).with_columns(death=pl.lit("1")).sort("futime")
    worst = {"futime": 480, "age": 100, "hgb": 4.0, "creat": 25.0}
    extreme = table[-1:].with_columns(pl.lit(value, table.schema[name]).alias(name) for name, value in worst.items())
    asked = COX | {"spread": 1.0, "most_patients": 100}
    state = synthema_regression.federated_open(Plan(CODEBOOK, 1.0, 0, asked))
    with_it = synthema_regression.federated_contribute(state, pl.concat([table, extreme]), CODEBOOK).vector
    without = synthema_regression.federated_contribute(state, table, CODEBOOK).vector
    change = np.linalg.norm((with_it - without).astype(float))
    assert 0.02 * state.sensitivity < change <= state.sensitivity


def test_no_entry_exceeds_the_bound_that_plans_set() -> None:
    for asked in (LOGISTIC, PIECEWISE, COX):
        found = problem(CODEBOOK, asked | {"most_patients": 1384})
        vector = found.model.add_up(mgus_table(), np.full(found.model.dimension, 5.0), found.scale)
        assert np.abs(vector).max() <= 2**40


def test_rounds_spend_no_more_than_the_plan_and_the_state_is_plain_json() -> None:
    for steps in (1, 2, 5):
        found = problem(CODEBOOK, LOGISTIC | {"steps": steps})
        assert sum(found.rho_of(step, 0.5) for step in range(1, steps + 1)) == pytest.approx(0.5)
    state, _ = study(synthema_regression, [mgus_table()], CODEBOOK, LOGISTIC)
    assert json.loads(json.dumps(state.values, allow_nan=False)) == state.values


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sensitivity": 2.0}, "less than what one row can change"),
        ({"length": 5}, "another codebook"),
        ({"beta": [0.0]}, "coefficients are not those"),
        ({"beta": [float("nan")] * 5}, "coefficients are not those"),
        ({"asked": LOGISTIC | {"covariates": ["id"]}}, "identifier"),
        ({"asked": LOGISTIC | {"covariates": ["death"]}}, "cannot be a covariate"),
        ({"asked": LOGISTIC | {"model": "tea leaves"}}, "one of the codebook's outcomes"),
    ],
)
def test_a_site_refuses_a_round_it_would_not_have_made(change: dict[str, Any], sentence: str) -> None:
    state = synthema_regression.federated_open(Plan(CODEBOOK, 0.5, 0, LOGISTIC))
    values = {**state.values, **{name: value for name, value in change.items() if name in state.values}}
    fields = {name: value for name, value in change.items() if name not in state.values}
    with pytest.raises(ValueError, match=sentence):
        synthema_regression.federated_contribute(replace(state, values=values, **fields), mgus_table(), CODEBOOK)


def test_a_site_with_more_patients_than_agreed_refuses() -> None:
    state = synthema_regression.federated_open(Plan(CODEBOOK, 0.5, 0, LOGISTIC | {"most_patients": 100}))
    with pytest.raises(ValueError, match="most_patients"):
        synthema_regression.federated_contribute(state, mgus_table(), CODEBOOK)
