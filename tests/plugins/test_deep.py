"""Deep generators: contract, rules, missing values, subgroups, survival, and private training that counts right."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="the deep generators need torch: install synthema[deep]")
pytest.importorskip("opacus", reason="the deep generators need opacus: install synthema[deep]")

import torch

import synthema_deep
from synthema.runs.sandbox import Sandbox
from synthema.spi.loader import InstalledPlugin, find
from synthema.spi.manifest import describe
from synthema.spi.registry import ApprovedPlugin
from synthema.spi.sampling import broken_rows
from synthema.spi.testing import Caller, GeneratorContract
from synthema_deep.layout import Layout
from synthema_deep.networks import Autoencoder, Diffusion
from synthema_deep.privacy import noise_for, row_promise, spent
from synthema_deep.scales import Scale, normal_score, share_below
from synthema_deep.survival import SurvivalHead, observed_hazards
from synthema_deep.training import RATE, Network, Settings, _tensors, learn
from synthema_evaluation.survival import followed, kaplan_meier
from tests.plugins.mgus import CODEBOOK, split

QUICK = {"steps": 400, "width": 32, "seed": 4}
FEW = 200


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Deep(GeneratorContract):
    plugin = "deep"
    parameters: ClassVar[dict[str, Any]] = {"steps": 5, "width": 8, "seed": 3}


class TestDiffusion(Deep):
    pass


class TestAutoencoder(Deep):
    parameters: ClassVar[dict[str, Any]] = {"model": "vae", "steps": 5, "width": 8, "seed": 3}


class TestPrivatelyInSandbox(Deep):
    # One session instead of one for each test of the contract: it loads torch anew.
    parameters: ClassVar[dict[str, Any]] = {"model": "vae", "steps": 3, "width": 8, "epsilon": 2.0}

    def new_session(self, installed: InstalledPlugin, folder: Path) -> Caller:
        approved = ApprovedPlugin(
            installed.name, installed.module, installed.folder, installed.manifest, installed.digest, "approval-0"
        )
        return Sandbox().open_session([approved], folder)

    def test_its_rows_conform_to_the_codebook(self, result: Any, codebook: Any) -> None:
        super().test_its_rows_conform_to_the_codebook(result, codebook)
        assert 0 < result.epsilon <= 2.0

    test_it_makes_the_rows_that_were_asked_for = None  # type: ignore[assignment]
    test_it_says_what_privacy_it_spent = None  # type: ignore[assignment]
    test_it_implements_exactly_what_it_declares = None  # type: ignore[assignment]


@cache
def made(model: str, epsilon: float = 0.0) -> pl.DataFrame:
    train, _ = split(0)
    parameters = {**QUICK, "model": model, "epsilon": epsilon}
    return synthema_deep.generate(train, CODEBOOK, parameters, FEW).table


def test_the_manifest_promises_no_privacy_of_its_own() -> None:
    assert "It gives no privacy guarantee of its own." in describe(find("deep").manifest)


@pytest.mark.parametrize("model", ["vae", "diffusion"])
def test_no_row_breaks_a_rule_and_missing_values_stay(model: str) -> None:
    table, (train, _) = made(model), split(0)
    assert not broken_rows(table, CODEBOOK).any()
    assert table["futime"].null_count() == table["death"].null_count() == 0
    assert abs(table["mspike"].null_count() / FEW - train["mspike"].null_count() / train.height) < 0.06


def test_survival_is_that_of_the_cohort_even_after_little_training() -> None:
    train, _ = split(0)
    outcome, grid = CODEBOOK.outcomes[0], np.linspace(0, 300, 60)
    real, synthetic = (kaplan_meier(followed(t, outcome, CODEBOOK), grid) for t in (train, made("vae")))
    assert np.abs(real - synthetic).mean() < 0.06


def test_a_seed_repeats_a_run_and_none_does_not() -> None:
    train = split(0)[0].head(100)
    parameters = {"model": "vae", "steps": 2, "width": 8}
    one, two, other = (
        synthema_deep.generate(train, CODEBOOK, {**parameters, **seed}, 30).table
        for seed in ({"seed": 1}, {"seed": 1}, {})
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_a_subgroup_is_made_on_demand() -> None:
    train = split(0)[0].head(200)
    parameters = {"model": "vae", "steps": 20, "width": 16, "seed": 1, "where": {"sex": "M", "age": "60..80"}}
    table = synthema_deep.generate(train, CODEBOOK, parameters, 40).table
    assert table.height == 40
    assert set(table["sex"]) == {"M"}
    assert table["age"].is_between(60, 80).all()


def test_an_empty_table_and_no_rows_are_refused() -> None:
    train, _ = split(0)
    with pytest.raises(ValueError, match="no rows"):
        synthema_deep.generate(train.head(0), CODEBOOK, {"steps": 1}, 5)
    with pytest.raises(ValueError, match="at least one"):
        synthema_deep.generate(train, CODEBOOK, {"steps": 1}, 0)


def test_encoding_and_back_is_the_table_again() -> None:
    train, _ = split(0)
    layout = Layout(train, CODEBOOK, private=False)
    back = layout.decode(layout.encode(train), np.random.default_rng(0))
    assert back.columns == [name for name in CODEBOOK.names() if name != "id"]
    for name in ("sex", "death", "pstat"):
        assert back[name].equals(train[name])
    assert back["hgb"].is_null().equals(train["hgb"].is_null())
    assert float((back["hgb"] - train["hgb"]).abs().median() or 0) < 0.05


def test_private_training_lays_its_knots_by_the_codebook_alone() -> None:
    train, _ = split(0)
    one, two = (Layout(table, CODEBOOK, private=True) for table in (train, train.head(20)))
    for first, second in zip(one.numbers, two.numbers, strict=True):
        assert np.array_equal(first.scale.knots, second.scale.knots)
    assert one.outcomes[0].scale.knots.tolist() == list(CODEBOOK.variable("futime").edges)


def test_a_scale_goes_there_and_back() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=500)
    scale = Scale.of_data(values)
    inner = np.sort(values)[5:-5]
    assert np.allclose(scale.values(scale.scores(inner)), inner, atol=0.02)
    assert np.allclose(share_below(normal_score(np.array([0.1, 0.5, 0.9]))), [0.1, 0.5, 0.9], atol=1e-3)
    assert scale.knots[-1] < values.max(), "the largest value is hidden among the three largest"


def test_observed_hazards_count_those_who_are_still_followed() -> None:
    interval, level = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 1, 0, 1])
    found = observed_hazards(interval, level, torch.ones(4), 3, 2)
    assert found.tolist() == [[0.0, 0.25], [pytest.approx(1 / 3), pytest.approx(1 / 3)], [0.0, 1.0]]


def test_a_survival_head_that_is_settled_draws_the_observed_curve() -> None:
    torch.manual_seed(0)
    head = SurvivalHead(3, 4, 2, 8).eval()
    hazards = torch.tensor([[0.1, 0.2], [0.0, 0.3], [0.2, 0.1], [0.5, 0.5]])
    features = torch.randn(4000, 3)
    head.settle(features, hazards)
    interval, level = head.draw(features, torch.Generator().manual_seed(1))
    found = observed_hazards(interval, level, torch.ones(4000), 4, 2)
    assert float((found - hazards).abs().max()) < 0.05


# private training -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Optimal order")  # Opacus' remark on its own first guess
@pytest.mark.parametrize(("epsilon", "steps"), [(1.0, 400), (5.0, 400), (5.0, 50)])
def test_the_noise_is_enough_by_another_accountant(epsilon: float, steps: int) -> None:
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    sigma = noise_for(epsilon, 1e-5, RATE, steps)
    one_step = dp_event.PoissonSampledDpEvent(RATE, dp_event.GaussianDpEvent(sigma))
    accountant = PLDAccountant()
    accountant.compose(one_step, steps)
    other = float(accountant.get_epsilon(1e-5))
    assert 0.9 * epsilon < other <= 1.01 * epsilon
    assert other <= spent(sigma, 1e-5, RATE, steps) * 1.01 <= 1.01 * epsilon


def test_a_patient_with_several_rows_is_protected_as_a_group() -> None:
    own, delta = row_promise(3.0, 1e-5, 3)
    assert own == 1.0
    assert delta * (1 + math.e + math.e**2) == pytest.approx(1e-5)
    assert row_promise(2.0, 1e-6, 1) == (2.0, 1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.0), (0.0, 1e-5)])
def test_an_impossible_promise_is_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(ValueError, match="private training"):
        noise_for(epsilon, delta, RATE, 10)


@pytest.mark.parametrize("kind", [Autoencoder, Diffusion])
@pytest.mark.filterwarnings("ignore")
def test_each_rows_gradient_is_its_own(kind: Any) -> None:
    """What Opacus clips must be the gradient of one row's loss, or the sensitivity is not what is accounted."""
    from opacus import GradSampleModule

    train = split(0)[0].head(6)
    layout = Layout(train, CODEBOOK, private=True)
    torch.manual_seed(1)
    network = Network(layout, kind(len(layout.numbers), [f.tolist() for f in layout.allowed()], 8)).eval()
    rows = _tensors(layout.encode(train))
    watched: Any = GradSampleModule(network.train(), loss_reduction="sum")
    for part in watched.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    torch.manual_seed(7)
    watched(*rows).sum().backward()
    samples = {name: p.grad_sample.clone() for name, p in watched.named_parameters()}
    sums = {name: p.grad.clone() for name, p in watched.named_parameters()}
    for name, sample in samples.items():
        assert sample.shape[0] == 6, name
        assert torch.allclose(sample.sum(dim=0), sums[name], atol=1e-3), name


@pytest.mark.filterwarnings("ignore:Optimal order")
def test_a_step_without_any_row_still_adds_noise() -> None:
    train = split(0)[0].head(2)
    learned = learn(train, CODEBOOK, Settings(model="vae", steps=6, width=8, epsilon=1.0, seed=2))
    assert learned.epsilon is not None
    assert learned.epsilon <= 1.0
    assert learned.draw(5).height == 5
