"""Studies whose sums carry no noise: only for a report, exact to the bit, and nothing claimed for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.federation import SiteLimits, StudyPlan, StudyResult, check_plan
from synthema.federation.form import StudyFile
from synthema.federation.privacy import noised
from tests.unit.federation.world import LENGTH, world

WITHOUT = {"epsilon": 0.0, "delta": 0.0, "rho": 0.0}
ASKED = {
    "title": "Counts together",
    "codebook": "mgus",
    "purpose": "ehds:HealthcareScientificResearch",
    "action": "query aggregate",
    "sites": [{"did": f"did:web:site{number}.example", "dataset": "mgus"} for number in range(3)],
    "fields": ["sex"],
    "anonymiser": {"plugin": "minimise"},
    "algorithm": {"plugin": "statistics"},
    "privacy": "none",
    "rounds": 1,
    "minimum_sites": 3,
    "outputs": ["report"],
}


def test_a_sum_without_noise_is_exactly_the_sum(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        result = w.run(w.plan(output="report", **WITHOUT, rows=0))
        assert isinstance(result, StudyResult), result
        assert result.state.values["totals"] == [(3 * np.arange(LENGTH) + 300).tolist()]
        (record,) = result.rounds
        assert (record.sigma, record.rho, result.rho) == (0.0, 0.0, 0.0)


def test_only_a_report_can_do_without_noise(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        with pytest.raises(ValueError, match="only a report"):
            w.plan(**WITHOUT)
        for odd in ({"epsilon": 0.0}, {"rho": 0.0}, {"epsilon": 0.0, "rho": 0.0}, {"delta": 0.0}):
            with pytest.raises(ValueError, match="privacy: give epsilon, delta and rho"):
                w.plan(output="report", **odd)


def test_a_site_that_granted_a_noisy_plan_refuses_the_same_plan_without_noise(
    tmp_path: Path, clock: FixedClock
) -> None:
    with world(tmp_path, clock) as w:
        noisy = w.plan(output="report")
        exact = StudyPlan.model_validate(noisy.model_dump() | WITHOUT)
        check_plan(noisy, SiteLimits.of_plan(noisy), w.dids[0])
        with pytest.raises(DeniedError, match="not the one the grant names"):
            check_plan(exact, SiteLimits.of_plan(noisy), w.dids[0])


def test_a_plan_for_rows_reads_as_it_did_before_reports(tmp_path: Path, clock: FixedClock) -> None:
    with world(tmp_path, clock) as w:
        assert "output" not in w.plan().model_dump(mode="json")
        assert w.plan(output="report").model_dump(mode="json")["output"] == "report"


def test_without_noise_a_vector_stays_as_it_is() -> None:
    vector = np.array([1, -5, 2**40], np.int64)
    assert noised(vector, 0.0, 2**40, 3).tolist() == vector.tolist()


def test_the_study_file_of_a_report() -> None:
    study = StudyFile.model_validate(ASKED)
    assert (study.output, study.privacy, study.rows) == ("report", None, 0)
    again = StudyFile.model_validate(study.model_dump(mode="json"))
    assert again == study


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 10}, "rows: a report"),
        ({"holdout": 0.2}, "holdout: a report"),
        ({"evaluators": [{"plugin": "evaluation"}]}, "evaluators: a report"),
        ({"outputs": ["synthetic"]}, "privacy: synthetic rows need"),
        ({"outputs": ["report", "synthetic"]}, "outputs"),
        ({"privacy": "some"}, "privacy"),
    ],
)
def test_a_study_file_says_what_does_not_fit_its_output(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        StudyFile.model_validate(ASKED | changes)
