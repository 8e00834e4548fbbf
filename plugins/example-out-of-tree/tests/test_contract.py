"""The contract of an analysis, and what this one promises on top."""

import numpy as np
from synthema.spi.testing import AnalysisContract

from median_survival import median_survival


class TestMedianSurvival(AnalysisContract):
    plugin = "median-survival"
    parameters = {"group": "sex"}

    def test_small_groups_are_left_out(self, session, table, codebook):
        result = self.ask(
            session, "analyse", table=table[:12], codebook=codebook, parameters={"group": "sex", "minimum_group": 12}
        )
        assert result.metrics == ()
        assert result.notes[0].startswith("2 groups")


def test_the_median_of_times_without_censoring_is_the_middle_one():
    assert median_survival(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True] * 4)) == 2.0


def test_there_is_no_median_when_most_never_had_the_event():
    assert median_survival(np.array([1.0, 2.0, 3.0]), np.array([True, False, False])) is None
