"""Duties, consequences, remedies and obligations, counts and elapsed time: by what was done."""

from __future__ import annotations

import pytest

from tests.unit.policy.evaluator.worlds import (
    NOON,
    act,
    asking,
    comparing,
    evaluated,
    only_rule,
    permission,
    rules,
    saying,
)

FIVE_EUROS = comparing("odrl:payAmount", "eq", "5.00", more="odrl:unit ex:euro")
FEE = f"ex:fee odrl:action [ rdf:value odrl:compensate ; odrl:refinement {FIVE_EUROS} ]"
PAYING = permission("odrl:assigner ex:registry ; odrl:duty ex:fee") + f" {FEE} ."
PAID = "odrl:payAmount 5.00 ; odrl:unit ex:euro ;"
EARLY, LATER, AFTERWARDS = "2026-11-19T09:00:00Z", "2026-11-20T09:00:00Z", "2026-11-22T09:00:00Z"


@pytest.mark.parametrize(
    ("done", "strict", "deontic"),
    [
        ("", "deny", "NonSet"),
        (act("payment", "odrl:compensate", more=PAID), "permit", "Fulfilled"),
        (act("payment", "odrl:pay", more=PAID), "permit", "Fulfilled"),
        (act("payment", "odrl:compensate", more="odrl:payAmount 4.99 ; odrl:unit ex:euro ;"), "deny", "NonSet"),
        (act("payment", "odrl:compensate", more="odrl:payAmount 5.00 ; odrl:unit ex:franc ;"), "deny", "NonSet"),
        (act("payment", "odrl:compensate"), "deny", "NonSet"),
        (act("payment", "odrl:compensate", AFTERWARDS, PAID), "deny", "NonSet"),
        (act("payment", "odrl:compensate", more=PAID + "odrl:compensatedParty ex:registry ;"), "permit", "Fulfilled"),
        (act("payment", "odrl:compensate", more=PAID + "odrl:compensatedParty ex:other ;"), "deny", "NonSet"),
        (act("payment", "odrl:compensate", more=PAID + "odrl:assignee ex:sponsor ;"), "permit", "Fulfilled"),
        (act("payment", "odrl:inform", more=PAID), "deny", "NonSet"),
    ],
)
def test_a_duty_is_fulfilled_by_its_act_before_the_request(done: str, strict: str, deontic: str) -> None:
    evaluation = evaluated(PAYING, asking(), saying(rest=done))
    assert evaluation.effect == strict
    (duty,) = only_rule(evaluation).duties
    assert (duty.active, duty.deontic) == (True, deontic)
    assert evaluated(PAYING, asking(), saying(rest=done), duties="lax").effect == "permit"


@pytest.mark.parametrize(
    ("state", "strict", "lax"),
    [
        ("report:deonticState report:Fulfilled", "permit", "permit"),
        ("report:deonticState report:NonSet", "deny", "permit"),
        ("report:deonticState report:Violated", "deny", "deny"),
        ("report:performanceState report:Performed", "permit", "permit"),
        ("report:performanceState report:Unknown", "deny", "permit"),
    ],
)
def test_a_report_in_the_world_tells_the_state_of_a_duty(state: str, strict: str, lax: str) -> None:
    world = saying(rest=f"ex:earlier a report:DutyReport ; report:rule ex:fee ; {state} .")
    assert evaluated(PAYING, asking(), world).effect == strict
    assert evaluated(PAYING, asking(), world, duties="lax").effect == lax
    elsewhere = world.replace("report:rule ex:fee", "report:rule ex:otherFee")
    assert evaluated(PAYING, asking(), elsewhere, duties="lax").effect == "permit"


