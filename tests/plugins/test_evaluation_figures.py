"""The figures of fidelity, survival, prediction and attacks: right by hand, and right about what is known."""

from __future__ import annotations

import logging

import numpy as np
import polars as pl
import pytest

import synthema_evaluation
from synthema.datasets.codebook import Codebook
from synthema_evaluation import effects, fidelity
from synthema_evaluation.boosting import Boosted
from synthema_evaluation.columns import Tables
from synthema_evaluation.intervals import area
from synthema_evaluation.membership import roc
from synthema_evaluation.survival import Followed, fit_hazards, greenwood
from tests.plugins.mgus import CODEBOOK, split
from tests.plugins.test_evaluation import evaluated, metrics


def genes_codebook() -> Codebook:
    """A little cohort with two genes that always mutate together, a rare one, and two centres."""
    gene = {"type": "category", "categories": ["0", "1"], "code": "http://identifiers.org/hgnc:1"}
    return Codebook.model_validate(
        {
            "id": "genes",
            "version": "1",
            "title": "Simulated genes",
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "patient",
            "variables": [
                {"name": "patient", "label": "Patient", "type": "text", "role": "identifier"},
                {"name": "centre", "label": "Centre", "type": "category", "categories": ["a", "b"], "role": "site"},
                *({"name": name, "label": name, **gene} for name in ("first", "second", "rare")),
                {"name": "months", "label": "Months", "type": "decimal", "role": "time", "minimum": 0, "maximum": 400},
                {"name": "status", "label": "Status", "type": "category", "role": "event", "categories": ["0", "1"]},
            ],
            "outcomes": [{"name": "survival", "time": "months", "event": "status", "event_value": "1", "unit": "mo"}],
        }
    )


def genes(rows: int, seed: int, *, together: bool = True, rare: bool = True) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    first = random.random(rows) < 0.4
    second = first if together else random.random(rows) < 0.4
    months = random.exponential(np.where(first, 30.0, 90.0)).clip(0.1, 400)
    return pl.DataFrame(
        {
            "patient": [f"p{i}" for i in range(rows)],
            "centre": random.choice(["a", "b"], rows),
            "first": first.astype(int).astype(str),
            "second": second.astype(int).astype(str),
            "rare": (random.random(rows) < (0.03 if rare else 0.0)).astype(int).astype(str),
            "months": months,
            "status": (random.random(rows) < 0.8).astype(int).astype(str),
        }
    )


def test_a_copy_cannot_be_told_apart_and_keeps_every_hazard_ratio() -> None:
    found = metrics("copy")
    assert found["classifierAUC"].value == pytest.approx(0.5, abs=0.03)
    assert found["correlationDifference"].value == pytest.approx(0.0, abs=1e-9)
    assert found["clinicalSyntheticFidelity"].value == pytest.approx(1.0)
    assert found["hazardRatioCorrelation"].value == pytest.approx(1.0)
    assert found["hazardRatioOverlap"].value == pytest.approx(1.0)
    assert found["medianDifference"].value == 0.0
    assert found["competingRisksDistance"].value == pytest.approx(0.0, abs=1e-12)
    assert found["aucGap"].value == pytest.approx(0.0)
    assert found["groupSurvivalDistance"].value == pytest.approx(0.0, abs=1e-12)


def test_a_copy_is_linked_and_inferred_and_fresh_patients_are_not() -> None:
    copied, fresh = metrics("copy"), metrics("fresh")
    for name in ("linkabilityRisk", "inferenceRisk"):
        assert copied[name].value > 0.9
        assert fresh[name].value < 0.08
    assert copied["membershipTPRStrict"].value > 0.9
    assert fresh["membershipTPRStrict"].value < 0.02
    assert copied["outlierMembershipAUC"].value > 0.95
    identity = copied["identityDisclosureRisk"]
    assert identity.control is not None
    assert identity.value > 2 * identity.control
    assert copied["nearestRecordShare"].value > 0.6


def test_independent_columns_fail_where_structure_is_asked_for() -> None:
    found, fresh = metrics("independent"), metrics("fresh")
    assert found["classifierAUC"].value > 0.85
    assert found["correlationDifference"].value > 2 * fresh["correlationDifference"].value
    assert found["clinicalSyntheticFidelity"].value < fresh["clinicalSyntheticFidelity"].value
    assert found["hazardRatioCorrelation"].value < 0.5
    assert found["aucGap"].value > 0.1
    assert found["logRankP"].value > 0.05  # the caveat: equal curves say nothing about everything else
    assert "no gate should rest on it" in found["logRankP"].definition


