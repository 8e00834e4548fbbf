"""kill -9 of a hub between the record that a study's result may leave and its publishing: it leaves once.

Real connectors, each a process of its own. The hub kills itself as soon as it has taken one of the steps, is started
again, and dies at the next one; the last life is left to it.

By default it dies twice; ``SYNTHEMA_CRASH=full pytest tests/crash/test_release.py`` takes more steps, and a study that
ends in a report.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synthema.demo.patients import hospital_data
from synthema.demo.processes import wait_until_up
from tests.crash.releasing import to_die_at
from tests.e2e.reports import all_agreed, begun, report_space, study
from tests.e2e.space import HUB, Space, data_space, log_text
from tests.e2e.test_study_report import STATISTICS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(400)]

SECONDS = 200.0
DECIDED = "synthema.assembly.conductor:Conductor._record_release"
CERTIFIED = "synthema.certification.certificate:CertificateIssuer.issue"
PACKED = "synthema.runs.kept_files:KeptFiles.keep_file"
PUBLISHED = "synthema.assembly.publication:Publication.publish"
REPORTED = "synthema.assembly.conductor:publish_report"
FULL = os.environ.get("SYNTHEMA_CRASH") == "full"
MORE = [PACKED, PUBLISHED] if FULL else []


def _through_all(space: Space, steps: Sequence[str], **asked: Any) -> dict[str, Any]:
    """A study whose hub dies at each of these steps, and comes back each time; as it stands in the end."""
    process, identifier = to_die_at(space, HUB.key, steps[0]), ""
    wait_until_up(space.houses[HUB.key].running)
    identifier = begun(space, asked["study"]) if "study" in asked else space.begin("Killed on its way out", **asked)
    for following in steps[1:]:
        assert process.wait(SECONDS) == -signal.SIGKILL
        process = to_die_at(space, HUB.key, following)
    assert process.wait(SECONDS) == -signal.SIGKILL
    space.restart(HUB.key)
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "released", ended["reason"]
    kinds = [event["kind"] for event in ended["events"]]
    assert kinds.count("released") == 1
    done = steps[-1] in (PUBLISHED, REPORTED)  # then nothing was left to do at its last start
    assert kinds.count("resumed") == len(steps) - done
    assert kinds.count("measuring") == len(space.sites), "no site is asked to measure again"
    home = space.hub.running.settings.home
    assert list((home / "studies").glob("*")) == [], "what lay in quarantine is gone"
    assert len(list((home / "artefacts" / identifier).glob("*"))) == 1
    assert space.hub.call("log/verify")["size"] > 0
    for house in space.sites:
        assert house.call("log/verify")["size"] > 0
    return ended


@pytest.mark.article("EHDS 73(2)")
def test_rows_leave_once_and_with_one_certificate_however_often_the_hub_dies_on_the_way(tmp_path: Path) -> None:
    with data_space(tmp_path, hospital_data((50, 30, 20)), budget=60.0) as space:
        ended = _through_all(space, [DECIDED, CERTIFIED, *MORE], epsilon=5.0)
        (certificate,) = space.hub.call("certificate/list")
        assert certificate["state"] == "valid"
        assert certificate["certificate"] == ended["result"]["certificate"]
        log = log_text(space.hub)
        assert log.count("a certificate was issued") == log.count("Offered: Killed on its way out") == 1


@pytest.mark.skipif(not FULL, reason="SYNTHEMA_CRASH=full takes a report as well")
def test_a_report_leaves_once_however_often_the_hub_dies_on_the_way(tmp_path: Path) -> None:
    with report_space(tmp_path, all_agreed()) as space:
        asked = study(space, "Killed on its way out", STATISTICS, rounds=1)
        steps = [DECIDED, PACKED, REPORTED]
        identifier = _through_all(space, steps, study=asked)["id"]
        assert space.hub.call("study/report", {"study": identifier, "page": False})["report"]
