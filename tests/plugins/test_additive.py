"""The additive model: exact over sites, bounded for each row, near the truth, honest under noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

import synthema_additive
from synthema.datasets.codebook import Codebook
from synthema.spi.model import Evaluation, Plan
from synthema.spi.ranking import RISK_BINS, concordance, held_out, ranked
from synthema.spi.simulated import simulated_codebook
from synthema_additive.problem import problem
from tests.plugins.analyses import study, thirds
from tests.plugins.mgus import CODEBOOK, mgus_table
from tests.plugins.test_regression import simulated

COVARIATES = ["age", "sex", "hgb", "creat"]
ODDS = {"model": "odds", "outcome": "death", "positive": "1", "covariates": COVARIATES}
HAZARD = {"model": "hazard", "outcome": "survival", "covariates": COVARIATES}


def figure(found: Evaluation, name: str, words: str = "") -> float:
    return next(m.value for m in found.metrics if m.id == name and m.definition.startswith(words))


@pytest.mark.parametrize("asked", [ODDS, HAZARD], ids=["odds", "hazard"])
def test_a_study_over_sites_is_bit_for_bit_the_study_over_all_rows(asked: dict[str, Any]) -> None:
    asked = asked | {"steps": 8}
    pooled, figures = study(synthema_additive, [mgus_table()], CODEBOOK, asked)
    apart, federated = study(synthema_additive, thirds(mgus_table()), CODEBOOK, asked, secure=True)
    assert pooled.values == apart.values
    assert figures == federated


def test_the_state_is_plain_json_and_rounds_spend_no_more_than_the_plan() -> None:
    state, _ = study(synthema_additive, [mgus_table()], CODEBOOK, HAZARD | {"steps": 3})
    assert json.loads(json.dumps(state.values, allow_nan=False)) == state.values
    for held in (0.0, 0.2):
        found = problem(CODEBOOK, HAZARD | {"steps": 7, "held_out": held})
        assert sum(found.rho_of(number, 0.5) for number in range(1, found.rounds + 1)) <= 0.5 * (1 + 1e-9)


def known_cohort() -> Codebook:
    codebook = simulated_codebook(with_identifier=False)
    return codebook.keep(tuple(name for name in codebook.names() if name != "progression"))


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "odds", "outcome": "marker", "positive": "present"},
        {"model": "hazard", "outcome": "overall survival", "largest_risk": 20},
    ],
    ids=["odds", "hazard"],
)
def test_shapes_are_those_the_cohort_was_made_with(asked: dict[str, Any]) -> None:
    """Known effects on the log scale: 0.7 for men, 0.03 for each year, -0.1 for each g/dL."""
    asked = asked | {"covariates": ["age", "sex", "haemoglobin"], "steps": 60}
    _, found = study(synthema_additive, [simulated(6000, 5)], known_cohort(), asked)
    shapes = found.series["shapes"]
    women, men = (cell["score"] for cell in shapes["sex"]["cells"][:2])
    assert men - women == pytest.approx(0.7, abs=0.15)
    for name, slope in (("age", 0.03), ("haemoglobin", -0.1)):
        cells = [cell for cell in shapes[name]["cells"][:-1] if cell["score"] is not None and cell["patients"] > 300]
        middles = [(cell["from"] + cell["to"]) / 2 for cell in cells]
        fitted = np.polyfit(middles, [cell["score"] for cell in cells], 1)[0]
        assert fitted == pytest.approx(slope, rel=0.35)
    assert figure(found, "concordance") > 0.6


def test_the_shape_of_a_bent_effect_is_bent() -> None:
    random = np.random.default_rng(1)
    table = simulated(6000, 2)
    age = table["age"].to_numpy()
    odds = np.where((age > 40) & (age < 60), 1.5, -1.5)
    drawn = np.where(random.random(len(age)) < 1 / (1 + np.exp(-odds)), "present", "absent")
    asked = {"model": "odds", "outcome": "marker", "positive": "present", "covariates": ["age", "sex"], "steps": 60}
    _, found = study(synthema_additive, [table.with_columns(marker=pl.Series(drawn))], known_cohort(), asked)
    score = [cell["score"] for cell in found.series["shapes"]["age"]["cells"][:-1]]
    assert min(score[2:4]) > max(score[0], score[4], score[5], score[6]) + 1.5
    assert figure(found, "termImportance", "age") > 10 * figure(found, "termImportance", "sex")


def test_under_noise_the_bands_hold_the_shapes_of_the_same_model_without() -> None:
    asked = HAZARD | {"steps": 10}
    held = []
    _, exact = study(synthema_additive, thirds(mgus_table()), CODEBOOK, asked)
    for seed in range(6):
        _, noisy = study(synthema_additive, thirds(mgus_table()), CODEBOOK, asked, rho=20.0, seed=seed)
        for name in COVARIATES:
            cells = zip(exact.series["shapes"][name]["cells"], noisy.series["shapes"][name]["cells"], strict=True)
            for one, other in cells:
                if one["score"] is not None and other["score"] is not None:
                    held.append(other["band"][0] - 0.05 <= one["score"] <= other["band"][1] + 0.05)
    assert len(held) > 60
    assert np.mean(held) >= 0.9


def test_where_noise_hides_everything_nothing_is_shown() -> None:
    _, found = study(synthema_additive, thirds(mgus_table()), CODEBOOK, ODDS | {"steps": 3}, rho=1e-6)
    assert not found.metrics
    assert "No shape is shown" in found.notes[-1]


def test_cells_with_few_patients_show_no_score() -> None:
    _, found = study(synthema_additive, [mgus_table()[:150]], CODEBOOK, HAZARD | {"steps": 2})
    for shape in found.series["shapes"].values():
        assert all((cell["score"] is None) == (cell["patients"] is None) for cell in shape["cells"])
        assert all(cell["patients"] is None or cell["patients"] >= 10 for cell in shape["cells"])
    assert any(cell["score"] is None for shape in found.series["shapes"].values() for cell in shape["cells"])


@pytest.mark.parametrize("asked", [ODDS, HAZARD | {"largest_risk": 1.5}], ids=["odds", "hazard"])
def test_whatever_scores_the_coordinator_sends_a_row_stays_within_its_bound(asked: dict[str, Any]) -> None:
    random = np.random.default_rng(3)
    table = mgus_table().sample(60, seed=2)
    found = problem(CODEBOOK, asked | {"held_out": 0.0, "most_patients": 100})
    scores = [random.normal(0, 3, term.cells) for term in found.terms]
    baseline = random.normal(0, 3, len(found.target.baseline_labels))
    whole = found.add_up(2, table, baseline, scores)
    assert np.abs(whole).max() <= 2**40
    for row in range(0, 60, 6):
        other = found.add_up(2, pl.concat([table[:row], table[row + 1 :]]), baseline, scores)
        assert np.linalg.norm((whole - other).astype(float)) <= found.sensitivity(2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sensitivity": 0.5}, "less than what one row can change"),
        ({"length": 5}, "another codebook"),
        ({"round": 99}, "another codebook"),
        ({"scores": [[0.0]] * 4}, "not those of the model"),
        ({"baseline": [float("nan")]}, "not finite"),
        ({"asked": ODDS | {"covariates": ["id"]}}, "identifier"),
        ({"asked": ODDS | {"covariates": ["death"]}}, "cannot explain itself"),
        ({"asked": ODDS | {"outcome": "tea"}}, "does not have"),
        ({"asked": ODDS | {"steps": 0}}, "outside what the manifest allows"),
    ],
)
def test_a_site_refuses_a_round_it_would_not_have_made(change: dict[str, Any], sentence: str) -> None:
    state = synthema_additive.federated_open(Plan(CODEBOOK, 0.5, 0, ODDS))
    values = {**state.values, **{name: value for name, value in change.items() if name in state.values}}
    fields = {name: value for name, value in change.items() if name not in state.values}
    with pytest.raises(ValueError, match=sentence):
        synthema_additive.federated_contribute(replace(state, values=values, **fields), mgus_table(), CODEBOOK)


def test_concordance_from_counts_is_that_of_the_pairs() -> None:
    random = np.random.default_rng(0)
    time, happened = random.integers(0, 8, 400), random.random(400) < 0.6
    risk = np.clip(0.5 - 0.03 * time + random.normal(0, 0.15, 400), 0, 0.999)
    found = concordance(ranked(time, 8, risk, happened).astype(float), 8, 0.0)
    place = np.floor(risk * RISK_BINS)
    first = happened[:, None] & (time[:, None] < time[None, :])
    right = (place[:, None] > place[None, :]) + 0.5 * (place[:, None] == place[None, :])
    assert found is not None
    assert found.value == pytest.approx(right[first].mean())
    assert found.lower < found.value < found.upper
    assert found.patients == 400


def test_a_concordance_under_noise_is_given_with_an_interval_that_holds_the_truth_or_not_at_all() -> None:
    random = np.random.default_rng(4)
    time, happened = random.integers(0, 6, 3000), random.random(3000) < 0.6
    risk = np.clip(0.5 - 0.04 * time + random.normal(0, 0.2, 3000), 0, 0.999)
    counts = ranked(time, 6, risk, happened).astype(float)
    truth = concordance(counts, 6, 0.0)
    assert truth is not None
    held = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 3, counts.shape)
        found = concordance(counts + noise, 6, 3.0)
        assert found is not None
        held += found.lower <= truth.value <= found.upper
    assert held >= 18
    assert concordance(np.random.default_rng(1).normal(0, 50, counts.shape), 6, 50.0) is None


def test_who_is_held_out_follows_from_each_row_alone() -> None:
    table = mgus_table().select("age", "hgb", "futime")
    out = held_out(table, ["age", "hgb", "futime"], 0.25)
    assert 0.15 < out.mean() < 0.35
    assert held_out(table[100:], ["hgb", "futime", "age"], 0.25).tolist() == out[100:].tolist()
