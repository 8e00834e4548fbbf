"""Noisy marginals: a differentially private generator of synthetic rows, for one site or many.

It counts how often values occur alone and in pairs, chooses the spanning tree of the
pairs that say most about each other (after McKenna, Miklau and Sheldon 2021), and
draws synthetic rows from the noisy counts. Each round is a vector of counts, so
sites can add theirs up under secure aggregation: the result for many sites is that
of one site holding all rows. Bounds and categories come from the codebook, never
from the data.
"""

from __future__ import annotations

import math

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Aggregate, Contribution, Generated, Parameters, Plan, State, Table
from synthema_marginals.privacy import add_noise, rho_for
from synthema_marginals.rounds import contribution, first_state, next_state
from synthema_marginals.sampling import sample_rows

__all__ = [
    "federated_absorb",
    "federated_contribute",
    "federated_open",
    "federated_sample",
    "generate",
]

NOTE = "Bounds and categories come from the codebook; identifiers are not made up."


@hookimpl
def federated_open(plan: Plan) -> State:
    """The state that asks for the first round: every variable alone."""
    return first_state(plan)


@hookimpl
def federated_contribute(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's counts for the round, without noise; refuses a state that hides its true sensitivity."""
    return contribution(state, table, codebook)


@hookimpl
def federated_absorb(state: State, total: Aggregate) -> State:
    """The next round, designed from noisy sums only, or the finished state."""
    return next_state(state, total)


@hookimpl
def federated_sample(state: State, plan: Plan) -> Generated:
    """``plan.rows`` synthetic rows; the loss was spent in the rounds, so none is named here."""
    return Generated(
        sample_rows(state, plan.codebook, plan.rows, plan.parameters), epsilon=0.0, delta=0.0, notes=(NOTE,)
    )


@hookimpl
def generate(table: Table, codebook: Codebook, parameters: Parameters, rows: int) -> Generated:
    """Synthetic rows from one site's table under (epsilon, delta) differential privacy.

    One patient has at most ``stability`` rows' worth of influence on ``table`` (1
    unless an anonymiser before this step says more).
    """
    epsilon, delta = float(parameters.get("epsilon", 1.0)), float(parameters.get("delta", 1e-5))
    stability = int(parameters.get("stability", 1))
    if stability < 1:
        raise ValueError("stability is the number of rows one patient can change: at least 1")
    plan = Plan(codebook, rho_for(epsilon, delta), rows, parameters)
    state = federated_open(plan)
    while not state.finished:
        counts = federated_contribute(state, table, codebook).vector
        sigma = state.sensitivity * stability / math.sqrt(2 * state.rho)
        state = federated_absorb(state, Aggregate(add_noise(counts, sigma), contributors=1, sigma=sigma))
    return Generated(sample_rows(state, codebook, rows, parameters), epsilon, delta, notes=(NOTE,))
