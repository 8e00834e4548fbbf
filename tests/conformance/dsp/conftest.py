"""One target for all cases of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.dsp.kit import Kit
from tests.conformance.dsp.running import kit_with_target


@pytest.fixture(scope="session")
def kit() -> Iterator[Kit]:
    with kit_with_target() as ready:
        yield ready
