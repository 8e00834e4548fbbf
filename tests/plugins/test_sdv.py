"""The SDV adapter: its licence is shown and accepted first, it has an interpreter of its own, its rows keep the rules.

SDV itself is not installed beside the tests. Where an interpreter named ``synthema-sdv-python`` is on the PATH (or was
made by ``make bench-generators``), the adapter is also called there, through the sandbox.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import synthema_sdv
from synthema.errors import InputError
from synthema.runs.sandbox import Sandbox
from synthema.spi.loader import InstalledPlugin, find
from synthema.spi.manifest import describe
from synthema.spi.registry import ApprovedPlugin
from synthema.spi.sampling import broken_rows
from synthema.spi.testing import Caller, GeneratorContract
from tests.plugins.mgus import CODEBOOK, split

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".bench" / "sdv" / "bin"
ACCEPTED = {"licence_accepted": True}


def _interpreter() -> str | None:
    return shutil.which("synthema-sdv-python", path=f"{OWN}{os.pathsep}{os.environ.get('PATH', '')}")


@pytest.fixture
def shuffling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthesiser that shuffles each column by itself stands in for SDV's."""

    def fitted(table: pl.DataFrame, codebook: Any, parameters: dict[str, Any]) -> Any:
        random = np.random.default_rng(0)
        names = [v.name for v in codebook.variables if v.role != "identifier"]
        return lambda rows: pl.DataFrame(
            [table[name].gather(random.integers(0, table.height, rows).tolist()) for name in names]
        )

    module = ModuleType("synthema_sdv.synthesisers")
    module.fitted = fitted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "synthema_sdv.synthesisers", module)


def test_the_licence_is_read_before_the_plugin_is_approved() -> None:
    sentences = describe(find("sdv").manifest)
    assert "Its licence is Apache-2.0 AND BUSL-1.1." in sentences
    assert any("Business Source Licence" in sentence for sentence in sentences)
    assert "It runs in an interpreter of its own, synthema-sdv-python." in sentences


def test_nothing_runs_before_the_licence_is_accepted() -> None:
    train, _ = split(0)
    with pytest.raises(InputError, match="licence_accepted"):
        find("sdv").manifest.validate_parameters({})
    with pytest.raises(ValueError, match="Business Source Licence"):
        synthema_sdv.generate(train, CODEBOOK, {"licence_accepted": False}, 10)


def test_without_sdv_the_error_says_what_to_do() -> None:
    pytest.importorskip("torch", reason="only to tell environments apart")
    if shutil.which("synthema-sdv-python") == sys.executable:
        pytest.skip("SDV is installed here")
    with pytest.raises(ValueError, match="environment"):
        synthema_sdv.generate(split(0)[0], CODEBOOK, ACCEPTED, 10)


@pytest.mark.usefixtures("shuffling")
def test_its_rows_keep_the_rules_unless_sdvs_own_are_wanted() -> None:
    train, _ = split(0)
    own = synthema_sdv.generate(train, CODEBOOK, {**ACCEPTED, "keep_rules": False}, 200)
    assert broken_rows(own.table, CODEBOOK).mean() > 0.1
    kept = synthema_sdv.generate(train, CODEBOOK, ACCEPTED, 200)
    assert kept.table.height == 200
    assert not broken_rows(kept.table, CODEBOOK).any()
    assert kept.epsilon is None
    assert kept.notes[0] == synthema_sdv.LICENCE_NOTE


@pytest.mark.usefixtures("shuffling")
def test_a_subgroup_is_made_on_demand() -> None:
    made = synthema_sdv.generate(split(0)[0], CODEBOOK, {**ACCEPTED, "where": {"sex": "F"}}, 50).table
    assert made.height == 50
    assert set(made["sex"]) == {"F"}


def test_its_environment_pins_every_distribution_that_the_sandbox_needs() -> None:
    text = (Path(synthema_sdv.__file__).parent / "environment.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^([A-Za-z0-9_-]+)[=>]=", text, flags=re.MULTILINE))
    assert {"numpy", "polars", "pydantic", "pluggy", "packaging", "pyyaml", "rfc8785", "sdv", "torch"} <= names
    assert re.search(r"^torch==2\.13\.0$", text, flags=re.MULTILINE), "a looser pin brings gigabytes of CUDA"


@pytest.mark.skipif(_interpreter() is None, reason="no interpreter synthema-sdv-python: see plugins/synthema_sdv")
class TestInItsOwnEnvironment(GeneratorContract):
    plugin = "sdv"
    parameters: ClassVar[dict[str, Any]] = {**ACCEPTED, "seed": 1}
    rows: ClassVar[int] = 80

    @pytest.fixture(autouse=True)
    def _on_the_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{OWN}{os.pathsep}{os.environ['PATH']}")

    def new_session(self, installed: InstalledPlugin, folder: Path) -> Caller:
        approved = ApprovedPlugin(
            installed.name, installed.module, installed.folder, installed.manifest, installed.digest, "approval-0"
        )
        return Sandbox().open_session([approved], folder)

    # Loading SDV takes seconds: one session shows all.
    test_it_implements_exactly_what_it_declares = None  # type: ignore[assignment]
    test_it_makes_the_rows_that_were_asked_for = None  # type: ignore[assignment]
    test_it_says_what_privacy_it_spent = None  # type: ignore[assignment]
