"""What a site's own files and its connector refuse, whatever the coordinator's server sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthema.errors import DeniedError, PeerError
from synthema.federation.flare import flare_name
from synthema.federation.flare.kit import session_job, write_files
from tests.flare.federation import AGREEMENT, Federation
from tests.waiting import until

CONFIG = "app/config/config_fed_client.json"


def ended(running: Federation, job: str) -> dict[str, Any]:
    """The job's description once it is over."""
    return until(lambda: running.hub.ask("meta", job), lambda meta: str(meta["status"]).startswith("FINISHED"), 60)


def a_job(running: Federation) -> dict[str, Any]:
    return session_job({flare_name(did): AGREEMENT for did in running.world.dids}, enough=3)


def answers(running: Federation, did: str) -> list[dict[str, Any]]:
    return [dict(a.attributes) for a in running.world.logs[did].activities if a.type == "EngineAnswer"]


def test_a_class_that_is_not_on_the_list_is_not_built(running: Federation, tmp_path: Path) -> None:
    job, path = a_job(running), "subprocess.Popen"
    job[CONFIG]["executors"][0]["executor"] = {"path": path, "args": {}}
    meta = ended(running, running.hub.ask("submit", str(write_files(tmp_path / "job", job))))
    assert meta["status"] in ("FINISHED:ABNORMAL", "FINISHED:EXECUTION_EXCEPTION"), meta
    log = (running.sites[running.world.dids[0]].folder / "kit" / meta["job_id"] / "log.txt").read_text()
    assert f"'{path}'" in log
    assert "is not in allow_list" in log


def test_code_that_comes_with_a_job_is_refused_twice(
    running: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the connector, which reads the job's description, and by the site's own files, which need no connector."""
    witness, first = tmp_path / "it-ran", running.world.dids[0]
    job = a_job(running)
    job["app/custom/evil.py"] = f"import pathlib\npathlib.Path({str(witness)!r}).touch()\n".encode()
    job[CONFIG]["executors"][0]["executor"] = {"path": "evil.Evil", "args": {}}
    folder = str(write_files(tmp_path / "job", job))
    meta = ended(running, running.hub.ask("submit", folder))
    assert meta["status"] == "FINISHED:CAN_NOT_SCHEDULE", meta
    assert answers(running, first)[-1]["reason"] == "the job brings code of its own"

    for site in running.sites.values():
        monkeypatch.setattr(site.desk, "_answer", lambda question, payload: ({"permit": True}, b""))
    meta = ended(running, running.hub.ask("submit", folder))
    assert meta["status"] == "FINISHED:FAILED_TO_RUN", meta
    assert any("BYOC not permitted" in said for said in meta["job_deploy_detail"]), meta
    assert [said for said in meta["job_deploy_detail"] if said.endswith(": OK")] in ([], ["server: OK"])
    assert not witness.exists()


def test_without_an_agreement_there_is_no_session_and_the_job_is_deleted(running: Federation) -> None:
    first = running.world.dids[0]
    said = len(answers(running, first))
    with pytest.raises(DeniedError, match="did not begin") as refused:
        running.hub.session(dict.fromkeys(running.world.dids, "agreement-2"), enough=3)
    assert "this agreement is not known here" in refused.value.message
    session = next(one for one in running.hub.jobs() if "agreement-2" in one.agreements.values())
    with pytest.raises(PeerError):
        running.hub.ask("meta", session.job)
    answer = answers(running, first)[said]
    assert (answer["permitted"], answer["reason"]) == (False, "this agreement is not known here")
    assert (answer["question"], answer["engineJob"]) == ("command", session.job)
