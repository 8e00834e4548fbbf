"""Other people's checks of catalogue records, where their packages are installed."""

from __future__ import annotations

import pytest

from tests.conformance import catalogue

pytestmark = pytest.mark.conformance


def test_sdchealthdcatap_finds_nothing_wrong() -> None:
    """Its wheel holds its checks and its tables, not the official shapes; ours take their place."""
    pytest.importorskip("sdchealthdcatap", reason="a peer of ours: pip install sdchealthdcatap")
    cases = list(catalogue.sdchealthdcatap())
    assert len(cases) == 6
    assert [f"{case.name}: {case.problem}" for case in cases if not case.passed] == []
