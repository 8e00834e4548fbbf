"""What came out of a run leaves the secure environment only if the policies permit it, with the figures of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.demo import house as demo
from synthema.errors import NotFoundError, StorageError
from synthema.policy import Fact, read_request, replay
from synthema.runs.execute import generate
from synthema.runs.facts import OUTPUT_TERMS, FactFinder
from synthema.runs.measured import ESTIMATES
from synthema.vocabulary.namespaces import ODRL, SYN
from tests.e2e import house as houses
from tests.e2e.house import DATASET, NOW, House, Settled, copy_of, obtain_permit, site_policy, write_plugin
from tests.e2e.test_analysis import CODE, manifest
from tests.e2e.test_unlogged import Full

pytestmark = pytest.mark.e2e

MAY_LEAVE = "      output is: [synthetic, aggregate]\n"
NO_TRANSFER = """
forbid:
  - id: no-transfer
    action: [export, distribute]
    law: GDPR 44
    sentence: The patients were not asked about recipients outside the European Economic Area
    unless:
      recipient place is: EEA
"""


def under(house: House, change: Callable[[str], str]) -> None:
    """Put another version of the site policy in force."""
    text = site_policy(house, version="2")
    changed = change(text)
    assert changed != text
    house.activate_policy(changed, "site.yaml")


def no_export(text: str) -> str:
    return text.replace("action: [export, certify]", "action: certify")


def bounded(line: str, operand: str) -> Callable[[str], str]:
    """A further bound in the rule on releases, with its confirmation."""
    return lambda text: text.replace(MAY_LEAVE, f"{MAY_LEAVE}      {line}\n") + f"  {operand}: Decided by the officer\n"


def submitted(house: House, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to a request that was run at once, and how its run is shown afterwards."""
    answer = house.call("request/submit", {"request": house.wish(**changes)})
    assert answer["effect"] == "permit", answer["sentences"]
    return answer, house.call("request/show", {"run": answer["run"]})


def opted_out(settled: Settled) -> str:
    """The consents of the hospital's patients, one of whom has opted out of secondary use."""
    head, first, *others = settled.patients.consents.splitlines()
    assert head.endswith(",opt_out_date")
    assert first.endswith(",")
    return "\n".join([head, f"{first}2026-03-01", *others]) + "\n"


def assert_withheld(house: House, shown: dict[str, Any]) -> None:
    assert shown["state"] == "stopped"
    assert shown["evidence"]["conformant"], "the gates held: what stops it is the policy"
    assert {file["state"] for file in shown["artefacts"]} == {"withheld"}
    for file in shown["artefacts"]:
        with pytest.raises(NotFoundError):
            house.call("artefact/fetch", {"digest": file["digest"]})
    assert house.snapshot().files == ()


@pytest.mark.article("EHDS 73(2)")
def test_a_released_run_holds_the_decision_that_let_it_leave(house: House) -> None:
    answer, shown = submitted(house)
    assert answer["verdict"]["released"]
    (act,) = shown["acts"]
    assert (act["action"], act["effect"]) == (SYN + "export", "permit")
    request = read_request(act["decision"]["request"])
    run = house.connector.log.iri("run", answer["run"])
    assert request.facts[SYN + "outputClass"].value == "https://w3id.org/dpv#SyntheticData"
    assert request.facts[SYN + "environment"].value == "https://w3id.org/dpv#SecureProcessingEnvironment"
    assert request.facts[ODRL + "count"].value == 0
    assert SYN + "auditHeadAge" not in request.facts, "nobody has witnessed this log"
    files = {file["name"]: file["digest"] for file in answer["verdict"]["artefacts"]}
    _, content = house.connector.governor.released(files["evaluation.json"])
    measured = {metric["id"]: metric for metric in json.loads(content)["metrics"]}
    for operand, metric in (
        ("membershipAUC", "membershipAUC"),
        ("singlingOutRisk", "singlingOutRisk"),
        ("linkabilityRisk", "linkabilityRisk"),
        ("inferenceRisk", "inferenceRisk"),
    ):
        fact = request.facts[SYN + operand]
        assert fact.value == measured[metric]["upper"]
        assert fact.evidence == f"{run}#evaluation/{metric}/upper"
    assert request.facts[SYN + "utilityScore"].value == measured["pairSimilarity"]["lower"]
    compiled = house.connector.policies.compiled(house.dataset_iri(), house.permit)
    assert replay(act["decision"], compiled).digest == act["digest"]


