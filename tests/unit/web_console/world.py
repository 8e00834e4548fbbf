"""Connectors for the console's tests: a site, a hub and a registry in this process, with something to show."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from synthema.assembly import Connector, find_operation, initialise
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.assembly.study_store import ConductState, insert_study, note
from synthema.clock import FixedClock
from synthema.config import Peer, Role
from synthema.policy.templates import render
from synthema.runs.store import runs
from synthema.web.management import management_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would like httpx2, which nothing else here needs
    from starlette.testclient import TestClient

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> \"'& {{ 7*7 }}"
ORIGIN = "http://127.0.0.1:9101"
_NAMES: dict[Role, str] = {"site": "Hospital <A>", "hub": "Hub", "registry": "Registry"}
PEERS = (
    Peer(did="did:web:hub.example", url="http://hub.example", role="hub", name="Hub"),
    Peer(did="did:web:site.example", url="http://site.example", role="site", name="Site"),
)
_MARK = re.compile(r'name="form_mark" value="([^"]+)"')


@dataclass
class World:
    """One connector with its management application and its clock."""

    connector: Connector
    token: str
    clock: FixedClock
    people: dict[str, tuple[str, Ed25519PrivateKey]]

    def call(self, operation: str, **value: Any) -> Any:
        return find_operation(operation).call(self.connector, value)

    def app(self) -> Any:
        return management_app(self.connector, self.token)

    def visitor(self, app: Any = None) -> TestClient:
        return TestClient(app or self.app(), base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False)

    def signed_in(self) -> TestClient:
        browser = self.visitor()
        answer = sign_in(browser, self.token)
        assert answer.status_code == 303, answer.text
        return browser

    def approve_plugin(self, name: str) -> None:
        asked = self.call("plugin/signing", name=name)
        approvals = [
            {"person": person, "signature": key.sign(bytes.fromhex(asked["sign"])).hex()}
            for person, key in self.people.values()
        ]
        self.call("plugin/approve", name=name, digest=asked["digest"], approvals=approvals)

    def sign_policy(self, draft: dict[str, Any], role: str) -> None:
        person, key = self.people[role]
        signature = key.sign(bytes.fromhex(draft["sign"])).hex()
        self.call("policy/sign", policy=draft["policy"], version=draft["version"], person=person, signature=signature)


@contextmanager
def world(folder: Path, role: Role) -> Iterator[World]:
    """A fresh connector of a role, with two people who may sign."""
    settings = initialise(
        folder / role,
        name=_NAMES[role],
        role=role,
        public_url="http://127.0.0.1:8101",
        management_url=ORIGIN,
        mode="demo",
        peers=PEERS if role == "registry" else (),
    )
    clock = FixedClock(NOW)
    connector = Connector.open(settings, clock)
    try:
        found = World(connector, (settings.home / MANAGEMENT_TOKEN).read_text(), clock, {})
        for office in ("dpo", "data steward"):
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes_raw().hex()
            found.people[office] = (found.call("people/register", roles=[office], public_key=public)["person"], key)
        yield found
    finally:
        connector.close()


def mark_of(page: str) -> str:
    """The mark that the forms of a page carry."""
    found = _MARK.search(page)
    assert found is not None, "the page has no form"
    return found[1]


def sign_in(browser: TestClient, token: str, **more: str) -> Any:
    """What the console answers to a token."""
    mark = mark_of(browser.get("/console/sign-in").text)
    return browser.post("/console/sign-in", data={"form_mark": mark, "token": token, **more})


def policy_text(title: str = "Synthetic data for research", version: str = "1") -> str:
    """A site policy in the officer's form."""
    return render(
        "research-synthetic-data",
        {
            "name": "research-synthetic-data",
            "title": title,
            "version": version,
            "assigner": "did:web:127.0.0.1%3A8101",
            "epsilon": 4.0,
            "epsilon_reason": "Decided by the data protection officer",
            "parties": 1,
            "parties_reason": "The noise alone protects",
        },
    )


def add_dataset(found: World, title: str) -> str:
    """A small table of made-up rows; returns the identifier of its version."""
    header = "id,age,sex,dxyr,hgb,creat,mspike,ptime,pstat,futime,death"
    rows = [
        f"{n},{50 + n % 30},{'F' if n % 2 else 'M'},1980,{12 + n % 4},{1 + n % 2 / 10},1.{n % 9},{30 + n},0,{30 + n},0"
        for n in range(1, 81)
    ]
    added = found.call(
        "dataset/add",
        name="mgus",
        title=title,
        file="mgus.csv",
        table="\n".join([header, *rows]) + "\n",
        codebook="mgus",
        metadata={
            "description": "Made-up rows.",
            "categories": ["l"],
            "legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",
            "keywords": ["MGUS"],
            "provenance": "Made up.",
            "contact": "mailto:data-office@hospital.example",
            "hdab": {"name": "None", "url": "https://hdab.example"},
        },
    )
    return str(added["id"])


def ask_for_run(found: World, purpose: str, **changes: Any) -> str:
    """A request of the site itself; decided, never started. Returns its run."""
    request = {
        "dataset": found.connector.datasets.versions()[0].id,
        "purpose": purpose,
        "action": "synthesise",
        "anonymise": {"plugin": "minimise", "parameters": {"fields": ["age", "sex"], "band": ["age"], "k": 5}},
        "compute": {"plugin": "marginals", "parameters": {}},
        "kind": "generator",
        "output": "synthetic",
        "epsilon": 3.0,
        "delta": 1e-5,
        "rows": 50,
        "evaluate": {"plugin": "evaluation", "parameters": {}},
    }
    return str(found.call("request/submit", request=request | changes, execute=False)["run"])


def stop_in_quarantine(found: World, run: str, sentence: str) -> None:
    """Write what a run that was stopped by its gates leaves behind."""
    evidence = {
        "phase": "pre-release",
        "at": "2026-11-22T10:00:00.000000Z",
        "dpia": "dpia-1",
        "dpiaDigest": "sha256:00",
        "conformant": False,
        "missing": [],
        "results": [
            {"gate": "alike", "metric": "similarity", "passed": False, "sentence": sentence, "threshold": 0.85,
             "observed": 0.5, "n": 80, "source": None},
            {"gate": "review", "metric": "review", "passed": True, "sentence": "The review is due later.",
             "threshold": None, "observed": None, "n": None, "source": None},
        ],
    }  # fmt: skip
    change = update(runs).where(runs.c.id == run).values(state="stopped", reason=sentence, evidence=evidence)
    found.connector.database.write(lambda connection: connection.execute(change))


def keep_study(found: World, title: str) -> str:
    """A study of a hub that was stopped, with its story; returns its id."""
    name = "study-1"
    events = (
        {"kind": "agreement", "site": "did:web:site.example", "text": "agreement negotiated"},
        {"kind": "answer", "site": "did:web:site.example", "text": "deny",
         "answer": {"sentences": [f"Denied: {title}"]}},
    )  # fmt: skip
    found.connector.database.write(lambda c: insert_study(c, name, title, {}, NOW))
    for event in events:
        found.connector.database.write(lambda c, event=event: note(c, name, NOW, event))
    found.connector.database.write(
        lambda c: note(c, name, NOW, {"kind": "end", "text": "ended"}, state=ConductState.REFUSED, reason="refused")
    )
    return name
