from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.cluster import binaries, cluster, short_folder
from tests.unit.certification.world import World


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of a PostgreSQL cluster that lives as long as the tests."""
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    if binaries() is None:
        pytest.skip("PostgreSQL's server is not on this machine: apt-get install postgresql")
    with short_folder() as folder, cluster(folder) as connection:
        yield connection


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()