@pytest.mark.article("EHDS 73(2)")
def test_without_a_permission_to_leave_nothing_leaves_and_the_run_says_so(house: House) -> None:
    under(house, no_export)
    position = house.connector.log.size() - 1
    answer, shown = submitted(house)
    assert not answer["verdict"]["released"]
    assert answer["verdict"]["artefacts"] == []
    assert_withheld(house, shown)
    assert "EHDS Article 73(2)" in shown["reason"]
    assert "o rule of the layer 'site'" in shown["reason"]
    assert any("o rule of the layer 'site'" in sentence for sentence in answer["verdict"]["sentences"])
    (act,) = shown["acts"]
    assert act["effect"] == "deny"
    entries = house.log_text(position)
    (decided,) = [text for text in entries if f"/decision/{act['id']}>" in text and "ns#effect>" in text]
    assert act["digest"] in decided
    assert "ns#Withholding>" in entries[-1]
    assert not any("ns#Release>" in text for text in entries)


@pytest.mark.article("EHDS 73(2)")
def test_figures_leave_by_the_same_door_as_rows(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plugin(tmp_path / "strangers", "mean-haemoglobin", CODE, manifest())
    monkeypatch.syspath_prepend(tmp_path / "strangers")
    house.approve("mean-haemoglobin")
    under(house, lambda text: text.replace(MAY_LEAVE, "      output is: synthetic\n"))
    _, shown = submitted(
        house, action="query aggregate", kind="analysis", compute={"plugin": "mean-haemoglobin"}, evaluate=None,
        output="aggregate", epsilon=0.0, delta=0.0, rows=0, holdout=0.0,
    )  # fmt: skip
    assert_withheld(house, shown)
    assert "aggregate" in shown["reason"]


@pytest.mark.article("EHDS 73(2)")
def test_an_attack_that_does_better_than_the_policy_allows_stops_the_release(house: House) -> None:
    under(house, bounded("membership auc at most: 0.2", "membership auc"))
    _, shown = submitted(house)
    assert_withheld(house, shown)
    (act,) = shown["acts"]
    (reason,) = [r for r in act["decision"]["reasons"] if r["operand"] == SYN + "membershipAUC"]
    assert reason["required"] == 0.2
    assert reason["actual"] > 0.4
    assert reason["evidence"].endswith("#evaluation/membershipAUC/upper")
    (change,) = act["decision"]["changes"]
    assert "membership inference" in change["sentence"]
    assert change["by"] == "site"
    assert "0.2" in shown["reason"]


@pytest.mark.article("EHDS 73(2)")
def test_a_figure_that_nobody_measured_denies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {operand: estimate for operand, estimate in ESTIMATES.items() if operand != SYN + "linkabilityRisk"}
    monkeypatch.setattr("synthema.runs.measured.ESTIMATES", known)
    under(house, bounded("linkability risk at most: 1", "linkability risk"))
    _, shown = submitted(house)
    assert_withheld(house, shown)
    assert "risk of linking" in shown["reason"]


@pytest.mark.article("GDPR 44")
def test_results_do_not_leave_for_a_place_nobody_knows(settled: Settled, tmp_path: Path, clock: FixedClock) -> None:
    """The patients were asked about the European Economic Area only: the rule bites on the act of leaving."""
    for place, state in ((None, "stopped"), ("DE", "released")):
        with copy_of(settled, tmp_path / state, clock, place=place) as house:
            (version,) = [p for p in house.call("policy/list") if p["layer"] == "L3"]
            house.call("policy/withdraw", {"policy": version["policy"], "version": version["version"]})
            text = demo.dataset_policy(house).replace("version: 1", "version: 2")
            house.activate_policy(text.replace("\nforbid:\n", NO_TRANSFER), "consent.yaml")
            _, shown = submitted(house)
            assert shown["state"] == state, shown["reason"]
            assert (shown["reason"] is None) == (place is not None)
            assert place or "GDPR 44" in shown["reason"]


@pytest.mark.article("EHDS 88")
def test_under_the_ehds_results_stay_in_the_european_economic_area(
    settled: Settled, tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything else the Regulation asks for is in order; only whoever gets the result is abroad."""
    of_party = FactFinder.of_party
    for place, state in (("US", "stopped"), ("FR", "released")):
        with copy_of(settled, tmp_path / place, clock, place="DE", regime="EHDS") as house:
            house.call("consent/import", {"dataset": DATASET, "file": "consent.csv", "table": opted_out(settled)})
            grant, request = house.granted(person=house.signatories[1].person)
            governor, places = house.connector.governor, house.connector.vocabulary.places
            settle = governor.settle

            def elsewhere(*given: Any, place: str = places.resolve(place), settle: Any = settle, **named: Any) -> Any:
                known = {SYN + "recipientPlace": Fact(place)}
                monkeypatch.setattr(FactFinder, "of_party", lambda *asked: {**of_party(*asked), **known})
                return settle(*given, **named)

            governor.settle = elsewhere  # type: ignore[method-assign]
            generate(governor, grant, request)
            monkeypatch.setattr(FactFinder, "of_party", of_party)
            shown = house.call("request/show", {"run": request.id})
            assert shown["state"] == state, shown["reason"]
            assert place == "FR" or "EHDS 88" in shown["reason"]


@pytest.mark.article("EHDS 66")
def test_what_is_personal_does_not_leave_whatever_the_policies_permit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No kind of run gives such an output; if one did, the law would stop it at the door."""
    grant, request = house.granted()
    governor = house.connector.governor
    settle = governor.settle

    def mislabelled(*given: Any, **named: Any) -> Any:
        monkeypatch.setitem(OUTPUT_TERMS, "synthetic", "pseudonymised")
        return settle(*given, **named)

    governor.settle = mislabelled  # type: ignore[method-assign]
    assert not generate(governor, grant, request).released
    shown = house.call("request/show", {"run": request.id})
    assert_withheld(house, shown)
    articles = " ".join(reason["article"] for reason in shown["acts"][0]["decision"]["reasons"])
    assert "EHDS 66(2)" in articles
    assert "EHDS 73(2)" in articles


def test_the_policies_of_the_moment_of_release_count(house: House) -> None:
    grant, request = house.granted()
    governor = house.connector.governor
    settle = governor.settle

    def meanwhile(*given: Any, **named: Any) -> Any:
        under(house, no_export)
        return settle(*given, **named)

    governor.settle = meanwhile  # type: ignore[method-assign]
    verdict = generate(governor, grant, request)
    assert not verdict.released
    assert_withheld(house, house.call("request/show", {"run": request.id}))


def test_how_often_something_left_before_can_be_bounded(house: House) -> None:
    under(house, bounded("earlier uses at most: 0", "earlier uses"))
    _, first = submitted(house, epsilon=2.5)
    assert first["state"] == "released", first["reason"]
    _, second = submitted(house, epsilon=2.5)
    assert second["state"] == "stopped"
    assert "earlier uses" in second["reason"]


def test_duties_of_a_release_are_taken_on_with_it(house: House) -> None:
    answer, shown = submitted(house)
    (act,) = shown["acts"]
    owed = house.call("obligation/list", {"run": answer["run"]})
    (thanks,) = [task for task in owed if task["rule"].endswith("#release")]
    assert thanks["decision"] == house.connector.log.iri("decision", act["id"])
    assert {one["rule"] for one in act["decision"]["obligations"]} >= {thanks["rule"]}


@pytest.mark.article("GDPR 5(2)")
def test_a_release_whose_decision_cannot_be_logged_does_not_happen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, request = house.granted()
    Full(house, monkeypatch, "PolicyDecision")
    with pytest.raises(StorageError, match="log is full"):
        generate(house.connector.governor, grant, request)
    shown = house.call("request/show", {"run": request.id})
    assert (shown["state"], shown["acts"], shown["evidence"]) == ("failed", [], None)
    assert {file["state"] for file in shown["artefacts"]} == {"withheld"}
    assert house.snapshot().files == ()


def test_a_decision_without_its_release_is_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision, duties and release are one step: where the last of them fails, none of them was."""
    grant, request = house.granted()
    Full(house, monkeypatch, "Release")
    position = house.connector.log.size() - 1
    with pytest.raises(StorageError, match="log is full"):
        generate(house.connector.governor, grant, request)
    assert house.call("request/show", {"run": request.id})["acts"] == []
    assert not any("ns#PolicyDecision>" in text for text in house.log_text(position))
    owed = house.call("obligation/list", {"run": request.id})
    assert not [task for task in owed if task["rule"].endswith("#release")]


def test_every_privacy_figure_a_policy_may_ask_for_has_an_estimator(house: House) -> None:
    assert set(ESTIMATES) <= set(house.connector.vocabulary.operands)
    risks = {SYN + name for name in ("singlingOutRisk", "linkabilityRisk", "inferenceRisk", "membershipAUC")}
    assert set(ESTIMATES) >= risks | {SYN + "utilityScore"}


TREES = {"compute": {"plugin": "trees", "parameters": {}}, "epsilon": 0.0}


def without_privacy_loss(text: str) -> str:
    """A policy that no longer asks for a bounded privacy loss: only then may a generator run that promises none."""
    return re.sub(r"(?m)^ +(all of:\n(?= +- epsilon)|-? ?(epsilon|delta)( at most)?: .*\n)", "", text)


def test_a_generator_without_a_privacy_promise_meets_no_bound_on_privacy_loss(house: House) -> None:
    house.approve("trees")
    request, answer = house.request(**TREES)
    assert answer["effect"] == "deny"
    unknown = [each for each in house.connector.governor.run(request.id).decision["reasons"] if each["actual"] is None]
    assert any("privacy loss" in each["explanation"] for each in unknown)


def test_a_generator_without_a_privacy_promise_runs_where_the_policies_let_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.approve("trees")
    policy_of_permit = houses.permit_policy
    monkeypatch.setattr(houses, "permit_policy", lambda *given: without_privacy_loss(policy_of_permit(*given)))
    under(house, without_privacy_loss)
    house.permit = obtain_permit(house, NOW, houses.BUDGET)
    answer, shown = submitted(house, **TREES)
    assert shown["state"] == "released", answer["verdict"]
    assert house.snapshot().spent == 0
