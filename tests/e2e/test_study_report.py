"""Studies between real connectors that end in a report: the pooled figures, and who lets them leave."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from typer.testing import CliRunner

from synthema.assembly.remote import RemoteError
from synthema.cli.main import app
from synthema.demo.patients import HospitalData
from synthema.demo.processes import wait_until_up
from tests.crash.releasing import to_die_at
from tests.e2e.reports import SMALLEST, all_agreed, begun, metrics, pooled, report_space, site_policy, study
from tests.e2e.space import SITES, Space, ended_run, log_text, run_of, spent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECONDS = 120.0
STATISTICS = {
    "plugin": "statistics",
    "parameters": {"variables": ["sex", "hgb"], "outcomes": ["overall survival"], "group": "sex", "time_step": 1.0},
}
LOGISTIC = {
    "plugin": "regression",
    "parameters": {
        "model": "logistic", "outcome": "death", "positive": "1", "covariates": ["sex", "hgb", "creat"],
        "most_patients": 1024,
    },
}  # fmt: skip

COX = {
    "plugin": "regression",
    "parameters": {
        "model": "cox", "outcome": "overall survival", "covariates": ["sex", "hgb", "creat"], "most_patients": 1024,
    },
}  # fmt: skip
SHAPES = {
    "plugin": "additive",
    "parameters": {
        "model": "hazard", "outcome": "overall survival", "covariates": ["sex", "hgb", "creat"], "steps": 6,
    },
}  # fmt: skip
NETWORK = {
    "plugin": "learning",
    "parameters": {
        "model": "survival", "outcome": "overall survival", "covariates": ["age", "sex", "hgb", "creat"], "steps": 4,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> list[HospitalData]:
    return all_agreed()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, data: list[HospitalData]) -> Iterator[Space]:
    with report_space(tmp_path_factory.mktemp("reports"), data) as started:
        yield started


def released(space: Space, document: dict[str, Any]) -> dict[str, Any]:
    identifier = begun(space, document)
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "released", ended["reason"]
    found: dict[str, Any] = space.hub.call("study/report", {"study": identifier, "page": True})
    return found


@pytest.fixture(scope="module")
def described(space: Space) -> dict[str, Any]:
    return released(space, study(space, "Survival with MGUS", STATISTICS, rounds=1))


def test_counts_and_survival_are_those_of_one_table_with_all_patients(
    described: dict[str, Any], data: list[HospitalData]
) -> None:
    table, report = pooled(data), described["report"]
    sizes = metrics(report, "groupSize")
    for sex in ("F", "M"):
        assert sizes[f"sex: {sex}"] == table.filter(pl.col("sex") == sex).height
    (mean,) = metrics(report, "mean").values()
    assert mean == pytest.approx(table["hgb"].mean(), abs=1e-6)
    for curve in report["figures"]["series"]["survival:overall survival"]:
        group = table.filter(pl.col("sex") == curve["group"])
        known = sm.SurvfuncRight(group["futime"].to_numpy(), (group["death"] == "1").to_numpy().astype(int))
        for before, share in zip(curve["before"], curve["survival"][0], strict=True):
            places = np.flatnonzero(known.surv_times < before)
            assert share == pytest.approx(known.surv_prob[places[-1]] if len(places) else 1.0, abs=1e-6)
    assert len(report["figures"]["series"]["survival:overall survival"]) == 2
    assert report["privacy"] is None


def test_a_regression_is_the_pooled_fit(space: Space, data: list[HospitalData]) -> None:
    found = released(space, study(space, "Death with MGUS", LOGISTIC, action="analyse"))["report"]
    table = pooled(data).drop_nulls(["sex", "hgb", "creat", "death"])
    exogenous = np.column_stack([np.ones(table.height), table["sex"] == "M", table["hgb"], table["creat"]])
    known = sm.Logit((table["death"] == "1").to_numpy(), exogenous.astype(float)).fit(disp=0, tol=1e-12, maxiter=100)
    ours = metrics(found, "coefficient")
    for name, value in zip(("intercept", "sex", "hgb", "creat"), known.params, strict=True):
        (words,) = [each for each in ours if each.startswith(name)]
        assert ours[words] == pytest.approx(value, abs=1e-6)


def test_hazard_ratios_are_those_of_a_fit_over_all_rows_in_strata_of_sites(
    space: Space, data: list[HospitalData]
) -> None:
    found = released(space, study(space, "Hazards with MGUS", COX, action="analyse"))["report"]
    table = pooled(data).drop_nulls(["sex", "hgb", "creat", "futime", "death"])
    exogenous = np.column_stack([table["sex"] == "M", table["hgb"], table["creat"]]).astype(float)
    died = (table["death"] == "1").to_numpy().astype(int)
    known = sm.PHReg(table["futime"].to_numpy(), exogenous, died, strata=table["site"].to_numpy(), ties="breslow").fit()
    ours = metrics(found, "coefficient")
    for name, value in zip(("sex", "hgb", "creat"), known.params, strict=True):
        (words,) = [each for each in ours if each.startswith(name)]
        assert ours[words] == pytest.approx(value, abs=1e-6)


def test_an_additive_model_is_reported_as_shapes(space: Space, data: list[HospitalData]) -> None:
    asked = study(space, "Shapes of risk with MGUS", SHAPES, action="analyse", rounds=8)
    figures = released(space, asked)["report"]["figures"]
    shapes = figures["series"]["shapes"]
    assert set(shapes) == {"sex", "hgb", "creat"}
    men = next(cell for cell in shapes["sex"]["cells"] if cell["label"] == "M")
    everybody = pooled(data).filter(pl.col("sex") == "M").height
    assert 0.7 * everybody < men["patients"] < 0.9 * everybody  # a fifth is held out
    importance = {each["definition"]: each["value"] for each in figures["metrics"] if each["id"] == "termImportance"}
    assert len(importance) == 3


def test_a_network_is_reported_by_its_figures_and_the_count_behind_them(space: Space, data: list[HospitalData]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'synthema[deep]'")
    for house in space.houses.values():
        house.approve_plugins(("learning",))
    asked = study(space, "A network for MGUS", NETWORK, action="analyse", rounds=5)
    found = released(space, asked)
    (concordance,) = found["report"]["figures"]["metrics"]
    assert concordance["id"] == "concordance"
    assert concordance["n"] >= SMALLEST
    assert "network" not in found["report"]["figures"]["series"]
    everybody = pooled(data).height
    assert 0.1 * everybody < concordance["n"] < 0.3 * everybody


def test_the_report_is_a_page_and_a_file_that_anybody_can_check(
    space: Space, described: dict[str, Any], tmp_path: Path
) -> None:
    assert "<svg" in described["page"]
    assert "<script" not in described["page"]
    home, page, file, proof = space.settings["hub"].home, *(tmp_path / name for name in ("r.html", "r.json", "p.json"))
    for arguments in (["--output", str(page)], ["--output", str(file), "--proof", str(proof)]):
        ran = CliRunner().invoke(app, ["study", "report", described["study"], *arguments, "--home", str(home)])
        assert ran.exit_code == 0, ran.output
    assert page.read_text(encoding="utf-8").startswith("<!")
    assert json.loads(file.read_bytes()) == described["report"]
    shown = {"content": base64.b64encode(file.read_bytes()).decode(), "proof": json.loads(proof.read_bytes())}
    found = space.sites[1].call("study/verify", shown)
    assert found["sites"] == sorted(house.did for house in space.sites)
    forged = file.read_bytes().replace(b'"value":753', b'"value":754', 1)
    assert forged != file.read_bytes()
    with pytest.raises(RemoteError, match="not the bytes"):
        space.sites[1].call("study/verify", shown | {"content": base64.b64encode(forged).decode()})
    without = shown["proof"] | {"evidence": shown["proof"]["evidence"][1:]}
    with pytest.raises(RemoteError, match="each site"):
        space.sites[1].call("study/verify", shown | {"proof": without})


@pytest.mark.article("EHDS 73(2)")
def test_each_site_decided_on_the_order_and_on_the_report(space: Space, described: dict[str, Any]) -> None:
    for house in space.sites:
        run = house.call("request/show", {"run": run_of(house, described["study"], "query aggregate")["run"]})
        facts = run["decision"]["request"]["facts"]
        assert "AggregatedData" in str(facts["https://w3id.org/synthema/ns#outputClass"]["value"])
        assert "https://w3id.org/synthema/ns#epsilonRequested" not in facts  # of exact sums, 0 would be a lie
        (act,) = run["acts"]
        assert act["action"].endswith("export")
        assert act["effect"] == "permit"
        shown = act["decision"]["request"]["facts"]
        kind, count = shown["https://w3id.org/synthema/ns#minCellCount"]["value"]
        assert kind == "count"
        assert int(count) >= SMALLEST
        assert spent(house) == 0
        assert "StudyReport" in log_text(house)


def test_a_catalogue_query_finds_the_sites(space: Space, described: dict[str, Any]) -> None:
    asked = study(space, "Whoever has MGUS", STATISTICS, rounds=1, catalogue={"words": ["mgus", "survival"]})
    del asked["sites"]
    found = released(space, asked)
    assert found["report"]["sites"] == described["report"]["sites"]
    assert metrics(found["report"], "groupSize") == metrics(described["report"], "groupSize")


def test_a_catalogue_query_that_nothing_fits_ends_the_study(space: Space) -> None:
    asked = study(space, "Whoever has gout", STATISTICS, catalogue={"words": ["gout"]})
    del asked["sites"]
    ended = space.ended(begun(space, asked), SECONDS)
    assert ended["state"] == "failed"
    assert "no partner offers such a dataset" in ended["reason"]


@pytest.mark.article("GDPR 32(1)")
def test_a_site_killed_after_its_last_round_comes_back_and_decides_on_the_report(space: Space) -> None:
    lost = space.sites[1]
    process = to_die_at(space, SITES[1].key, "synthema.assembly.participation:Participation._settle", "before")
    wait_until_up(lost.running)
    identifier = begun(space, study(space, "A site dies at the end", STATISTICS, rounds=1))
    assert process.wait(SECONDS) == -signal.SIGKILL
    space.restart(SITES[1].key)
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "released", ended["reason"]
    assert ended_run(lost, identifier, SECONDS, "query aggregate")["state"] == "released"
    assert log_text(lost).count(f"study/{identifier}") > 0
    assert space.hub.call("study/report", {"study": identifier, "page": False})["report"]["sites"] == sorted(
        house.did for house in space.sites
    )
    assert not list((lost.running.settings.home / "runs").glob("*")), "the prepared table is gone"


@pytest.mark.article("EHDS 68")
def test_a_study_on_a_permit_that_nobody_knows_is_refused_before_anything_is_read(space: Space) -> None:
    permit = "https://hdab.example/id/permit/permit-1"
    identifier = begun(space, study(space, "On a permit", STATISTICS, rounds=1, permit=permit))
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "refused", ended["reason"]
    assert "3 of 3 sites refused" in ended["reason"]
    for house in space.sites:
        assert [run for run in house.call("request/list") if run["study"] == identifier] == []
        assert "the data permit the study rests on is not known here" in log_text(house)


def test_a_site_that_asks_for_a_bound_on_privacy_loss_refuses_exact_sums_and_permits_noisy_ones(
    space: Space, data: list[HospitalData]
) -> None:
    strict = space.sites[2]
    text = site_policy(strict, "2").replace(
        "      isolation level at least: 2\n", "      isolation level at least: 2\n      epsilon at most: 3\n"
    )
    strict.activate_policy(text.replace("confirmed:\n", "confirmed:\n  epsilon: Decided by its officer\n"), "site.yaml")
    exact = begun(space, study(space, "Without noise", STATISTICS, rounds=1))
    ended = space.ended(exact, SECONDS)
    assert ended["state"] == "refused"
    assert "1 of 3 sites refused" in ended["reason"]
    denied = strict.call("request/show", {"run": run_of(strict, exact, "query aggregate")["run"]})
    assert denied["state"] == "denied"
    assert "epsilonRequested" in str(denied["decision"])
    assert "privacy loss" in str(denied["decision"])

    before = [spent(house) for house in space.sites]
    few = {"plugin": "statistics", "parameters": {"variables": ["sex"], "outcomes": ["overall survival"]}}
    asked = study(space, "With noise", few, rounds=1, privacy={"epsilon": 2.0, "delta": 1e-6})
    found = released(space, asked)["report"]
    assert found["privacy"]["epsilon"] == 2.0
    assert [spent(house) > was for house, was in zip(space.sites, before, strict=True)] == [True] * 3
    noise = found["figures"]["series"]["counts:sex"][0]["noise"]
    assert 0 < noise < 30
    table, told = pooled(data), metrics(found, "groupSize")
    known = {f"sex: {sex}": table.filter(pl.col("sex") == sex).height for sex in ("F", "M")}
    assert known.keys() & told.keys()  # a small count of missing values hides one of them, too
    for words in known.keys() & told.keys():
        assert 0 < abs(told[words] - known[words]) < 7 * noise


def test_a_report_that_one_site_does_not_let_leave_is_withheld(space: Space) -> None:
    careful = space.sites[2]
    head, tail = site_policy(careful, "3").split("  - id: report-leaves\n")
    tail = tail.replace(f"minimum cell count at least: {SMALLEST}", "minimum cell count at least: 500", 1)
    careful.activate_policy(f"{head}  - id: report-leaves\n{tail}", "site.yaml")
    identifier = begun(space, study(space, "Groups too small for one", STATISTICS, rounds=1))
    ended = space.ended(identifier, SECONDS)
    assert ended["state"] == "stopped"
    assert "Hospital C" in ended["reason"]
    assert "EHDS Article 73(2)" in ended["reason"]
    with pytest.raises(RemoteError, match="released no report"):
        space.hub.call("study/report", {"study": identifier})
