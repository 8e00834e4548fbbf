from __future__ import annotations

import pytest

from synthema.policy import Fact, Layer, compile_policies, decide
from synthema.vocabulary import compact, expand
from tests.unit.policy.sample import V, all_policies, decision, form, request


def test_the_smallest_change_is_the_bound() -> None:
    found = decision(request(epsilon=12.0, epsilon_remaining=20.0))
    assert [(compact(c.operand), c.before, c.after, c.by) for c in found.changes] == [
        ("syn:epsilonRequested", 12.0, 6.0, "requester")
    ]
    sentence = "reduce the privacy loss ε of this release from 12 to at most 6"
    assert found.changes[0].sentence == sentence
    assert any(line.casefold().endswith(sentence + ".") for line in found.sentences())


def test_the_tightest_bound_of_all_layers_counts() -> None:
    found = decision(request(epsilon=12.0, epsilon_remaining=4.5))
    assert [change.after for change in found.changes] == [4.5]


def test_several_changes_are_found_together() -> None:
    found = decision(request(epsilon=12.0, contributing_parties=2, without=("dpia outcome",)))
    assert {compact(c.operand): (c.after, c.by) for c in found.changes} == {
        "syn:epsilonRequested": (6.0, "requester"),
        "syn:contributingParties": (3, "requester"),
        "syn:dpiaOutcome": (expand("gdpr:DPIAOutcomeRisksMitigated"), "site"),
    }


def test_fewer_changes_win_over_more() -> None:
    body = """
permit:
  - {id: strict, action: synthesise, when: {epsilon at most: 1, delta at most: 0.1, isolation level at least: 4}}
  - {id: mild, action: synthesise, when: {epsilon at most: 1, cohort size at least: 5}}
"""
    policies = [policy for policy in all_policies() if policy.layer is not Layer.SITE] + [form(body)]
    found = decide(compile_policies(policies, V), request("synthesise", epsilon=2.0))
    assert [compact(change.operand) for change in found.changes] == ["syn:epsilonRequested"]


def test_a_change_of_the_requester_wins_over_one_of_the_site() -> None:
    choice = "{any of: [{cohort size at least: 900}, {contributing parties at least: 4}]}"
    body = f"permit: [{{action: synthesise, when: {choice}}}]"
    policies = [policy for policy in all_policies() if policy.layer is not Layer.SITE] + [form(body)]
    found = decide(compile_policies(policies, V), request("synthesise"))
    assert [(compact(c.operand), c.after, c.by) for c in found.changes] == [("syn:contributingParties", 4, "requester")]


@pytest.mark.article("EHDS 54")
@pytest.mark.parametrize("purpose", ["dpv:Marketing", "health:LifeInsuranceManagement", "harmful products"])
def test_no_change_helps_a_forbidden_purpose(purpose: str) -> None:
    found = decision(request(purpose=purpose, epsilon=12.0))
    assert found.changes == ()
    assert found.unchangeable == "no change of parameters helps: choose a permitted purpose"
    assert expand("ehds:HealthcareScientificResearch") in found.permitted_purposes


def test_a_purpose_is_never_suggested_as_a_change() -> None:
    found = decision(request(purpose="education"))
    assert found.changes == ()
    assert {compact(purpose) for purpose in found.permitted_purposes} == {
        "ehds:HealthcareScientificResearch",
        "ehds:TrainTestAndEvaluateHealthAlgorithms",
    }


def test_withdrawn_consent_is_nothing_to_change() -> None:
    found = decision(request(legal_basis="explicit consent", consent_state="withdrawn"))
    assert found.changes == ()
    assert "state of consent" in found.unchangeable


def test_a_missing_unchangeable_fact_is_to_be_stated_truly() -> None:
    found = decision(request(without=("legal basis",)))
    assert (
        found.unchangeable == "no change of parameters helps: the request has to state the legal basis as it truly is"
    )


def test_an_act_that_is_forbidden_or_permitted_nowhere() -> None:
    assert "no rule that permits" in decision(request("analyse")).unchangeable
    law = form("forbid: [{action: contribute update}]")
    assert "the act itself is forbidden" in decision(None, law).unchangeable


def test_strict_bounds_and_terms_and_choices() -> None:
    body = """
permit:
  - action: synthesise
    when:
      epsilon less than: 2
      contributing parties more than: 4
      output is: synthetic
      exactly one of:
        - delta at most: 0.0000001
        - isolation level at least: 2
"""
    policies = [policy for policy in all_policies() if policy.layer is not Layer.SITE] + [form(body)]
    found = decide(compile_policies(policies, V), request("synthesise"))
    values = {compact(change.operand): change.after for change in found.changes}
    assert values["syn:contributingParties"] == 5
    assert values["syn:outputClass"] == expand("dpv:SyntheticData")
    epsilon = values["syn:epsilonRequested"]
    assert isinstance(epsilon, float)
    assert 1.99 < epsilon < 2


def test_prohibitions_are_mended_through_condition_or_exception() -> None:
    policy = form("forbid: [{action: use, when: {cohort size less than: 500}, unless: {ethics approval is: true}}]")
    found = decision(request(ethics_approval=False), policy)
    assert len(found.changes) == 1
    assert found.changes[0].by == "site"


def test_facts_of_a_wrong_type_are_named_from_nothing() -> None:
    found = decision(request(minimum_cell_count=Fact("five")))
    assert [(compact(c.operand), c.before, c.after) for c in found.changes] == [("syn:minCellCount", None, 5)]
