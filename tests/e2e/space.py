"""A data space of connector processes on loopback whose members can be killed and started again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from synthema.clock import SystemClock
from synthema.demo import house as demo
from synthema.demo.house import DATASET, House
from synthema.demo.patients import HospitalData
from synthema.demo.processes import Actor, Running, prepare, stop, wait_until_up
from synthema.demo.scenes import FIELDS, THRESHOLDS
from tests.databases import put_migrated
from tests.e2e.house import bring_patients
from tests.forked import start
from tests.waiting import until

SITES = [Actor(f"hospital-{letter}", f"Hospital {letter.upper()}", "site") for letter in "abc"]
HUB = Actor("hub", "Coordinating hub", "hub")
REGISTRY = Actor("registry", "Disease registry", "registry")
PAUSE = 0.2  # what has ended stays so: looking more often only takes time from who works
FINAL_STUDY = ("released", "refused", "stopped", "failed")
FINAL_RUN = ("released", "denied", "stopped", "failed")


class Space:
    """Three hospitals and a hub, each a process of its own; ``houses`` by key."""

    def __init__(self, folder: Path, others: Sequence[Actor] = (), **settings: float | str) -> None:
        actors = [*SITES, HUB, *others]
        self.settings = prepare(actors, folder)
        for own in self.settings.values():
            _add_settings(own.home / "connector.toml", settings)
            put_migrated(own.home / "state.sqlite")
        running = {actor.key: start(actor, self.settings[actor.key]) for actor in actors}
        self.houses: dict[str, House] = {}
        try:
            for key, connector in running.items():
                wait_until_up(connector)
                self.houses[key] = House(connector)
        except BaseException:
            stop(list(running.values()))
            raise

    @property
    def hub(self) -> House:
        return self.houses["hub"]

    @property
    def sites(self) -> list[House]:
        return [self.houses[actor.key] for actor in SITES]

    @property
    def registry(self) -> House:
        return self.houses[REGISTRY.key]

    def kill(self, key: str) -> None:
        """End a connector as a power cut would, and see that the plugins it ran end with it."""
        process = self.houses[key].running.process
        helpers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(timeout=10)
        _, alive = psutil.wait_procs(helpers, timeout=10)
        assert alive == [], f"processes of {key} outlived it"

    def restart(self, key: str, environment: Mapping[str, str] | None = None) -> House:
        """Start a connector on the home it had; it is stopped first if it runs."""
        house = self.houses[key]
        stop([house.running])
        house.running = start(house.running.actor, house.running.settings, environment)
        self._wait(house.running)
        return house

    def _wait(self, connector: Running) -> None:
        wait_until_up(connector)

    def begin(self, title: str, codebook: str = "mgus", epsilon: float = 1.0, **changes: Any) -> str:
        """Start a study over all hospitals, of which three are enough; returns its id."""
        study = synthesis(title, self.sites, epsilon) | changes
        started: dict[str, str] = self.hub.call("study/start", {"study": study, "codebook": codebook})
        return started["study"]

    def study(self, identifier: str) -> dict[str, Any]:
        """A study as the hub tells it."""
        found: dict[str, Any] = self.hub.call("study/show", {"study": identifier})
        return found

    def rounds(self, identifier: str) -> int:
        """How many rounds the hub has opened."""
        return len(self.hub.call("study/rounds", {"study": identifier}))

    def reaches(self, identifier: str, there: Callable[[], bool], seconds: float) -> None:
        """Return as soon as a study is there; fails when it ends before, or takes longer."""
        end = time.monotonic() + seconds
        while not there():
            study = self.study(identifier)
            assert study["state"] not in FINAL_STUDY, study["reason"]
            assert time.monotonic() < end, f"not within {seconds:g} s: {study['state']}"
            time.sleep(0.05)

    def ended(self, identifier: str, seconds: float) -> dict[str, Any]:
        """A study once it has ended; fails when it has not in this time."""
        found: dict[str, Any] = until(
            lambda: self.study(identifier), lambda study: study["state"] in FINAL_STUDY, seconds, PAUSE
        )
        return found


def run_of(house: House, study: str, action: str = "synthesise") -> dict[str, Any]:
    """The run by which a site takes part in a study."""
    runs = [run for run in house.call("request/list") if run["study"] == study and run["action"] == action]
    assert len(runs) == 1, runs
    found: dict[str, Any] = runs[0]
    return found


def ended_run(house: House, study: str, seconds: float = 30, action: str = "synthesise") -> dict[str, Any]:
    """That run once it has ended."""
    found: dict[str, Any] = until(
        lambda: run_of(house, study, action), lambda run: run["state"] in FINAL_RUN, seconds, PAUSE
    )
    return found


def log_text(house: House) -> str:
    """Everything in a site's log."""
    text: str = house.call("log/export")["nquads"]
    return text


