"""A coordinator's sessions: a job that lacks a site which is there is replaced, one that nobody needs is ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import PeerError
from synthema.federation.flare import Authority, FlareEnvironment, FlareHub, flare_name, sessions
from synthema.federation.flare.hub import HubRelay
from tests.unit.federation.world import World, site
from tests.unit.federation_engine.test_environment import pretended
from tests.waiting import until

AGREEMENTS = {site(0): "agreement-1", site(1): "agreement-1", site(2): "agreement-1"}


class Server:
    """FLARE's server as its account tells of it."""

    def __init__(self) -> None:
        self.sites: dict[str, float] = {}
        self.jobs: dict[str, str] = {}

    def connects(self, *dids: str) -> None:
        self.sites |= {flare_name(did): time.time() for did in dids}

    def ask(self, command: str, argument: str = "") -> Any:
        if command == "sites":
            return dict(self.sites)
        if command == "submit":
            self.jobs[f"job-{len(self.jobs)}"] = "RUNNING"
            return f"job-{len(self.jobs) - 1}"
        if command == "meta":
            return {"status": self.jobs[argument]}
        self.jobs[argument] = "FINISHED:ABORTED"
        return None


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def hub(
    w: World, tmp_path: Path, clock: FixedClock, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlareHub]:
    """A hub whose processes do nothing, and whose account is asked in their place."""
    monkeypatch.setattr(sessions, "_WATCH_SECONDS", 0.05)
    monkeypatch.setattr(sessions, "_SECONDS_BETWEEN_JOBS", 0.05)

    class Told(FlareHub):
        def ask(self, command: str, argument: str = "") -> Any:
            return server.ask(command, argument)

    environment = FlareEnvironment(pretended(tmp_path / "flare", "exec sleep 60"))
    authority = Authority.create("synthema", clock.now())
    made = Told(tmp_path / "hub", environment, authority, w.coordinator, clock, host="localhost", port=1)
    yield made
    made.close()


def soon(hub: FlareHub, server: Server, jobs: int) -> None:
    wanted = (jobs, f"job-{jobs - 1}")
    until(lambda: (len(server.jobs), hub.jobs()[0].job), lambda seen: seen[0] >= wanted[0] and seen[1] == wanted[1], 10)


def test_a_site_that_comes_late_or_comes_back_gets_into_the_job(
    hub: FlareHub, server: Server, w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_CONNECT_SECONDS", 0.2)
    server.connects(site(0), site(1))
    with pytest.raises(PeerError, match="2 of 3 sites have connected to FLARE, 3 are needed"):
        hub.session(AGREEMENTS, enough=3)
    relay = hub.session(AGREEMENTS, enough=2)
    relay.open(w.plan().id, list(AGREEMENTS))
    server.connects(site(2))
    soon(hub, server, 2)
    assert server.jobs["job-0"] == "FINISHED:ABORTED"

    hub.arrives(site(0))  # its process of before is still listed: that does not count
    time.sleep(0.3)
    assert len(server.jobs) == 2
    server.connects(site(0))
    soon(hub, server, 3)
    assert hub.session(AGREEMENTS, enough=3) is relay
    assert hub.jobs()[0].resumed == 0


def test_the_next_study_waits_for_a_site_that_was_started_anew(hub: FlareHub, server: Server) -> None:
    server.connects(*AGREEMENTS)
    relay = hub.session(AGREEMENTS, enough=3)
    hub.arrives(site(1))
    server.connects(site(1))
    assert hub.session(AGREEMENTS, enough=3) is relay
    assert list(server.jobs) == ["job-0", "job-1"]


def test_a_session_that_nobody_needs_ends_and_the_next_study_begins_another(
    hub: FlareHub, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.connects(*AGREEMENTS)
    relay = hub.session(AGREEMENTS, enough=3)
    monkeypatch.setattr(sessions, "_IDLE_SECONDS", 0.1)
    until(lambda: hub.jobs()[0].ending, seconds=10)
    monkeypatch.setattr(sessions, "_IDLE_SECONDS", 900.0)
    question = {"ask": "work", "site": flare_name(site(0)), "last": {}, "job": "job-0"}
    assert hub._answer(question, b"")[0] == {"do": "close"}
    other = hub.session(AGREEMENTS, enough=3)
    assert isinstance(other, HubRelay)
    assert other is not relay


def test_a_key_outlives_a_restart_and_jobs_do_not(hub: FlareHub, w: World, tmp_path: Path, clock: FixedClock) -> None:
    server, account = tmp_path / "hub/server", tmp_path / "hub/account"
    keys = [(server / "startup/server.key").read_bytes(), (account / "startup/client.key").read_bytes()]
    (server / "snapshots").mkdir()
    hub.close()
    environment = FlareEnvironment(tmp_path / "flare")
    authority = Authority.create("synthema", clock.now())
    again = FlareHub(tmp_path / "hub", environment, authority, w.coordinator, clock, host="localhost", port=1)
    try:
        assert keys == [(server / "startup/server.key").read_bytes(), (account / "startup/client.key").read_bytes()]
        assert (server / "startup/rootCA.pem").read_bytes() == authority.pem
        assert not (server / "snapshots").exists()
        assert again.alive
        assert not again.busy
    finally:
        again.close()
    assert not again.alive
