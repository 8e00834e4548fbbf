"""Every way we could think of in which something odd might permit: none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from synthema.errors import InputError, PolicyLoadError
from synthema.policy import (
    AccessRequest,
    Combination,
    CompiledPolicies,
    Constraint,
    Duty,
    Fact,
    Fulfilment,
    Kind,
    Layer,
    OperandReference,
    Operator,
    Policy,
    Rule,
    compile_policies,
    decide,
)
from synthema.policy.model import ANY_DATASET
from synthema.vocabulary import expand
from tests.unit.policy.sample import AT, DATASET, HUB, V, all_policies, moved, request

USE = (expand("odrl:use"),)
EPSILON, REMAINING, COHORT, PURPOSE, OUTPUT, REVIEW, APPROVED = map(
    expand,
    (
        *("syn:epsilonRequested", "syn:epsilonRemaining", "syn:cohortSize", "odrl:purpose", "syn:outputClass"),
        *("syn:dpiaReviewDue", "syn:ethicsApproval"),
    ),
)
BERLIN = ZoneInfo("Europe/Berlin")


def small(*rules: Rule) -> CompiledPolicies:
    """Law, a dataset and an agreement that permit everything, and a site with these rules."""
    law = Policy("urn:l0", Layer.UNION, "1", "law", (Rule("urn:l0#x", Kind.PROHIBITION, (expand("syn:reidentify"),)),))
    layers = [
        Policy(f"urn:{layer}", layer, "1", "x", (Rule(f"urn:{layer}#x", Kind.PERMISSION, USE),))
        for layer in (Layer.DATASET, Layer.AGREEMENT)
    ]
    return compile_policies([law, *layers, Policy("urn:site", Layer.SITE, "1", "site", rules)], V)


def permission(when: Constraint | Combination | None = None, **other: Any) -> Rule:
    return Rule("urn:site#may", Kind.PERMISSION, USE, when, **other)


def prohibition(when: Constraint | Combination | None = None, **other: Any) -> Rule:
    return Rule("urn:site#never", Kind.PROHIBITION, USE, when, **other)


def asked(**other: Any) -> AccessRequest:
    facts: Mapping[str, Fact] = other.pop("facts", {})
    return replace(AccessRequest("r", expand("syn:analyse"), DATASET, HUB, AT, facts), **other)


def effect(rules: CompiledPolicies, operand: str, value: Any, unit: str | None = None) -> str:
    return decide(rules, asked(facts={operand: Fact(value, None, unit)})).effect


# what a request is made of ------------------------------------------------------------------


class Text(str):
    """Equal to everything."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(HUB)


class Moment(datetime):
    """Earlier and later than everything."""

    def __le__(self, other: object) -> bool:
        return True

    def __lt__(self, other: object) -> bool:
        return True


