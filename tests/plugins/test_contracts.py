"""Every first-party plugin keeps the contract of its kind, in this process and inside a real sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from synthema.runs.sandbox import Sandbox
from synthema.spi.loader import InstalledPlugin
from synthema.spi.registry import ApprovedPlugin
from synthema.spi.testing import (
    AggregatorContract,
    AnonymiserContract,
    Caller,
    EvaluatorContract,
    FederatedAlgorithmContract,
    GeneratorContract,
    PluginContract,
)


class InSandbox(PluginContract):
    """The same tests, each hook called in a confined process."""

    def new_session(self, installed: InstalledPlugin, folder: Path) -> Caller:
        approved = ApprovedPlugin(
            installed.name, installed.module, installed.folder, installed.manifest, installed.digest, "approval-0"
        )
        return Sandbox().open_session([approved], folder)


class Minimise(AnonymiserContract):
    plugin = "minimise"
    parameters: ClassVar[dict[str, Any]] = {"band": ["age"], "k": 2}


class TestMinimise(Minimise):
    pass


class TestMinimiseInSandbox(InSandbox, Minimise):
    pass


class Anonymise(AnonymiserContract):
    plugin = "anonymise"
    parameters: ClassVar[dict[str, Any]] = {"l": 2, "t": 0.5}


class TestAnonymise(Anonymise):
    pass


class TestAnonymiseInSandbox(InSandbox, Anonymise):
    pass


class TestMicroaggregation(AnonymiserContract):
    plugin = "anonymise"
    parameters: ClassVar[dict[str, Any]] = {"method": "microaggregate"}


class Marginals(FederatedAlgorithmContract):
    plugin = "marginals"


class TestMarginals(Marginals):
    pass


class TestMarginalsInSandbox(InSandbox, Marginals):
    pass


class TestMarginalsOnOneSite(GeneratorContract):
    plugin = "marginals"


class Evaluation(EvaluatorContract):
    plugin = "evaluation"


class TestEvaluation(Evaluation):
    pass


class TestEvaluationInSandbox(InSandbox, Evaluation):
    pass


class SecureSum(AggregatorContract):
    plugin = "secure-sum"


class TestSecureSum(SecureSum):
    pass


class TestSecureSumInSandbox(InSandbox, SecureSum):
    pass
