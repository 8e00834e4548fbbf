"""Contrasts: one sum for each pair says how the outcome leans on another node, and costs as little as one count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import synthema_marginals
from synthema_marginals.estimate import Measured
from synthema_marginals.nodes import Floats, Shape
from synthema_marginals.pairs import Basis, basis, contrast_signs, dependence, event_score, signal, usual_strength
from synthema_marginals.queries import Query, count, every_cell, sensitivity
from tests.plugins.test_marginals_privacy import WIDE, asked, wide_table

OUTCOME = Shape("survival", 6, 2, missing=False, outcome=True, ordered=True, event=1)
FINDING = Shape("finding", 2, 1, missing=False, outcome=False, ordered=False)
ALIKE = (tuple([0] * OUTCOME.cells), tuple([0] * FINDING.cells))
SHAPES = {shape.name: shape for shape in (OUTCOME, FINDING)}


def simulated(effect: float, rows: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Cells of rows whose finding multiplies the hazard by the exponential of ``effect``."""
    random = np.random.default_rng(seed)
    finding = (random.random(rows) < 0.3).astype(np.int64)
    time = random.exponential(np.exp(-effect * finding))
    lost = random.exponential(1.5, rows)
    bins = np.minimum((np.minimum(time, lost) / 0.4).astype(np.int64), OUTCOME.bins - 1)
    return {"survival": bins * 2 + (time <= lost), "finding": finding}


def shares_of(cells: dict[str, Any]) -> dict[str, Floats]:
    counted = {name: np.bincount(cells[name], minlength=shape.cells) for name, shape in SHAPES.items()}
    return {name: found / found.sum() for name, found in counted.items()}


def bases_of(shares: dict[str, Floats]) -> dict[str, Basis]:
    return {name: basis(shape, shares[name]) for name, shape in SHAPES.items()}


def contrast(shares: dict[str, Floats], weight: int = 8) -> Query:
    signs = tuple(contrast_signs(shape, shares[name]) for name, shape in SHAPES.items())
    return Query(("survival", "finding"), ALIKE, weight, (), 2, signs)


def test_a_contrast_is_the_sum_of_the_products_of_signs() -> None:
    cells = simulated(0.7)
    query = contrast(shares_of(cells))
    signs = [np.asarray(one)[cells[name]] for one, name in zip(query.signs, query.nodes, strict=True)]
    assert count((query,), cells, (0, 0, 10**6)).tolist() == [8 * int((signs[0] * signs[1]).sum())]
    assert sensitivity((query,), (0, 0, 64)) == 8.0


def test_the_score_of_an_event_is_one_less_the_hazard_lived_through() -> None:
    shares = shares_of(simulated(0.0))["survival"]
    score = event_score(shares.reshape(OUTCOME.bins, OUTCOME.levels), 1)
    assert abs(float(shares @ score)) < 0.02
    assert (np.diff(score.reshape(OUTCOME.bins, 2), axis=0) < 0).all()  # who lives longer has lived through more
    assert np.allclose(np.diff(score.reshape(OUTCOME.bins, 2), axis=1), 1.0)


def test_what_is_rare_is_counted_alone_and_loads_few_rows() -> None:
    assert contrast_signs(FINDING, np.array([0.9, 0.1])) == (0, 1)
    assert contrast_signs(FINDING, np.array([0.1, 0.9])) == (-1, 0)
    assert contrast_signs(FINDING, np.array([0.5, 0.5])) == (-1, 1)
    number = Shape("age", 4, 1, missing=True, outcome=False, ordered=True)
    assert contrast_signs(number, np.array([0.2, 0.3, 0.2, 0.2, 0.1])) == (-1, -1, 1, 1, 0)


