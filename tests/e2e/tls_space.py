"""A data space of five hospitals and a hub, each a process of its own that the others reach over TLS only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synthema.clock import SystemClock
from synthema.config import load_settings
from synthema.demo import house as demo
from synthema.demo.house import House
from synthema.demo.patients import HospitalData
from synthema.demo.processes import Actor, Running, free_ports, prepare, stop, wait_until_up
from tests.databases import put_migrated
from tests.e2e.space import HUB, Space, _add_settings, settle, settle_hub
from tests.e2e.tls import Authority, TlsWire
from tests.forked import start

FIVE = [Actor(f"hospital-{letter}", f"Hospital {letter.upper()}", "site") for letter in "abcde"]


class TlsSpace(Space):
    """Five hospitals and a hub; ``wire`` has heard everything that passed between them."""

    def __init__(self, folder: Path, environments: Mapping[str, Mapping[str, str]], **settings: Any) -> None:
        authority = Authority(folder / "authority")
        self.wire = TlsWire(authority.server())
        self._inner: dict[str, str] = {}
        actors = [*FIVE, HUB]
        made = prepare(actors, folder)
        for (key, own), port in zip(made.items(), free_ports(len(made)), strict=True):
            self._inner[key] = f"http://127.0.0.1:{port}"
            _speak_tls([each.public_url for each in made.values()], own.home / "connector.toml")
            listening = {"public_listen": f"127.0.0.1:{port}", "trusted_authorities": str(authority.file)}
            _add_settings(own.home / "connector.toml", settings | listening)
            put_migrated(own.home / "state.sqlite")
            self.wire.listen(urlsplit(own.public_url).port or 0, port)
        self.settings = {key: load_settings(own.home) for key, own in made.items()}
        running = {a.key: start(a, self.settings[a.key], environments.get(a.key)) for a in actors}
        self.houses = {}
        try:
            for key, connector in running.items():
                self._wait(connector)
                self.houses[key] = House(connector)
        except BaseException:
            stop(list(running.values()))
            self.wire.close()
            raise

    @property
    def sites(self) -> list[House]:
        return [self.houses[actor.key] for actor in FIVE]

    def _wait(self, connector: Running) -> None:
        """Wait where the proxy reaches a connector: the authority is the house's own."""
        inner = connector.settings.model_copy(update={"public_url": self._inner[connector.actor.key]})
        wait_until_up(replace(connector, settings=inner))


def _speak_tls(urls: list[str], path: Path) -> None:
    """Make every public address in a settings file an https one."""
    text = path.read_text(encoding="utf-8")
    for url in urls:
        text = re.sub(rf"{re.escape(url)}(?=[\"/])", url.replace("http:", "https:"), text)
    path.write_text(text, encoding="utf-8")


@contextmanager
def tls_space(
    folder: Path, data: list[HospitalData], environments: Mapping[str, Mapping[str, str]], **settings: Any
) -> Iterator[TlsSpace]:
    """Five hospitals and a hub in which everything for a study is in force."""
    space = TlsSpace(folder, environments, **settings)
    try:
        for house, brought in zip(space.sites, data, strict=True):
            settle(house, brought, space.hub.did, demo.BUDGET, SystemClock().now())
        settle_hub(space.hub)
        yield space
    finally:
        stop([house.running for house in space.houses.values()])
        space.wire.close()
