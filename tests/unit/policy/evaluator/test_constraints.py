"""Comparisons, types and logic of constraints: for each, whether the permission is active."""

from __future__ import annotations

import pytest

from synthema.errors import PolicyLoadError
from tests.unit.policy.evaluator.worlds import asking, comparing, constrained, evaluated, only_rule, permission, saying

TIME, COUNT, PURPOSE = "odrl:dateTime", "ex:sampleCount", "odrl:purpose"
TREE = "ex:anaemiaStudy skos:broader ex:research . ex:trial rdfs:subClassOf ex:research . ex:mine a ex:trial ."
PLACES = "ex:ward odrl:partOf ex:clinic . ex:clinic dct:isPartOf ex:town ."


def day(text: str) -> str:
    return f'"{text}"^^xsd:date'


def moment(text: str) -> str:
    return f'"{text}"^^xsd:dateTime'


ORDER = [
    ("eq", "5", "5", True),
    ("eq", "5", "6", False),
    ("neq", "5", "6", True),
    ("neq", "5", "5", False),
    ("lt", "5", "4", True),
    ("lt", "5", "5", False),
    ("lteq", "5", "5", True),
    ("gt", "5", "5", False),
    ("gt", "5", "6", True),
    ("gteq", "5", "5", True),
    ("gteq", "5", "4", False),
    ("eq", "5", "5.0", True),
    ("lteq", "2.5", "2.50", True),
    ("lt", "1.0e1", "9", True),
    ("eq", '"5"^^xsd:positiveInteger', '"5"^^xsd:unsignedByte', True),
    ("gteq", '"5"', "7", True),
    ("gteq", "5", '"7"', True),
    ("eq", "true", "true", True),
    ("eq", "true", "false", False),
    ("eq", '"P1D"^^xsd:dayTimeDuration', '"PT24H"^^xsd:duration', True),
    ("lteq", '"PT1H"^^xsd:dayTimeDuration', '"PT90M"^^xsd:dayTimeDuration', False),
    ("gt", '"-P1D"^^xsd:duration', '"PT0.5S"^^xsd:duration', True),
]


@pytest.mark.parametrize(("operator", "right", "actual", "holds"), ORDER)
def test_numbers_durations_and_truth_values_compare_by_value(
    operator: str, right: str, actual: str, holds: bool
) -> None:
    evaluation = evaluated(constrained(COUNT, operator, right), asking(), saying(f"{COUNT} {actual} ;"))
    assert only_rule(evaluation).active is holds
    assert evaluation.effect == ("permit" if holds else "deny")


TIMES = [
    ("lt", moment("2026-11-21T12:00:00Z"), False),
    ("lteq", moment("2026-11-21T12:00:00Z"), True),
    ("eq", moment("2026-11-21T13:00:00+01:00"), True),
    ("eq", moment("2026-11-21T12:00:00"), True),
    ("gt", moment("2026-11-21T14:00:00+03:00"), True),
    ("eq", day("2026-11-21"), True),
    ("neq", day("2026-11-21"), False),
    ("neq", day("2026-11-22"), True),
    ("lt", day("2026-11-21"), False),
    ("lt", day("2026-11-22"), True),
    ("lteq", day("2026-11-21"), True),
    ("lteq", day("2026-11-20"), False),
    ("gt", day("2026-11-21"), False),
    ("gt", day("2026-11-20"), True),
    ("gteq", day("2026-11-21"), True),
    ("gteq", day("2026-11-22"), False),
    ("lt", day("2026-11-21+14:00"), False),
    ("gteq", '"2026-11-21T11:00:00"', True),
]


@pytest.mark.parametrize(("operator", "right", "holds"), TIMES)
def test_times_compare_by_moment_and_days_as_whole_days(operator: str, right: str, holds: bool) -> None:
    assert only_rule(evaluated(constrained(TIME, operator, right), asking())).active is holds


