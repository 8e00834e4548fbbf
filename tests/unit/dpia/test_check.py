from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synthema.dpia import Dpia, Evidence, Outcome, check, confirm_gates, load_dpia, measured
from synthema.dpia.model import Gate, Opinion
from synthema.resources import bundled

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SOURCE = "http://127.0.0.1:8101/id/run/run-1"
GOOD = {
    "minCellCount": 6.0,
    "membershipAUC": 0.52,
    "attributeInferenceAdvantage": 0.01,
    "singlingOutRisk": 0.01,
    "copiedRowShare": 0.0,
    "marginalSimilarity": 0.93,
    "survivalDistance": 0.03,
    "ruleViolations": 0.0,
}


@pytest.fixture(scope="module")
def dpia() -> Dpia:
    return confirm_gates(load_dpia(bundled("legal") / "dpia" / "synthetic-data.yaml"))


def evidence(metric: str, value: float, **changes: Any) -> Evidence:
    return replace(measured(metric, value, 200, NOW, SOURCE, lower=value, upper=value), **changes)


def figures(**changes: float) -> list[Evidence]:
    return [evidence(metric, value) for metric, value in (GOOD | changes).items()]


def test_good_figures_pass(dpia: Dpia) -> None:
    report = check(dpia, "pre-release", figures(), NOW)
    assert report.conformant
    assert report.missing == ()
    assert report.failures() == ()
    assert all(result.source == SOURCE for result in report.results[2:] if result.metric in GOOD)
    assert report.as_dict()["dpiaDigest"] == dpia.digest
    assert report.digest == check(dpia, "pre-release", figures(), NOW).digest


@pytest.mark.parametrize(
    ("metric", "bad", "edge"),
    [
        ("minCellCount", 4.0, 5.0),
        ("membershipAUC", 0.651, 0.65),
        ("attributeInferenceAdvantage", 0.21, 0.2),
        ("singlingOutRisk", 0.16, 0.15),
        ("copiedRowShare", 0.11, 0.10),
        ("marginalSimilarity", 0.84, 0.85),
        ("survivalDistance", 0.081, 0.08),
        ("ruleViolations", 0.001, 0.0),
    ],
)
def test_each_gate_stops_what_is_beyond_it(dpia: Dpia, metric: str, bad: float, edge: float) -> None:
    stopped = check(dpia, "pre-release", figures(**{metric: bad}), NOW)
    assert not stopped.conformant
    assert len(stopped.failures()) == 1
    assert metric in stopped.failures()[0]
    assert check(dpia, "pre-release", figures(**{metric: edge}), NOW).conformant


@pytest.mark.parametrize("metric", sorted(GOOD))
def test_what_is_not_measured_denies(dpia: Dpia, metric: str) -> None:
    report = check(dpia, "pre-release", [e for e in figures() if e.metric != metric], NOW)
    assert not report.conformant
    assert report.missing == (metric,)
    assert "was not measured" in report.failures()[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"upper": None}, "no upper end"),
        ({"value": float("nan"), "upper": 0.5}, "not a finite number"),
        ({"upper": float("inf")}, "not a finite number"),
        ({"upper": 0.4}, "contradicts itself"),
        ({"measured_at": NOW + timedelta(seconds=1)}, "from the future"),
        ({"measured_at": NOW - timedelta(days=1, seconds=1)}, "older than 1 day"),
        ({"n": 19}, "rests on 19 records"),
        ({"unit": "patients"}, "in patients, and the metric in index"),
        ({"unit": None}, "in no unit"),
        ({"population": "synthetic records"}, "about synthetic records"),
        ({"kind": "syn:Promise"}, "of the kind syn:Promise"),
        ({"confidence": 0.9}, "with 90% confidence, not 95%"),
    ],
)
def test_odd_or_stale_evidence_denies(dpia: Dpia, changes: dict[str, Any], said: str) -> None:
    value = changes.pop("value", 0.52)
    odd = evidence("membershipAUC", value, **({"lower": None} | changes))
    report = check(dpia, "pre-release", [*[e for e in figures() if e.metric != "membershipAUC"], odd], NOW)
    assert not report.conformant
    assert said in report.failures()[0]


def test_every_hospital_must_pass(dpia: Dpia) -> None:
    report = check(dpia, "pre-release", [*figures(), evidence("membershipAUC", 0.9)], NOW)
    assert not report.conformant
    assert len(report.failures()) == 1


def test_the_upper_end_counts_for_attacks(dpia: Dpia) -> None:
    wide = evidence("membershipAUC", 0.5, lower=0.3, upper=0.7)
    rest = [e for e in figures() if e.metric != "membershipAUC"]
    assert not check(dpia, "pre-release", [*rest, wide], NOW).conformant


