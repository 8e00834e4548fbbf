"""Published findings weigh in what is counted: by code, at a stated sensitivity, and only where there are any."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import synthema_marginals
from synthema.datasets.codebook import Codebook
from synthema.spi.manifest import load_manifest
from synthema.spi.model import Aggregate, Plan, State
from synthema_marginals.nodes import nodes_of
from synthema_marginals.privacy import rho_for
from synthema_marginals.queries import Query, sensitivity
from synthema_marginals.rounds import Evidence, shapes_of
from synthema_marginals.workload import POOL, WEIGHT, declared_pairs
from tests.plugins.test_marginals_privacy import WIDE, wide_table

MEANT: dict[str, dict[str, Any]] = {
    "f0": {"more_codes": ["http://identifiers.org/hgnc:7910"]},  # NPM1
    "f1": {"label": "FLT3-ITD"},
    "f2": {"more_codes": ["http://identifiers.org/hgnc/11998"]},  # TP53
    "f3": {"label": "Complex karyotype"},
}
PAIRS = ({"f0", "f1"}, {"f2", "f3"})


def book(disease: str = WIDE.disease) -> Codebook:
    """The wide codebook, in which four columns stand for what AML is known by; only codes and labels say so."""
    given = WIDE.model_dump()
    given["variables"] = [each | MEANT.get(each["name"], {}) for each in given["variables"]]
    return Codebook.model_validate(given | {"disease": disease})


AML, UNKNOWN = book(), book("http://www.orpha.net/ORDO/Orphanet_0")


def rounds(codebook: Codebook, table: pl.DataFrame, epsilon: float, seed: int = 5, **parameters: Any) -> list[State]:
    """The states of a run: one for each round, and the finished one."""
    random = np.random.default_rng(seed)
    states = [synthema_marginals.federated_open(Plan(codebook, rho_for(epsilon, 1e-5), 100, parameters))]
    while not states[-1].finished:
        state = states[-1]
        sigma = state.sensitivity / math.sqrt(2 * state.rho)
        counts = synthema_marginals.federated_contribute(state, table, codebook).vector
        noisy = counts + np.rint(random.normal(0, sigma, state.length)).astype(np.int64)
        states.append(synthema_marginals.federated_absorb(state, Aggregate(noisy, 3, sigma)))
    return states


def queries(state: State) -> tuple[Query, ...]:
    return tuple(Query.from_dict(each, shapes_of(state)) for each in state.values["queries"])


def test_pairs_are_declared_by_code_and_label_and_an_effect_on_survival_with_the_outcome() -> None:
    found = [set(pair) for pair in declared_pairs(AML, nodes_of(AML))]
    assert all(pair in found for pair in (*PAIRS, {"time+event", "age"}, {"time+event", "f2"}))
    assert not any("f9" in pair for pair in found)
    assert [set(pair) for pair in declared_pairs(WIDE, nodes_of(WIDE))] == [{"time+event", "age"}]
    assert declared_pairs(UNKNOWN, nodes_of(UNKNOWN)) == []


def test_a_codebook_without_findings_is_counted_as_if_nothing_were_published() -> None:
    table = wide_table()
    for plain, without in zip(rounds(AML, table, 5.0, published=1), rounds(UNKNOWN, table, 5.0), strict=True):
        assert plain.sensitivity == without.sensitivity
        assert plain.values["queries"] == without.values["queries"]
        assert plain.values["siblings"] == without.values["siblings"]
        assert all(query.pool != POOL for query in queries(plain))


@pytest.mark.parametrize("epsilon", [0.5, 5.0])
def test_declared_pairs_are_always_counted_and_more_heavily(epsilon: float) -> None:
    for state in rounds(AML, wide_table(), epsilon)[1:3]:
        for pair in PAIRS:
            (asked,) = (query for query in queries(state) if set(query.nodes) == pair)
            others = [q.weight for q in queries(state) if len(q.nodes) == 2 and q.pool == 0 and not q.signs]
            assert asked.pool == POOL
            assert all(asked.weight == WEIGHT * weight for weight in others)
    assert all(pair in [set(edge) for edge in state.values["siblings"]] for pair in PAIRS)


def test_a_row_changes_a_weighed_round_by_at_most_its_sensitivity_and_sites_add_up() -> None:
    table = wide_table()
    for state in rounds(AML, table, 5.0, published=8)[1:3]:
        assert state.sensitivity == sensitivity(queries(state), tuple(state.values["limits"]))
        whole, rest, first = (
            synthema_marginals.federated_contribute(state, rows, AML).vector for rows in (table, table[1:], table[:1])
        )
        assert np.array_equal(whole, rest + first)
        assert np.sqrt(float((first**2).sum())) <= state.sensitivity  # this row has every finding
        single = np.array([synthema_marginals.federated_contribute(state, table[i], AML).vector for i in range(10)])
        assert (np.sqrt((single**2).sum(axis=1)) <= state.sensitivity).all()


def test_what_is_published_survives_noise_that_drowns_it_otherwise() -> None:
    kept = {weight: [together(weight, seed) for seed in range(2)] for weight in (1, WEIGHT)}
    # in these rows nearly everybody with one finding has the other: a log odds ratio of about eight
    assert np.mean(kept[WEIGHT]) > np.mean(kept[1])
    assert min(kept[WEIGHT]) > 3.0


def together(weight: int, seed: int) -> float:
    """The log odds ratio of the first declared pair in the joint shares of a run at epsilon 2."""
    state = rounds(AML, wide_table(), 2.0, seed, published=weight)[-1]
    joint = Evidence(shapes_of(state), state.values).joint(("f0", "f1"))[:2, :2] + 1e-4
    return float(np.log(joint[1, 1] * joint[0, 0] / (joint[0, 1] * joint[1, 0])))


@pytest.mark.parametrize("weight", [0, 9])
def test_a_weight_out_of_bounds_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="'published' is a whole number from 1 to 8"):
        synthema_marginals.federated_open(Plan(AML, 0.5, 60, {"published": weight}))


def test_the_manifest_names_the_same_default() -> None:
    manifest = load_manifest(Path(synthema_marginals.__path__[0]) / "plugin.toml")
    (parameter,) = (each for each in manifest.parameters if each.name == "published")
    assert parameter.default == WEIGHT