class Nowhere(tzinfo):
    """A zone that does not say where it is."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None


class Double(float):
    def __le__(self, other: object) -> bool:
        return True


class Known(Fact):
    """A fact of another make."""

    __slots__ = ()


@pytest.mark.parametrize(
    "made",
    [
        lambda: asked(assignee=Text("did:web:x")),
        lambda: asked(target=Text("urn:x")),
        lambda: asked(action=None),
        lambda: asked(at=Moment(2026, 1, 1, tzinfo=UTC)),
        lambda: asked(at=datetime(2026, 1, 1, tzinfo=Nowhere())),
        lambda: asked(at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))),
        lambda: asked(at="2026-01-01"),
        lambda: asked(facts={EPSILON: 1.0}),
        lambda: asked(facts={EPSILON: Known(1.0)}),
        lambda: asked(facts={Text("x"): Fact(1.0)}),
        lambda: asked(fulfilled=("odrl:inform",)),
        lambda: asked(collections={DATASET: "urn:collection"}),
        lambda: asked(collections={DATASET: ["urn:collection"]}),
        lambda: asked(collections={DATASET: (Text("urn:collection"),)}),
        lambda: asked(collections={Text("x"): ("urn:collection",)}),
        lambda: Fact(Double(1.0)),
        lambda: Fact(Text("x")),
        lambda: Fact((Text("x"),)),
        lambda: Fact(Moment(2026, 1, 1, tzinfo=UTC)),
        lambda: Fact(datetime(2026, 1, 1, tzinfo=Nowhere())),
        lambda: Fact(None),
        lambda: Fact(1.0, unit=Text("x")),
        lambda: Fulfilment(expand("odrl:inform"), datetime(2026, 1, 1), "x"),  # noqa: DTZ001
        lambda: Fulfilment(expand("odrl:inform"), Moment(2026, 1, 1, tzinfo=UTC), "x"),
        lambda: Fulfilment(expand("odrl:inform"), AT, "x", state="Violated"),
        lambda: Fulfilment(expand("odrl:inform"), AT, "x", state=Text("fulfilled")),
        lambda: Fulfilment(expand("odrl:inform"), AT, "x", rule=Text("x")),
        lambda: Fulfilment(expand("odrl:inform"), AT, "x", evidence=True),
    ],
)
def test_values_that_compare_in_their_own_way_never_reach_a_decision(made: Any) -> None:
    with pytest.raises(InputError):
        made()


def test_changing_a_mapping_after_it_was_given_changes_nothing() -> None:
    facts = {EPSILON: Fact(9.0)}
    one = asked(facts=facts)
    facts[EPSILON] = Fact(0.5)
    assert one.facts[EPSILON].value == 9.0


# values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["lt", "lteq", "gt", "gteq", "eq", "neq"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, "1", ("1",), AT, timedelta(1)])
def test_what_is_no_number_neither_permits_nor_escapes(operator: str, value: Any) -> None:
    condition = Constraint(EPSILON, Operator(operator), 1.0)
    assert effect(small(permission(condition)), EPSILON, value) == "deny"
    assert effect(small(permission(), prohibition(condition)), EPSILON, value) == "deny"


@pytest.mark.parametrize("unit", ["persons", "Patients", "", " patients"])
def test_another_unit_neither_permits_nor_escapes(unit: str) -> None:
    few, many = Constraint(COHORT, Operator.GTEQ, 5), Constraint(COHORT, Operator.LT, 5)
    assert effect(small(permission(few)), COHORT, 400, unit) == "deny"
    assert effect(small(permission(), prohibition(many)), COHORT, 400, unit) == "deny"
    assert effect(small(permission(few)), COHORT, 400, "patients") == "permit"


def test_numbers_compare_as_the_doubles_they_are() -> None:
    bound = small(permission(Constraint(EPSILON, Operator.LTEQ, 0.3)))
    assert effect(bound, EPSILON, 0.1 + 0.2) == "deny"
    assert effect(bound, EPSILON, 0.3) == "permit"
    within = small(permission(Constraint(EPSILON, Operator.LTEQ, OperandReference(REMAINING))))
    left = {EPSILON: Fact(0.2), REMAINING: Fact(0.3 - 0.1)}
    assert decide(within, asked(facts=left)).effect == "deny"
    assert decide(within, asked(facts={EPSILON: Fact(1), REMAINING: Fact(1.0)})).effect == "permit"
    huge = small(permission(Constraint(EPSILON, Operator.LTEQ, float(2**53))))
    assert effect(huge, EPSILON, 2**53 + 1) == "deny"


@pytest.mark.parametrize("value", [True, False, 1.0, "5"])
def test_a_count_is_a_whole_number_and_nothing_else(value: Any) -> None:
    assert effect(small(permission(Constraint(COHORT, Operator.GTEQ, 0))), COHORT, value) == "deny"


@pytest.mark.parametrize("value", [1, 0, "true", "yes", 1.0])
def test_a_truth_value_is_no_number_and_no_word(value: Any) -> None:
    assert effect(small(permission(Constraint(APPROVED, Operator.EQ, True))), APPROVED, value) == "deny"
    assert effect(small(permission(), prohibition(Constraint(APPROVED, Operator.EQ, False))), APPROVED, value) == "deny"


def test_times_are_moments_whatever_their_zones() -> None:
    # The hour that comes twice: 02:30 summer time is an hour before 02:30 winter time.
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    until = small(permission(Constraint(REVIEW, Operator.LTEQ, first)))
    assert effect(until, REVIEW, first) == effect(until, REVIEW, first.astimezone(UTC)) == "permit"
    assert effect(until, REVIEW, second) == "deny"
    other = small(permission(Constraint(REVIEW, Operator.NEQ, first.astimezone(UTC))))
    assert effect(other, REVIEW, first) == "deny"
    law, *others = small(permission()).policies
    rules = compile_policies([replace(law, effective_to=second), *others], V)
    assert decide(rules, asked(at=first)).effect == "permit"
    assert decide(rules, asked(at=second)).effect == "deny"


def test_deadlines_beyond_the_calendar_do_not_stop_a_decision() -> None:
    from synthema.policy.model import Event, Timing

    late = permission(duties=(Duty(expand("odrl:delete"), Timing.POST, timedelta(days=9999), Event.DECISION),))
    found = decide(small(late), asked(at=datetime(9999, 12, 31, tzinfo=UTC)))
    assert found.permitted
    assert found.obligations[0].due == datetime.max.replace(tzinfo=UTC)


# terms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", [Operator.EQ, Operator.NEQ, Operator.IS_A, Operator.IS_PART_OF])
@pytest.mark.parametrize("value", ["urn:unknown", "", "dpv:Marketing", (), ("urn:unknown",), 1, True])
def test_an_unknown_term_neither_permits_nor_escapes(operator: Operator, value: Any) -> None:
    condition = Constraint(PURPOSE, operator, expand("dpv:Marketing"))
    assert effect(small(permission(condition)), PURPOSE, value) == "deny"
    assert effect(small(permission(), prohibition(condition)), PURPOSE, value) == "deny"


@pytest.mark.parametrize("operator", ["eq", "neq", "isA", "isPartOf", "isAnyOf", "isNoneOf"])
def test_a_term_that_is_too_wide_neither_permits_nor_escapes(operator: str) -> None:
    named = expand("dpv:Advertising")
    right = (named,) if operator in ("isAnyOf", "isNoneOf") else named
    condition = Constraint(PURPOSE, Operator(operator), right)
    wide = expand("dpv:Marketing")
    assert effect(small(permission(condition)), PURPOSE, wide) == "deny"
    assert effect(small(permission(), prohibition(condition)), PURPOSE, wide) == "deny"
    found = decide(small(permission(condition)), asked(facts={PURPOSE: Fact(wide)}))
    assert "too-wide" in {reason.problem for reason in found.reasons}


def test_one_bad_value_among_good_ones_is_enough() -> None:
    good, bad = expand("dpv:SyntheticData"), expand("dpv:PersonalData")
    for operator in (Operator.IS_A, Operator.EQ):
        rules = small(permission(Constraint(OUTPUT, operator, good)))
        assert effect(rules, OUTPUT, (good, good)) == "permit"
        for other in (bad, "urn:unknown", ""):
            assert effect(rules, OUTPUT, (good, other)) == "deny"
    never = small(permission(), prohibition(Constraint(OUTPUT, Operator.IS_A, bad)))
    assert effect(never, OUTPUT, (good, bad)) == effect(never, OUTPUT, (good, "urn:unknown")) == "deny"


@pytest.mark.parametrize("joined", ["and", "or", "xone"])
def test_an_unknown_part_never_completes_a_condition(joined: Any) -> None:
    parts = (Constraint(EPSILON, Operator.LTEQ, 1.0), Constraint(COHORT, Operator.GTEQ, 5))
    rules = small(permission(Combination(joined, parts)))
    assert decide(rules, asked(facts={})).effect == "deny"
    assert decide(rules, asked(facts={EPSILON: Fact("x"), COHORT: Fact("y")})).effect == "deny"
    one = decide(rules, asked(facts={EPSILON: Fact(0.5), COHORT: Fact("y")})).effect
    assert one == ("permit" if joined == "or" else "deny")
    excepted = small(permission(), prohibition(None, unless=Combination(joined, parts)))
    assert decide(excepted, asked(facts={EPSILON: Fact("x"), COHORT: Fact("y")})).effect == "deny"


def test_exactly_one_is_not_judged_over_several_values() -> None:
    good, other = expand("dpv:SyntheticData"), expand("dpv:PersonalData")
    parts = (Constraint(OUTPUT, Operator.IS_A, good), Constraint(OUTPUT, Operator.IS_A, other))
    for rules in (
        small(permission(Combination("xone", parts))),
        small(permission(), prohibition(Combination("xone", parts))),
    ):
        assert effect(rules, OUTPUT, (good, other)) == effect(rules, OUTPUT, (good, good)) == "deny"


# targets and parties ------------------------------------------------------------------------


def test_the_name_of_any_dataset_is_no_dataset() -> None:
    rules = small(permission(targets=(DATASET,)))
    assert decide(rules, asked()).permitted
    assert not decide(rules, asked(target=ANY_DATASET)).permitted
    assert not decide(rules, asked(collections={DATASET + "-2": (DATASET,)}, target="urn:x")).permitted
    assert not decide(rules, asked(target="", collections={HUB: (DATASET,)})).permitted
    party = small(permission(assignees=(HUB,)))
    assert not decide(party, asked(assignee="did:web:other", collections={DATASET: (HUB,)})).permitted


# policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        replace(prohibition(), kind="prohibition"),
        replace(prohibition(), actions=()),
        replace(prohibition(), actions=(USE[0], USE[0])),
        replace(prohibition(), targets=("urn:a", "urn:a")),
        replace(prohibition(), targets="urn:a"),
        replace(prohibition(), id="never"),
        prohibition(Constraint(EPSILON, "lteq", 1.0)),  # type: ignore[arg-type]
        prohibition(Constraint(EPSILON, Operator.LTEQ, "1")),
        prohibition(Constraint(EPSILON, Operator.LTEQ, float("nan"))),
        prohibition(Constraint(EPSILON, Operator.LTEQ, True)),
        prohibition(Constraint(EPSILON, Operator.IS_A, 1.0)),
        prohibition(Constraint(COHORT, Operator.LT, 5, "persons")),
        prohibition(Constraint(PURPOSE, Operator.IS_A, "urn:unknown")),
        prohibition(Constraint(REVIEW, Operator.LT, datetime(2026, 1, 1))),  # noqa: DTZ001
        prohibition(Combination("not", (Constraint(EPSILON, Operator.LT, 1.0),) * 2)),  # type: ignore[arg-type]
        prohibition(Combination("and", ())),
        replace(permission(), unless=Constraint(EPSILON, Operator.LT, 1.0)),
    ],
)
def test_a_rule_that_is_not_understood_is_refused_whole(rule: Rule) -> None:
    with pytest.raises(PolicyLoadError):
        small(permission(), replace(rule, id=rule.id if rule.id != "urn:site#may" else "urn:site#other"))


@pytest.mark.parametrize("layer", ["L0", "L2", "L9"])
def test_a_layer_is_one_of_ours(layer: Any) -> None:
    with pytest.raises(PolicyLoadError, match="no known layer"):
        compile_policies([Policy("urn:x", layer, "1", "x", (permission(),))], V)


@pytest.mark.parametrize(
    ("operand", "fact"),
    [
        ("urn:unknown", Fact(1)),
        (EPSILON, Fact("low")),
        (EPSILON, Fact(float("nan"))),
        (COHORT, Fact(5, unit="persons")),
        (PURPOSE, Fact(())),
    ],
)
def test_a_standing_fact_that_is_not_understood_is_refused(operand: str, fact: Fact) -> None:
    with pytest.raises(PolicyLoadError, match="standing fact"):
        compile_policies(all_policies(), V, standing={operand: fact})


def test_a_request_cannot_overrule_what_stands() -> None:
    rules = compile_policies(
        small(permission(Constraint(EPSILON, Operator.LTEQ, 1.0))).policies, V, standing={EPSILON: Fact(5.0)}
    )
    for value in (0.5, float("nan"), "5.0", 5):
        assert effect(rules, EPSILON, value) == "deny"
    assert decide(rules, asked()).effect == "deny"


def test_one_identifier_for_two_rules_is_refused() -> None:
    other = Policy("urn:other", Layer.MEMBER_STATE, "1", "x", (replace(prohibition(), id="urn:site#may"),))
    with pytest.raises(PolicyLoadError, match="share the identifier"):
        compile_policies([*small(permission()).policies, other], V)


def test_a_duty_is_not_done_by_an_empty_word_or_a_later_act() -> None:
    rules = small(permission(duties=(Duty(expand("odrl:inform"), evidence="letter"),)))
    good = Fulfilment(expand("odrl:inform"), AT, HUB, "urn:letter")
    assert decide(rules, asked(fulfilled=(good,))).permitted
    for bad in (
        replace(good, evidence=None),
        replace(good, evidence=" \t"),
        replace(good, at=AT + timedelta(microseconds=1)),
        replace(good, rule="urn:another"),
        replace(good, action="urn:unknown"),
        replace(good, action=expand("odrl:use")),
        replace(good, state="violated"),
    ):
        assert not decide(rules, asked(fulfilled=(bad,))).permitted
    # Doing it twice does not undo having broken it at the same moment or later.
    assert not decide(rules, asked(fulfilled=(good, good, replace(good, state="violated")))).permitted


def test_the_sample_is_permitted_so_that_the_denials_above_mean_something() -> None:
    assert decide(small(permission()), asked()).permitted
    assert decide(compile_policies(all_policies(), V), moved(request())).permitted
