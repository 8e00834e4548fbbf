"""A hospital that is set up once, and a copy of it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.e2e.house")

from synthema.clock import FixedClock  # noqa: E402 - only modules imported later are rewritten
from tests.e2e.house import NOW, House, Settled, copy_of, settle  # noqa: E402


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    return settle(tmp_path_factory.mktemp("settled"), FixedClock(NOW))


@pytest.fixture
def house(settled: Settled, tmp_path: Path, clock: FixedClock) -> Iterator[House]:
    with copy_of(settled, tmp_path, clock) as house:
        yield house
