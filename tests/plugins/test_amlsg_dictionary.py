"""Our dictionary of AML on 1,540 real patients of AMLSG, by the command a hospital would use."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from synthema.cli.main import app
from tests.plugins import amlsg
from tests.plugins.amlsg_dictionary import codebook, rows

pytestmark = pytest.mark.skipif(not amlsg.present(), reason="AMLSG is not there")
runner = CliRunner()
Change = Callable[[int, dict[str, str]], str]


@cache
def patients() -> list[dict[str, str]]:
    return rows()


def checked(folder: Path, **changes: Change) -> dict[str, Any]:
    """What ``synthema dataset check`` says of the cohort, some of its columns changed."""
    (folder / "aml.yaml").write_text(yaml.safe_dump(codebook().model_dump(mode="json"), sort_keys=False))
    with (folder / "aml.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(patients()[0]))
        writer.writeheader()
        for number, row in enumerate(patients()):
            writer.writerow(row | {name: change(number, row) for name, change in changes.items()})
    asked = ["dataset", "check", str(folder / "aml.csv"), "--codebook", str(folder / "aml.yaml"), "--format", "json"]
    found: dict[str, Any] = json.loads(runner.invoke(app, asked).stdout)["data"]
    return found


def blocking(found: dict[str, Any]) -> list[str]:
    return [f["sentence"] for f in (found["quality"] or {"findings": []})["findings"] if f["severity"] == "block"]


def test_the_cohort_fits_the_dictionary_but_for_one_fusion_too_many(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert (found["rows"], found["findings"], found["fit"]) == (1540, [], True)
    assert blocking(found) == []
    sentences = [f["sentence"] for f in found["quality"]["findings"]]
    assert [s for s in sentences if "rule" in s] == [s for s in sentences if "one-fusion" in s]
    assert not any("unit" in s for s in sentences)


def times(name: str, factor: float, picked: Callable[[int], bool]) -> dict[str, Change]:
    """A column in another unit in some rows."""

    def change(number: int, row: dict[str, str]) -> str:
        return str(round(float(row[name]) * factor, 2)) if row[name] and picked(number) else row[name]

    return {name: change}


@pytest.mark.parametrize(
    ("name", "factor", "unit"), [("hb", 0.6206, "mmol/L"), ("ldh", 0.016667, "ukat/L")], ids=["hb", "ldh"]
)
def test_a_column_in_another_unit_is_kept_out(tmp_path: Path, name: str, factor: float, unit: str) -> None:
    found = checked(tmp_path, **times(name, factor, lambda _: True))
    told = [*blocking(found), *(f"{f['sentence']} {f['fix']}" for f in found["findings"])]
    assert any(unit in sentence or "unit" in sentence for sentence in told)
    assert not found["fit"]


def test_haemoglobin_in_two_units_is_found(tmp_path: Path) -> None:
    """Three in a hundred in g/L: outside what is possible in g/dL, so reading stops, and the unit is named."""
    found = checked(tmp_path, **times("hb", 10, lambda number: number % 33 == 0))
    (finding,) = found["findings"]
    assert finding["column"] == "hb"
    assert "unit" in finding["sentence"] + finding["fix"]
    assert len(finding["lines"]) > 30
