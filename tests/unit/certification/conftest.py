from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.unit.certification.world import START, World


@pytest.fixture(scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """The data space of this module, with its clock set back to the start."""
    _world.clock.advance(START - _world.clock.now())
    yield _world
    _world.clock.advance(timedelta(0))


@pytest.fixture(scope="module")
def package(_world: World) -> bytes:
    """A sound package, made once."""
    return _world.package()
