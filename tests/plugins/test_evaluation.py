"""Evaluation: what must be caught is caught, what is harmless is left alone, and no row leaves."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthema_evaluation
from synthema.spi.manifest import load_manifest
from synthema.spi.model import Evaluation, Metric
from synthema_evaluation.shadows import SHADOW_FIGURES
from synthema_evaluation.survival import RIDGE, Followed, fit_cox, kaplan_meier
from synthema_evaluation.utility import suppressed
from tests.plugins.mgus import CODEBOOK, mgus_table, split

SIGNED = ("concordanceGap", "attributeInferenceAdvantage", "aucGap", "groupConcordanceGap", "hazardRatioCorrelation")


@cache
def evaluated(kind: str) -> Evaluation:
    train, holdout = split()
    if kind == "fresh":
        order = np.random.default_rng(3).permutation(mgus_table().height).tolist()
        parts = [mgus_table()[order[a:b]] for a, b in ((0, 480), (480, 900), (900, 1384))]
        return synthema_evaluation.evaluate(parts[0], parts[1], parts[2], CODEBOOK, {})
    synthetic = train
    if kind == "independent":
        synthetic = pl.DataFrame(
            [train[c].sample(train.height, shuffle=True, seed=i) for i, c in enumerate(train.columns)]
        )
    return synthema_evaluation.evaluate(train, holdout, synthetic, CODEBOOK, {})


def metrics(kind: str) -> dict[str, Metric]:
    return {metric.id: metric for metric in evaluated(kind).metrics}


def test_a_copy_of_the_training_rows_is_caught_by_every_attack() -> None:
    found = metrics("copy")
    assert found["membershipAUC"].value > 0.95
    assert found["membershipTPR"].value > 0.9
    assert found["copiedRowShare"].value > 0.9
    assert found["attributeInferenceAdvantage"].value > 0.15
    assert found["singlingOutRisk"].value > 0.15
    assert found["nearestRecordRatio"].value < 0.01
    assert found["survivalDistance"].value == pytest.approx(0.0, abs=1e-12)


def test_fresh_patients_give_no_attack_a_lead() -> None:
    found = metrics("fresh")
    lower, upper = found["membershipAUC"].lower, found["membershipAUC"].upper
    assert lower is not None
    assert upper is not None
    assert lower <= 0.5 <= upper
    assert abs(found["membershipAUC"].value - 0.5) < 0.06
    assert found["membershipTPR"].value < 0.04
    assert found["copiedRowShare"].value < 0.02
    assert abs(found["attributeInferenceAdvantage"].value) < 0.08
    assert found["singlingOutRisk"].value < 0.08
    assert found["concordanceSynthetic"].value > 0.62


def test_independent_columns_lose_what_binds_variables() -> None:
    found = metrics("independent")
    assert found["marginalSimilarity"].value > 0.999
    pairs = found["pairSimilarity"]
    assert pairs.control is not None
    assert pairs.value < pairs.control  # worse than fewer but real patients
    assert found["concordanceSynthetic"].value < 0.6
    assert found["concordanceGap"].value > 0.08
    assert found["ruleViolations"].value > 0.3
    assert found["ruleViolations"].control == 0.0


def test_controls_measure_where_there_is_nothing_to_find() -> None:
    found = metrics("copy")
    assert found["membershipAUC"].control == pytest.approx(0.5, abs=0.08)
    assert found["membershipTPR"].control == pytest.approx(0.01, abs=0.01)
    assert found["concordanceReal"].value > 0.65


def test_intervals_hold_their_estimate_and_stay_in_range() -> None:
    for kind in ("copy", "fresh", "independent"):
        for metric in evaluated(kind).metrics:
            assert metric.definition
            assert metric.n > 0
            if metric.lower is not None and metric.upper is not None:
                assert metric.lower - 1e-9 <= metric.value <= metric.upper + 1e-9
            if metric.id not in ("smallestClass", *SIGNED):
                assert 0.0 <= metric.value <= 1.0


def test_the_manifest_names_what_is_measured_and_a_note_says_why_one_is_missing() -> None:
    manifest = load_manifest(Path(synthema_evaluation.__file__).parent / "plugin.toml")
    missing = set(manifest.metrics) - set(metrics("copy"))
    assert set(metrics("copy")) <= set(manifest.metrics)
    genes = {"genomicSyntheticFidelity", "genomicCorrelationDifference"}
    # mgus2 has neither genes nor rarities, and no generator is at hand
    assert missing == {*genes, "rareCategoryRetention", *SHADOW_FIGURES}
    assert all(any(note.startswith(f"Not measured: {name}") for note in evaluated("copy").notes) for name in missing)


def test_the_same_tables_give_the_same_figures() -> None:
    train, holdout = split()
    again = synthema_evaluation.evaluate(train, holdout, train, CODEBOOK, {})
    assert again == evaluated("copy")


@pytest.mark.article("GDPR 5(1)(f)")
def test_series_are_aggregates_without_small_counts() -> None:
    series = evaluated("fresh").series
    assert json.loads(json.dumps(series, allow_nan=False)) == series
    for curve in series["survival"].values():
        assert len(curve["times"]) == len(curve["real"]) == len(curve["synthetic"]) <= 120
        assert curve["times"][-1] < 424  # the longest follow-up is not shown
    for marginal in series["marginals"].values():
        assert len(marginal["labels"]) == len(marginal["real"])
        assert all(share is None or share == 0 or share * 480 > 4.5 for share in marginal["real"])


def test_one_hidden_count_cannot_be_filled_from_the_rest() -> None:
    assert suppressed(np.array([50, 40, 3, 7])) == [0.5, 0.4, None, None]
    assert suppressed(np.array([50, 3, 4, 2]))[0] is not None
    assert suppressed(np.array([50, 1, 1, 10])) == [pytest.approx(50 / 62, abs=1e-4), None, None, None]
    assert None not in suppressed(np.array([50, 0, 10]))


def test_kaplan_meier_by_hand() -> None:
    sample = Followed(np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([True, True, False, False, True]))
    assert kaplan_meier(sample, np.array([0.5, 1, 2, 3, 4])).tolist() == pytest.approx([1, 0.8, 0.6, 0.6, 0.0])


def test_cox_finds_a_known_hazard_ratio() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(3000, 2))
    times = random.exponential(1 / np.exp(x @ np.array([0.7, -0.3])))
    censored = random.exponential(2.0, size=3000)
    sample = Followed(np.minimum(times, censored), times <= censored)
    assert fit_cox(x, sample).tolist() == pytest.approx([0.7, -0.3], abs=0.07)


@pytest.mark.parametrize("seed", range(4))
def test_cox_finds_its_maximum_beside_extreme_values(seed: int) -> None:
    """A laboratory value with a long tail: full Newton steps go back and forth between wrong answers."""
    random = np.random.default_rng(seed)
    common = random.normal(size=1000)
    skewed = np.exp(1.2 * random.normal(size=1000) + 0.5 * common)
    x = np.stack([common, skewed], axis=1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    times, events = random.exponential(skewed**-0.8), random.random(1000) < 0.4
    beta = fit_cox(x, Followed(times, events))
    weight = np.exp(x @ beta) * (times[None, :] >= times[events][:, None])
    slope = (x[events] - weight @ x / weight.sum(axis=1, keepdims=True)).sum(axis=0) - RIDGE * beta
    assert np.abs(slope).max() < 1e-3


def test_a_codebook_without_outcomes_or_quasi_identifiers_still_works() -> None:
    train, holdout = split()
    codebook = CODEBOOK.keep(("hgb", "creat", "mspike"))
    found = {m.id: m for m in synthema_evaluation.evaluate(train, holdout, train, codebook, {}).metrics}
    assert "survivalDistance" not in found
    assert found["smallestClass"].value == mgus_table().height
    assert found["membershipAUC"].value > 0.9


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100_000), st.integers(10, 40), st.integers(10, 30), st.integers(10, 40))
def test_every_figure_of_any_tables_is_finite_and_in_range(seed: int, train: int, holdout: int, synthetic: int) -> None:
    random = np.random.default_rng(seed)
    parts = [mgus_table()[random.integers(0, 1384, size=size).tolist()] for size in (train, holdout, synthetic)]
    found = synthema_evaluation.evaluate(parts[0], parts[1], parts[2], CODEBOOK, {"seed": seed})
    for metric in found.metrics:
        lowest = -1.0 if metric.id in SIGNED else 0.0
        highest = train + holdout if metric.id == "smallestClass" else 1.0
        assert lowest <= metric.value <= highest, metric
        assert all(bound is None or lowest <= bound <= highest for bound in (metric.lower, metric.upper))
    json.dumps(found.series, allow_nan=False)


def test_too_few_rows_are_refused() -> None:
    train, holdout = split()
    with pytest.raises(ValueError, match="held-out table has fewer than 10 rows"):
        synthema_evaluation.evaluate(train, holdout[:5], train, CODEBOOK, {})
