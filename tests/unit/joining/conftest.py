from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from tests.unit.joining.world import Space, data_space


@pytest.fixture
def space(tmp_path: Path, clock: FixedClock) -> Iterator[Space]:
    with data_space(tmp_path, clock) as made:
        yield made
