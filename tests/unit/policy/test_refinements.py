"""A refinement narrows one thing a rule names; where it cannot be told whether it is met, the rule does not help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy import (
    ANY_DATASET,
    CompiledPolicies,
    Constraint,
    Decision,
    Fact,
    Kind,
    Layer,
    Operator,
    Policy,
    Rule,
    compile_policies,
    decide,
    replay,
)
from synthema.policy.model import Duty, Refinement
from synthema.vocabulary import compact, expand
from tests.unit.policy.sample import DATASET, HUB, V, all_policies, request

USE, SYNTHESISE, ANALYSE = map(expand, ("odrl:use", "syn:synthesise", "syn:analyse"))
EPSILON, COHORT, OUTPUT = map(expand, ("syn:epsilonRequested", "syn:cohortSize", "syn:outputClass"))
LOW = Constraint(EPSILON, Operator.LTEQ, 1.0)
LARGE = Constraint(COHORT, Operator.GTEQ, 500)


def only(rule: Rule, layer: Layer = Layer.SITE) -> CompiledPolicies:
    """A rule as the only one of the site; the law, the dataset and the agreement permit."""
    others = [policy for policy in all_policies() if policy.layer is not Layer.SITE]
    return compile_policies([*others, Policy("urn:policy:x", layer, "1", "x", (rule,))], V)


def beside(rule: Rule) -> CompiledPolicies:
    return compile_policies([*all_policies(), Policy("urn:policy:x", Layer.MEMBER_STATE, "1", "x", (rule,))], V)


def rule(kind: Kind, *refinements: Refinement, actions: tuple[str, ...] = (USE,), **other: object) -> Rule:
    return Rule("urn:rule:x", kind, actions, refinements=refinements, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "named",
    [
        rule(Kind.PERMISSION, Refinement(USE, LOW)),
        rule(Kind.PERMISSION, Refinement(DATASET, LOW), targets=(DATASET,)),
        rule(Kind.PERMISSION, Refinement(ANY_DATASET, LOW), targets=(ANY_DATASET,)),
        rule(Kind.PERMISSION, Refinement(HUB, LOW), assignees=(HUB,)),
    ],
)
def test_a_permission_grants_only_what_it_is_narrowed_to(named: Rule) -> None:
    rules = only(named)
    assert decide(rules, request(epsilon=1.0)).permitted
    for facts in ({"epsilon": 1.1}, {"epsilon": "low"}, {"epsilon": float("nan")}, {"epsilon": Fact(1.0, unit="%")}):
        found = decide(rules, request(**facts))
        assert found.effect == "deny"
        reason = next(each for each in found.reasons if each.rule == "urn:rule:x")
        assert (reason.side, reason.operand, reason.required, reason.effect) == (
            "refinement",
            EPSILON,
            1.0,
            "permission",
        )
    missing = decide(rules, request(without=("epsilon",)))
    assert any(each.side == "refinement" and each.problem == "missing" for each in missing.reasons)


def test_a_granting_refinement_is_told_with_its_evidence() -> None:
    found = decide(
        only(rule(Kind.PERMISSION, Refinement(USE, LOW))), request(epsilon=Fact(0.5, "urn:e", None, "sha256:aa"))
    )
    reason = next(each for each in found.as_dict()["reasons"] if each["rule"] == "urn:rule:x")
    assert (reason["side"], reason["actual"], reason["required"], reason["satisfied"]) == ("refinement", 0.5, 1.0, True)
    assert (reason["layer"], reason["evidence"], reason["digest"]) == ("L2", "urn:e", "sha256:aa")
    assert replay(found.as_dict(), only(rule(Kind.PERMISSION, Refinement(USE, LOW)))).digest == found.digest


@pytest.mark.parametrize(
    "named",
    [
        rule(Kind.PROHIBITION, Refinement(USE, LARGE)),
        rule(Kind.PROHIBITION, Refinement(DATASET, LARGE), targets=(DATASET, "urn:other")),
        rule(Kind.PROHIBITION, Refinement(HUB, LARGE), assignees=(HUB,)),
    ],
)
def test_a_prohibition_bites_unless_it_is_surely_narrowed_away(named: Rule) -> None:
    rules = beside(named)
    assert decide(rules, request(cohort_size=400)).permitted
    for facts in ({"cohort_size": 500}, {"cohort_size": 400.5}, {"cohort_size": Fact(400, unit="records")}):
        assert any(each.rule == "urn:rule:x" for each in decide(rules, request(**facts)).reasons)
    assert not decide(rules, request(without=("cohort size",))).permitted


def test_an_obligation_arises_unless_it_is_surely_narrowed_away() -> None:
    named = rule(Kind.OBLIGATION, Refinement(USE, LARGE), duties=(Duty(expand("odrl:inform")),))
    rules = beside(named)
    assert decide(rules, request(cohort_size=400)).permitted
    denied = decide(rules, request(cohort_size=600))
    assert {each.side for each in denied.reasons if each.rule == "urn:rule:x"} == {"when", "refinement"}
    assert not decide(rules, request(cohort_size=Fact("many"))).permitted


def test_a_refinement_concerns_only_what_it_is_of() -> None:
    other = rule(Kind.PERMISSION, Refinement(ANALYSE, LOW), actions=(ANALYSE, SYNTHESISE))
    assert decide(only(other), request("synthesise", epsilon=3.0)).permitted
    dataset = rule(Kind.PERMISSION, Refinement("urn:other", LOW), targets=(DATASET, "urn:other"))
    assert decide(only(dataset), request(epsilon=3.0)).permitted
    # Met through two of its actions, one of which is not narrowed.
    both = rule(Kind.PERMISSION, Refinement(USE, LOW), actions=(USE, SYNTHESISE))
    assert decide(only(both), request("synthesise", epsilon=3.0)).permitted
    strict = rule(Kind.PROHIBITION, Refinement(USE, LARGE), actions=(USE, SYNTHESISE))
    assert not decide(beside(strict), request("synthesise", cohort_size=400)).permitted


def test_a_wider_act_meets_the_narrowed_prohibition_of_a_narrower_one() -> None:
    rules = beside(rule(Kind.PROHIBITION, Refinement(ANALYSE, LARGE), actions=(ANALYSE,)))
    asked = request("use", cohort_size=600)
    assert any(each.rule == "urn:rule:x" for each in decide(rules, asked).reasons)


def test_the_smallest_change_reaches_into_refinements() -> None:
    def only_change(found: Decision) -> list[tuple[str, object]]:
        return [(compact(change.operand), change.after) for change in found.changes]

    permission = only(rule(Kind.PERMISSION, Refinement(USE, LOW)))
    assert only_change(decide(permission, request(epsilon=3.0))) == [("syn:epsilonRequested", 1.0)]
    prohibition = beside(rule(Kind.PROHIBITION, Refinement(USE, LARGE)))
    assert only_change(decide(prohibition, request(cohort_size=600))) == [("syn:cohortSize", 499)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rule(Kind.PERMISSION, Refinement(SYNTHESISE, LOW)), "names nowhere"),
        (rule(Kind.PERMISSION, Refinement(DATASET, LOW)), "names nowhere"),
        (rule(Kind.PERMISSION, Refinement(USE, LOW), Refinement(USE, LARGE)), "the same thing twice"),
        (rule(Kind.PERMISSION, Refinement("urn:t", LOW), targets=("urn:t",), assignees=("urn:t",)), "names twice"),
        (rule(Kind.PERMISSION, Refinement(USE, replace(LOW, left="urn:x"))), "not a known operand"),
        (rule(Kind.PERMISSION, Refinement(USE, replace(LOW, right="low"))), "is not a number"),
        (rule(Kind.PERMISSION, Refinement(USE, replace(LOW, unit="grams"))), "not measured in"),
        (rule(Kind.PERMISSION, Refinement(USE, None)), "neither a comparison"),  # type: ignore[arg-type]
    ],
)
def test_a_refinement_that_is_not_understood_is_refused(wrong: Rule, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        only(wrong)


def test_a_rule_that_is_not_matched_to_a_request_never_holds() -> None:
    """Asked past the index, a narrowed rule is undetermined: it can forbid, but not permit."""
    compiled = only(rule(Kind.PERMISSION, Refinement(USE, LOW)))
    (found,) = (each for each in compiled.rules if each.rule.id == "urn:rule:x")
    assert found.holds(request(epsilon=0.5).facts) is None
