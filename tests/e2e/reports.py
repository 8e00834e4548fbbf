"""A data space whose studies end in reports: hospitals that permit figures together, a hub that releases them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from synthema.clock import SystemClock
from synthema.demo import house as demo
from synthema.demo.house import DATASET, House
from synthema.demo.patients import HospitalData, hospital_data
from synthema.demo.processes import stop
from synthema.policy.templates import render
from tests.e2e.house import bring_patients
from tests.e2e.space import Space

PLUGINS = ("minimise", "secure-sum", "statistics", "regression", "additive")
FIELDS = ("age", "sex", "hgb", "creat", "futime", "death")
ASSESSMENT = "federated-analysis.yaml"
SMALLEST = 10


def all_agreed() -> list[HospitalData]:
    """The demo's patients in three hospitals, every one with consent."""
    found = []
    for brought in hospital_data((50, 30, 20)):
        consents = brought.consents.replace("2026-03-01", "")
        for state in ("ConsentRefused", "ConsentWithdrawn"):
            consents = consents.replace(state, "ConsentGiven")
        found.append(replace(brought, consents=consents))
    return found


def pooled(data: list[HospitalData]) -> pl.DataFrame:
    """One table with all patients of all hospitals, as nobody in the data space can see it."""
    tables = [pl.read_csv(io.StringIO(each.table), schema_overrides={"death": pl.String}) for each in data]
    return pl.concat([table.with_columns(site=pl.lit(number)) for number, table in enumerate(tables)])


def site_policy(house: House, version: str = "1") -> str:
    """A hospital's own policy that asks for sites and patients, and for no noise."""
    return render(
        "federated-report",
        {
            "name": "federated-report",
            "title": f"Figures together with others at {house.name}",
            "version": version,
            "assigner": house.did,
            "parties": 3,
            "parties_reason": "With fewer than three sites a sum can be taken apart",
            "patients": SMALLEST,
            "patients_reason": "The bound that the registry publishes counts by",
        },
    )


def offer_policy(house: House, hub: str) -> str:
    """The agreement a hub is offered, on reports."""
    today = SystemClock().now()
    return render(
        "report-agreement",
        {
            "name": "mgus-report",
            "title": f"Agreement on reports on MGUS with {house.name}",
            "version": "1",
            "dataset": house.dataset_iri(),
            "assigner": house.did,
            "assignee": hub,
            "starts": (today - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
            "ends": (today + timedelta(days=700)).strftime("%Y-%m-%dT00:00:00Z"),
            "parties": 3,
            "patients": SMALLEST,
        },
    )


@contextmanager
def report_space(folder: Path, data: list[HospitalData], **settings: Any) -> Iterator[Space]:
    """A data space in which everything for a study that ends in a report is in force."""
    space = Space(folder, **settings)
    try:
        for house, brought in zip(space.sites, data, strict=True):
            _settle(house, brought, space.hub.did)
        _settle_hub(space.hub)
        yield space
    finally:
        stop([house.running for house in space.houses.values()])


def _settle(house: House, brought: HospitalData, hub: str) -> None:
    bring_patients(house, brought, f"MGUS cohort of {house.name}")
    house.approve_plugins(PLUGINS)
    house.activate_policy(site_policy(house), "site.yaml")
    house.activate_policy(demo.dataset_policy(house), "dataset.yaml")
    house.activate_assessment({}, ASSESSMENT)
    offer = {"epsilon": 20.0, "delta": demo.DELTA, "total_epsilon": 20.0}
    house.call("offer/publish", {"dataset": DATASET, "policy": offer_policy(house, hub), **offer})


def _settle_hub(hub: House) -> None:
    hub.approve_plugins(PLUGINS)
    words = {"name": "report-release", "title": "Release of reports", "version": "1", "assigner": hub.did}
    reason = "With fewer than three sites a sum can be taken apart"
    hub.activate_policy(render("report-release", words | {"parties": 3, "parties_reason": reason}), "release.yaml")
    words = {"name": "released-reports", "title": "What becomes of reports", "version": "1"}
    hub.activate_policy(render("released-reports", words), "released.yaml")


def study(space: Space, title: str, algorithm: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A study that ends in a report without noise, as a researcher would write it."""
    return {
        "title": title,
        "codebook": "mgus",
        "purpose": "ehds:HealthcareScientificResearch",
        "action": "query aggregate",
        "sites": [{"did": house.did, "dataset": DATASET} for house in space.sites],
        "fields": list(FIELDS),
        "anonymiser": {"plugin": "minimise", "parameters": {"band": ["age"], "k": 5, "small_classes": "refuse"}},
        "algorithm": algorithm,
        "privacy": "none",
        "rounds": 12,
        "minimum_sites": 3,
        "outputs": ["report"],
        **changes,
    }


def begun(space: Space, document: dict[str, Any]) -> str:
    """Start a study at the hub; returns its id."""
    started: dict[str, str] = space.hub.call("study/start", {"study": document, "codebook": "mgus"})
    return started["study"]


def metrics(report: dict[str, Any], metric: str) -> dict[str, float]:
    """What a report says of one kind of figure: of what → value."""
    return {each["definition"]: each["value"] for each in report["figures"]["metrics"] if each["id"] == metric}
