from __future__ import annotations

import math

import pytest

from synthema.budget import delta_of, epsilon_of, rho_of
from synthema.errors import InputError

CASES = [(1e-4, 1e-3), (0.01, 1e-5), (0.1, 1e-6), (0.5, 1e-6), (2.0, 1e-9), (5.0, 0.1)]


@pytest.mark.parametrize(("rho", "delta"), CASES)
def test_agrees_with_google_dp_accounting(rho: float, delta: float) -> None:
    from dp_accounting.rdp import rdp_privacy_accountant as accountant

    orders = [1 + 10 ** (step / 100) for step in range(-500, 600)]
    theirs, _ = accountant.compute_epsilon(orders, [order * rho for order in orders], delta)
    ours = epsilon_of(rho, delta)
    assert ours <= theirs + 1e-12  # they minimise over a grid, so they can only be above
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize(("rho", "delta"), CASES)
def test_agrees_with_opendp(rho: float, delta: float) -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    domain = dp.atom_domain(T=int)
    measurement = dp.c.make_zCDP_to_approxDP(
        dp.m.make_gaussian(domain, dp.absolute_distance(T=float), scale=1 / math.sqrt(2 * rho))
    )
    theirs = measurement.map(1.0).epsilon(delta)
    ours = epsilon_of(rho, delta)
    assert ours <= theirs * (1 + 1e-9)
    assert ours == pytest.approx(theirs, rel=2e-2)  # opendp rounds up on its way


@pytest.mark.parametrize(("rho", "delta"), CASES)
def test_is_tighter_than_the_simple_bound_of_bun_and_steinke(rho: float, delta: float) -> None:
    assert epsilon_of(rho, delta) < rho + 2 * math.sqrt(rho * math.log(1 / delta))


@pytest.mark.parametrize(("rho", "delta"), CASES)
def test_there_and_back_again(rho: float, delta: float) -> None:
    epsilon = epsilon_of(rho, delta)
    assert delta_of(rho, epsilon) <= delta * (1 + 1e-9)
    assert rho_of(epsilon, delta) == pytest.approx(rho, rel=1e-7)
    assert epsilon_of(rho_of(epsilon, delta), delta) <= epsilon * (1 + 1e-12)


def test_nothing_lost_is_nothing() -> None:
    assert epsilon_of(0, 1e-6) == 0
    assert rho_of(0, 1e-6) == 0
    assert delta_of(0, 0) == 0


@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan])
def test_refuses_losses_that_are_none(bad: float) -> None:
    with pytest.raises(InputError):
        epsilon_of(bad, 1e-6)
    with pytest.raises(InputError):
        rho_of(bad, 1e-6)
    with pytest.raises(InputError):
        delta_of(1.0, bad)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_refuses_impossible_deltas(bad: float) -> None:
    with pytest.raises(InputError):
        epsilon_of(1.0, bad)
    with pytest.raises(InputError):
        rho_of(1.0, bad)
