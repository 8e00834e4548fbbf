"""kill -9 of a hub between the record that a study's result may leave and its publishing: it leaves once.

Real connectors, each a process of its own. The hub kills itself as soon as it has taken one of the steps, is started
again, and dies at the next one; the last life is left to it. This takes a minute or two:
``SYNTHEMA_CRASH=full pytest tests/crash/test_release.py``. Two deaths of the kind are in every run of the tests
(``tests/e2e/test_release_federated.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synthema.demo.patients import hospital_data
from tests.crash.releasing import CERTIFIED, DECIDED, PACKED, PUBLISHED, REPORTED, killed_on_its_way_out
from tests.e2e.reports import all_agreed, begun, report_space, study
from tests.e2e.space import data_space, log_text
from tests.e2e.test_study_report import STATISTICS

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.environ.get("SYNTHEMA_CRASH") != "full", reason="takes minutes: SYNTHEMA_CRASH=full"),
]
TITLE = "Killed on its way out"


@pytest.mark.article("EHDS 73(2)")
def test_rows_leave_once_and_with_one_certificate_however_often_the_hub_dies_on_the_way(tmp_path: Path) -> None:
    with data_space(tmp_path, hospital_data((50, 30, 20)), budget=60.0) as space:
        steps = [DECIDED, CERTIFIED, PACKED, PUBLISHED]
        ended = killed_on_its_way_out(space, steps, lambda: space.begin(TITLE, epsilon=5.0))
        (certificate,) = space.hub.call("certificate/list")
        assert (certificate["state"], certificate["certificate"]) == ("valid", ended["result"]["certificate"])
        log = log_text(space.hub)
        assert log.count("a certificate was issued") == log.count(f"Offered: {TITLE}") == 1


def test_a_report_leaves_once_however_often_the_hub_dies_on_the_way(tmp_path: Path) -> None:
    with report_space(tmp_path, all_agreed()) as space:
        steps = [DECIDED, PACKED, REPORTED]
        ended = killed_on_its_way_out(space, steps, lambda: begun(space, study(space, TITLE, STATISTICS, rounds=1)))
        assert space.hub.call("study/report", {"study": ended["id"], "page": False})["report"]
