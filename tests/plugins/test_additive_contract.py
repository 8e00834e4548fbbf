"""The additive plugin keeps the contract of its kind with each target, in this process and inside a real sandbox."""

from __future__ import annotations

from typing import Any, ClassVar

from synthema.spi.testing import FederatedAnalysisContract
from tests.plugins.test_contracts import InSandbox


class Additive(FederatedAnalysisContract):
    plugin = "additive"
    parameters: ClassVar[dict[str, Any]] = {
        "model": "odds", "outcome": "marker", "positive": "present", "covariates": ["age", "sex", "haemoglobin"],
        "steps": 3,
    }  # fmt: skip


class TestOdds(Additive):
    pass


class TestOddsInSandbox(InSandbox, Additive):
    pass


class TestHazard(Additive):
    parameters: ClassVar[dict[str, Any]] = {
        "model": "hazard", "outcome": "overall survival", "covariates": ["age", "sex", "marker"], "steps": 3,
    }  # fmt: skip
