"""An analysis goes the same way as any run: decided, granted, run inside the sandbox, its figures released."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthema.errors import InputError
from tests.e2e.house import House, generator_manifest, write_plugin

pytestmark = pytest.mark.e2e

CODE = """
from synthema.spi import Evaluation, Metric, hookimpl

@hookimpl
def analyse(table, codebook, parameters):
    return Evaluation((Metric("meanHaemoglobin", float(table["hgb"].mean()), table["hgb"].count()),))
"""


def manifest() -> str:
    return (
        generator_manifest("mean-haemoglobin", "none")
        .replace('kind = "generator"', 'kind = "analysis"')
        .replace('capabilities = ["generate"]', 'capabilities = ["analyse"]\nmetrics = ["meanHaemoglobin"]')
        .replace('outputs = ["synthetic"]', 'outputs = ["aggregate"]')
    )


@pytest.fixture
def analysis(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    write_plugin(tmp_path / "strangers", "mean-haemoglobin", CODE, manifest())
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("mean-haemoglobin")
    return {
        "action": "query aggregate",
        "kind": "analysis",
        "compute": {"plugin": "mean-haemoglobin"},
        "evaluate": None,
        "output": "aggregate",
        "epsilon": 0.0,
        "delta": 0.0,
        "rows": 0,
        "holdout": 0.0,
    }


def test_an_analysis_releases_figures_and_no_rows(house: House, analysis: dict[str, object]) -> None:
    answer = house.call("request/submit", {"request": house.wish(**analysis)})
    assert answer["effect"] == "permit", answer["sentences"]
    assert answer["verdict"]["released"]
    (file,) = answer["verdict"]["artefacts"]
    _, content = house.connector.governor.released(file["digest"])
    (figure,) = json.loads(content)["metrics"]
    assert figure["id"] == "meanHaemoglobin"
    assert 8 < figure["value"] < 18
    assert figure["n"] > 100
    assert house.snapshot().spent == 0


def test_an_analysis_that_asks_for_privacy_budget_or_a_hold_out_is_refused(
    house: House, analysis: dict[str, object]
) -> None:
    for change in ({"epsilon": 1.0, "delta": 1e-6}, {"holdout": 0.2}):
        with pytest.raises(InputError, match="whole cohort"):
            house.call("request/submit", {"request": house.wish(**analysis | change)})
