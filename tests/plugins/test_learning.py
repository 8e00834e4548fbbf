"""Deep learning by sums: the pooled fit by patients, bounded for each row, learning at the sites, rows, images."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.spi.model import Plan, State
from synthema.spi.simulated import check_conforms, simulated_codebook, simulated_table
from tests.plugins.analyses import study, thirds
from tests.plugins.mgus import CODEBOOK, mgus_table

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'synthema[deep]'")

import synthema_learning
from synthema_learning.nets import first_weights
from synthema_learning.problem import problem
from synthema_learning.state import packed, unpacked
from synthema_learning.training import mean_gradient, patients_gradients

Floats = NDArray[np.float64]
NAMES = ["age", "sex", "hgb", "creat"]
SURVIVAL = {"model": "survival", "outcome": "survival", "covariates": NAMES, "hidden": 4, "steps": 6, "rate": 0.05}
METHODS = ["patients", "fedavg", "fedprox", "scaffold"]


def weights(state: State) -> Floats:
    return np.frombuffer(base64.b64decode(state.values["weights"]), "<f4").astype(float)


def sites() -> list[pl.DataFrame]:
    return thirds(mgus_table()[:500])


def test_by_patients_the_sites_under_the_secure_sum_are_one_table() -> None:
    pooled, _ = study(synthema_learning, [pl.concat(sites())], CODEBOOK, SURVIVAL)
    apart, found = study(synthema_learning, sites(), CODEBOOK, SURVIVAL, secure=True)
    assert np.abs(weights(pooled) - weights(apart)).max() < 1e-6
    assert next(m for m in found.metrics if m.id == "concordance").value > 0.6


@pytest.mark.parametrize("method", ["fedavg", "fedprox", "scaffold"])
def test_learning_at_the_sites_comes_near_the_pooled_concordance(method: str) -> None:
    asked = SURVIVAL | {"method": method, "steps": 10, "rate": 0.3}
    found = [study(synthema_learning, each, CODEBOOK, asked)[1] for each in ([mgus_table()], thirds(mgus_table()))]
    one, other = (next(m.value for m in each.metrics if m.id == "concordance") for each in found)
    assert one > 0.62
    assert other == pytest.approx(one, abs=0.01)


def unlike_sites() -> list[pl.DataFrame]:
    """Sites whose patients differ: the old and the young apart."""
    table = mgus_table()[:900].sort("age")
    return [table[:300], table[300:600], table[600:]]


def test_control_variates_bring_unlike_sites_nearer_to_the_pooled_weights_than_fedavg() -> None:
    """With many local steps at unlike sites FedAvg drifts; SCAFFOLD is made against that."""
    asked = SURVIVAL | {"steps": 20, "local_steps": 25, "rate": 0.3, "held_out": 0.0, "covariates": ["age", "sex"]}
    loss = {}
    for method in ("fedavg", "scaffold"):
        state, _ = study(synthema_learning, unlike_sites(), CODEBOOK, asked | {"method": method})
        found = problem(CODEBOOK, asked | {"method": method})
        inputs, known = found.net.inputs(pl.concat(unlike_sites()), 1)
        gradient = mean_gradient(found.net, weights(state), [value[known] for value in inputs])
        loss[method] = float(np.linalg.norm(gradient))
    assert loss["scaffold"] < loss["fedavg"]


def test_each_patients_gradient_is_that_of_the_patient_alone_and_is_cut() -> None:
    found = problem(CODEBOOK, SURVIVAL | {"clip": 0.5})
    inputs, _ = found.net.inputs(mgus_table()[:6], 1)
    at = first_weights(found.net.shapes, 3)
    each = patients_gradients(found.net, at, inputs, 0.5)
    for number in range(6):
        alone = mean_gradient(found.net, at, [value[number : number + 1] for value in inputs])
        assert np.allclose(each[number], alone / max(np.linalg.norm(alone), 0.5), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_whatever_weights_the_coordinator_sends_a_row_stays_within_its_bound(method: str) -> None:
    random = np.random.default_rng(5)
    table = mgus_table()[:40]
    asked = SURVIVAL | {"method": method, "most_patients": 100, "held_out": 0.0, "local_steps": 2, "clip": 0.3}
    found = problem(CODEBOOK, asked)
    sent = {name: random.normal(0, 2, found.weights) for name in ("weights", "before", "control")}
    whole = found.add_up(1, table, sent)
    assert np.abs(whole).max() <= 2**40
    for row in range(0, 40, 8):
        other = found.add_up(1, pl.concat([table[:row], table[row + 1 :]]), sent)
        assert np.linalg.norm((whole - other).astype(float)) <= found.sensitivity(1)


def test_a_whole_sites_update_may_turn_with_one_patient_and_the_bound_says_so() -> None:
    by_patients, by_sites = (problem(CODEBOOK, SURVIVAL | {"method": m}) for m in ("patients", "fedavg"))
    assert by_sites.sensitivity(1) / by_sites.scale > 1.9 * by_patients.sensitivity(1) / by_patients.scale


def test_the_state_is_plain_json_and_rounds_spend_no_more_than_the_plan() -> None:
    state, _ = study(synthema_learning, [mgus_table()[:100]], CODEBOOK, SURVIVAL | {"steps": 2, "method": "scaffold"})
    assert json.loads(json.dumps(state.values, allow_nan=False)) == state.values
    found = problem(CODEBOOK, SURVIVAL)
    assert sum(found.rho_of(number, 0.5) for number in range(1, found.rounds + 1)) == pytest.approx(0.5)


def test_under_noise_by_patients_something_is_learned_and_the_report_says_what_noise_does() -> None:
    _, found = study(synthema_learning, thirds(mgus_table()), CODEBOOK, SURVIVAL, rho=20.0)
    figure = next(m for m in found.metrics if m.id == "concordance")
    assert figure.value > 0.55
    assert figure.lower is not None
    assert any("noise" in note for note in found.notes)


def test_the_network_is_reported_under_noise_alone() -> None:
    tables, asked = [mgus_table()[:200]], SURVIVAL | {"steps": 1}
    _, plain = study(synthema_learning, tables, CODEBOOK, asked)
    assert "network" not in plain.series
    assert any("The network is not given" in note for note in plain.notes)
    _, noisy = study(synthema_learning, tables, CODEBOOK, asked, rho=20.0)
    assert unpacked(noisy.series["network"]["weights"], problem(CODEBOOK, asked).weights).any()


def test_no_figure_rests_on_fewer_patients_than_were_asked_for() -> None:
    table, steps = mgus_table(), SURVIVAL | {"steps": 1}
    learned = study(synthema_learning, [table], CODEBOOK, steps)[1].series["patients"]
    (figure,) = study(synthema_learning, [table], CODEBOOK, steps)[1].metrics
    for fewest, given in ((figure.n, 1), (figure.n + 1, 0)):
        _, found = study(synthema_learning, [table], CODEBOOK, steps | {"fewest": fewest})
        assert len(found.metrics) == given
        assert found.series["patients"] == learned
    _, found = study(synthema_learning, [table], CODEBOOK, steps | {"fewest": learned + 1})
    assert (found.metrics, found.series) == ((), {"patients": None})
    assert any("fewer than" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sensitivity": 2.0}, "less than what one row can change"),
        ({"length": 5}, "another codebook"),
        ({"round": 99}, "another codebook"),
        ({"weights": "AAAA"}, "refuse the round"),
        ({"weights": packed(np.full(3, np.nan))}, "not those of the network"),
        ({"asked": SURVIVAL | {"covariates": ["id"]}}, "identifier"),
        ({"asked": SURVIVAL | {"covariates": ["futime"]}}, "cannot explain itself"),
        ({"asked": SURVIVAL | {"method": "guess"}}, "is one of patients"),
        ({"asked": SURVIVAL | {"clip": -1.0}}, "must be above 0"),
        ({"asked": SURVIVAL | {"hidden": 100_000}}, "between 1 and 256"),
    ],
)
def test_a_site_refuses_a_round_it_would_not_have_made(change: dict[str, Any], sentence: str) -> None:
    state = synthema_learning.federated_open(Plan(CODEBOOK, 0.5, 0, SURVIVAL))
    values = {**state.values, **{name: value for name, value in change.items() if name in state.values}}
    fields = {name: value for name, value in change.items() if name not in state.values}
    with pytest.raises(ValueError, match=sentence):
        synthema_learning.federated_contribute(replace(state, values=values, **fields), mgus_table(), CODEBOOK)


def test_weights_travel_as_they_are() -> None:
    vector = np.random.default_rng(0).normal(size=50).astype(np.float32).astype(float)
    assert np.array_equal(unpacked(packed(vector), 50), vector)


def test_rows_of_the_autoencoder_have_the_marginals_of_the_cohort_and_keep_its_rules() -> None:
    codebook = simulated_codebook(with_identifier=False)
    table = simulated_table(500, with_identifier=False)
    asked = {"model": "table", "hidden": 8, "steps": 25, "rate": 0.1, "clip": 5.0}
    plan = Plan(codebook, 1.0, 400, asked)
    state, _ = study(synthema_learning, [table[:300], table[300:]], codebook, asked)
    made = synthema_learning.federated_sample(state, plan).table
    check_conforms(made, codebook)
    assert made.height == 400
    known = made.drop_nulls(["progression", "followup"])
    assert (known["progression"] <= known["followup"]).all()
    for name, value in (("sex", "male"), ("marker", "present"), ("status", "dead")):
        shares = [(each[name] == value).fill_null(value=False).mean() for each in (table, made)]
        assert shares[0] == pytest.approx(shares[1], abs=0.1)


def bars(images: int, seed: int) -> tuple[pl.DataFrame, Codebook]:
    """Simulated images of 8 by 8: an upright or a lying bar under noise."""
    random = np.random.default_rng(seed)
    upright = random.random(images) < 0.5
    pictures = random.normal(100, 30, (images, 8, 8))
    for number, (stands, place) in enumerate(zip(upright, random.integers(1, 7, images), strict=True)):
        pictures[number, :, place] += 100 * stands
        pictures[number, place, :] += 100 * (not stands)
    columns: dict[str, Any] = {
        f"p{n}": column for n, column in enumerate(np.clip(pictures, 0, 255).reshape(images, -1).T)
    }
    columns["kind"] = np.where(upright, "upright", "lying")
    variables: list[dict[str, Any]] = [
        {"name": f"p{n}", "label": f"p{n}", "type": "decimal", "minimum": 0, "maximum": 255} for n in range(64)
    ]
    variables.append({"name": "kind", "label": "Kind", "type": "category", "categories": ["lying", "upright"]})
    written = {
        "id": "bars",
        "version": "1",
        "title": "Bars",
        "patient_key": "patient",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
    }
    return pl.DataFrame(columns), Codebook.model_validate(written | {"variables": variables})


def test_small_images_are_told_apart() -> None:
    table, codebook = bars(400, 1)
    asked = {"model": "image", "outcome": "kind", "pixels": "p", "image": [8, 8, 1], "hidden": 4, "steps": 25}
    _, found = study(synthema_learning, [table[:150], table[150:250], table[250:]], codebook, asked | {"rate": 0.05})
    figure = next(m for m in found.metrics if m.id == "accuracy")
    assert figure.value > 0.85
    assert 40 < figure.n < 120


def test_an_image_of_another_shape_is_refused() -> None:
    _, codebook = bars(4, 1)
    with pytest.raises(ValueError, match="does not have"):
        problem(codebook, {"model": "image", "outcome": "kind", "pixels": "p", "image": [12, 12, 1]})
    with pytest.raises(ValueError, match="height, width and channels"):
        problem(codebook, {"model": "image", "outcome": "kind", "pixels": "p", "image": [7, 8, 1]})
