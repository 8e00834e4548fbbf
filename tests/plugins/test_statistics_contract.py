"""The statistics plugin keeps the contract of its kind, in this process and inside a real sandbox."""

from __future__ import annotations

from typing import Any, ClassVar

from synthema.spi.testing import FederatedAnalysisContract
from tests.plugins.test_contracts import InSandbox


class Statistics(FederatedAnalysisContract):
    plugin = "statistics"
    parameters: ClassVar[dict[str, Any]] = {
        "tables": ["sex by marker", "age by haemoglobin"],
        "group": "sex",
        "fewest": 5,
    }


class TestStatistics(Statistics):
    pass


class TestStatisticsInSandbox(InSandbox, Statistics):
    pass
