"""A data space on loopback in this process: an authority and connectors that answer over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from synthema.assembly import Connector, find_operation
from synthema.assembly.joining.acts import perform
from synthema.assembly.joining.authority import Authority
from synthema.assembly.joining.home import initialise_authority
from synthema.assembly.setup import initialise
from synthema.clock import FixedClock
from synthema.config import Role, Settings
from synthema.demo.processes import free_ports
from synthema.web.authority import authority_app
from synthema.web.listening import server
from synthema.web.public import public_app


class Served:
    """An application that answers at an address until it is stopped."""

    def __init__(self, app: FastAPI, url: str) -> None:
        parts = urlsplit(url)
        self._server = server(app, parts.hostname or "", parts.port or 0)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < end, f"nothing answers at {url}"
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)


@dataclass
class Site:
    """A connector with its public application."""

    connector: Connector
    web: Served | None = None

    @property
    def did(self) -> str:
        return self.connector.settings.did

    @property
    def url(self) -> str:
        return self.connector.settings.public_url

    def call(self, operation: str, value: dict[str, Any] | None = None) -> Any:
        return find_operation(operation).call(self.connector, value or {})

    def knows(self, other: Site) -> bool:
        return other.did in self.connector.parties

    def steps(self) -> str:
        """Everything in this connector's log."""
        return "".join(entry.body.decode() for entry in self.connector.log.entries(limit=1000))

    def serve(self) -> None:
        self.web = Served(public_app(self.connector), self.url)

    def go_silent(self) -> None:
        if self.web is not None:
            self.web.stop()
            self.web = None


@dataclass
class Space:
    """An authority and its sites; each has the clock it is given."""

    folder: Path
    clock: FixedClock
    authority_clock: FixedClock
    authority: Authority
    web: Served
    sites: dict[str, Site] = field(default_factory=dict)

    def act(self, act: str, **value: Any) -> Any:
        return perform(self.authority, act, value)

    def site(self, key: str, role: Role = "site") -> Site:
        """A connector that is served and belongs to no data space yet."""
        public, management = free_ports(2)
        settings = initialise(
            self.folder / key, name=f"Clinic {key.upper()}", role=role, mode="demo",
            public_url=f"http://127.0.0.1:{public}", management_url=f"http://127.0.0.1:{management}",
        )  # fmt: skip
        site = self.open(settings)
        self.sites[key] = site
        return site

    def open(self, settings: Settings) -> Site:
        site = Site(Connector.open(settings, self.clock))
        site.serve()
        return site

    def invite(self, site: Site, **changes: Any) -> dict[str, Any]:
        settings = site.connector.settings
        value = {"address": settings.public_url, "role": settings.role, "name": settings.name}
        made: dict[str, Any] = self.act("authority/invite", **(value | changes))
        return made

    def member(self, key: str, role: Role = "site") -> Site:
        """A connector that has joined."""
        site = self.site(key, role)
        site.call("site/join", {"invitation": self.invite(site)})
        return site

    def states(self) -> dict[str, str]:
        return {member["name"]: member["state"] for member in self.act("authority/list")["members"]}

    def close(self) -> None:
        for site in self.sites.values():
            site.go_silent()
            site.connector.close()
        self.web.stop()
        self.authority.close()


@contextmanager
def data_space(folder: Path, clock: FixedClock) -> Iterator[Space]:
    """An authority that is served; sites are added to it."""
    public, management = free_ports(2)
    settings = initialise_authority(
        folder / "authority", name="Rare blood diseases", mode="demo",
        public_url=f"http://127.0.0.1:{public}", management_url=f"http://127.0.0.1:{management}",
    )  # fmt: skip
    own = FixedClock(clock.now())
    authority = Authority.open(settings, own)
    space = Space(folder, clock, own, authority, Served(authority_app(authority), settings.public_url))
    try:
        yield space
    finally:
        space.close()
