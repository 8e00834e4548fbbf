"""``synthema evaluate`` on simulated patients: a report that stands alone, and evidence with every figure."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from synthema.spi.simulated import simulated_codebook, simulated_table
from tests.unit.cli.support import run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, seed, rows in (("train", 1, 120), ("holdout", 2, 80)):
        simulated_table(rows, seed=seed).write_csv(tmp_path / f"{name}.csv")
    rows_made = simulated_table(120, seed=3, with_identifier=False)
    rows_made.write_csv(tmp_path / "synthetic.csv")
    rows_made.write_parquet(tmp_path / "synthetic.parquet")
    book = simulated_codebook().model_dump_json()
    (tmp_path / "book.json").write_text(book, encoding="utf-8")
    return tmp_path


def evaluated(folder: Path, *more: object, synthetic: str = "synthetic.csv", status: int = 0) -> str:
    result = run(
        "evaluate", folder / synthetic, "--train", folder / "train.csv", "--holdout", folder / "holdout.csv",
        "--codebook", folder / "book.json", "--report", folder / "report.html", "--evidence", folder / "evidence.json",
        *more, status=status,
    )  # fmt: skip
    return result.stdout + result.stderr


def test_a_report_and_evidence_are_written_with_progress(files: Path) -> None:
    said = evaluated(files)
    assert "Measuring: 1 of " in said
    assert "membershipAUC" in said
    page = (files / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "src=" not in page
    for words in ("Survival with 95 % bands", "Difference of correlations", "logarithmic axes", "Hazard ratios for",
                  "Suggested limits", "For comparison with other publications only"):  # fmt: skip
        assert words in page
    evidence = json.loads((files / "evidence.json").read_bytes())
    assert evidence["format"] == "synthema-evaluation/1"
    assert evidence["tables"]["held out"]["rows"] == 80
    assert all(table["digest"].startswith("sha256:") for table in evidence["tables"].values())
    assert all(metric["definition"] and metric["n"] > 0 for metric in evidence["metrics"])


def test_parquet_gives_the_same_figures(files: Path) -> None:
    evaluated(files)
    first = json.loads((files / "evidence.json").read_bytes())
    (files / "evidence.json").unlink()
    (files / "report.html").unlink()
    evaluated(files, synthetic="synthetic.parquet")
    assert json.loads((files / "evidence.json").read_bytes())["metrics"] == first["metrics"]


def test_a_generator_is_attacked_with_shadows(files: Path) -> None:
    evaluated(files, "--generator", "marginals", "--shadows", 8)
    evidence = json.loads((files / "evidence.json").read_bytes())
    names = {metric["id"] for metric in evidence["metrics"]}
    assert {"shadowMembershipAUC", "shadowMembershipTPR", "canaryAUC"} <= names
    assert (evidence["generator"]["name"], evidence["generator"]["shadows"]) == ("marginals", 8)
    assert "LiRA" in (files / "report.html").read_text(encoding="utf-8")


def test_nothing_is_overwritten(files: Path) -> None:
    (files / "report.html").write_text("mine", encoding="utf-8")
    assert "exists already" in evaluated(files, status=5)
    assert (files / "report.html").read_text(encoding="utf-8") == "mine"


def test_too_few_rows_are_told_in_a_sentence(files: Path) -> None:
    pl.read_csv(files / "holdout.csv")[:5].write_csv(files / "holdout.csv")
    assert "held-out table has fewer than 10 rows" in evaluated(files, status=2)
    assert not (files / "evidence.json").exists()


def test_an_unknown_evaluator_is_refused(files: Path) -> None:
    assert "no plugin named" in evaluated(files, "--plugin", "nobody", status=8)
