"""A data space of one's own over real processes: an authority, three sites, and joins that fail at every step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from synthema.assembly.joining.home import SETTINGS_FILE, initialise_authority
from synthema.assembly.joining.model import STEPS
from synthema.assembly.remote import RemoteError, call_remote
from synthema.assembly.setup import MANAGEMENT_TOKEN, initialise
from synthema.config import Settings
from synthema.demo.processes import Actor, Running, free_ports, stop, wait_until_up
from tests.forked import start
from tests.waiting import until

Meddle = Callable[[str, Any], Any]


class Between:
    """Stands before an authority, and changes what it answers while a test asks for that."""

    def __init__(self, port: int, upstream: str) -> None:
        self.meddle: Meddle = lambda _path, value: value
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _forward(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {
                    name: v for name, v in self.headers.items() if name.lower() in ("authorization", "content-type")
                }
                answer = httpx.request(
                    self.command, upstream + self.path, content=self.rfile.read(length), headers=headers,
                    trust_env=False, timeout=30,
                )  # fmt: skip
                body = json.dumps(outer.meddle(self.path, answer.json())).encode()
                self.send_response(answer.status_code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _forward  # noqa: N815 - the names that the base class calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class World:
    """The processes and what their people do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(12)
        self.url, self._management = (f"http://127.0.0.1:{port}" for port in ports[:2])
        own = initialise_authority(
            folder / "authority", name="Rare blood diseases", mode="demo", public_url=self.url,
            management_url=self._management,
        )  # fmt: skip
        with (own.home / SETTINGS_FILE).open("a", encoding="utf-8") as file:
            file.write(f'public_listen = "127.0.0.1:{ports[2]}"\n')
        self.between = Between(ports[0], f"http://127.0.0.1:{ports[2]}")
        self.token = (own.home / MANAGEMENT_TOKEN).read_text()
        with (own.home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "synthema.cli.main", "authority", "serve", "--home", str(own.home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "POLARS_MAX_THREADS": "2"},
            )  # fmt: skip
        self.sites = {
            key: self._site(key, ports[3 + 2 * number], ports[4 + 2 * number]) for number, key in enumerate("abcd")
        }
        until(self._answers, bool, 60)
        for key in "abc":
            wait_until_up(self.sites[key])
        # The fourth listens at another port than it tells, as with a proxy that is missing.
        until(lambda: self._up(self.sites["d"]), bool, 60)

    def _site(self, key: str, public: int, management: int) -> Running:
        settings = initialise(
            self.folder / key, name=f"Clinic {key.upper()}", role="site", mode="demo",
            public_url=f"http://127.0.0.1:{public}", management_url=f"http://127.0.0.1:{management}",
        )  # fmt: skip
        if key == "d":
            with (settings.home / "connector.toml").open("a", encoding="utf-8") as file:
                file.write(f'public_listen = "127.0.0.1:{free_ports(1)[0]}"\n')
        return start(Actor(key, settings.name, "site"), settings)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/authority", timeout=2, trust_env=False).is_success
        except (httpx.TransportError, ValueError):
            return False

    def _up(self, site: Running) -> bool:
        try:
            return httpx.get(f"{site.settings.management_url}/management", timeout=2, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def act(self, act: str, **value: Any) -> Any:
        return call_remote(self._management, self.token, act, value)

    def call(self, key: str, operation: str, value: dict[str, Any] | None = None) -> Any:
        site = self.sites[key]
        return call_remote(site.settings.management_url, site.token, operation, value)

    def invite(self, key: str) -> dict[str, Any]:
        settings: Settings = self.sites[key].settings
        made: dict[str, Any] = self.act(
            "authority/invite", address=settings.public_url, role="site", name=settings.name
        )
        return made

    def refused(self, key: str, invitation: dict[str, Any], number: int) -> str:
        with pytest.raises(RemoteError) as caught:
            self.call(key, "site/join", {"invitation": invitation})
        assert caught.value.message.startswith(f"step {number} of {len(STEPS)} ({STEPS[number - 1]}): ")
        assert caught.value.fix
        return caught.value.message

    def close(self) -> None:
        stop(list(self.sites.values()))
        self.process.terminate()
        self.process.wait(timeout=15)
        self.between.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("space"))
    yield made
    made.close()