def spent(house: House) -> float:
    """What the agreement with the hub has cost a site so far, as ε."""
    return float(sum(gauge["spent"] for gauge in house.call("budget/show") if gauge["basis"]))


@contextmanager
def data_space(
    folder: Path,
    data: list[HospitalData],
    others: Sequence[Actor] = (),
    budget: float = demo.BUDGET,
    **settings: float | str,
) -> Iterator[Space]:
    """A data space in which everything for a study is in force; ``budget`` is what an agreement may spend."""
    space = Space(folder, others, **settings)
    try:
        for house, brought in zip(space.sites, data, strict=True):
            settle(house, brought, space.hub.did, budget, SystemClock().now())
        settle_hub(space.hub)
        yield space
    finally:
        stop([house.running for house in space.houses.values()])


def synthesis(title: str, sites: Sequence[House], epsilon: float) -> dict[str, Any]:
    """A study that ends in synthetic rows, as a researcher would write it."""
    return {
        "title": title,
        "codebook": "mgus",
        "purpose": "ehds:HealthcareScientificResearch",
        "action": "synthesise",
        "sites": [{"did": house.did, "dataset": DATASET} for house in sites],
        "fields": list(FIELDS),
        "anonymiser": {"plugin": "minimise", "parameters": {"band": ["age"], "k": 5, "small_classes": "refuse"}},
        "algorithm": {"plugin": "marginals"},
        "evaluators": [{"plugin": "evaluation"}],
        "privacy": {"epsilon": epsilon, "delta": demo.DELTA},
        "rounds": 3,
        "minimum_sites": 3,
        "holdout": 0.25,
        "rows": 200,
    }


def settle(house: House, brought: HospitalData, hub: str, budget: float, now: datetime) -> None:
    """Have a hospital take in its patients and put everything in force for studies of a hub."""
    bring_patients(house, brought, f"MGUS cohort of {house.name}")
    house.approve_plugins()
    house.activate_policy(demo.site_policy(house), "site.yaml")
    house.activate_policy(demo.dataset_policy(house), "dataset.yaml")
    house.activate_assessment(THRESHOLDS)
    house.call(
        "offer/publish",
        {
            "dataset": DATASET,
            "policy": demo.offer_policy(house, hub, now),
            "epsilon": budget,
            "delta": demo.DELTA,
            "total_epsilon": budget,
        },
    )


def settle_hub(hub: House) -> None:
    """Put everything in force at a hub for studies that end in synthetic rows."""
    hub.approve_plugins()
    hub.activate_policy(demo.release_policy(hub, THRESHOLDS), "release.yaml")
    hub.activate_policy(demo.released_data_policy(hub), "released.yaml")


def _add_settings(path: Path, values: Mapping[str, float | str]) -> None:
    """Put settings before the first table of a settings file."""
    head, table, tables = path.read_text(encoding="utf-8").partition("\n[[")
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    path.write_text(f"{head.rstrip()}\n{lines}{table}{tables}", encoding="utf-8")
