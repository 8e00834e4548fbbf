"""Noisy marginals on tables of few columns that nobody has looked at: what decides follow-up, what is known of whom."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

import synthema_marginals
from synthema.datasets.codebook import Codebook
from synthema.spi.model import Aggregate, Plan
from synthema_evaluation.survival import Design, covariates, fit_cox, followed
from synthema_marginals.estimate import Measured
from synthema_marginals.gaps import GAPS, has_gaps
from synthema_marginals.nodes import Shape, nodes_of
from synthema_marginals.pairs import basis, dependence, signal
from synthema_marginals.queries import Query, every_cell
from tests.plugins.cohorts import FLCHAIN
from tests.plugins.marginals_quality import synthesise
from tests.plugins.mgus import CODEBOOK
from tests.plugins.test_marginals_rules import study

ROWS = 3000


def _category(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name, "type": "category", "categories": ["0", "1"]} | more


COHORT = Codebook.model_validate(
    {
        "id": "entry-simulated",
        "version": "1",
        "title": "Patients who entered over ten years and were followed until the eleventh",
        "disease": "http://www.orpha.net/ORDO/Orphanet_519",
        "patient_key": "patient",
        "variables": [
            {"name": "year", "label": "Year of entry", "type": "integer", "minimum": 1990, "maximum": 1999},
            _category("local"),
            _category("central"),
            _category("arm"),
            {"name": "patient", "label": "Patient", "type": "text", "role": "identifier"},
            {
                "name": "time", "label": "Follow-up", "type": "integer", "role": "time", "unit": "d",
                "minimum": 0, "maximum": 4100, "may_be_missing": False,
            },
            _category("death", role="event", may_be_missing=False),
        ],
        "outcomes": [{"name": "survival", "time": "time", "event": "death", "event_value": "1", "unit": "d"}],
    }
)  # fmt: skip


@cache
def entered() -> pl.DataFrame:
    """The year decides when follow-up ends, and nothing else; a rare finding, read twice, trebles the hazard."""
    random = np.random.default_rng(5)
    year = random.integers(1990, 2000, ROWS)
    central = random.random(ROWS) < 0.12
    local = np.where(random.random(ROWS) < 0.1, random.random(ROWS) < 0.12, central)
    dies = random.exponential(6000 * np.where(central, 1 / 3, 1.0))
    end = (2001 - year) * 365 + random.integers(-180, 180, ROWS)
    columns = {"year": year, "local": local, "central": central, "arm": random.random(ROWS) < 0.5}
    columns |= {"time": np.minimum(dies, end).astype(np.int64), "death": dies <= end}
    table = pl.DataFrame(columns)
    return table.with_columns(pl.col(pl.Boolean).cast(pl.Int8).cast(pl.String))


def hazards(table: pl.DataFrame) -> dict[str, float]:
    """The log hazard ratios, for a standard deviation each, of a Cox model of a table."""
    used = covariates(COHORT, tuple(v for v in COHORT.variables if v.role != "identifier"))
    design = Design(table, used)
    beta = fit_cox(design.matrix(table), followed(table, COHORT.outcomes[0], COHORT))
    return dict(zip((label.split(" = ")[0] for label in design.labels), beta.tolist(), strict=True))


@pytest.mark.parametrize("epsilon", [1.0, 5.0])
def test_what_decides_how_long_patients_are_followed_is_not_taken_for_a_risk(epsilon: float) -> None:
    found = [hazards(synthesise(entered(), COHORT, epsilon, seed, {})) for seed in range(4)]
    for one in found:
        assert abs(one["year"]) < 0.25
        assert one["central"] + one["local"] > 0.2
    assert abs(float(np.mean([one["year"] for one in found]))) < 0.12


def test_each_variable_hangs_on_the_outcome_and_beside_what_it_goes_with() -> None:
    state, _ = study(COHORT, [entered()], 5.0)
    hanging = {name for pair in state.values["tree"] for name in pair if "time+death" in pair}
    assert hanging == {"time+death", "year", "local", "central", "arm", GAPS}
    assert {"local", "central"} in [set(pair) for pair in state.values["siblings"]]


def test_what_two_rare_findings_share_is_not_lost_to_the_limit_of_a_row() -> None:
    made = synthesise(entered(), COHORT, 5.0, 1, {})
    both = [float((t.filter(pl.col("central") == "1")["local"] == "1").mean() or 0) for t in (entered(), made)]
    assert both[1] == pytest.approx(both[0], abs=0.1)


def test_all_pairs_are_still_there_for_who_asks_for_them() -> None:
    plan = Plan(COHORT, 0.5, 100, {"pairs": "all"})
    state = synthema_marginals.federated_open(plan)
    counts = synthema_marginals.federated_contribute(state, entered(), COHORT).vector
    state = synthema_marginals.federated_absorb(state, Aggregate(counts, 3, 5.0))
    tables = [set(query["nodes"]) for query in state.values["queries"] if not query["signs"]]
    assert {"arm", "time+death"} in tables
    assert {"arm", "year"} in tables


def test_a_missing_value_that_means_something_is_not_drawn_from_the_number_of_gaps() -> None:
    told = {node.name: node.shape for node in (*nodes_of(FLCHAIN), *nodes_of(CODEBOOK))}
    assert told["chapter"].telling  # only who died has a cause of death
    assert not has_gaps(told["chapter"])
    assert has_gaps(told["creatinine"])
    assert has_gaps(told["mspike"])


def test_a_cell_that_nobody_is_in_tells_nothing_whatever_noise_says() -> None:
    outcome = Shape("survival", 6, 2, missing=False, outcome=True, ordered=True, event=1)
    finding = Shape("finding", 2, 1, missing=True, outcome=False, ordered=False)
    shares = {"survival": np.full(12, 1 / 12), "finding": np.array([0.6, 0.4, 0.0])}
    bases = {name: basis(shape, shares[name]) for name, shape in (("survival", outcome), ("finding", finding))}
    counts = 3000 * np.outer(shares["survival"], shares["finding"])
    counts[3, 2] = 30.0  # three standard deviations of noise where nobody can be
    query = Query(("survival", "finding"), (every_cell(outcome), every_cell(finding)))
    found = dependence(signal(("survival", "finding"), shares, bases, 3000.0, [Measured(query, counts, 10.0)]), 1.0)
    assert abs(found.strength) < 0.01
