"""A register with its log, over a fresh database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from synthema.consent import ConsentStore, ImportReport
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import make_log, make_signer

Bring = Callable[..., ImportReport]


@pytest.fixture
def log(database: Database, clock: FixedClock) -> ProvenanceLog:
    return make_log(database, clock)


@pytest.fixture
def consents(database: Database, log: ProvenanceLog, clock: FixedClock) -> ConsentStore:
    return ConsentStore(database, log, clock, make_signer())


@pytest.fixture
def bring(consents: ConsentStore, tmp_path: Path) -> Bring:
    """Take in a list: its header, then its lines."""

    def take(header: str, *lines: str) -> ImportReport:
        path = tmp_path / "list.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return consents.import_csv("mgus", path)

    return take
