"""The marginals generator spends what it says: against an independent accountant, and against an attack."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import synthema_marginals
from synthema.datasets.codebook import Codebook
from synthema.spi.model import Aggregate, Plan, State
from synthema_marginals.privacy import add_noise, rho_for
from tests.plugins.mgus import CODEBOOK, mgus_table

DELTA = 1e-5
DRAWS = 4000
RARE = 30

WIDE = Codebook.model_validate(
    {
        "id": "wide-simulated",
        "version": "1",
        "title": "Simulated: an outcome, a number and many rare findings",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "patient",
        "variables": [
            {"name": "age", "label": "Age", "type": "integer", "minimum": 18, "maximum": 90},
            {"name": "time", "label": "Time", "type": "decimal", "role": "time", "minimum": 0, "maximum": 10},
            {"name": "event", "label": "Event", "type": "category", "role": "event", "categories": ["0", "1"]},
            *(
                {"name": f"f{i}", "label": f"Finding {i}", "type": "category", "categories": ["0", "1"]}
                for i in range(RARE)
            ),
        ],
        "outcomes": [{"name": "survival", "time": "time", "event": "event", "event_value": "1", "unit": "a"}],
    }
)


def wide_table(rows: int = 800) -> pl.DataFrame:
    """Simulated rows: findings come in pairs that go together, and one row has all of them."""
    random = np.random.default_rng(3)
    severe = random.random(rows) < 0.3
    columns: dict[str, pl.Series] = {
        "age": pl.Series(random.integers(18, 91, rows)),
        "time": pl.Series(np.minimum(random.exponential(np.where(severe, 1.0, 5.0)), 10.0)),
        "event": pl.Series(np.where(random.random(rows) < 0.7, "1", "0")),
    }
    for pair in range(0, RARE, 2):
        found = random.random(rows) < np.where(severe, 0.2, 0.05)
        found[0] = True
        columns[f"f{pair}"] = pl.Series(np.where(found, "1", "0"))
        columns[f"f{pair + 1}"] = pl.Series(np.where(found ^ (random.random(rows) < 0.01), "1", "0"))
    return pl.DataFrame(columns)


def asked(codebook: Codebook, table: pl.DataFrame, epsilon: float) -> list[tuple[State, float]]:
    """The rounds of a run and the noise of each."""
    random = np.random.default_rng(5)
    state = synthema_marginals.federated_open(Plan(codebook, rho_for(epsilon, DELTA), 100))
    rounds = []
    while not state.finished:
        sigma = state.sensitivity / math.sqrt(2 * state.rho)
        rounds.append((state, sigma))
        counts = synthema_marginals.federated_contribute(state, table, codebook).vector
        noisy = counts + np.rint(random.normal(0, sigma, state.length)).astype(np.int64)
        state = synthema_marginals.federated_absorb(state, Aggregate(noisy, 3, sigma))
    return rounds


@pytest.mark.parametrize("epsilon", [1.0, 5.0])
def test_the_rounds_cost_no_more_than_an_independent_accountant_allows(epsilon: float) -> None:
    from dp_accounting import GaussianDpEvent, rdp

    accountant = rdp.RdpAccountant()
    for state, sigma in asked(WIDE, wide_table(), epsilon):
        accountant.compose(GaussianDpEvent(sigma / state.sensitivity))
    # its orders are fewer than ours, so its figure may lie a little above
    assert 0.9 * epsilon < accountant.get_epsilon(DELTA) <= 1.01 * epsilon


def test_a_row_with_every_rare_finding_changes_a_wide_round_by_at_most_its_sensitivity() -> None:
    table = wide_table()
    silent = 0
    for state, _ in asked(WIDE, table, 5.0):
        silent += any(out >= 0 for query in state.values["queries"] for out in query["silent"])
        vectors = [
            synthema_marginals.federated_contribute(state, rows, WIDE).vector for rows in (table, table[1:], table[:1])
        ]
        changed = np.sqrt(float(((vectors[0] - vectors[1]) ** 2).sum()))
        assert np.array_equal(vectors[0] - vectors[1], vectors[2])
        assert changed <= state.sensitivity
    assert silent == 2


def test_a_wide_study_over_sites_is_the_study_over_all_rows() -> None:
    table = wide_table()
    for state, _ in asked(WIDE, table, 5.0):
        apart = sum(
            synthema_marginals.federated_contribute(state, site, WIDE).vector
            for site in (table[:100], table[100:500], table[500:])
        )
        assert np.array_equal(np.asarray(apart), synthema_marginals.federated_contribute(state, table, WIDE).vector)


def test_findings_that_go_together_stay_together() -> None:
    rounds = asked(WIDE, wide_table(), 5.0)
    siblings = {frozenset(pair) for pair in rounds[-1][0].values["siblings"]}
    pairs = {frozenset((f"f{i}", f"f{i + 1}")) for i in range(0, RARE, 2)}
    assert len(siblings & pairs) >= 0.8 * len(pairs)


def leaked(codebook: Codebook, table: pl.DataFrame, epsilon: float, share_of_noise: float) -> float:
    """A lower bound (95 %) of the epsilon that the best attack shows, told row 0 or not, with all rounds seen.

    The difference of two neighbouring tables is known, so the likelihood ratio is the projection on it; entries that
    do not differ tell nothing. Half of the draws choose the threshold, the other half measure it.
    """
    scores = np.zeros((2, DRAWS))
    for state, sigma in asked(codebook, table, epsilon):
        row = synthema_marginals.federated_contribute(state, table[:1], codebook).vector
        change = row[row != 0]
        noise = share_of_noise * sigma
        for present in (0, 1):
            drawn = add_noise(np.zeros(DRAWS * len(change), dtype=np.int64), noise).reshape(DRAWS, len(change))
            scores[present] += (drawn + present * change) @ change / noise**2
    half = DRAWS // 2
    best = max(np.quantile(scores[0, :half], np.linspace(0.5, 0.995, 100)), key=lambda t: _bound(scores[:, :half], t))
    return _bound(scores[:, half:], float(best))


def _bound(scores: NDArray[np.float64], threshold: float) -> float:
    from scipy.stats import beta

    trials = scores.shape[1]
    absent, present = (int((side > threshold).sum()) for side in scores)
    false = float(beta.ppf(0.975, absent + 1, trials - absent))
    true = float(beta.ppf(0.025, present, trials - present + 1)) if present else 0.0
    return math.log(max(true - DELTA, 1e-12) / false)


def test_the_best_attack_sees_no_more_than_epsilon() -> None:
    shown = leaked(CODEBOOK.keep(tuple(n for n in CODEBOOK.names() if n != "id")), mgus_table(), 1.0, 1.0)
    assert shown <= 1.0


def test_the_attack_would_see_noise_that_is_too_small() -> None:
    shown = leaked(CODEBOOK.keep(tuple(n for n in CODEBOOK.names() if n != "id")), mgus_table(), 1.0, 0.1)
    assert shown > 1.0
