"""A coordinator and sites in one process, for the tests of what lies between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from tests.unit.federation.world import World


@pytest.fixture
def w(tmp_path: Path, clock: FixedClock) -> Iterator[World]:
    """A world of a study, closed after the test."""
    made = World(tmp_path, clock)
    yield made
    made.close()
