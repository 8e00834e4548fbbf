"""What a site refuses to judge: whatever is not the report of this very study, as it was agreed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly.report_judging import _require_of_study
from synthema.certification import StudyReport, read_document
from synthema.clock import FixedClock
from synthema.errors import DeniedError
from synthema.federation import StudyPlan
from tests.unit.certification.test_study_report import DIGEST, document, figure
from tests.unit.federation.world import world

NOISE = {"epsilon": 8.0, "delta": 1e-6, "rho": 1.0, "sigma": 3.0, "unit": "one patient"}


@pytest.fixture
def plan(tmp_path: Path, clock: FixedClock) -> StudyPlan:
    with world(tmp_path, clock) as w:
        return w.plan(output="report", epsilon=0.0, delta=0.0, rho=0.0, rows=0)


def made(agreed: StudyPlan, **changes: Any) -> StudyReport:
    right = {
        "study": agreed.id,
        "plan": agreed.digest,
        "purpose": agreed.purpose,
        "sites": sorted(agreed.dids),
        "coordinator": agreed.coordinator,
        "algorithm": {"name": "summing", "version": "1", "digest": agreed.algorithm.digest},
        "parameters": agreed.algorithm.parameters,
        "fields": list(agreed.fields),
    }
    return read_document(StudyReport, document(**(right | changes)))


def judged(plan: StudyPlan, report: StudyReport, parties: int = 3) -> None:
    plugin = SimpleNamespace(name="summing", digest=plan.algorithm.digest, manifest=SimpleNamespace(metrics=("mean",)))
    request = SimpleNamespace(compute=SimpleNamespace(plugin="summing"))
    rooms = SimpleNamespace(
        plugins=SimpleNamespace(require=lambda _name: plugin), settings=SimpleNamespace(did=plan.dids[0])
    )
    governor: Any = SimpleNamespace(rooms=rooms, grant=lambda _run: SimpleNamespace(minimum_parties=parties))
    contribution: Any = SimpleNamespace(id="run-1", request=request)
    _require_of_study(governor, plan, report, contribution)


def test_the_report_of_the_study_is_judged(plan: StudyPlan) -> None:
    judged(plan, made(plan))


def test_a_grant_may_ask_for_more_sites_than_the_plan(plan: StudyPlan) -> None:
    with pytest.raises(DeniedError, match="fewer sites"):
        judged(plan, made(plan), parties=4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"study": "study-2"}, "of another study"),
        ({"plan": DIGEST}, "of another study"),
        ({"coordinator": "did:web:other.example"}, "of another study"),
        ({"purpose": "marketing"}, "of another study"),
        ({"sites": ["did:web:site1.example", "did:web:site2.example"], "fewestSites": 2}, "not this one"),
        ({"sites": [f"did:web:site{n}.example" for n in range(4)]}, "not in the plan"),
        ({"fewestSites": 2}, "fewer sites"),
        ({"algorithm": {"name": "summing", "version": "1", "digest": DIGEST}}, "another plugin"),
        ({"parameters": {"fewest": 1}}, "asked for otherwise"),
        ({"fields": ["age"]}, "asked for otherwise"),
        ({"privacy": NOISE}, "another noise"),
        ({"figures": {"metrics": [figure("copy", 1.0, 50)], "series": {}, "notes": []}}, "does not declare"),
    ],
)
def test_anything_else_is_refused_with_the_point_that_differs(
    plan: StudyPlan, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DeniedError, match=reason):
        judged(plan, made(plan, **changes))