SETS = [
    ("eq", ["ex:research"], "ex:research", True),
    ("eq", ["ex:research"], "ex:anaemiaStudy", False),
    ("neq", ["ex:research"], "ex:anaemiaStudy", True),
    ("isA", ["ex:research"], "ex:anaemiaStudy", True),
    ("isA", ["ex:research"], "ex:trial", True),
    ("isA", ["ex:research"], "ex:mine", True),
    ("isA", ["ex:research"], "ex:advertising", False),
    ("isA", ["ex:trial"], "ex:research", False),
    ("isAnyOf", ["ex:research", "ex:care"], "ex:care", True),
    ("isAnyOf", ["ex:research", "ex:care"], "ex:advertising", False),
    ("isAnyOf", ["ex:research", "ex:care"], "ex:care, ex:advertising", False),
    ("isNoneOf", ["ex:advertising", "ex:insurance"], "ex:care", True),
    ("isNoneOf", ["ex:advertising", "ex:insurance"], "ex:insurance", False),
    ("isNoneOf", ["ex:research"], "ex:anaemiaStudy", False),
    ("isAllOf", ["ex:research", "ex:care"], "ex:care, ex:research", True),
    ("isAllOf", ["ex:research", "ex:care"], "ex:care", False),
    ("isAllOf", ["ex:research", "ex:care"], "ex:care, ex:research, ex:teaching", False),
    ("hasPart", ["ex:research", "ex:care"], "ex:care, ex:research, ex:teaching", True),
    ("hasPart", ["ex:research"], "ex:care", False),
    ("isAnyOf", ['"a"', '"b"'], '"b"', True),
    ("isAnyOf", ["1", "2"], '"2.0"^^xsd:decimal', True),
    ("isAnyOf", ["( ex:research ex:care )"], "ex:care", True),
]


@pytest.mark.parametrize(("operator", "right", "actual", "holds"), SETS)
def test_terms_and_sets(operator: str, right: list[str], actual: str, holds: bool) -> None:
    world = saying(f"{PURPOSE} {actual} ;", rest=TREE)
    assert only_rule(evaluated(constrained(PURPOSE, operator, *right), asking(), world)).active is holds


@pytest.mark.parametrize(
    ("operator", "actual", "right", "holds"),
    [
        ("isPartOf", "ex:ward", "ex:town", True),
        ("isPartOf", "ex:town", "ex:ward", False),
        ("isPartOf", "ex:abroad", "ex:town", False),
        ("hasPart", "ex:town", "ex:ward", True),
    ],
)
def test_parts_of_places(operator: str, actual: str, right: str, holds: bool) -> None:
    world = saying(f"odrl:spatial {actual} ;", rest=PLACES)
    assert only_rule(evaluated(constrained("odrl:spatial", operator, right), asking(), world)).active is holds


def logical(how: str, *parts: bool) -> str:
    """A logical constraint over comparisons that hold or do not."""
    inner = [comparing(COUNT, "eq" if part else "neq", "5") for part in parts]
    return permission(f"odrl:constraint [ odrl:{how} {', '.join(inner)} ]")


@pytest.mark.parametrize(
    ("how", "parts", "holds"),
    [
        ("and", (True, True), True),
        ("and", (True, False), False),
        ("or", (True, False), True),
        ("or", (False, False), False),
        ("xone", (True, False), True),
        ("xone", (True, True), False),
        ("xone", (False, False), False),
        ("andSequence", (True, True), True),
        ("andSequence", (True, False), False),
    ],
)
def test_logic(how: str, parts: tuple[bool, ...], holds: bool) -> None:
    evaluation = evaluated(logical(how, *parts), asking(), saying(f"{COUNT} 5 ;"))
    rule = only_rule(evaluation)
    assert rule.active is holds
    assert [part.verdict for part in rule.constraints[0].parts] == list(parts)


@pytest.mark.parametrize(
    ("how", "known", "active"),
    [("and", True, False), ("or", True, True), ("or", False, False), ("xone", True, False)],
)
def test_what_cannot_be_told_never_opens_a_permission(how: str, known: bool, active: bool) -> None:
    unknown = comparing("ex:nobodyKnows", "eq", "1")
    told = comparing(COUNT, "eq" if known else "neq", "5")
    policy = permission(f"odrl:constraint [ odrl:{how} {told}, {unknown} ]")
    assert only_rule(evaluated(policy, asking(), saying(f"{COUNT} 5 ;"))).active is active


