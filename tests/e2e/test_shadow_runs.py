"""The strongest membership attack inside a governed run: its figures meet the gates, and nothing else leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthema.errors import InputError
from synthema.runs.execute import generate
from tests.e2e.house import House, write_generator

pytestmark = pytest.mark.e2e

SHADOWS = {"plugin": "evaluation", "parameters": {"shadows": 8}}


def sentence_of(result: dict[str, Any], metric: str) -> str:
    (found,) = (said for said in result["verdict"]["sentences"] if f" {metric} must" in said)
    return str(found)


@pytest.mark.article("GDPR 35(7)(d)")
def test_its_figures_with_intervals_are_evidence_and_cost_no_budget(house: House) -> None:
    result = house.call("request/submit", {"request": house.wish(evaluate=SHADOWS)})
    assert result["effect"] == "permit", result["sentences"]
    files = {file["name"]: file["digest"] for file in result["verdict"]["artefacts"]} or {
        file["name"]: file["digest"] for file in house.call("request/show", {"run": result["run"]})["artefacts"]
    }
    assert set(files) == {"synthetic.parquet", "codebook.json", "evaluation.json"}
    assert "measured" in sentence_of(result, "shadowMembershipAUC")
    assert "measured" in sentence_of(result, "shadowMembershipTPR")
    shown = house.call("request/show", {"run": result["run"]})
    judged = {gate["metric"]: gate for gate in shown["evidence"]["results"]}
    assert 0.4 < judged["shadowMembershipAUC"]["observed"] < 0.7
    assert judged["shadowMembershipAUC"]["n"] > 8 * 200
    grant = house.connector.governor.grant(result["run"])
    assert house.snapshot().spent == round(grant.rho * 1e12 + 0.5)  # once, and not once for each run


@pytest.mark.article("EHDS 73(2)")
def test_a_generator_that_gives_its_patients_away_is_withheld_for_it(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_generator(tmp_path / "strangers", "parrot")  # it claims to be private, and is not
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("parrot")
    grant, request = house.granted(compute={"plugin": "parrot", "parameters": {}}, evaluate=SHADOWS)
    verdict = generate(house.connector.governor, grant, request)
    assert not verdict.released
    for metric in ("shadowMembershipAUC", "shadowMembershipTPR"):
        (said,) = (sentence for sentence in verdict.report.failures() if f" {metric} must" in sentence)
        assert said.endswith("does not pass.")


def test_where_none_is_asked_for_the_verdict_says_so(house: House) -> None:
    result = house.call("request/submit", {"request": house.wish()})
    assert "it was not" in sentence_of(result, "shadowMembershipAUC")
    (file,) = (f for f in result["verdict"]["artefacts"] if f["name"] == "evaluation.json")
    _, content = house.connector.governor.released(file["digest"])
    assert any("shadowMembershipAUC" in note and "Not measured" in note for note in json.loads(content)["notes"])


@pytest.mark.parametrize(("shadows", "said"), [(4, "tell nothing"), (-1, "shadows"), (1000, "shadows")])
def test_a_number_that_tells_nothing_is_refused_before_anything_is_decided(
    house: House, shadows: int, said: str
) -> None:
    before = house.snapshot()
    evaluate = {"plugin": "evaluation", "parameters": {"shadows": shadows}}
    with pytest.raises(InputError, match=said):
        house.call("request/submit", {"request": house.wish(evaluate=evaluate)})
    assert house.snapshot() == before
