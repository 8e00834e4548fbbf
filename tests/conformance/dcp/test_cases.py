"""Each case as a test, and their number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.dcp import SUITES
from tests.conformance.dcp.target import Stage, stage

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def ready() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize(
    ("suite", "name"), [(suite, name) for suite, cases in SUITES.items() for name in cases], ids=lambda each: each
)
def test_a_case_of_the_claims_protocol(ready: Stage, suite: str, name: str) -> None:
    ready.reset()
    SUITES[suite][name](ready)
