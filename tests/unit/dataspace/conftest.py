"""Two connectors that talk to each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dataspace.world import World, world


@pytest.fixture
def two(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as connectors:
        yield connectors
