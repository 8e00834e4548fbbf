"""The regression plugin keeps the contract of its kind with each model, in this process and inside a real sandbox."""

from __future__ import annotations

from typing import Any, ClassVar

from synthema.spi.testing import FederatedAnalysisContract
from tests.plugins.test_contracts import InSandbox


class Regression(FederatedAnalysisContract):
    plugin = "regression"
    parameters: ClassVar[dict[str, Any]] = {
        "model": "logistic", "outcome": "marker", "positive": "present",
        "covariates": ["age", "sex", "haemoglobin"], "steps": 5,
    }  # fmt: skip


class TestLogistic(Regression):
    pass


class TestLogisticInSandbox(InSandbox, Regression):
    pass


class TestPoisson(Regression):
    parameters: ClassVar[dict[str, Any]] = {
        "model": "poisson", "outcome": "progression", "exposure": "followup", "covariates": ["age", "marker"],
        "steps": 5,
    }  # fmt: skip


class TestCox(Regression):
    parameters: ClassVar[dict[str, Any]] = {
        "model": "cox", "outcome": "overall survival", "covariates": ["age", "sex", "marker"], "spread": 1.0,
        "most_patients": 400, "steps": 5,
    }  # fmt: skip


class TestPiecewise(Regression):
    parameters: ClassVar[dict[str, Any]] = {
        "model": "piecewise", "outcome": "overall survival", "covariates": ["age", "sex", "marker"], "steps": 5,
    }  # fmt: skip
