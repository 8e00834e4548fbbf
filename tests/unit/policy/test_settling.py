"""Duties that arise, duties that were not kept, prohibitions that were violated, and what settles them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy import (
    CompiledPolicies,
    Constraint,
    Duty,
    Fact,
    Fulfilment,
    Kind,
    Layer,
    Operator,
    Policy,
    Rule,
    Timing,
    compile_policies,
    decide,
    replay,
)
from synthema.policy.model import Event
from synthema.vocabulary import compact, expand
from tests.unit.policy.sample import AT, HUB, V, all_policies, moved, request

USE = expand("odrl:use")
INFORM, DELETE, ACKNOWLEDGE, PUBLISH = map(
    expand, ("odrl:inform", "odrl:delete", "syn:acknowledge", "syn:publishResults")
)
LARGE = Constraint(expand("syn:cohortSize"), Operator.GTEQ, 500)
BEFORE, BROKEN, AFTER = (AT - timedelta(days=days) for days in (3, 2, 1))
OWED = "urn:rule:owed"


def done(action: str, at: object = AFTER, *, rule: str | None = None, evidence: str | None = "urn:e") -> Fulfilment:
    return Fulfilment(action, at, HUB, evidence, rule)  # type: ignore[arg-type]


def violated(action: str, rule: str | None = OWED, at: object = BROKEN) -> Fulfilment:
    return Fulfilment(action, at, HUB, "urn:finding", rule, "violated")  # type: ignore[arg-type]


def obliging(duty: Duty, kind: Kind = Kind.OBLIGATION) -> CompiledPolicies:
    return with_rule(Rule(OWED, kind, (USE,), duties=(duty,)))


def with_rule(rule: Rule) -> CompiledPolicies:
    return compile_policies([*all_policies(), Policy("urn:policy:owed", Layer.MEMBER_STATE, "1", "x", (rule,))], V)


def effect(rules: CompiledPolicies, *records: Fulfilment, **facts: object) -> str:
    return decide(rules, moved(request(**facts), fulfilled=records)).effect  # type: ignore[arg-type]


# when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [500, Fact(400, unit="records"), Fact(400.0), Fact("few")])
def test_a_duty_arises_unless_its_condition_surely_fails(size: object) -> None:
    rules = obliging(Duty(INFORM, when=LARGE))
    assert effect(rules, cohort_size=size) == "deny"
    assert effect(rules, done(INFORM), cohort_size=size) == effect(
        compile_policies(all_policies(), V), cohort_size=size
    )


def test_a_duty_that_does_not_arise_is_not_asked_for() -> None:
    assert effect(obliging(Duty(INFORM, when=LARGE)), cohort_size=400) == "permit"
    later = Duty(INFORM, Timing.POST, timedelta(days=3), Event.DECISION, None, LARGE)
    for size, owed in ((400, False), (600, True)):
        found = decide(obliging(later), request(cohort_size=size))
        assert found.permitted
        assert (OWED in {obligation.rule for obligation in found.obligations}) is owed


def test_during_and_post_duties_are_obligations_with_their_consequences() -> None:
    fine = Duty(ACKNOWLEDGE, evidence="receipt")
    found = decide(obliging(Duty(INFORM, Timing.DURING, consequences=(fine,))), request())
    (owed,) = (obligation for obligation in found.obligations if obligation.rule == OWED)
    assert (owed.timing, owed.consequences) == (Timing.DURING, (fine,))
    (written,) = (each for each in found.as_dict()["obligations"] if each["rule"] == OWED)
    assert written["consequences"] == [{"action": ACKNOWLEDGE, "evidence": "receipt"}]
    assert all("consequences" not in each for each in found.as_dict()["obligations"] if each["rule"] != OWED)
    assert replay(found.as_dict(), obliging(Duty(INFORM, Timing.DURING, consequences=(fine,)))) == found


def test_the_smallest_change_does_a_duty_or_makes_it_not_arise() -> None:
    found = decide(obliging(Duty(INFORM, when=LARGE)), request(cohort_size=600))
    assert [compact(change.operand) for change in found.changes] == ["odrl:inform"]


# consequences -------------------------------------------------------------------------------

LATE = Duty(PUBLISH, Timing.POST, timedelta(days=30), Event.DECISION, None, None, (Duty(INFORM), Duty(ACKNOWLEDGE)))


def test_a_duty_not_kept_is_settled_by_it_and_all_its_consequences_afterwards() -> None:
    rules = obliging(LATE)
    all_three = (done(PUBLISH), done(INFORM), done(ACKNOWLEDGE))
    assert effect(rules, violated(PUBLISH), *all_three) == "permit"
    for number in range(3):
        assert effect(rules, violated(PUBLISH), *all_three[:number], *all_three[number + 1 :]) == "deny"
    for when in (BEFORE, BROKEN, AT + timedelta(seconds=1)):
        assert effect(rules, violated(PUBLISH), done(PUBLISH, when), *all_three[1:]) == "deny"
        assert effect(rules, violated(PUBLISH), *all_three[:2], done(ACKNOWLEDGE, when)) == "deny"
    assert effect(rules, violated(PUBLISH), *all_three[:2], done(ACKNOWLEDGE, rule="urn:another")) == "deny"


def test_a_violation_names_the_duty_the_rule_and_what_settles_it() -> None:
    found = decide(obliging(LATE), moved(request(), fulfilled=(violated(PUBLISH), done(INFORM))))
    reason = found.reasons[0]
    assert (reason.rule, reason.policy, reason.layer) == (OWED, "urn:policy:owed", Layer.MEMBER_STATE)
    assert reason.evidence == "urn:finding"
    assert "publish the results" in reason.sentence
    assert "19 November 2026" in reason.sentence
    assert V.label(ACKNOWLEDGE) in reason.sentence
    assert V.label(INFORM) not in reason.sentence
    assert {change.operand for change in found.changes} == {PUBLISH, ACKNOWLEDGE}
    assert found.digest == replay(found.as_dict(), obliging(LATE)).digest


def test_evidence_is_asked_of_consequences_too() -> None:
    shown = Duty(PUBLISH, Timing.POST, consequences=(Duty(INFORM, evidence="letter"),))
    assert effect(obliging(shown), violated(PUBLISH), done(PUBLISH), done(INFORM, evidence="  ")) == "deny"
    assert effect(obliging(shown), violated(PUBLISH), done(PUBLISH), done(INFORM)) == "permit"


def test_a_consequence_that_does_not_arise_is_not_asked_for_but_the_duty_is() -> None:
    duty = Duty(PUBLISH, Timing.POST, when=LARGE, consequences=(Duty(INFORM, when=LARGE),))
    assert effect(obliging(duty), violated(PUBLISH), done(PUBLISH), cohort_size=400) == "permit"
    assert effect(obliging(duty), violated(PUBLISH), done(PUBLISH), cohort_size=600) == "deny"
    assert effect(obliging(duty), violated(PUBLISH), cohort_size=400) == "deny"


def test_a_consequence_that_was_not_kept_either_has_to_be_done_after_that() -> None:
    rules = obliging(Duty(PUBLISH, Timing.POST, consequences=(Duty(INFORM),)))
    twice = (violated(PUBLISH), violated(INFORM, at=AFTER))
    assert effect(rules, *twice, done(PUBLISH), done(INFORM, AFTER)) == "deny"
    assert effect(rules, *twice, done(PUBLISH), done(INFORM, AT)) == "permit"


def test_a_violation_nobody_can_place_is_for_the_site_to_settle() -> None:
    rules = obliging(LATE)
    everything = tuple(done(action) for action in (PUBLISH, INFORM, ACKNOWLEDGE, DELETE))
    for record in (violated(DELETE), violated(PUBLISH, "urn:gone"), violated("urn:unknown", None), violated(USE, None)):
        found = decide(rules, moved(request(), fulfilled=(record, *everything)))
        assert found.effect == "deny"
        assert found.changes == ()
        assert "settled with the site" in found.unchangeable


def test_a_violation_without_a_rule_counts_for_every_duty_it_could_be() -> None:
    rules = obliging(LATE)
    assert effect(rules, violated(PUBLISH, None), done(PUBLISH)) == "deny"
    assert effect(rules, violated(PUBLISH, None), done(PUBLISH), done(INFORM), done(ACKNOWLEDGE)) == "permit"


def test_a_violation_found_in_the_future_counts_now() -> None:
    later = violated(PUBLISH, at=AT + timedelta(days=1))
    found = decide(obliging(LATE), moved(request(), fulfilled=(later, done(PUBLISH), done(INFORM), done(ACKNOWLEDGE))))
    assert found.effect == "deny"
    assert "settled with the site" in found.unchangeable


# remedies -----------------------------------------------------------------------------------


def forbidding(*remedies: Duty) -> CompiledPolicies:
    never = Constraint(expand("syn:epsilonRequested"), Operator.GT, 100.0)
    return with_rule(Rule(OWED, Kind.PROHIBITION, (USE,), when=never, remedies=remedies))


def test_a_violated_prohibition_denies_until_all_its_remedies_are_done() -> None:
    rules = forbidding(Duty(DELETE), Duty(INFORM, evidence="letter"))
    assert effect(rules) == "permit"
    record = violated(USE)
    assert effect(rules, record) == effect(rules, record, done(DELETE)) == "deny"
    assert effect(rules, record, done(DELETE), done(INFORM, evidence=None)) == "deny"
    assert effect(rules, record, done(DELETE, BEFORE), done(INFORM)) == "deny"
    assert effect(rules, record, done(DELETE), done(INFORM)) == "permit"
    found = decide(rules, moved(request(), fulfilled=(record, done(DELETE))))
    assert (found.reasons[0].effect, found.reasons[0].rule) == ("prohibition", OWED)
    assert [change.operand for change in found.changes] == [INFORM]


def test_a_prohibition_without_remedies_is_for_the_site_to_settle() -> None:
    plenty = Constraint(expand("syn:epsilonRemaining"), Operator.GTEQ, 50.0)
    for rules in (forbidding(), forbidding(Duty(DELETE, when=plenty))):
        found = decide(rules, moved(request(), fulfilled=(violated(USE), done(DELETE))))
        assert found.effect == "deny"
        assert "settled with the site" in found.unchangeable


def test_a_remedy_that_does_not_arise_settles_nothing() -> None:
    rules = forbidding(Duty(DELETE, when=LARGE))
    assert effect(rules, violated(USE), done(DELETE), cohort_size=400) == "deny"
    assert effect(rules, violated(USE), done(DELETE), cohort_size=Fact("few")) == "deny"
    assert effect(rules, violated(USE), done(DELETE), cohort_size=500) == "permit"
    found = decide(rules, moved(request(cohort_size=400), fulfilled=(violated(USE), done(DELETE))))
    assert [(compact(change.operand), change.by) for change in found.changes] == [("syn:cohortSize", "site")]


# what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duty", "said"),
    [
        (Duty(INFORM, consequences=(Duty(INFORM),)), "repeats a duty"),
        (Duty(INFORM, consequences=(Duty(DELETE), Duty(DELETE))), "repeats a duty"),
        (Duty(INFORM, consequences=(Duty(DELETE, consequences=(Duty(INFORM),)),)), "none of its own|of its own"),
        (Duty(INFORM, consequences=(Duty(DELETE, Timing.POST),)), "due at once"),
        (Duty(INFORM, consequences=(Duty(USE),)), "not a known duty"),
        (Duty(INFORM, evidence=" "), "without saying which"),
        (Duty(INFORM, when=Constraint("urn:x", Operator.EQ, 1)), "not a known operand"),
        (Duty(INFORM, timing="pre"), "no known time"),  # type: ignore[arg-type]
    ],
)
def test_a_duty_that_is_not_understood_is_refused(duty: Duty, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        obliging(duty)


def test_remedies_belong_to_prohibitions() -> None:
    with pytest.raises(PolicyLoadError, match="prohibitions only"):
        with_rule(Rule(OWED, Kind.PERMISSION, (USE,), remedies=(Duty(INFORM),)))
    with pytest.raises(PolicyLoadError, match="of its own"):
        forbidding(Duty(INFORM, consequences=(Duty(DELETE),)))


def test_a_remedy_that_may_not_arise_settles_nothing() -> None:
    rules = forbidding(Duty(DELETE, when=LARGE))
    assert effect(rules, violated(USE), done(DELETE), cohort_size=600) == "permit"
    found = decide(rules, moved(request(without=("cohort size",)), fulfilled=(violated(USE), done(DELETE))))
    assert OWED in {reason.rule for reason in found.reasons if reason.effect == "prohibition"}
