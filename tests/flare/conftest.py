"""Where FLARE comes from in these tests: an environment that exists, for they install nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from synthema.federation.flare import FlareEnvironment
from tests.flare.federation import Federation

FOLDER = "SYNTHEMA_FLARE_ENVIRONMENT"
DEFAULT = Path(__file__).parents[2] / ".venv-flare"


@pytest.fixture(scope="session")
def environment() -> FlareEnvironment:
    made = FlareEnvironment(Path(os.environ.get(FOLDER, DEFAULT)))
    if not (made.version() or "").startswith("2.9."):
        pytest.skip(f"NVIDIA FLARE 2.9 is not in {made.folder}: run 'make flare', or name a folder in {FOLDER}")
    return made


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, environment: FlareEnvironment) -> Iterator[Federation]:
    """Three sites and a coordinator, for all tests that leave them whole."""
    made = Federation(tmp_path_factory.mktemp("flare"), environment, FixedClock(datetime(2026, 11, 21, tzinfo=UTC)))
    try:
        made.start()
        yield made
    finally:
        made.close()
