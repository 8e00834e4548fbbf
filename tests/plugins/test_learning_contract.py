"""The learning plugin keeps the contracts of its two kinds, and works inside a real sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from synthema.spi.loader import find
from synthema.spi.model import Aggregate, Plan
from synthema.spi.simulated import simulated_codebook, simulated_table
from synthema.spi.testing import FederatedAlgorithmContract, FederatedAnalysisContract
from tests.plugins.test_contracts import InSandbox

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'synthema[deep]'")

SURVIVAL = {
    "model": "survival", "outcome": "overall survival", "covariates": ["age", "sex", "haemoglobin"], "hidden": 4,
    "steps": 2, "held_out": 0.5,
}  # fmt: skip


class TestSurvivalByPatients(FederatedAnalysisContract):
    plugin = "learning"
    parameters: ClassVar[dict[str, Any]] = SURVIVAL
    rows = 700


class TestSurvivalByScaffold(FederatedAnalysisContract):
    plugin = "learning"
    parameters: ClassVar[dict[str, Any]] = SURVIVAL | {"method": "scaffold", "local_steps": 2}
    rows = 700


class TestRows(FederatedAlgorithmContract):
    plugin = "learning"
    parameters: ClassVar[dict[str, Any]] = {"model": "table", "hidden": 8, "steps": 2}


def test_a_round_inside_a_real_sandbox_is_the_round_outside(tmp_path: Path) -> None:
    plugin = find("learning")
    codebook, table = simulated_codebook(with_identifier=False), simulated_table(120, with_identifier=False)
    plan = Plan(codebook, 1.0, 0, plugin.manifest.validate_parameters(SURVIVAL))
    (tmp_path / "inside").mkdir()
    session: Any = InSandbox().new_session(plugin, tmp_path / "inside")
    try:
        state = session.call("learning", "federated_open", plan=plan)
        vector = session.call("learning", "federated_contribute", state=state, table=table, codebook=codebook).vector
        state = session.call("learning", "federated_absorb", state=state, total=Aggregate(vector, 1, 0.0))
    finally:
        session.close()
    assert state.round == 2
    assert np.abs(vector).max() > 0
