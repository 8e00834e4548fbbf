"""A study of five whole connectors over TLS: one is killed, one is slow, one is hostile, and the others finish.

Not among the tests of every day, since it starts six connectors and sets up five hospitals:
``pytest tests/e2e/five_connectors.py``. The rounds alone, with the same misbehaviour: ``test_study_five_sites.py``.

Each site and the hub is a process of its own behind a proxy that ends TLS, with certificates of an authority of
the house's own. The misbehaving sites are real connectors with their own keys (:mod:`tests.e2e.misbehaving`).
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scipy import stats

from synthema.assembly.setup import initialise
from synthema.config import Peer, Settings, did_web
from synthema.demo import house as demo
from synthema.demo.house import DATASET, House
from synthema.demo.patients import hospital_data
from synthema.demo.processes import START_SECONDS, Actor, free_ports, start, stop
from synthema.demo.scenes import FIELDS, THRESHOLDS
from tests.e2e.space import HUB, Space, _settle, ended_run, log_text, run_of
from tests.e2e.tls import Authority, TlsWire

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MISBEHAVING = Path(__file__).parent / "misbehaving"
FIVE = [Actor(f"hospital-{letter}", f"Hospital {letter.upper()}", "site") for letter in "abcde"]
HOW = {"hospital-c": "dies", "hospital-d": "slow", "hospital-e": "hostile"}
ANSWER_SECONDS = 25.0
PATIENCE = 400.0


class Five(Space):
    """Five hospitals and a hub behind TLS; ``wire`` hears all that passes, ``told`` holds what the hostile was told."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        self.wire = TlsWire(self.authority.server())
        self.told = folder / "told.jsonl"
        actors = [*FIVE, HUB]
        self.settings = self._prepare(actors, folder)
        self.houses: dict[str, House] = {}
        running = {actor.key: start(actor, self.settings[actor.key], self._environment(actor)) for actor in actors}
        try:
            for key, connector in running.items():
                self._wait(connector.settings)
                self.houses[key] = House(connector)
        except BaseException:
            stop(list(running.values()))
            raise

    @property
    def sites(self) -> list[House]:
        return [self.houses[actor.key] for actor in FIVE]

    def order(self) -> str:
        """Start a study over all five; returns its id."""
        study = {
            "title": "Five hospitals",
            "codebook": "mgus",
            "purpose": "ehds:HealthcareScientificResearch",
            "action": "synthesise",
            "sites": [{"did": house.did, "dataset": DATASET} for house in self.sites],
            "fields": list(FIELDS),
            "anonymiser": {"plugin": "minimise", "parameters": {"band": ["age"], "k": 5, "small_classes": "refuse"}},
            "algorithm": {"plugin": "marginals"},
            "evaluators": [{"plugin": "evaluation"}],
            "privacy": {"epsilon": 1.0, "delta": demo.DELTA},
            "rounds": 3,
            "minimum_sites": 3,
            "tolerated_colluders": 0,
            "holdout": 0.25,
            "rows": 200,
        }
        started: dict[str, str] = self.hub.call("study/start", {"study": study, "codebook": "mgus"})
        return started["study"]

    def _prepare(self, actors: list[Actor], folder: Path) -> dict[str, Settings]:
        ports = iter(free_ports(3 * len(actors)))
        urls = {actor.key: f"https://127.0.0.1:{next(ports)}" for actor in actors}
        peers = {a.key: Peer(did=did_web(urls[a.key]), url=urls[a.key], role=a.role, name=a.name) for a in actors}
        made = {}
        for actor in actors:
            own = initialise(
                folder / actor.key, name=actor.name, role=actor.role, public_url=urls[actor.key],
                management_url=f"http://127.0.0.1:{next(ports)}", mode="demo",
                peers=[peer for key, peer in peers.items() if key != actor.key],
            )  # fmt: skip
            listen = next(ports)
            _add(own.home / "connector.toml", f'public_listen = "127.0.0.1:{listen}"',
                 f'trusted_authorities = "{self.authority.file}"', f"answer_seconds = {ANSWER_SECONDS}",
                 "tolerated_colluders = 0")  # fmt: skip
            self.wire.listen(int(urls[actor.key].rpartition(":")[2]), listen)
            made[actor.key] = own
        return made

    def _environment(self, actor: Actor) -> dict[str, str]:
        if actor.key not in HOW:
            return {}
        path = os.pathsep.join([str(MISBEHAVING), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PYTHONPATH": path, "SYNTHEMA_TEST_SITE": HOW[actor.key], "SYNTHEMA_TEST_TOLD": str(self.told)}

    def _wait(self, settings: Settings) -> None:
        end = time.monotonic() + 2 * START_SECONDS
        believed = ssl.create_default_context(cafile=str(self.authority.file))
        with httpx.Client(verify=believed, trust_env=False, timeout=5) as client:
            while time.monotonic() < end:
                try:
                    if client.get(f"{settings.public_url}/.well-known/dspace-version").is_success:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
        raise AssertionError((settings.home / "server.log").read_text()[-2000:])


def _add(path: Path, *lines: str) -> None:
    head, table, tables = path.read_text(encoding="utf-8").partition("\n[[")
    path.write_text("\n".join([head.rstrip(), *lines]) + f"\n{table}{tables}", encoding="utf-8")


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Five]:
    made = Five(tmp_path_factory.mktemp("five"))
    try:
        for house, brought in zip(made.sites, hospital_data((1, 1, 1, 1, 1)), strict=True):
            _settle(house, brought, made.hub.did, demo.BUDGET)
        made.hub.approve_plugins()
        made.hub.activate_policy(demo.release_policy(made.hub, THRESHOLDS), "release.yaml")
        made.hub.activate_policy(demo.released_data_policy(made.hub), "released.yaml")
        yield made
    finally:
        stop([house.running for house in made.houses.values()])
        made.wire.close()


@pytest.mark.article("GDPR 32(1)")
def test_one_killed_one_slow_one_hostile_and_the_rest_finish(five: Five) -> None:
    honest = [five.houses[key] for key in ("hospital-a", "hospital-b", "hospital-d")]
    study = five.order()
    end = time.monotonic() + PATIENCE
    while (seen := five.study(study))["candidate"] is None:
        assert seen["state"] not in ("refused", "failed"), seen["reason"]
        assert time.monotonic() < end, seen
        time.sleep(0.5)

    _the_wire_is_tls(five)
    rounds = five.hub.call("study/rounds", {"study": study})
    _the_dead_and_the_slow(five, rounds, honest, study)
    _the_hostile_was_refused(five, rounds)
    _single_vectors_look_uniform(five, study, rounds)
    assert "hospital" not in json.dumps([event for event in seen["events"] if event["kind"] == "quarantine"])


def _the_wire_is_tls(five: Five) -> None:
    """Who does not trust the house's authority does not get through, and nothing is spoken in the clear."""
    url = f"{five.hub.running.settings.public_url}/.well-known/dspace-version"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False, timeout=10)
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https:", "http:"), trust_env=False, timeout=10)
    assert b"/federation/studies/" in five.wire.heard()


