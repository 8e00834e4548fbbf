"""Sequential trees on cohorts with rule packs: no row breaks one, derived columns follow, gaps are as in the data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import synthema_trees
from synthema.datasets.codebook import Codebook
from synthema.datasets.derive import derive
from synthema.spi.sampling import broken_rows, keep_rules
from tests.plugins.cohorts import COHORTS, FLCHAIN, LEUKSURV, Cohort
from tests.plugins.marginals_quality import survival_distance


def made_of(cohort: Cohort, rows: int = 900) -> tuple[pl.DataFrame, pl.DataFrame]:
    train = cohort.split(7)[0].head(rows)
    return train, synthema_trees.generate(train, cohort.codebook, {"seed": 1}, train.height).table


@pytest.mark.parametrize("name", list(COHORTS))
def test_no_row_breaks_the_rule_pack_and_derived_columns_follow(name: str) -> None:
    cohort = COHORTS[name]
    if cohort.absent:
        pytest.skip(cohort.absent)
    train, made = made_of(cohort)
    assert not broken_rows(made, cohort.codebook).any()
    public = cohort.codebook.keep(tuple(v.name for v in cohort.codebook.variables if v.role != "identifier"))
    assert made.columns == list(public.names())
    assert made.equals(derive(made, public))
    for column in made.columns:
        gone = [table[column].null_count() / table.height for table in (train, made)]
        assert gone[1] == pytest.approx(gone[0], abs=0.05)


def test_a_subgroup_may_be_one_of_a_derived_column() -> None:
    random = np.random.default_rng(0)
    rows = 400
    table = pl.DataFrame(
        {
            "age": random.integers(20, 90, rows),
            "sex": random.choice(["0", "1"], rows).tolist(),
            "wbc": random.exponential(30, rows),
            "tpi": random.normal(0, 3, rows),
            "district": random.choice(["1", "2"], rows).tolist(),
            "time": random.integers(1, 4000, rows),
            "death": random.choice(["0", "1"], rows).tolist(),
        }
    )
    made = synthema_trees.generate(table, LEUKSURV, {"seed": 1, "where": {"leukocytosis": "high"}}, 60).table
    assert set(made["leukocytosis"]) == {"high"}
    assert made["wbc"].min() >= 50  # type: ignore[operator]


def test_a_rule_that_half_of_the_rows_break_does_not_bend_the_survival_curve() -> None:
    train = COHORTS["flchain"].split(7)[0].head(1500)
    random = np.random.default_rng(0)

    def draw(rows: int) -> pl.DataFrame:
        """Rows as they are, but half of those who live are given a cause of death."""
        picked = train.select(pl.all().gather(random.integers(0, train.height, rows).tolist()))
        wrong = pl.Series(random.random(rows) < 0.5) & (picked["death"] == "0")
        chapter = pl.when(wrong).then(pl.lit("Blood")).otherwise(pl.col("chapter"))
        return picked.with_columns(chapter.alias("chapter"))

    made = keep_rules(draw, FLCHAIN, 1500)
    assert made.height == 1500
    assert not broken_rows(made, FLCHAIN).any()
    assert survival_distance(train, made, FLCHAIN) < 0.01


def test_a_derived_value_that_may_not_be_missing_is_there_in_every_row() -> None:
    codebook = Codebook.model_validate(
        {
            "id": "toy",
            "version": "1",
            "title": "Toy",
            "disease": "http://www.orpha.net/ORDO/Orphanet_519",
            "patient_key": "a",
            "variables": [
                {"name": "a", "label": "a", "type": "integer", "minimum": 0, "maximum": 100},
                {"name": "half", "label": "half", "type": "decimal", "minimum": 0, "maximum": 50}
                | {"may_be_missing": False, "derivation": {"kind": "sum", "of": {"a": 0.5}}},
            ],
        }
    )
    table = pl.DataFrame({"a": [None if i % 3 == 0 else i for i in range(90)]})
    made = synthema_trees.generate(table, codebook, {"seed": 1}, 50).table
    assert not made["half"].has_nulls()
    assert (made["half"] * 2 == made["a"]).all()
