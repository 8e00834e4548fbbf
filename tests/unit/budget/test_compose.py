"""Composition: each reading against an outside implementation or a formula of its own, and none below the truth."""

from __future__ import annotations

import builtins
import json
import math
from typing import Any

import pytest

from synthema.budget import Mechanism, advantage, compose, epsilon_of, loss_of
from synthema.budget.compose import ASSUMPTIONS
from synthema.errors import InputError

DELTA = 1e-5


def readings(*mechanisms: Mechanism, delta: float = DELTA) -> dict[str, float]:
    return {reading.method: reading.epsilon for reading in compose(mechanisms, delta).readings}


def test_concentrated_and_renyi_readings_agree_with_dp_accounting() -> None:
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders=[1 + 10 ** (step / 25) for step in range(-75, 126)])
    accountant.compose(dp_accounting.LaplaceDpEvent(2.0), 3)
    accountant.compose(dp_accounting.GaussianDpEvent(5.0), 7)
    found = readings(Mechanism("laplace", 2.0, count=3), Mechanism("gaussian", 5.0, count=7))
    assert found["RDP"] == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-9)
    assert found["zCDP"] == epsilon_of(3 * 0.125 + 7 * 0.02, DELTA)


def test_the_distribution_of_a_gaussian_is_its_exact_curve() -> None:
    sigma = 3.0
    (epsilon,) = [value for name, value in readings(Mechanism("gaussian", sigma)).items() if name == "PLD"]

    def normal(value: float) -> float:
        return 0.5 * math.erfc(-value / math.sqrt(2))

    # Balle and Wang 2018, Theorem 8, for sensitivity 1.
    exact = normal(1 / (2 * sigma) - epsilon * sigma) - math.exp(epsilon) * normal(-1 / (2 * sigma) - epsilon * sigma)
    assert exact <= DELTA
    assert exact == pytest.approx(DELTA, rel=1e-2)


@pytest.mark.parametrize(
    "mechanisms",
    [
        [Mechanism("gaussian", 2.0, count=5)],
        [Mechanism("discrete-gaussian", 2.0), Mechanism("laplace", 1.5)],
        [Mechanism("pure", 0.5, count=20)],
        [Mechanism("approximate", 0.5, 1e-7), Mechanism("discrete-laplace", 3.0, count=2)],
    ],
    ids=lambda value: "+".join(mechanism.kind for mechanism in value),
)
def test_tighter_readings_are_tighter(mechanisms: list[Mechanism]) -> None:
    found = readings(*mechanisms)
    assert found["PLD"] <= found["RDP"] * (1 + 1e-3) + 1e-3
    assert found["RDP"] <= found["zCDP"] * (1 + 1e-3)
    assert compose(mechanisms, DELTA).best.epsilon == min(found.values())


def test_plain_addition_is_the_best_for_few_pure_releases_and_not_for_many() -> None:
    few, many = readings(Mechanism("pure", 1.0, count=2)), readings(Mechanism("pure", 0.01, count=2000))
    assert few["basic"] == 2.0 < few["zCDP"]
    assert many["zCDP"] < many["basic"] == 20.0


def test_what_may_fail_outright_leaves_less_delta_to_the_rest() -> None:
    found = readings(Mechanism("approximate", 1.0, 4e-6, count=2))
    assert found["zCDP"] == epsilon_of(1.0, 2e-6)
    composed = compose([Mechanism("approximate", 1.0, 4e-6, count=3)], DELTA)
    assert {reading.epsilon for reading in composed.readings if reading.adaptive} == {math.inf}
    assert '"epsilon": null' in json.dumps(composed.as_dict())


def test_a_release_known_by_its_rho_only_has_no_distribution_and_says_so() -> None:
    composed = compose([Mechanism("zcdp", 0.1), Mechanism("gaussian", 4.0)], DELTA)
    assert {reading.method for reading in composed.readings} == {"zCDP", "RDP"}
    assert any("PLD is left out" in sentence for sentence in composed.missing)
    assert any("not all releases have a pure ε" in sentence for sentence in composed.missing)


def test_without_the_library_the_proven_readings_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    composed = compose([Mechanism("pure", 1.0)], DELTA)
    assert {reading.method for reading in composed.readings} == {"basic", "zCDP"}
    assert sum("pip install 'synthema[dp]'" in sentence for sentence in composed.missing) == 2


def test_every_reading_says_how_far_it_is_shown() -> None:
    composed = compose([Mechanism("gaussian", 4.0), Mechanism("laplace", 4.0)], DELTA)
    grades = {reading.method: (reading.grade, reading.adaptive) for reading in composed.readings}
    assert grades == {"zCDP": ("proven", True), "RDP": ("computed", False), "PLD": ("computed", False)}
    assert composed.best_adaptive.method == "zCDP"
    assert composed.as_dict()["assumptions"] == list(ASSUMPTIONS)
    assert "one patient is the unit" in ASSUMPTIONS[0]


def test_nothing_released_is_nothing_told() -> None:
    assert compose([], DELTA).best.epsilon == 0
    for delta in (0.0, 1.0):
        with pytest.raises(InputError):
            compose([], delta)


@pytest.mark.parametrize(
    ("mechanism", "rho", "pure"),
    [
        (Mechanism("zcdp", 0.1), 0.1, None),
        (Mechanism("gaussian", 2.0), 0.125, None),
        (Mechanism("discrete-gaussian", 2.0, count=4), 0.5, None),
        (Mechanism("laplace", 2.0), 0.125, 0.5),
        (Mechanism("discrete-laplace", 4.0, count=2), 0.0625, 0.5),
        (Mechanism("pure", 0.1, count=3), 0.015, 0.3),
        (Mechanism("approximate", 1.0, 1e-6), 0.5, None),
    ],
    ids=lambda value: value.kind if isinstance(value, Mechanism) else "",
)
def test_losses_are_whole_units_rounded_up(mechanism: Mechanism, rho: float, pure: float | None) -> None:
    loss = loss_of([mechanism])
    assert loss.units == round(rho * 10**12)
    assert loss.pure_units == (None if pure is None else round(pure * 10**12))
    assert loss_of([Mechanism("gaussian", 3.0)]).units * 18 >= 10**12
    assert Mechanism.read(mechanism.as_dict()) == mechanism
    assert mechanism.words()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": "gaussian"},
        {"kind": "gaussian", "value": 0},
        {"kind": "gaussian", "value": float("nan")},
        {"kind": "gaussian", "value": "much"},
        {"kind": "gaussian", "value": 1, "delta": 1e-6},
        {"kind": "approximate", "value": 1},
        {"kind": "approximate", "value": 1, "delta": 1.0},
        {"kind": "magic", "value": 1},
        {"kind": "pure", "value": 1, "count": 0},
        {"kind": "pure", "value": 1, "colour": "blue"},
    ],
)
def test_refuses_what_is_no_mechanism(value: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Mechanism.read(value)


def test_what_an_epsilon_means_for_a_guess() -> None:
    assert advantage(0, 0) == 0
    assert advantage(math.log(3), 0) == pytest.approx(0.5)
    assert advantage(1000, 0) == advantage(1, 1.0) == 1
