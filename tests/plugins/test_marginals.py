"""Noisy marginals: what sites contribute, what comes out, and how good it is at which privacy loss."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import synthema_evaluation
import synthema_marginals
from synthema.datasets.codebook import Codebook
from synthema.spi.manifest import load_manifest
from synthema.spi.model import Aggregate, Generated, Plan, State
from synthema_marginals.privacy import delta_of, rho_for
from tests.plugins.mgus import CODEBOOK, mgus_table, split


def study(
    tables: list[pl.DataFrame], rho: float, *, seed: int = 0, rows: int = 970, inflation: float = 1.0
) -> tuple[State, Generated]:
    """Run a study over sites; the noise is plain rounded normal noise, as the core's is tested elsewhere."""
    random = np.random.default_rng(seed)
    plan = Plan(CODEBOOK, rho, rows)
    state = synthema_marginals.federated_open(plan)
    while not state.finished:
        total = sum(synthema_marginals.federated_contribute(state, table, CODEBOOK).vector for table in tables)
        sigma = state.sensitivity / math.sqrt(2 * state.rho) * math.sqrt(inflation)
        noisy = np.asarray(total + np.round(random.normal(0, sigma, state.length)), dtype=np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noisy, len(tables), sigma))
    return state, synthema_marginals.federated_sample(state, plan)


def figures(synthetic: pl.DataFrame, seed: int = 0) -> dict[str, float]:
    train, holdout = split(seed)
    found = synthema_evaluation.evaluate(train, holdout, synthetic, CODEBOOK, {})
    return {metric.id: metric.value for metric in found.metrics}


def test_rounds_spend_exactly_the_planned_loss() -> None:
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.5, 100))
    spent = 0.0
    while not state.finished:
        spent += state.rho
        state = synthema_marginals.federated_absorb(state, Aggregate(np.ones(state.length, dtype=np.int64), 3, 5.0))
    assert spent == pytest.approx(0.5)
    assert state.length == 0


def test_a_study_over_sites_is_the_study_over_all_rows() -> None:
    train, _ = split()
    sites = [train[:300], train[300:450], train[450:]]
    together, rows_together = study([train], 0.5, seed=7)
    apart, rows_apart = study(sites, 0.5, seed=7)
    assert together.values == apart.values
    assert rows_together.table.equals(rows_apart.table)


def test_the_state_is_plain_json() -> None:
    state, _ = study([split()[0]], 0.5)
    assert json.loads(json.dumps(state.values, allow_nan=False)) == state.values


def test_each_row_counts_once_in_each_query() -> None:
    table = mgus_table()
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.5, 100))
    vector = synthema_marginals.federated_contribute(state, table, CODEBOOK).vector
    weights = [query["weight"] for query in state.values["queries"]]
    assert vector.shape == (state.length,)
    assert vector.sum() == table.height * sum(weights)
    assert state.sensitivity == pytest.approx(math.sqrt(sum(weight**2 for weight in weights)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: replace(s, sensitivity=1.0), "announces a sensitivity"),
        (lambda s: replace(s, length=3), "announced length"),
        (lambda s: replace(s, values={**s.values, "shapes": s.values["shapes"][:-1]}), "another codebook"),
        (lambda s: replace(s, values={**s.values, "queries": []}), "announced length"),
        (
            lambda s: replace(s, values={**s.values, "queries": [{**s.values["queries"][0], "weight": 1000}]}),
            "does not have",
        ),
        (
            lambda s: replace(s, values={**s.values, "queries": [{**s.values["queries"][0], "groups": [[0, 1]]}]}),
            "do not fit the codebook",
        ),
    ],
)
def test_a_site_refuses_a_round_that_lies(change: object, sentence: str) -> None:
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.5, 100))
    with pytest.raises(ValueError, match=sentence):
        synthema_marginals.federated_contribute(change(state), mgus_table(), CODEBOOK)  # type: ignore[operator]


def test_too_many_cells_are_refused() -> None:
    def codebook(variables: int, bins: int) -> Codebook:
        edges = [4 + 16 * i / bins for i in range(bins + 1)]
        wide = [
            CODEBOOK.variable("hgb").model_copy(update={"name": f"v{i}", "edges": tuple(edges)}).model_dump()
            for i in range(variables)
        ]
        return Codebook.model_validate({**CODEBOOK.model_dump(), "variables": wide, "outcomes": (), "rules": ()})

    with pytest.raises(ValueError, match="'v0' has 1001 cells, more than 1000"):
        synthema_marginals.federated_open(Plan(codebook(1, 1000), 0.5, 100))
    with pytest.raises(ValueError, match="would count 220000 cells, more than 200000"):
        synthema_marginals.federated_open(Plan(codebook(220, 999), 0.5, 100))


def test_counts_without_noise_are_reproduced() -> None:
    train, _ = split()
    plan = Plan(CODEBOOK, 1e6, train.height)
    state = synthema_marginals.federated_open(plan)
    while not state.finished:
        vector = synthema_marginals.federated_contribute(state, train, CODEBOOK).vector
        state = synthema_marginals.federated_absorb(state, Aggregate(vector, 3, 0.0))
    made = figures(synthema_marginals.federated_sample(state, plan).table)
    assert made["marginalSimilarity"] > 0.99
    assert made["survivalDistance"] < 0.02


def test_unlisted_values_are_refused_where_none_may_be_missing() -> None:
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.5, 100))
    table = mgus_table().with_columns(pl.lit("9").alias("death"))
    with pytest.raises(ValueError, match="futime and death holds a missing or unlisted value"):
        synthema_marginals.federated_contribute(state, table, CODEBOOK)


