"""Properties of the marginals plugin that hold for every table and every noise."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

import synthema_marginals
from synthema.spi.model import Aggregate, Plan, State
from synthema.spi.sampling import broken_rows
from synthema_marginals.estimate import to_simplex
from synthema_marginals.nodes import Shape, nodes_of
from synthema_marginals.queries import balanced_groups
from synthema_marginals.rounds import Evidence, shapes_of
from tests.plugins.mgus import CODEBOOK, mgus_table

ROWS = st.lists(st.integers(0, 1383), min_size=1, max_size=30)


def opened(seed: int, rounds: int, sigma: float) -> State:
    """A state after some rounds of pure noise around a few rows."""
    random = np.random.default_rng(seed)
    state = synthema_marginals.federated_open(Plan(CODEBOOK, 0.1, 60))
    for _ in range(rounds):
        noise = np.round(random.normal(5, sigma, state.length)).astype(np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noise, 3, sigma))
    return state


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 1383), st.integers(0, 2), st.integers(0, 1000))
def test_one_row_changes_the_vector_by_at_most_the_sensitivity(
    rows: list[int], extra: int, rounds: int, seed: int
) -> None:
    state = opened(seed, rounds, 20.0)
    table = mgus_table()
    without = synthema_marginals.federated_contribute(state, table[rows], CODEBOOK).vector
    with_it = synthema_marginals.federated_contribute(state, table[[*rows, extra]], CODEBOOK).vector
    assert math.sqrt(float(((with_it - without) ** 2).sum())) <= state.sensitivity + 1e-9


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, st.integers(0, 2))
def test_contributions_add_up(first: list[int], second: list[int], rounds: int) -> None:
    state = opened(1, rounds, 20.0)
    table = mgus_table()
    apart = sum(
        synthema_marginals.federated_contribute(state, table[rows], CODEBOOK).vector for rows in (first, second)
    )
    together = synthema_marginals.federated_contribute(state, table[first + second], CODEBOOK).vector
    assert np.array_equal(np.asarray(apart), together)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 500.0))
def test_any_noise_ends_in_rows_that_the_codebook_allows(seed: int, sigma: float) -> None:
    state = opened(seed, 3, sigma)
    assert state.finished
    table = synthema_marginals.federated_sample(state, Plan(CODEBOOK, 0.1, 60)).table
    assert table.height == 60
    assert not broken_rows(table, CODEBOOK).any()
    for variable in CODEBOOK.variables:
        if variable.role == "identifier":
            continue
        column = table[variable.name]
        assert variable.may_be_missing or not column.has_nulls()
        if variable.type == "category":
            assert set(column.drop_nulls()) <= set(variable.categories)
        else:
            assert column.drop_nulls().is_between(variable.minimum, variable.maximum).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 200.0))
def test_joint_shares_keep_their_margins(seed: int, sigma: float) -> None:
    state = opened(seed, 3, sigma)
    evidence = Evidence(shapes_of(state), state.values)
    for first, second in state.values["tree"]:
        joint = evidence.joint((first, second))
        assert (joint >= 0).all()
        assert np.allclose(joint.sum(axis=0), evidence.known[second], atol=1e-6)
        assert np.allclose(joint.sum(axis=1), evidence.known[first], atol=1e-3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_shares_are_shares(values: list[float]) -> None:
    shares = to_simplex(np.array(values))
    assert (shares >= 0).all()
    assert abs(float(shares.sum()) - 1) < 1e-9


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.booleans(), st.integers(1, 15), st.integers(0, 1000))
def test_groups_are_numbered_without_gaps(bins: int, levels: int, missing: bool, wanted: int, seed: int) -> None:
    shape = Shape("x", bins, levels, missing, outcome=False, ordered=True)
    shares = np.random.default_rng(seed).dirichlet(np.full(shape.cells, 0.3))
    groups = balanced_groups(shape, shares, wanted)
    assert sorted(set(groups)) == list(range(max(groups) + 1))


def test_every_column_but_the_identifier_belongs_to_one_node() -> None:
    placed = [variable.name for node in nodes_of(CODEBOOK) for variable in node.variables]
    assert sorted(placed) == sorted(name for name in CODEBOOK.names() if name != "id")
    assert isinstance(mgus_table(), pl.DataFrame)
