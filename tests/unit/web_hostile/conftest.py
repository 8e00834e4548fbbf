"""A site and a hub that run for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synthema.config import Role
from tests.unit.web_hostile.live import Live, two_connectors


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Role, Live]]:
    with two_connectors(tmp_path_factory.mktemp("space")) as found:
        yield found


@pytest.fixture
def site(space: dict[Role, Live]) -> Live:
    return space["site"]


@pytest.fixture
def hub(space: dict[Role, Live]) -> Live:
    return space["hub"]