def test_synthetic_rows_keep_codebook_and_rules() -> None:
    _, found = study([split()[0]], 0.5, rows=1384)
    table = found.table
    assert table.height == 1384
    assert table.columns == [name for name in CODEBOOK.names() if name != "id"]
    assert (table["ptime"] <= table["futime"]).all()
    assert table["futime"].is_between(0, 480).all()
    assert table["age"].dtype == pl.Int64
    assert not table["death"].has_nulls()
    assert set(table["sex"].drop_nulls()) == {"F", "M"}


def test_the_same_state_gives_the_same_rows() -> None:
    state, first = study([split()[0]], 0.5)
    again = synthema_marginals.federated_sample(state, Plan(CODEBOOK, 0.5, 970))
    assert first.table.equals(again.table)


@pytest.mark.parametrize(
    ("epsilon", "distance", "similarity", "concordance"), [(5.0, 0.025, 0.93, 0.66), (1.0, 0.06, 0.9, 0.58)]
)
def test_quality_at_a_privacy_loss(epsilon: float, distance: float, similarity: float, concordance: float) -> None:
    found = []
    for seed in range(5):
        train, _ = split(seed)
        _, made = study([train[:323], train[323:646], train[646:]], rho_for(epsilon, 1e-5), seed=seed, inflation=1.5)
        found.append(figures(made.table, seed))
    mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    assert mean["survivalDistance"] <= distance
    assert mean["marginalSimilarity"] >= similarity
    assert mean["concordanceSynthetic"] >= concordance
    assert mean["ruleViolations"] == 0.0


def test_too_little_privacy_loss_gives_visibly_useless_rows() -> None:
    _, made = study([split()[0]], rho_for(0.02, 1e-5))
    found = figures(made.table)
    assert found["marginalSimilarity"] < 0.8
    assert found["survivalDistance"] > 0.05


def test_one_site_generates_under_exact_discrete_noise() -> None:
    train, _ = split()
    made = synthema_marginals.generate(train, CODEBOOK, {"epsilon": 5.0, "delta": 1e-5}, 500)
    assert (made.epsilon, made.delta) == (5.0, 1e-5)
    assert made.table.height == 500
    assert figures(made.table)["marginalSimilarity"] > 0.93


def test_rho_agrees_with_published_conversion() -> None:
    rho = rho_for(1.0, 1e-5)
    assert delta_of(rho, 1.0) <= 1e-5
    assert rho > (math.sqrt(1 + math.log(1e5)) - math.sqrt(math.log(1e5))) ** 2  # better than Bun and Steinke 2016
    with pytest.raises(ValueError, match="epsilon must be greater than 0"):
        rho_for(0.0, 1e-5)


def test_one_variable_and_two_variables_need_fewer_rounds() -> None:
    for names, rounds in ((("sex",), 1), (("sex", "age"), 2)):
        plan = Plan(CODEBOOK.keep(names), 1.0, 50)
        state, asked = synthema_marginals.federated_open(plan), 0
        while not state.finished:
            vector = synthema_marginals.federated_contribute(state, mgus_table(), plan.codebook).vector
            state = synthema_marginals.federated_absorb(state, Aggregate(vector, 3, 1.0))
            asked += 1
        assert asked == rounds
        assert synthema_marginals.federated_sample(state, plan).table.height == 50


def test_a_banded_codebook_works_too() -> None:
    from synthema_minimise import anonymise

    parameters = {"fields": ["age", "sex", "hgb", "futime", "death"], "band": ["age"], "k": 2}
    less = anonymise(mgus_table(), CODEBOOK, parameters)
    made = synthema_marginals.generate(less.table, less.codebook, {"epsilon": 5.0}, 200)
    assert set(made.table["age"].drop_nulls()) <= set(less.codebook.variable("age").categories)


def test_other_rules_hold_in_every_row() -> None:
    rules = [
        {"id": "a", "sentence": "old", "left": "age", "comparison": ">=", "right": 40},
        {"id": "b", "sentence": "women", "left": "hgb", "comparison": "<=", "right": 15, "when": {"sex": "F"}},
        {"id": "c", "sentence": "order", "left": "mspike", "comparison": "<", "right": "hgb"},
    ]
    codebook = Codebook.model_validate({**CODEBOOK.model_dump(), "rules": rules})
    made = synthema_marginals.generate(mgus_table(), codebook, {"epsilon": 1.0}, 300).table
    assert made["age"].drop_nulls().min() >= 40  # type: ignore[operator]
    assert made.filter(pl.col("sex") == "F")["hgb"].drop_nulls().max() <= 15  # type: ignore[operator]
    assert made.height == 300


def test_contradictory_rules_are_named() -> None:
    rules = [
        {"id": "a", "sentence": "older", "left": "age", "comparison": ">", "right": 60},
        {"id": "b", "sentence": "younger", "left": "age", "comparison": "<", "right": 50},
    ]
    variables = [
        variable | {"may_be_missing": False} if variable["name"] == "age" else variable
        for variable in CODEBOOK.model_dump()["variables"]
    ]
    codebook = Codebook.model_validate({**CODEBOOK.model_dump(), "rules": rules, "variables": variables})
    with pytest.raises(ValueError, match="contradictions"):
        synthema_marginals.generate(mgus_table(), codebook, {}, 50)


def test_the_manifest_describes_both_kinds() -> None:
    manifest = load_manifest(Path(synthema_marginals.__file__).parent / "plugin.toml")
    assert set(manifest.kinds) == {"generator", "federated-algorithm"}
    assert manifest.guarantee.kind == "differential-privacy"