@pytest.mark.parametrize(
    ("weekday", "done", "active", "effect"),
    [
        ("2026-11-21", "", False, "permit"),
        ("2026-11-22", "", True, "deny"),
        ("2026-11-22", act("payment", "odrl:compensate", more=PAID), True, "permit"),
    ],
)
def test_a_duty_with_a_condition_arises_only_when_it_holds(weekday: str, done: str, active: bool, effect: str) -> None:
    sunday = comparing("<http://www.w3.org/2006/time#dayOfWeek>", "eq", '"Sunday"')
    policy = PAYING.replace("ex:fee odrl:action", f"ex:fee odrl:constraint {sunday} ; odrl:action")
    evaluation = evaluated(policy, asking(), saying(at=f"{weekday}T12:00:00Z", rest=done))
    (duty,) = only_rule(evaluation).duties
    assert (duty.active, evaluation.effect) == (active, effect)


def test_a_duty_whose_condition_cannot_be_told_arises() -> None:
    policy = PAYING.replace(
        "ex:fee odrl:action", f"ex:fee odrl:constraint {comparing('ex:unknown', 'eq', '1')} ; odrl:action"
    )
    assert evaluated(policy, asking()).effect == "deny"
    assert evaluated(policy, asking(), missing="closed").effect == "permit"


def test_all_duties_must_be_fulfilled() -> None:
    policy = permission("odrl:duty [ odrl:action odrl:inform ], [ odrl:action odrl:attribute ]")
    informed, attributed = act("letter", "odrl:inform"), act("credit", "odrl:attribute")
    assert evaluated(policy, asking(), saying(rest=informed)).effect == "deny"
    assert evaluated(policy, asking(), saying(rest=informed + attributed)).effect == "permit"


def test_a_duty_of_someone_else_about_something_else_is_theirs() -> None:
    policy = permission("odrl:duty [ odrl:action odrl:delete ; odrl:target ex:copy ; odrl:assignee ex:hub ]")
    mine = act("a", "odrl:delete", more="odrl:assignee ex:lab ; odrl:target ex:copy ;")
    other = act("b", "odrl:delete", more="odrl:assignee ex:hub ; odrl:target ex:samples ;")
    theirs = act("c", "odrl:delete", more="odrl:assignee ex:hub ; odrl:target ex:copy ;")
    assert [evaluated(policy, asking(), saying(rest=done)).effect for done in (mine, other, theirs)] == [
        "deny",
        "deny",
        "permit",
    ]


def test_an_act_said_to_be_about_another_rule_fulfils_nothing_here() -> None:
    about = "ex:world sotw:context ex:payment . " + act(
        "payment", "odrl:compensate", more=PAID + "sotw:conditionID ex:fee ;"
    )
    assert evaluated(PAYING, asking(), saying(rest=about)).effect == "permit"
    assert (
        evaluated(PAYING, asking(), saying(rest=about.replace("conditionID ex:fee", "conditionID ex:other"))).effect
        == "deny"
    )


# ── consequences ─────────────────────────────────────────────────────────────────────────────────────────────────

CONSEQUENCE = permission("odrl:duty [ odrl:action odrl:inform ; odrl:consequence [ odrl:action odrl:delete ] ]")
USED = act("use", "odrl:read", LATER, "odrl:assignee ex:lab ; odrl:target ex:samples ;")
INFORMED_BEFORE, INFORMED_AFTER = (
    act("letter", "odrl:inform", EARLY),
    act("letter", "odrl:inform", "2026-11-20T12:00:00Z"),
)
DELETED_BEFORE, DELETED_AFTER = act("gone", "odrl:delete", EARLY), act("gone", "odrl:delete", "2026-11-20T13:00:00Z")
KEPT = [
    (USED + INFORMED_BEFORE, True),
    (USED + INFORMED_AFTER + DELETED_AFTER, True),
    (USED + INFORMED_AFTER, False),
    (USED + DELETED_AFTER, False),
    (USED + INFORMED_AFTER + DELETED_BEFORE, False),
    (USED, False),
]


@pytest.mark.parametrize(("done", "kept"), KEPT)
def test_a_duty_not_kept_needs_itself_and_its_consequences_afterwards(done: str, kept: bool) -> None:
    evaluation = evaluated(CONSEQUENCE, world=saying(rest=done))
    use = next(state for state in evaluation.policies[0].acts if state.act.node.endswith("use"))
    assert (use.effect == "permit") is kept
    assert (evaluated(CONSEQUENCE, asking(), saying(rest=done)).effect == "permit") is kept


