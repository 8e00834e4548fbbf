"""The data space: negotiations from end to end between two connectors, and a catalogue of 10,000 offers.

Each connector is a process of its own; both speak real HTTP on loopback and keep their state on disk. A negotiation is
four messages, each with a token of its own that is checked and spent, a step in each side's provenance log, and a
state that survives a crash. The peer (:mod:`bare_negotiations`) is what one would write in an afternoon: FastAPI,
pydantic, and SQLite with a commit for each message, without any of that. It shows what all this costs.

What groups of commits save depends on what a disk flush costs. It is measured on this machine's disk, and with
3 milliseconds added to each commit of either side, which stands for a disk that really flushes.
Run it alone: ``python -m tests.benchmarks dataspace``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event, func, select

from synthema.dataspace import store
from synthema.dataspace.catalogue import Offers
from synthema.dataspace.messages import CatalogRequestMessage
from synthema.dataspace.policy_wire import to_wire
from tests.benchmarks import bare_catalogue
from tests.benchmarks import bare_negotiations as bare
from tests.unit.dataspace import world
from tests.unit.offers.market import market

ROOT = Path(__file__).parents[2]
NEGOTIATIONS = 100
WARM_UP = 20
AT_ONCE = 8
PATIENCE = 120.0
NEGOTIATIONS_GOAL = 0.2
OFFERS = 10_000
PAGES_GOAL = 0.2
GROWTH_GOAL = 12.0


def run() -> Iterator[dict[str, Any]]:
    """Negotiations per second, the pages of the catalogue per second, and how it grows."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _catalogue(Path(folder))
        yield from _negotiations(Path(folder))


def _line(name: str, ours: float, peer: float, goal: float | None, unit: str) -> dict[str, Any]:
    digits = 1 if unit.endswith("/s") else 3
    return {
        "name": name,
        "ours": round(ours, digits),
        "peer": round(peer, digits),
        "ratio": round(ours / peer, 2),
        "goal": goal,
        "unit": unit,
    }


# --- negotiations


def _negotiations(folder: Path) -> Iterator[dict[str, Any]]:
    versus = "durable, proven and logged, vs. bare FastAPI, pydantic and SQLite"
    for disk, added in (("each commit made to last 3 ms longer", 0.003), ("this disk", 0.0)):
        home = folder / disk.replace(" ", "-")
        home.mkdir()
        ours, peer = _ours(home, added), _bare(home, added)
        name = f"negotiations between two connectors, {versus}, {disk}"
        yield _line(name, ours, peer, NEGOTIATIONS_GOAL if added else None, "negotiations/s")


def _ours(folder: Path, added: float) -> float:
    """Negotiations per second between two connectors, each commit taking so many seconds more."""
    with world.listener() as one, world.listener() as two:
        urls = world.url_of(one), world.url_of(two)
        hub = world.make_node(world.settings_for(folder / "hub", "hub", urls[1], [("hospital", urls[0], "site")]))
        _slow_down(hub, added)
        arguments = [str(folder / "hospital"), str(one.fileno()), *urls, str(added)]
        with _child("tests.benchmarks.bench_dataspace", arguments, one), world.running(hub, two):
            hospital = hub.settings.peers[0].did
            offer = hub.dataspace.dataset_of(hospital, world.DATASET)["hasPolicy"][0]

            def open_one() -> None:
                hub.dataspace.request_contract(hospital, world.DATASET, offer)

            return _rate(open_one, lambda: _agreements(hub))


def main() -> None:
    """The hospital in a process of its own: home, descriptor of its socket, both addresses, seconds a commit."""
    home, descriptor, own, other, added = sys.argv[1:]
    node = world.make_node(world.settings_for(Path(home), "hospital", own, [("hub", other, "hub")]))
    _slow_down(node, float(added))
    with world.running(node, socket.socket(fileno=int(descriptor))):
        while True:
            time.sleep(1)


def _slow_down(node: world.Node, added: float) -> None:
    if added:
        event.listen(node.database._writing, "commit", lambda _connection: time.sleep(added))


def _agreements(node: world.Node) -> int:
    with node.database.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(store.agreements)) or 0)


def _bare(folder: Path, added: float) -> float:
    """Negotiations per second of the peer, as :func:`_ours`."""
    offer = {
        "@id": world.OFFER,
        "@type": "Offer",
        "target": world.DATASET,
        **to_wire(world.POLICY, world.DATASET),
    }
    with world.listener() as one, world.listener() as two:
        urls = world.url_of(one), world.url_of(two)
        side = bare.Side(folder / "consumer.sqlite", urls[0], added)
        arguments = [str(folder / "provider.sqlite"), str(one.fileno()), urls[1], str(added)]
        with _child("tests.benchmarks.bare_negotiations", arguments, one), world.serving(bare.consumer(side), two):
            return _rate(lambda: bare.request(side, urls[1], offer), side.finalised)