def _later(_path: str, value: Any) -> Any:
    return value | {"time": "2031-01-01T00:00:00.000000Z"} if "time" in value else value


def _forged_credential(path: str, value: Any) -> Any:
    if path == "/authority/join" and "credentials" in value:
        value["credentials"][0]["document"]["validUntil"] = "2099-01-01T00:00:00Z"
    return value


def _forged_list(path: str, value: Any) -> Any:
    if path == "/authority/join" and "members" in value:
        value["members"]["credentialSubject"]["version"] += 1
    return value


@pytest.mark.timeout(600)
def test_a_data_space_from_its_first_invitation_to_the_last_departure(world: World) -> None:
    invitation = world.invite("a")
    for number, changes in (
        (1, {"code": 7}),
        (2, {"address": "http://127.0.0.1:1"}),
        (3, {"expires": "2020-01-01T00:00:00Z"}),
        (4, {"authority_url": "http://127.0.0.1:1"}),
        (5, {"space": "Another space"}),
    ):
        world.refused("a", invitation | changes, number)
    for number, meddle in ((6, _later), (9, _forged_credential), (10, _forged_list)):
        world.between.meddle = meddle
        world.refused("a", invitation, number)
        world.between.meddle = lambda _path, value: value
    withdrawn = world.invite("b")
    world.act("authority/withdraw", invitation=withdrawn["invitation"], reason="sent to the wrong office")
    assert "withdrawn" in world.refused("b", withdrawn, 7)
    assert "did.json" in world.refused("d", world.invite("d"), 8)

    world.call("a", "site/join", {"invitation": invitation})
    for key in "bc":
        world.call(key, "site/join", {"invitation": world.invite(key)})
    for key in "abc":
        seen = until(partial(world.call, key, "site/status"), lambda s: len(s["membersSee"]) == 2, 30)
        assert seen["authoritySees"]["state"] == "active"
        assert all(view["knowsUs"] for view in seen["membersSee"]), seen["membersSee"]

    _rotation_under_traffic(world)

    suspended = world.sites["b"].did
    world.act("authority/suspend", about=suspended, reason="its machine is being examined")
    until(lambda: [v["name"] for v in world.call("a", "site/status")["membersSee"]], lambda n: n == ["Clinic C"], 30)
    assert world.call("b", "site/status")["authoritySees"]["state"] == "suspended"
    world.act("authority/reinstate", about=suspended, reason="nothing was found")
    until(lambda: world.call("a", "site/status")["membersSee"], lambda views: len(views) == 2, 30)

    left = world.call("c", "site/leave", {"reason": "the study has ended"})
    assert left["state"] == "left"
    until(lambda: [v["name"] for v in world.call("a", "site/status")["membersSee"]], lambda n: n == ["Clinic B"], 30)
    rows = {row["check"]: row["status"] for row in world.call("a", "doctor/check")}
    assert rows["membership"] == rows["credentials"] == rows["peers"] == rows["did document"] == "ok", rows
    listed = world.act("authority/list")
    assert sorted(m["state"] for m in listed["members"]) == ["active", "active", "left"]
    assert sum(each["state"] == "revoked" for each in listed["credentials"]) == 2


def _rotation_under_traffic(world: World) -> None:
    """Every call between two live connectors is answered while one of them replaces its key."""
    failures: list[Any] = []
    calls = 0
    ending = threading.Event()

    def talk() -> None:
        nonlocal calls
        while not ending.is_set():
            seen = world.call("a", "site/status")["membersSee"]
            calls += 1
            failures.extend(view for view in seen if not view["knowsUs"])

    # A connector asks anew for an unknown key unless its copy is younger than 30 seconds: a notice of 35 is enough.
    talker = threading.Thread(target=talk)
    talker.start()
    rotated = world.call("a", "key/rotate", {"purpose": "assertion", "reason": "a year old", "notice_seconds": 35})
    assert rotated["new"].endswith("#assertion-2")
    until(lambda: world.call("a", "key/list"), lambda keys: keys[-1]["signs"], 60)
    before = calls
    until(lambda: calls, lambda now: now >= before + 5, 30)
    ending.set()
    talker.join(timeout=30)
    assert not failures, failures[0]