def test_what_is_yet_to_be_done_makes_nothing_good() -> None:
    tomorrow = act("letter", "odrl:inform", AFTERWARDS) + act("gone", "odrl:delete", AFTERWARDS)
    assert evaluated(CONSEQUENCE, asking(), saying(rest=USED + tomorrow)).effect == "deny"
    assert not evaluated(CONSEQUENCE, world=saying(rest=USED + tomorrow)).compliant


# ── prohibitions and remedies ────────────────────────────────────────────────────────────────────────────────────

SHARING = "odrl:prohibition [ odrl:action odrl:distribute ; odrl:target ex:samples ; odrl:assignee ex:lab {} ]"
SHARED = act("sharing", "odrl:distribute", LATER, "odrl:assignee ex:lab ; odrl:target ex:samples ;")
BEFORE = "; odrl:constraint " + comparing("odrl:dateTime", "lt", '"2026-11-21"^^xsd:date')


@pytest.mark.parametrize(
    ("more", "done", "active", "deontic"),
    [
        ("", "", True, "NonSet"),
        ("", SHARED, True, "Violated"),
        ("", SHARED.replace("ex:samples", "ex:other"), True, "NonSet"),
        ("", SHARED.replace("ex:lab", "ex:hub"), True, "NonSet"),
        (BEFORE, SHARED, False, "Violated"),
        (BEFORE, SHARED.replace(LATER, "2026-11-21T09:00:00Z"), False, "NonSet"),
    ],
)
def test_a_prohibition_is_violated_by_its_act_while_it_was_active(
    more: str, done: str, active: bool, deontic: str
) -> None:
    evaluation = evaluated(rules(SHARING.format(more)), world=saying(rest=done))
    rule = only_rule(evaluation)
    assert (rule.active, rule.deontic) == (active, deontic)
    assert evaluation.compliant is (deontic == "NonSet" and not done)


REMEDY = rules(SHARING.format("; odrl:remedy [ odrl:action odrl:inform ], [ odrl:action odrl:delete ]"))
TOLD, GONE = act("letter", "odrl:inform", NOON), act("gone", "odrl:delete", NOON)


@pytest.mark.parametrize(
    ("done", "deontic", "settled"),
    [
        (SHARED, "Violated", False),
        (SHARED + TOLD, "Violated", False),
        (SHARED + TOLD + GONE, "NonSet", True),
        (SHARED + act("letter", "odrl:inform", EARLY) + GONE, "Violated", False),
        (TOLD + GONE, "NonSet", False),
    ],
)
def test_a_violation_is_settled_by_all_remedies_after_it(done: str, deontic: str, settled: bool) -> None:
    evaluation = evaluated(REMEDY, world=saying(rest=done))
    rule = only_rule(evaluation)
    assert (rule.deontic, rule.settled) == (deontic, settled)
    if SHARED in done:
        assert evaluation.compliant is settled


# ── obligations ──────────────────────────────────────────────────────────────────────────────────────────────────

UNTIL = "odrl:refinement " + comparing("odrl:dateTime", "lteq", '"2026-11-20T12:00:00Z"^^xsd:dateTime')
DELETE = (
    "odrl:obligation [ odrl:assignee ex:lab ; odrl:target ex:samples ; odrl:action [ rdf:value odrl:delete ; {} ] ]"
)
DELETED = "odrl:assignee ex:lab ; odrl:target ex:samples ;"


@pytest.mark.parametrize(
    ("more", "done", "at", "deontic", "performance"),
    [
        ("", "", NOON, "NonSet", "Unknown"),
        ("", act("gone", "odrl:delete", more=DELETED), NOON, "Fulfilled", "Performed"),
        ("", act("gone", "odrl:delete", more=DELETED.replace("lab", "hub")), NOON, "NonSet", "Unknown"),
        (UNTIL, "", "2026-11-20T11:00:00Z", "NonSet", "Unknown"),
        (UNTIL, "", NOON, "Violated", "Unperformed"),
        (UNTIL, act("gone", "odrl:delete", LATER, DELETED), NOON, "Fulfilled", "Performed"),
        (UNTIL, act("gone", "odrl:delete", "2026-11-20T13:00:00Z", DELETED), NOON, "Violated", "Unperformed"),
    ],
)
def test_an_obligation_is_fulfilled_by_its_act_and_violated_once_it_is_too_late(
    more: str, done: str, at: str, deontic: str, performance: str
) -> None:
    rule = only_rule(evaluated(rules(DELETE.format(more)), world=saying(at=at, rest=done)))
    assert (rule.active, rule.deontic, rule.performance) == (True, deontic, performance)