def _rate(open_one: Callable[[], None], done: Callable[[], int]) -> float:
    """Open many negotiations, some at once, and wait for all; how many a second, after some to warm up."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seconds = 0.0
        for number, total in ((WARM_UP, WARM_UP), (NEGOTIATIONS, WARM_UP + NEGOTIATIONS)):
            began = time.perf_counter()
            for opened in [pool.submit(open_one) for _ in range(number)]:
                opened.result()
            while done() < total:
                if time.perf_counter() - began > PATIENCE:
                    raise TimeoutError(f"{done()} of {total} negotiations came to their end")
                time.sleep(0.005)
            seconds = time.perf_counter() - began
    return NEGOTIATIONS / seconds


@contextlib.contextmanager
def _child(module: str, arguments: list[str], listening: socket.socket) -> Iterator[None]:
    """The other side in a process of its own, while the block runs; what is sent before it listens waits."""
    os.set_inheritable(listening.fileno(), True)
    listening.listen(128)
    command = [sys.executable, "-c", f"from {module} import main; main()", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()])
    try:
        yield
    finally:
        process.kill()
        process.wait()


# --- the catalogue


def _catalogue(folder: Path) -> Iterator[dict[str, Any]]:
    (_, small), _ = _whole_catalogue(folder / "small", OFFERS // 10)
    (large, work), (bare_large, _) = _whole_catalogue(folder / "large", OFFERS)
    pages = OFFERS / bare_catalogue.PAGE
    name = f"catalogue of {OFFERS:,} offers, by pages of {bare_catalogue.PAGE}, filtered by policy for a proven caller"
    versus = "vs. bare FastAPI, pydantic and SQLite"
    yield _line(f"{name}, {versus}", pages / large, pages / bare_large, PAGES_GOAL, "pages/s")
    yield _line(
        f"all of a catalogue of {OFFERS:,} offers vs. one of {OFFERS // 10:,}", work, small, GROWTH_GOAL, "CPU s"
    )


Times = tuple[float, float]


def _whole_catalogue(folder: Path, count: int) -> tuple[Times, Times]:
    """Seconds for reading all pages over HTTP, after a first time: ours, and the peer's with the same datasets.

    By the clock, and of processor time.
    """
    with market(folder / "market") as shop, world.listener() as one, world.listener() as two:
        shop.put(count)
        urls = world.url_of(one), world.url_of(two)
        hub = world.make_node(world.settings_for(folder / "hub", "hub", urls[1], [("hospital", urls[0], "site")]))
        site = world.make_node(world.settings_for(folder / "site", "hospital", urls[0], [("hub", urls[1], "hub")]))
        settings = site.settings
        site.dataspace.offers = Offers(
            shop.shelf, settings.public_url, settings.did, settings.name, site.dataspace.caller_of
        )
        with world.running(site, one), world.running(hub, two):
            found = hub.dataspace.catalogue_of(settings.did)
            _require(len(found), count)
            ours = _seconds(lambda: _our_pages(hub, settings.did), count)
        app = bare_catalogue.catalogue(folder / "bare.sqlite", found)
    with world.listener() as three, world.serving(app, three):
        return ours, _seconds(lambda: _all_pages(world.url_of(three)), count)


def _our_pages(hub: world.Node, peer: str) -> int:
    """Read our catalogue to its end, keeping nothing; how many datasets there were."""
    path: str | None = f"{hub.dataspace.base_of(peer)}/catalog/request"
    count = 0
    while path is not None:
        page, path = hub.peers.post_page(peer, path, CatalogRequestMessage().wire())
        count += len(page["dataset"])
    return count


def _all_pages(url: str) -> int:
    """Read the peer's catalogue to its end; how many datasets there were."""
    after: str | None = ""
    count = 0
    with httpx.Client(timeout=30, trust_env=False) as http:
        while after is not None:
            answer = http.post(f"{url}/catalog", params={"after": after}, json=CatalogRequestMessage().wire()).json()
            count += len(answer["dataset"])
            after = answer["following"]
    return count


def _seconds(read: Callable[[], int], expected: int) -> Times:
    """The shorter of two readings, by the clock and of processor time (which others' work does not stretch)."""
    clock, work = [], []
    for _ in range(2):
        began, worked = time.perf_counter(), time.process_time()
        _require(read(), expected)
        clock.append(time.perf_counter() - began)
        work.append(time.process_time() - worked)
    return min(clock), min(work)


def _require(found: int, expected: int) -> None:
    if found != expected:
        raise ArithmeticError(f"the catalogue showed {found} of {expected} datasets")
