"""Both analyses through the core: signed messages, the exact noise, the real secure sum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

import synthema_regression
import synthema_statistics
from synthema.budget import rho_of
from synthema.clock import FixedClock
from synthema.federation import PluginUse, StudyResult
from synthema.spi.model import Evaluation
from tests.plugins.analyses import coefficients, study, thirds
from tests.plugins.mgus import CODEBOOK, mgus_table
from tests.unit.federation.world import world

LOGISTIC = {"model": "logistic", "outcome": "death", "positive": "1", "covariates": ["age", "sex", "hgb"]}


def governed(
    folder: Path, clock: FixedClock, plugin: ModuleType, asked: dict[str, Any], epsilon: float, rounds: int
) -> tuple[StudyResult, Evaluation]:
    """A whole study with three sites and a coordinator; the algorithm stands under the name the world gives it."""
    tables: Sequence[pl.DataFrame] = thirds(mgus_table())
    with world(folder, clock, sites=3) as made:
        for did, table in zip(made.dids, tables, strict=True):
            made.sessions[did].table = table
        plan = made.plan(
            algorithm=PluginUse(plugin="summing", digest="sha256:" + "0" * 64, parameters=asked),
            epsilon=epsilon, delta=1e-6, rho=rho_of(epsilon, 1e-6), rounds=rounds, rows=0,
            fields=tuple(CODEBOOK.names()), codebook=CODEBOOK, codebook_digest=CODEBOOK.digest,
        )  # fmt: skip
        result = made.run(plan, algorithm=plugin)
        assert isinstance(result, StudyResult), result
        return result, plugin.federated_report(result.state, plan.algorithm_plan())


def test_a_governed_regression_with_next_to_no_noise_is_the_pooled_fit(tmp_path: Path, clock: FixedClock) -> None:
    _, pooled = study(synthema_regression, [mgus_table()], CODEBOOK, LOGISTIC)
    result, found = governed(tmp_path, clock, synthema_regression, LOGISTIC, 1e12, 12)
    assert len(result.rounds) <= 12
    for words, value in coefficients(pooled).items():
        assert coefficients(found)[words] == pytest.approx(value, abs=1e-4)


def test_a_governed_regression_spends_its_plan_and_says_what_noise_did(tmp_path: Path, clock: FixedClock) -> None:
    asked = LOGISTIC | {"steps": 4, "range": "inner"}
    result, found = governed(tmp_path, clock, synthema_regression, asked, 20.0, 4)
    assert result.rho <= rho_of(20.0, 1e-6) * (1 + 1e-9)
    assert any("noise" in note for note in found.notes)


def test_governed_statistics_lie_near_the_truth(tmp_path: Path, clock: FixedClock) -> None:
    asked = {"variables": ["sex", "age"], "outcomes": ["survival"]}
    result, found = governed(tmp_path, clock, synthema_statistics, asked, 5.0, 1)
    assert len(result.rounds) == 1
    men = next(m for m in found.metrics if m.definition == "sex: M")
    age = next(m for m in found.metrics if m.id == "mean")
    known = mgus_table()["age"].cast(pl.Float64).to_numpy()
    assert abs(men.value - mgus_table().filter(pl.col("sex") == "M").height) < 60
    assert abs(age.value - float(np.mean(known))) < 3