@pytest.mark.parametrize("effect", [-0.7, 0.0, 0.7])
def test_a_contrast_alone_tells_an_effect_on_the_hazard(effect: float) -> None:
    cells = simulated(effect)
    shares = shares_of(cells)
    query = contrast(shares)
    rows = float(len(cells["finding"]))
    total = count((query,), cells, (0, 0, 10**6)).reshape(1, 1) / query.weight
    bases = bases_of(shares)
    measured = [Measured(query, total, 5.0)]
    found = dependence(signal(("survival", "finding"), shares, bases, rows, measured), 1.0)
    leaning = float(found.coefficients[0, 0] * bases["finding"].values[1, 0])  # of those who have it, to earlier deaths
    assert np.abs(found.coefficients).max() == pytest.approx(abs(float(found.coefficients[0, 0])))
    assert leaning == pytest.approx(0.0, abs=0.05) if effect == 0.0 else leaning * effect > 0.1
    assert (found.strength > 0.02) == (effect != 0.0)


def test_a_table_without_noise_gives_its_own_coefficients() -> None:
    cells = simulated(0.7)
    shares, rows = shares_of(cells), len(cells["finding"])
    query = Query(("survival", "finding"), (every_cell(OUTCOME), every_cell(FINDING)))
    table = count((query,), cells, (0, 0, 0)).reshape(query.sides).astype(np.float64)
    bases = bases_of(shares)
    found = dependence(signal(("survival", "finding"), shares, bases, float(rows), [Measured(query, table, 0.0)]), 1.0)
    expected = bases["survival"].values.T @ (table / rows) @ bases["finding"].values
    assert np.allclose(found.coefficients, expected, atol=2e-2)
    turned = dependence(signal(("finding", "survival"), shares, bases, float(rows), [Measured(query, table, 0.0)]), 1.0)
    assert np.allclose(turned.coefficients, found.coefficients.T, atol=1e-9)


def test_what_is_usual_is_learned_from_all_pairs() -> None:
    def signals(effect: float) -> list[Any]:
        made = []
        for seed in range(12):
            cells = simulated(effect, seed=seed)
            shares = shares_of(cells)
            query = contrast(shares)
            total = count((query,), cells, (0, 0, 10**6)).reshape(1, 1) / query.weight
            measured = [Measured(query, total, 20.0)]
            made.append(signal(("survival", "finding"), shares, bases_of(shares), 4000.0, measured))
        return made

    assert usual_strength([]) == 1.0
    assert usual_strength(signals(0.0)) < usual_strength(signals(0.3)) <= usual_strength(signals(1.2))


def test_a_wide_run_asks_contrasts_of_every_pair_with_the_outcome_and_rare_findings_alone() -> None:
    rounds = [state.values["queries"] for state, _ in asked(WIDE, wide_table(), 5.0)]
    for queries in rounds[1:]:
        assert sum(bool(query["signs"]) for query in queries) >= 31
    alone = [query["nodes"] for query in rounds[1] if len(query["nodes"]) == 1 and query["silent"]]
    assert len(alone) == 30


@pytest.mark.parametrize(
    "signs", [[[1], [1]], [[2, 0], [1, 1]], [[1, 1]], [[1, 1], [1, 1], [1, 1]]], ids=["short", "two", "one", "three"]
)
def test_a_site_refuses_a_contrast_that_its_codebook_does_not_have(signs: list[list[int]]) -> None:
    shapes = {name: Shape(name, 2, 1, missing=False, outcome=False, ordered=False) for name in ("a", "b")}
    value = {"nodes": ["a", "b"], "groups": [[0, 0], [0, 0]], "weight": 1, "silent": [], "pool": 2, "signs": signs}
    with pytest.raises(ValueError, match="contrast"):
        Query.from_dict(value, shapes)
    assert Query.from_dict(value | {"signs": [[-1, 1], [0, 1]]}, shapes).is_contrast


def test_a_site_refuses_a_round_that_announces_less_than_its_contrasts_cost() -> None:
    state, _ = asked(WIDE, wide_table(), 5.0)[1]
    lying = type(state)(state.round, state.length, state.rho, state.sensitivity * 0.9, False, state.values)
    with pytest.raises(ValueError, match="refuse the round"):
        synthema_marginals.federated_contribute(lying, wide_table(), WIDE)
