"""The audit with shadows: a generator that copies is caught, one that learns nothing is not blamed."""

from __future__ import annotations

import polars as pl
import pytest

from synthema.spi.model import Metric
from synthema_evaluation import shadow_audit
from tests.plugins.mgus import CODEBOOK, mgus_table


def copies(table: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    return table.sample(rows, with_replacement=True, seed=seed)


def forgets(table: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    """Independent values of the whole cohort, whoever was in the training rows."""
    everyone = mgus_table()
    return pl.DataFrame(
        [everyone[c].sample(rows, with_replacement=True, seed=seed + i) for i, c in enumerate(table.columns)]
    )


def audited(generate: object, **changes: int) -> dict[str, Metric]:
    rows = mgus_table()[:400]
    found = shadow_audit(generate, rows, CODEBOOK, shadows=12, **changes)  # type: ignore[arg-type]
    return {metric.id: metric for metric in found.metrics}


def test_a_generator_that_copies_is_caught_even_at_one_per_mille() -> None:
    found = audited(copies, canaries=40)
    assert found["shadowMembershipAUC"].value > 0.75
    assert found["shadowMembershipTPR"].value > 0.4
    assert found["shadowMembershipTPRStrict"].value > 0.3
    assert found["canaryAUC"].value > 0.6


def test_a_generator_that_looks_at_no_row_is_not_blamed() -> None:
    found = audited(forgets, seed=3)
    auc = found["shadowMembershipAUC"]
    assert auc.value == pytest.approx(0.5, abs=0.05)
    assert auc.control == pytest.approx(0.5, abs=0.05)
    assert found["shadowMembershipTPR"].value < 0.05
    for metric in found.values():
        assert metric.lower is not None
        assert metric.upper is not None
        assert metric.lower <= metric.value <= metric.upper


def test_the_same_seed_gives_the_same_figures_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    rows = mgus_table()[:100]
    first = shadow_audit(copies, rows, CODEBOOK, shadows=8, canaries=0, progress=lambda a, b: told.append((a, b)))
    assert shadow_audit(copies, rows, CODEBOOK, shadows=8, canaries=0) == first
    assert told == [(run, 8) for run in range(1, 9)]
    assert "canaryAUC" not in {metric.id for metric in first.metrics}


def test_too_few_shadows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        shadow_audit(copies, mgus_table(), CODEBOOK, shadows=4)