def test_other_phases_are_other_gates(dpia: Dpia) -> None:
    good = {"cohortSize": 50.0, "contributingParties": 3.0, "minCellCount": 5.0}
    run = [evidence(metric, value, n=1) for metric, value in good.items()]
    assert check(dpia, "pre-run", run, NOW).conformant
    for metric, value in good.items():
        rest = [e for e in run if e.metric != metric]
        assert not check(dpia, "pre-run", [*rest, evidence(metric, value - 1)], NOW).conformant
        assert check(dpia, "pre-run", rest, NOW).missing == (metric,)
    assert check(dpia, "in-run", [], NOW).missing == ("isolationLevel", "privacyLoss")
    inside = [evidence("isolationLevel", 2.0), evidence("privacyLoss", 3.0)]
    assert check(dpia, "in-run", inside, NOW).conformant
    assert not check(dpia, "in-run", [inside[0], evidence("privacyLoss", 6.1)], NOW).conformant


def test_a_figure_nobody_knows_says_nothing_of_itself(dpia: Dpia) -> None:
    unknown = measured("somethingNew", 0.1, 100, NOW, SOURCE)
    assert (unknown.unit, unknown.population, unknown.kind) == (None, None, None)


def test_an_unconfirmed_threshold_passes_nothing(dpia: Dpia) -> None:
    gates = [g.model_copy(update={"confirmed_by_site": g.id != "plausible"}) for g in dpia.gates]
    report = check(dpia.model_copy(update={"gates": tuple(gates)}), "pre-release", figures(), NOW)
    assert not report.conformant
    assert "has not confirmed" in report.failures()[0]


@pytest.mark.article("GDPR 35(11)")
def test_an_overdue_review_stops_everything(dpia: Dpia) -> None:
    last = datetime(2027, 11, 21, 23, 59, tzinfo=UTC)
    later = [evidence(metric, value, measured_at=last) for metric, value in GOOD.items()]
    assert check(dpia, "pre-release", later, last).conformant
    assert not check(dpia, "pre-release", later, last + timedelta(minutes=1)).conformant


@pytest.mark.article("GDPR 36")
def test_a_bad_outcome_or_opinion_stops_everything(dpia: Dpia) -> None:
    high = dpia.model_copy(update={"outcome": Outcome.HIGH_RESIDUAL})
    assert not check(high, "pre-release", figures(), NOW).conformant
    against = dpia.model_copy(update={"opinion": Opinion(given_on=NOW.date(), favourable=False, text="No.")})
    assert not check(against, "pre-release", figures(), NOW).conformant


@pytest.mark.parametrize(
    ("operator", "passing", "failing"),
    [("lt", 0.9, 1.0), ("lteq", 1.0, 1.1), ("eq", 1.0, 1.1), ("gteq", 1.0, 0.9), ("gt", 1.1, 1.0)],
)
def test_operators_mean_what_they_say(dpia: Dpia, operator: Any, passing: float, failing: float) -> None:
    gate = dpia.gate("crowd-at-release").model_copy(update={"operator": operator, "threshold": 1.0})
    one: tuple[Gate, ...] = (gate,)
    small = dpia.model_copy(update={"gates": one})
    assert check(small, "pre-release", [evidence("minCellCount", passing)], NOW).conformant
    assert not check(small, "pre-release", [evidence("minCellCount", failing)], NOW).conformant


def test_a_figure_that_not_every_run_affords_is_noted_where_it_is_missing_and_judged_where_it_is_there(
    dpia: Dpia,
) -> None:
    unmeasured = check(dpia, "pre-release", figures(), NOW)
    assert unmeasured.conformant
    (said,) = (result.sentence for result in unmeasured.results if result.gate == "shadow-attack")
    assert said.endswith("where it is measured; it was not, and the assessment does not ask for it always.")
    assert check(dpia, "pre-release", figures(shadowMembershipAUC=0.55, shadowMembershipTPR=0.02), NOW).conformant
    for bad in ({"shadowMembershipAUC": 0.551}, {"shadowMembershipTPR": 0.021}, {"identityDisclosureRisk": 0.1}):
        report = check(dpia, "pre-release", figures(**bad), NOW)
        assert [result.metric for result in report.results if not result.passed] == list(bad)


def test_a_site_may_ask_every_run_for_it(dpia: Dpia) -> None:
    strict = dpia.model_copy(update={"gates": tuple(g.model_copy(update={"on_missing": "deny"}) for g in dpia.gates)})
    report = check(strict, "pre-release", figures(), NOW)
    assert not report.conformant
    assert set(report.missing) == {"shadowMembershipAUC", "shadowMembershipTPR", "identityDisclosureRisk"}


def test_a_threshold_that_nobody_confirmed_does_not_pass_unmeasured(dpia: Dpia) -> None:
    opened = tuple(
        g.model_copy(update={"confirmed_by_site": g.id != "shadow-attack"}) if g.phase == "pre-release" else g
        for g in dpia.gates
    )
    report = check(dpia.model_copy(update={"gates": opened}), "pre-release", figures(), NOW)
    assert [result.gate for result in report.results if not result.passed] == ["shadow-attack"]
