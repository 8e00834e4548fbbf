"""On real patients at their 45 real centres: federated against pooled against local only. Skipped without the data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import synthema_regression
import synthema_statistics
from tests.plugins import amlsg
from tests.plugins.analyses import study
from tests.plugins.analyses_by_centre import FIGURES, MODELS, by_centre, codebook, compare

pytestmark = pytest.mark.skipif(
    not amlsg.present(), reason="the AMLSG cohort is not here: set SYNTHEMA_TEST_DATA to the folder above aml-amlsg"
)


@pytest.mark.parametrize("model", MODELS)
def test_federation_loses_nothing_and_a_centre_alone_loses_much(model: str) -> None:
    line = compare(model, by_centre(), secure=False)
    assert line.federated < 1e-6
    assert line.local > 1


def test_all_centres_under_the_secure_sum_are_one_table() -> None:
    sites = by_centre()
    assert len(sites) == 45
    pooled, _ = study(synthema_statistics, [pl.concat(sites)], codebook(), FIGURES)
    federated, _ = study(synthema_statistics, sites, codebook(), FIGURES, secure=True)
    assert pooled.values["total"] == federated.values["total"]


def test_a_coefficient_moves_by_less_than_a_millionth_between_splits() -> None:
    sites = by_centre()
    asked = MODELS["logistic"]
    one, _ = study(synthema_regression, [pl.concat(sites)], codebook(), asked)
    many, _ = study(synthema_regression, sites, codebook(), asked)
    assert np.abs(np.subtract(one.values["beta"], many.values["beta"])).max() == 0
