"""The generator benchmark: what it measures, that it goes on where it stopped, and what its table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthema.datasets.codebook import load_codebook
from tests.benchmarks import generators
from tests.benchmarks.generators_data import CODEBOOKS, COHORTS, Absent, from_files
from tests.benchmarks.generators_measure import quality
from tests.benchmarks.generators_report import on_front, page
from tests.plugins.mgus import CODEBOOK, split

FIGURES = {
    "sdm": 0.95, "c": 0.68, "real_c": 0.69, "km": 0.01, "real_km": 0.02,
    "broken": 0.0, "density_ratio": 0.5, "cpu": 1.0, "memory": 100.0,
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A cohort of one's own as two files, and an empty store."""
    monkeypatch.setattr(generators, "STORE", tmp_path / "store")
    monkeypatch.setattr(generators, "BENCH", tmp_path)
    table, codebook = tmp_path / "cohort.csv", tmp_path / "cohort.yaml"
    split(0)[0].head(60).write_csv(table)
    codebook.write_text(json.dumps(CODEBOOK.model_dump(mode="json")), encoding="utf-8")
    return table, codebook


def test_the_training_rows_themselves_score_best() -> None:
    train, holdout = split(0)
    columns = [name for name in train.columns if name != "id"]
    found = quality(train, holdout, train.select(columns), CODEBOOK, 0)
    assert found["sdm"] == pytest.approx(1.0)
    assert found["km"] == pytest.approx(0.0)
    assert found["c"] == pytest.approx(found["real_c"])
    assert found["broken"] == 0.0
    assert found["density_ratio"] > 0.7, "and are found by the attack"


def test_a_table_of_ones_own_needs_two_files_only_and_is_measured_once(
    own: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    table, codebook = own
    arguments = [
        "--table",
        str(table),
        "--codebook",
        str(codebook),
        "--generators",
        "trees",
        "--seeds",
        "1",
        "--shadows",
        "0",
    ]
    assert generators.main(arguments) == 0
    first = capfd.readouterr()
    assert "1/1 cohort, trees, seed 0" in first.err
    assert "60 patients, 10 columns, 1 rules" in first.out
    assert "| trees | 1 | — | 0." in first.out
    assert generators.main(arguments) == 0
    again = capfd.readouterr()
    assert "trees, seed 0" not in again.err
    assert again.out == first.out


def test_a_wrong_table_is_refused_with_a_sentence(own: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    table, codebook = own
    assert generators.main(["--table", str(table) + ".nowhere", "--codebook", str(codebook), "--without-install"]) == 2
    assert "cannot be read" in capfd.readouterr().err


def test_a_generator_without_its_interpreter_is_left_out(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    table, codebook = own
    monkeypatch.setenv("PATH", "")
    arguments = ["--table", str(table), "--codebook", str(codebook), "--generators", "sdv-tvae", "--seeds", "1"]
    assert generators.main([*arguments, "--without-install"]) == 2
    said = capfd.readouterr()
    assert "synthema-sdv-python is not there" in said.err
    assert "Not measured yet" in said.out


def test_an_attack_that_was_too_slow_is_tried_again_when_more_time_is_given() -> None:
    job: Any = type("Job", (), {"shadows": 32})()
    assert not generators._is_done(None, job, 100)
    assert generators._is_done({"cpu": 1.0, "lira": 0.5}, job, 100)
    assert generators._is_done({"cpu": 10.0}, job, 100)
    assert not generators._is_done({"cpu": 10.0}, job, 1000)


def test_the_front_compares_with_promises_as_strong_only() -> None:
    lines = [
        ("best", None, 0.70, 0.52),
        ("leaks", None, 0.69, 0.60),
        ("private", 1.0, 0.60, 0.51),
        ("weaker promise", 5.0, 0.60, 0.52),
        ("unmeasured", 5.0, None, 0.5),
    ]
    assert on_front(lines) == {"best", "private"}


def test_the_report_says_what_was_measured_how_often_and_what_was_not() -> None:
    cohort = COHORTS["mgus2"](Path())
    figures: dict[tuple[str, str, int], dict[str, float]] = {
        ("mgus2", "trees", 0): FIGURES | {"lira": 0.52, "tpr": 0.014},
        ("mgus2", "trees", 1): FIGURES | {"c": 0.70},
    }
    text = page([cohort], generators.ENTRIES, figures, 32)
    assert "with 32 runs of the generator" in text
    assert "| trees | 2 | — | 0.950 ± 0.000 | 0.690 ± 0.010 | 0.010 ± 0.000 | 0.0 ± 0.0 | 0.520 (1) |" in text
    assert "Real C 0.690, floor 0.020" in text
    assert "| marginals-eps1 | 0 | 1 | not measured |" in text


@pytest.mark.parametrize("path", sorted(CODEBOOKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_codebooks_are_whole(path: Path) -> None:
    book = load_codebook(path)
    assert book.outcomes
    assert not book.names("identifier")


def test_a_cohort_that_is_absent_says_what_would_bring_it(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="bench-generators"):
        COHORTS["leuksurv"](tmp_path)


def test_flchain_fits_its_codebook() -> None:
    cohort = COHORTS["flchain"](Path())
    assert cohort.table.height == 7874
    for variable in cohort.codebook.variables:
        known = cohort.table[variable.name].drop_nulls()
        assert len(known) > 0
        if variable.type == "category":
            assert set(known.to_list()) <= set(variable.categories)
        else:
            assert known.cast(pl.Float64).is_between(variable.minimum, variable.maximum).all()


def test_a_cohort_of_files_is_told_by_its_content(own: tuple[Path, Path]) -> None:
    one = from_files(*own)
    assert one.name == "cohort"
    assert one.digest == from_files(*own).digest