def test_genes_rare_categories_and_centres_are_measured_where_the_codebook_has_them() -> None:
    codebook, train, holdout = genes_codebook(), genes(300, 1), genes(200, 2)
    kept, broken = (
        {m.id: m for m in synthema_evaluation.evaluate(train, holdout, synthetic, codebook, {}).metrics}
        for synthetic in (genes(300, 3), genes(300, 3, together=False, rare=False))
    )
    assert kept["genomicSyntheticFidelity"].value > 0.95 > broken["genomicSyntheticFidelity"].value
    assert (kept["rareCategoryRetention"].value, broken["rareCategoryRetention"].value) == (1.0, 0.0)
    series = synthema_evaluation.evaluate(train, holdout, genes(300, 3), codebook, {}).series
    assert {"Centre: a", "Centre: b"} <= set(series["groups"])
    assert series["composites"]["genomicSyntheticFidelity"]["variables"] == ["first", "second", "rare"]


def test_log_rank_by_hand() -> None:
    first = Followed(np.array([1.0, 2.0, 3.0]), np.array([True, True, True]))
    second = Followed(np.array([4.0, 5.0, 6.0]), np.array([True, True, True]))
    # expected events of the first group: 3/6 + 2/5 + 1/4; variance: 1/4 + 6/25 + 3/16
    observed = (3 - 1.15) / np.sqrt(0.25 + 0.24 + 0.1875)
    assert effects.log_rank(first, second) == pytest.approx(0.0246, abs=3e-4)
    assert observed == pytest.approx(2.2476, abs=1e-3)
    assert effects.log_rank(first, first) == pytest.approx(1.0)


def test_competing_incidences_by_hand() -> None:
    times, causes = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 0, 1])
    first, second = effects._incidence(times, causes, 2, np.array([0.5, 1, 2, 3, 4]))
    assert first.tolist() == pytest.approx([0, 0.25, 0.25, 0.25, 0.75])
    assert second.tolist() == pytest.approx([0, 0, 0.25, 0.25, 0.25])


def test_standard_errors_of_curves_and_hazards_are_those_of_the_textbook() -> None:
    sample = Followed(np.arange(1.0, 101.0), np.ones(100, dtype=bool))
    # without censoring Greenwood's formula is the binomial one
    assert greenwood(sample, np.array([50.0]))[0] == pytest.approx(np.sqrt(0.5 * 0.5 / 100))
    random = np.random.default_rng(2)
    x = random.normal(size=(2000, 1))
    times = random.exponential(1 / np.exp(0.5 * x[:, 0]))
    fitted = fit_hazards(x, Followed(times, np.ones(2000, dtype=bool)))
    assert fitted.errors[0] == pytest.approx(1 / np.sqrt(2000), rel=0.15)


def test_boosted_trees_learn_a_question_no_single_variable_answers() -> None:
    codes = np.random.default_rng(0).integers(0, 2, size=(600, 4))
    labels = (codes[:, 0] ^ codes[:, 2]).astype(float)
    learner = Boosted(codes, [2, 2, 2, 2], labels)
    chances = learner.probability(codes)
    assert area(chances[labels == 1], chances[labels == 0]) > 0.95


def test_equal_curves_give_a_straight_roc_and_roc_rises() -> None:
    scores = np.random.default_rng(0).normal(size=4000)
    curve = roc(scores[:2000], scores[2000:])
    assert curve["falsePositives"][0] == 0.001
    assert curve["truePositives"][-1] == 1.0
    assert curve["truePositives"] == sorted(curve["truePositives"])
    assert curve["truePositives"][10] == pytest.approx(curve["falsePositives"][10], abs=0.02)


def test_hazards_of_fewer_than_five_people_are_not_shown() -> None:
    train, holdout = genes(300, 1), genes(200, 2)
    few = train.with_columns(rare=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("1")).otherwise(pl.lit("0")))
    series = synthema_evaluation.evaluate(few, holdout, genes(300, 3), genes_codebook(), {}).series["hazards"]
    assert [row["label"] for row in series["covariates"]] in (
        [["first = 1", "second = 1"], ["second = 1", "first = 1"]]
    )
    assert all(len(row[side]) == 3 for row in series["covariates"] for side in ("real", "synthetic"))


def test_survival_bands_hold_their_curves() -> None:
    curve = evaluated("fresh").series["survival"]["survival"]
    for source in ("real", "synthetic"):
        pairs = zip(curve[f"{source}Lower"], curve[source], curve[f"{source}Upper"], strict=True)
        assert all(low <= value <= high for low, value, high in pairs)


def test_progress_is_told_step_by_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "synthema_evaluation")
    train, holdout = genes(40, 1), genes(40, 2)
    synthema_evaluation.evaluate(train, holdout, train, genes_codebook(), {})
    assert caplog.messages[0].startswith("1 of ")
    assert caplog.messages[-1].startswith(f"{len(caplog.messages)} of {len(caplog.messages)}")


def test_structure_needs_two_variables() -> None:
    train, holdout = split()
    tables = Tables(train.select("age"), holdout.select("age"), train.select("age"))
    assert fidelity.structure_metrics(tables, (CODEBOOK.variable("age"),), np.random.default_rng(0)) == ([], {})