def test_an_obligation_with_a_condition_that_fails_is_inactive() -> None:
    later = comparing("odrl:dateTime", "gteq", '"2027-01-01"^^xsd:date')
    policy = rules(f"odrl:obligation [ odrl:action odrl:delete ; odrl:constraint {later} ]")
    rule = only_rule(evaluated(policy, world=saying(rest=act("gone", "odrl:delete"))))
    assert (rule.active, rule.deontic) == (False, "NonSet")


def test_what_a_policy_asks_for_is_not_forbidden_by_its_silence() -> None:
    assert evaluated(rules(DELETE.format("")), world=saying(rest=act("gone", "odrl:delete", more=DELETED))).compliant
    assert not evaluated(rules(DELETE.format("")), world=saying(rest=act("copy", "odrl:copy", more=DELETED))).compliant


# ── counts and elapsed time ──────────────────────────────────────────────────────────────────────────────────────


def uses(*moments: str) -> str:
    """Earlier uses of the samples by the lab."""
    return "".join(
        act(f"use{n}", "odrl:read", moment, "odrl:assignee ex:lab ; odrl:target ex:samples ;")
        for n, moment in enumerate(moments)
    )


@pytest.mark.parametrize(
    ("done", "effect"),
    [
        ("", "permit"),
        (uses(EARLY), "permit"),
        (uses(EARLY, LATER), "deny"),
        (uses(EARLY, AFTERWARDS), "permit"),
        (uses(EARLY) + act("other", "odrl:read", more="odrl:assignee ex:hub ; odrl:target ex:samples ;"), "permit"),
        (uses(EARLY) + act("other", "odrl:sell", more="odrl:assignee ex:lab ; odrl:target ex:samples ;"), "permit"),
    ],
)
def test_a_count_is_of_the_earlier_acts_under_the_rule(done: str, effect: str) -> None:
    policy = permission(f"odrl:constraint {comparing('odrl:count', 'lt', '2')}")
    assert evaluated(policy, asking(), saying(rest=done)).effect == effect


def test_a_count_the_world_states_is_taken() -> None:
    policy = permission(f"odrl:constraint {comparing('odrl:count', 'lt', '2')}")
    assert evaluated(policy, asking(), saying("fs:count 2 ;")).effect == "deny"


@pytest.mark.parametrize(
    ("done", "effect"),
    [("", "permit"), (uses(LATER), "permit"), (uses(EARLY), "deny"), (uses(EARLY, LATER), "deny")],
)
def test_elapsed_time_runs_from_the_first_use(done: str, effect: str) -> None:
    policy = permission("odrl:constraint " + comparing("odrl:elapsedTime", "lteq", '"P2D"^^xsd:duration'))
    assert evaluated(policy, asking(), saying(rest=done)).effect == effect


def test_in_monitoring_each_act_is_judged_by_what_came_before_it() -> None:
    policy = permission(f"odrl:constraint {comparing('odrl:count', 'lt', '2')}")
    evaluation = evaluated(policy, world=saying(rest=uses(EARLY, LATER, NOON)))
    assert [state.effect for state in evaluation.policies[0].acts] == ["permit", "permit", "deny"]
    assert not evaluation.compliant


def test_a_request_is_an_attempt_and_violates_nothing() -> None:
    rule = only_rule(evaluated(rules(SHARING.format("")), asking("odrl:distribute")))
    assert (rule.deontic, rule.performance, rule.applies) == ("NonSet", "Unknown", True)