@pytest.mark.parametrize(
    ("right", "actual", "more"),
    [
        ("5", "", ""),
        ("5", f"{COUNT} 5, 6 ;", ""),
        ("5", f'{COUNT} "many" ;', ""),
        ("5", f"{COUNT} true ;", ""),
        ("5", f'{COUNT} "2026-11-21"^^xsd:date ;', ""),
        (moment("2026-11-21T12:00:00Z"), f'{COUNT} "2026-11-21"^^xsd:date ;', ""),
        ("5", f'{COUNT} "5"^^ex:crates ;', ""),
        (
            "5",
            f"sotw:context {comparing(COUNT, 'eq', '5', more='odrl:unit ex:kilogram')} ;",
            "odrl:unit ex:gram",
        ),
    ],
)
def test_a_missing_contradictory_or_incomparable_value_leaves_it_untold(right: str, actual: str, more: str) -> None:
    evaluation = evaluated(constrained(COUNT, "gteq", right, more=more), asking(), saying(actual))
    (judgement,) = only_rule(evaluation).constraints
    assert judgement.verdict is None
    assert judgement.problem
    assert evaluation.effect == "deny"


def test_a_stated_unit_must_be_the_one_asked_for_and_none_stated_means_the_same() -> None:
    policy = constrained(COUNT, "eq", "5", more="odrl:unit ex:gram")
    stated = f"sotw:context {comparing(COUNT, 'eq', '5', more='odrl:unit ex:gram')} ;"
    assert evaluated(policy, asking(), saying(stated)).effect == "permit"
    assert evaluated(policy, asking(), saying(f"{COUNT} 5 ;")).effect == "permit"


def test_the_data_type_may_stand_beside_a_plain_right_operand() -> None:
    policy = constrained(COUNT, "gteq", '"05"', more="odrl:dataType xsd:integer")
    assert evaluated(policy, asking(), saying(f"{COUNT} 5 ;")).effect == "permit"


@pytest.mark.parametrize(("actual", "effect"), [("ex:limit 7 ;", "permit"), ("ex:limit 3 ;", "deny"), ("", "deny")])
def test_a_reference_is_looked_up_in_the_world_and_nowhere_else(actual: str, effect: str) -> None:
    policy = constrained(COUNT, "lteq", more="odrl:rightOperandReference ex:limit")
    assert evaluated(policy, asking(), saying(f"{COUNT} 5 ; {actual}")).effect == effect


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (comparing(COUNT, "atLeast", "5"), "did you mean"),
        (comparing(COUNT, "lt", "ex:five"), "a number or a time"),
        (comparing(COUNT, "eq", "5", "6"), "odrl:isAnyOf"),
        (comparing(COUNT, "eq", '"5"^^ex:crates'), "is not understood"),
        (comparing(COUNT, "lt", '"P1M"^^xsd:duration'), "in days, hours"),
        (comparing(COUNT, "eq", '"1.0000000000000000001"^^xsd:decimal'), "exactly"),
        ("[ odrl:leftOperand ex:a ; odrl:rightOperand 5 ]", "odrl:operator"),
        ("[ odrl:operator odrl:eq ; odrl:rightOperand 5 ]", "odrl:leftOperand"),
        ("[ odrl:leftOperand ex:a ; odrl:operator odrl:eq ]", "right operand"),
        ("[ odrl:leftOperand ex:a ; odrl:operator odrl:eq, odrl:lt ; odrl:rightOperand 5 ]", "2 times"),
        ("[ odrl:and ex:a ; odrl:or ex:b ]", "at once"),
        ("ex:round", "circle"),
    ],
)
def test_a_constraint_without_meaning_is_refused(constraint: str, said: str) -> None:
    policy = permission(f"odrl:constraint {constraint}") + " ex:round odrl:and ex:round ."
    with pytest.raises(PolicyLoadError, match=said):
        evaluated(policy, asking(), saying(f"{COUNT} 5 ;"))
