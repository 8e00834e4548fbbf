"""The page of a study that ended in a report: its figures, and the files in which it can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.assembly.study_store import ConductState, insert_study, note
from synthema.canonical import canonical_json
from synthema.runs import store as run_store
from tests.unit.certification.test_study_report import document, figure
from tests.unit.web_console.outline import Outline
from tests.unit.web_console.world import HOSTILE, NOW, World, world

NAME = "study-9"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[World]:
    """A hub with a released report; its figures carry what a hostile hand may have written."""
    with world(tmp_path, "hub") as found:
        keep_report(found)
        yield found


def keep_report(found: World) -> None:
    metrics = [figure("mean", 1.5, 120, lower=1.0, definition=HOSTILE)]
    content = canonical_json(document(figures={"metrics": metrics, "series": {}, "notes": [HOSTILE]}))
    artefact = found.connector.governor.keep_file(NAME, "report.json", "application/json", content)
    proof = {"report": artefact.digest}
    database = found.connector.database
    database.write(lambda c: run_store.insert_artefacts(c, NAME, [artefact]))
    database.write(lambda c: run_store.settle_artefacts(c, NAME, "released"))
    database.write(lambda c: insert_study(c, NAME, "A report", {}, NOW))
    result = {"report": artefact.digest, "proof": proof}
    for state in (ConductState.INVITING, ConductState.RUNNING, ConductState.QUARANTINED):
        database.write(lambda c, state=state: note(c, NAME, NOW, {"kind": "x", "text": "x"}, state=state))
    event = {"kind": "released", "text": "report released"}
    database.write(lambda c: note(c, NAME, NOW, event, state=ConductState.RELEASED, result=result))


def test_a_report_is_shown_and_can_be_had(hub: World) -> None:
    browser = hub.signed_in()
    shown = browser.get(f"/console/studies/{NAME}")
    assert Outline(shown.text).problems() == []
    assert "Figures of 3 sites together" in shown.text
    assert HOSTILE not in shown.text
    data = browser.get(f"/console/studies/{NAME}/report.json")
    assert data.headers["content-type"].startswith("application/json")
    assert data.json()["figures"]["metrics"][0]["definition"] == HOSTILE
    page = browser.get(f"/console/studies/{NAME}/report.html")
    assert page.text.startswith("<!")
    assert HOSTILE not in page.text
    assert browser.get(f"/console/studies/{NAME}/proof.json").json()["report"].startswith("sha256:")
    assert browser.get(f"/console/studies/{NAME}/rows.csv").status_code == 404