def _the_dead_and_the_slow(five: Five, rounds: list[dict[str, Any]], honest: list[House], study: str) -> None:
    dead, slow = five.houses["hospital-c"], five.houses["hospital-d"]
    assert dead.running.process.poll() is not None
    for each in rounds:
        assert dead.did not in each["survivors"]
        assert slow.did in each["survivors"], "slow is not gone"
        assert {house.did for house in honest} <= set(each["survivors"])
    assert rounds[0]["dropped"] == [dead.did]
    for house in honest:
        assert ended_run(house, study)["state"] == "released"
        assert log_text(house).count("RoundUnmasking>") == len(rounds)


def _the_hostile_was_refused(five: Five, rounds: list[dict[str, Any]]) -> None:
    told = {each["what"]: each["answer"] for each in map(json.loads, five.told.read_text().splitlines())}
    reasons = {
        "wrong keys": "is not signed by",
        "another's name": "not from this site",
        "no vector": "not a .npy vector",
        "short vector": "another shape or type",
        "floats": "another shape or type",
    }
    if len(rounds) > 1:
        reasons |= {"an old round": "is not due", "a lie about survivors": "not of the agreed form"}
        assert told["the same again"] == "taken", "what was said before changes nothing, and is not an error"
    for what, reason in reasons.items():
        assert reason in told[what], (what, told[what])


def _single_vectors_look_uniform(five: Five, study: str, rounds: list[dict[str, Any]]) -> None:
    """What the hub received of one site says nothing: its bytes cannot be told from uniform ones."""
    for each in rounds:
        for did in each["survivors"]:
            came = five.hub.call("study/received", {"study": study, "round": each["round"], "site": did})
            values = np.frombuffer(base64.b64decode(came["data"]), np.uint8)
            _, chance = stats.chisquare(np.bincount(values, minlength=256))
            assert chance > 1e-6
    assert run_of(five.houses["hospital-a"], study)["study"] == study
