"""The promises of anonymise, checked by a library that others wrote: pycanon, in an environment of its own.

python3 -m venv ../pycanon && ../pycanon/bin/pip install pycanon==1.3.6
SYNTHEMA_PYCANON=../pycanon/bin/python pytest tests/plugins/test_anonymise_pycanon.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import synthema_anonymise
from synthema_anonymise.scales import scale_of
from tests.plugins.anonymised import CODEBOOK as SIMULATED
from tests.plugins.anonymised import simulated
from tests.plugins.mgus import CODEBOOK as MGUS
from tests.plugins.mgus import mgus_table

INTERPRETER = os.environ.get("SYNTHEMA_PYCANON", "")
pytestmark = pytest.mark.skipif(
    not INTERPRETER, reason="SYNTHEMA_PYCANON names no interpreter that has pycanon; see the top of this file"
)
CHECK = Path(__file__).with_name("pycanon_check.py")
WAYS: list[dict[str, Any]] = [
    {"k": 5},
    {"k": 3, "l": 3},
    {"k": 3, "l": 2.5, "diversity": "entropy"},
    {"k": 10, "t": 0.25},
    {"k": 5, "method": "microaggregate"},
]


def _asked_of_pycanon(result: Any, codebook: Any, sensitive: list[str], folder: Path) -> dict[str, Any]:
    columns = {}
    for name in codebook.names("quasi-identifier"):
        columns[f"q_{name}"] = result.table[name].cast(pl.String).fill_null("not recorded")
    for name in sensitive:
        scale = scale_of(codebook.variable(name))
        codes = scale.codes(result.table[name])
        columns[f"s_{name}"] = pl.Series([scale.leaves[code] for code in codes] if not scale.ordered else codes)
    pl.DataFrame(columns).write_csv(folder / "table.csv")
    done = subprocess.run(
        [INTERPRETER, str(CHECK), str(folder / "table.csv")], check=True, capture_output=True, text=True, timeout=120
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _cohorts() -> dict[str, tuple[pl.DataFrame, Any, list[str]]]:
    """Rows whose sensitive values are all recorded: pycanon has no word for one that is not."""
    mgus = mgus_table().filter(pl.col("creat").is_not_null() & pl.col("mspike").is_not_null())
    rows = simulated(900, seed=5).filter(pl.col("finding").is_not_null() & pl.col("level").is_not_null())
    return {
        "mgus2": (mgus, MGUS, ["creat", "mspike"]),
        "simulated": (rows, SIMULATED, ["finding", "level"]),
    }


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("cohort", ["mgus2", "simulated"])
def test_pycanon_finds_the_same(cohort: str, way: dict[str, Any], tmp_path: Path) -> None:
    table, codebook, sensitive = _cohorts()[cohort]
    result = synthema_anonymise.anonymise(table, codebook, {**way, "sensitive": sensitive})
    found = _asked_of_pycanon(result, codebook, sensitive, tmp_path)
    assert found["k"] == result.measures["smallestClass"] >= way["k"]
    assert (
        min(found["l"].values())
        == result.measures["diversity"]
        >= (way.get("l", 1) if way.get("diversity") != "entropy" else 1)
    )
    # pycanon gives a whole number for the entropy, rounded down.
    assert min(found["entropy"].values()) == int(result.measures["entropyDiversity"] + 1e-9)
    assert max(found["t"].values()) == pytest.approx(result.measures["closeness"], abs=1e-9)
    assert result.measures["closeness"] <= way.get("t", 1.0) + 1e-9
