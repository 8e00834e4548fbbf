"""Starts the demo's connectors as separate processes and stops them cleanly."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from synthema.assembly.setup import MANAGEMENT_TOKEN, initialise
from synthema.config import Peer, Role, Settings, did_web
from synthema.errors import PeerError

START_SECONDS = 60
PORTS = range(20_000, 32_000)
_turn = itertools.count(os.getpid() * 7_417)  # processes that run side by side begin far from each other


@dataclass(frozen=True, slots=True)
class Actor:
    """One organisation of the story."""

    key: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Running:
    """A connector that answers."""

    actor: Actor
    settings: Settings
    process: subprocess.Popen[bytes]
    token: str

    @property
    def did(self) -> str:
        return self.settings.did


def free_ports(count: int) -> list[int]:
    """Port numbers that are free now on loopback; a process is never given the same one twice.

    They lie below the range from which systems give ports to outgoing
    connections, so that none is taken before its connector has started.
    """
    found: list[int] = []
    for _ in PORTS:
        port = PORTS[next(_turn) % len(PORTS)]
        with socket.socket() as each:
            try:
                each.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise PeerError("there are no free ports on this machine", fix="end what occupies them")


def prepare(actors: list[Actor], folder: Path) -> dict[str, Settings]:
    """Make a home for each actor; each knows the others as its peers."""
    ports = free_ports(2 * len(actors))
    urls = {
        actor.key: (f"http://127.0.0.1:{ports[2 * i]}", f"http://127.0.0.1:{ports[2 * i + 1]}")
        for i, actor in enumerate(actors)
    }
    peers = {a.key: Peer(did=did_web(urls[a.key][0]), url=urls[a.key][0], role=a.role, name=a.name) for a in actors}
    return {
        actor.key: initialise(
            folder / actor.key,
            name=actor.name,
            role=actor.role,
            public_url=urls[actor.key][0],
            management_url=urls[actor.key][1],
            mode="demo",
            peers=[peer for key, peer in peers.items() if key != actor.key],
        )
        for actor in actors
    }


@contextmanager
def running(actors: list[Actor], settings: dict[str, Settings]) -> Iterator[dict[str, Running]]:
    """Start all connectors, give them once they answer, and stop them at the end."""
    started: dict[str, Running] = {}
    try:
        for actor in actors:
            started[actor.key] = start(actor, settings[actor.key])
        for connector in started.values():
            wait_until_up(connector)
        yield started
    finally:
        stop(list(started.values()))


def start(actor: Actor, settings: Settings, environment: Mapping[str, str] | None = None) -> Running:
    """Start one connector without waiting for it; ``environment`` is added to this process's own."""
    log = (settings.home / "server.log").open("ab")
    # Numeric libraries would each start a thread per core; five connectors share two.
    modest = {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "synthema.cli.main", "serve", "--home", str(settings.home)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ, **modest, **(environment or {})},
        start_new_session=True,
    )
    log.close()
    return Running(actor, settings, process, (settings.home / MANAGEMENT_TOKEN).read_text())


def wait_until_up(connector: Running) -> None:
    """Return once both addresses of a connector answer; raises :class:`PeerError` when it ends, or does not come up."""
    settings = connector.settings
    waiting = [f"{settings.public_url}/.well-known/dspace-version", f"{settings.management_url}/management"]
    end = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=2, trust_env=False) as http:
        while waiting and time.monotonic() < end and connector.process.poll() is None:
            try:
                if http.get(waiting[0]).status_code == httpx.codes.OK:
                    waiting.pop(0)
                    continue
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    if waiting or connector.process.poll() is not None:
        log = (settings.home / "server.log").read_text(errors="replace")[-2000:]
        raise PeerError(f"{connector.actor.name} did not start: {log}", fix="look at server.log in its home folder")


def stop(connectors: list[Running]) -> None:
    """Ask each process to end, and end it if it does not."""
    for connector in connectors:
        if connector.process.poll() is None:
            connector.process.send_signal(signal.SIGTERM)
    for connector in connectors:
        try:
            connector.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            connector.process.kill()
            connector.process.wait()
