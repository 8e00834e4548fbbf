"""Hospitals and a hub in this process that reach each other over HTTP; what reaches the hub is recorded at its door."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from synthema.assembly import Connector, initialise
from synthema.clock import SystemClock
from synthema.config import Peer, did_web, load_settings
from synthema.demo import house as demo
from synthema.demo.patients import HospitalData, hospital_data
from synthema.web.public import public_app
from tests.e2e.house import House
from tests.e2e.space import settle, settle_hub, synthesis
from tests.unit.dataspace.world import listener, serving, url_of


class Shifted(SystemClock):
    """The time of day, moved on by tests for everybody."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that reached the hub."""

    method: str
    path: str
    headers: bytes
    body: bytes


class Recorder:
    """Stands before an application and keeps what it is asked, whole."""

    def __init__(self, app: Any) -> None:
        self.heard: list[Asked] = []
        self._app = app
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken: list[bytes] = []

        async def listen() -> Any:
            message = await receive()
            taken.append(message.get("body", b""))
            return message

        try:
            await self._app(scope, listen, send)
        finally:
            said = b"\n".join(name + b": " + value for name, value in scope["headers"])
            path = scope["path"] + "?" + scope["query_string"].decode()
            with self._lock:
                self.heard.append(Asked(scope["method"], path, said, b"".join(taken)))


@dataclass
class Gathered:
    """The connectors by key, the hub's recorder, and the clock of all of them."""

    clock: Shifted
    houses: dict[str, House] = field(default_factory=dict)
    patients: dict[str, HospitalData] = field(default_factory=dict)
    recorder: Recorder = field(default_factory=lambda: Recorder(None))

    @property
    def hub(self) -> House:
        return self.houses["hub"]

    def begin(self, title: str, sites: list[str], **changes: Any) -> str:
        """Start a study over some of the hospitals; returns its id."""
        houses = [self.houses[key] for key in sites]
        study = synthesis(title, houses, 1.0) | {"tolerated_colluders": 0} | changes
        started: dict[str, str] = self.hub.call("study/start", {"study": study, "codebook": "mgus"})
        return started["study"]


@contextlib.contextmanager
def gathered(folder: Path, sites: list[str], settings: dict[str, dict[str, Any]]) -> Iterator[Gathered]:
    """A data space in which everything for a study is in force; ``settings`` are changes by key."""
    made = Gathered(Shifted())
    keys = [*sites, "hub"]
    with ExitStack() as ends:
        doors = {key: ends.enter_context(contextlib.closing(listener())) for key in keys}
        peers = {key: _peer(key, url_of(door)) for key, door in doors.items()}
        for key in keys:
            others = [peer for other, peer in peers.items() if other != key]
            home = folder / key
            initialise(
                home, name=peers[key].name, role=peers[key].role, public_url=peers[key].url,
                management_url="http://127.0.0.1:1", mode="demo", peers=others,
            )  # fmt: skip
            connector = Connector.open(load_settings(home).model_copy(update=settings.get(key, {})), made.clock)
            ends.callback(connector.close)
            app: Any = public_app(connector)
            if key == "hub":
                app = made.recorder = Recorder(app)
            ends.enter_context(serving(app, doors[key]))
            made.houses[key] = House(connector)
        _settle(made, sites)
        yield made


def _peer(key: str, url: str) -> Peer:
    return Peer(did=did_web(url), url=url, role="hub" if key == "hub" else "site", name=f"The {key}")


def _settle(made: Gathered, sites: list[str]) -> None:
    for key, brought in zip(sites, hospital_data((1,) * len(sites)), strict=True):
        house, made.patients[key] = made.houses[key], brought
        house.signatories = [house._register("dpo"), house._register("data steward")]
        settle(house, brought, made.hub.did, demo.BUDGET, made.clock.now())
    made.hub.signatories = [made.hub._register("dpo"), made.hub._register("data steward")]
    settle_hub(made.hub)
