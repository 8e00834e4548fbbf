"""A shelf with many offers, without the rest of a connector: for tests and for the benchmark of the catalogue."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import insert, select

from synthema.assembly.offers import offer_audience, offers
from synthema.assembly.shelf import Shelf
from synthema.clock import FixedClock
from synthema.config import Settings
from synthema.datasets import Codebook, DatasetStore, dictionary
from synthema.datasets.model import DatasetMetadata, DatasetVersion
from synthema.datasets.quality import Quality
from synthema.datasets.store import _row, datasets
from synthema.dataspace import Caller
from synthema.identity.people import People
from synthema.ids import new_id
from synthema.policy import PolicyStore
from synthema.policy.templates import render
from synthema.provenance import PeopleLog
from synthema.storage import Database
from synthema.vocabulary import load_vocabulary
from tests.databases import new_database
from tests.unit.datasets.support import ORIGIN, make_log, make_signer
from tests.unit.policy.sample import VALUES

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
HUB = Caller("did:web:hub.example", "hub", "hub")
OTHER_HUB = Caller("did:web:other.example", "other hub", "hub")
REGISTRY = Caller("did:web:registry.example", "registry", "registry")


@dataclass
class Market:
    """A shelf and where its rows are."""

    shelf: Shelf
    database: Database

    def put(self, count: int, assignees: tuple[str, ...] = ("*",), kind: str = "patients", start: int = 0) -> None:
        """That many datasets, each with one offer, which is for these parties."""
        policy = render("study-agreement", {**VALUES["study-agreement"], "dataset": f"{ORIGIN}/id/dataset/mgus"})
        wire = self.shelf._offers.wire(self.shelf._parsed(policy), "mgus")
        names = [f"dataset-{number:06}" for number in range(start, start + count)]
        made = [
            {
                "id": new_id("offer"), "dataset": name, "kind": kind, "title": name, "policy": policy, "wire": wire,
                "published_at": NOW,
            }
            for name in names
        ]  # fmt: skip
        heard = [{"offer": offer["id"], "party": party} for offer in made for party in assignees]
        row = _row(version("one")) if kind == "patients" else {}
        rows = [row | {"id": new_id("dataset"), "name": name, "title": name} for name in names if row]

        def work(connection: Any) -> None:
            connection.execute(insert(offers), made)
            if heard:
                connection.execute(insert(offer_audience), heard)
            if rows:
                connection.execute(insert(datasets), rows)

        self.database.write(work)

    def audience_of(self, offer: str) -> set[str]:
        """The parties an offer is kept for."""
        with self.database.read() as connection:
            return set(connection.scalars(select(offer_audience.c.party).where(offer_audience.c.offer == offer)))


def version(name: str, listed: str | None = None) -> DatasetVersion:
    """A dataset that was never loaded, as the catalogue knows it."""
    described: dict[str, Any] = {
        "description": "Records of nobody.",
        "categories": ("l",),
        "legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",
        "simulated": True,
    }
    facts = DatasetMetadata.model_validate(described | ({"listed": listed} if listed else {}))
    return DatasetVersion(
        new_id("dataset"), name, 1, name, "sha256:" + "0" * 64, 10, _dictionary(), facts, Quality(10, {}, {}, ()), NOW
    )


@cache
def _dictionary() -> Codebook:
    """A small one: what is measured here is the catalogue."""
    whole = dictionary("mgus")
    return whole.model_copy(update={"variables": whole.variables[:3], "rules": (), "outcomes": ()})


@contextlib.contextmanager
def market(folder: Path) -> Iterator[Market]:
    """An empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = FixedClock(NOW)
    database = new_database(folder / "market.sqlite")
    signer = make_signer()
    log = make_log(database, clock, signer)
    settings = Settings(
        home=folder, mode="demo", name="hospital", role="site", public_url=ORIGIN, management_url="http://127.0.0.1:1"
    )
    policies = PolicyStore(database, log, clock, People(database, PeopleLog(log), clock), load_vocabulary())
    store = DatasetStore(database, log, clock, signer, folder / "datasets")
    rooms: Any = SimpleNamespace(
        settings=settings, database=database, log=log, clock=clock, policies=policies, datasets=store
    )
    nobody: Any = None
    try:
        yield Market(Shelf(rooms, nobody, nobody), database)
    finally:
        database.close()
