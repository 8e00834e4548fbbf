"""The analysis of policies is held against deciding itself, against enumeration, and against an outside solver."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthema.policy import Layer, Policy, compare, compile_policies
from synthema.policy.analysis.ask import Answered, Asker
from synthema.policy.analysis.difference import Comparison, space_of
from synthema.policy.analysis.locate import locate
from synthema.policy.analysis.outcome import (
    Answer,
    answer_of,
    answers,
    demands,
    forbids,
    needed_layers,
    permits,
)
from synthema.policy.analysis.solver import Solver, available
from synthema.policy.analysis.witness import find
from synthema.policy.conditions import Tree, Verdict, compile_condition
from synthema.policy.model import (
    PERMITTING_LAYERS,
    AccessRequest,
    Condition,
    Fact,
    OperandReference,
    constraints_of,
)
from synthema.vocabulary import Datatype
from tests.property import policy_strategies as some

V = some.VOCABULARY
EFFORT = some.EFFORT
TIME = some.expand("odrl:dateTime")
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

REQUESTS = st.lists(some.requests(), min_size=4, max_size=4)
PAIRS = st.sampled_from(Layer).flatmap(lambda layer: st.tuples(some.policies(layer), some.policies(layer)))


def plain(request: AccessRequest) -> AccessRequest:
    """The request with duties that count for every rule, as the analysis takes them."""
    return replace(request, fulfilled=tuple(replace(done, rule=None) for done in request.fulfilled))


def facts_of(request: AccessRequest) -> dict[str, Fact]:
    return {**request.facts, TIME: Fact(request.at)}


@settings(max_examples=80 * EFFORT, **QUIET)
@given(some.policy_sets(), REQUESTS)
def test_the_answer_to_a_request_is_where_the_analysis_says(
    policies: list[Policy], requests: list[AccessRequest]
) -> None:
    compiled = compile_policies(policies, V)
    space = space_of(compiled)
    said = answers(space, compiled, PERMITTING_LAYERS)
    for request in map(plain, requests):
        cells = locate(space, request)
        if cells is not None:
            assert space.diagrams.at(space.possible, cells)
            assert space.diagrams.at(said, cells) is answer_of(compiled, request, PERMITTING_LAYERS)
    for answer in Answer:
        witness = find(space, space.diagrams.where(said, lambda value, answer=answer: value is answer))
        assert witness is None or answer_of(compiled, witness, PERMITTING_LAYERS) is answer


@settings(max_examples=25 * EFFORT, **QUIET)
@given(PAIRS, REQUESTS)
def test_whatever_two_versions_answer_differently_is_in_a_reported_class(
    pair: tuple[Policy, Policy], requests: list[AccessRequest]
) -> None:
    found = compare(*pair, V)
    compiled = [compile_policies([policy], V) for policy in pair]
    needed = [needed_layers(each, whole=False) for each in compiled]

    def told(request: AccessRequest) -> tuple[Answer, ...]:
        return tuple(answer_of(each, request, layers) for each, layers in zip(compiled, needed, strict=True))

    for difference in found.differences:
        assert difference.holds(difference.request)
        assert told(difference.request) == (difference.before, difference.after)
        assert difference.sentence.endswith(".")
    for request in map(plain, requests):
        if request.action not in V.actions:
            continue
        before, after = told(request)
        holding = [each for each in found.differences if each.holds(request)]
        assert all((each.before, each.after) == (before, after) for each in holding)
        assert holding or before is after or not found.complete


@settings(max_examples=40 * EFFORT, **QUIET)
@given(st.sampled_from(Layer).flatmap(some.policies))
def test_reordered_rules_change_nothing(policy: Policy) -> None:
    assert compare(policy, policy, V) == Comparison(())
    assert compare(policy, replace(policy, rules=tuple(reversed(policy.rules))), V) == Comparison(())


# conditions, by enumeration ------------------------------------------------------------------

Check = Callable[[Verdict, Verdict], bool]
CHECKS: dict[str, Check] = {
    "holds": lambda one, _: one is True,
    "fails": lambda one, _: one is False,
    "is open": lambda one, _: one is None,
    "exceeds": lambda one, other: one is True and other is not True,
}


def questions(trees: tuple[Tree, Tree], *, permissive: bool) -> dict[str, Callable[[Any], Any]]:
    def verdict(logic: Any, number: int) -> Any:
        return logic.condition(trees[number], permissive=permissive)

    return {
        "holds": lambda logic: logic.holds(verdict(logic, 0)),
        "fails": lambda logic: logic.fails(verdict(logic, 0)),
        "is open": lambda logic: logic.minus(logic.counts(verdict(logic, 0)), logic.holds(verdict(logic, 0))),
        "exceeds": lambda logic: logic.minus(logic.holds(verdict(logic, 0)), logic.holds(verdict(logic, 1))),
    }


def values_of(operand: str, conditions: tuple[Condition, ...]) -> list[Any]:
    """Values at and beside every bound, every term, and some pairs of terms; ``None`` is no fact."""
    known = V.operands[operand]
    rights = [c.right for each in conditions for c in constraints_of(each) if c.left == operand]
    if known.datatype is Datatype.BOOLEAN:
        return [None, True, False]
    if known.datatype in (Datatype.TERM, Datatype.TEXT):
        named = {
            i
            for right in rights
            if isinstance(right, str | tuple)
            for i in ((right,) if isinstance(right, str) else right)
        }
        every = sorted(V.terms_of(known).terms) if known.datatype is Datatype.TERM else sorted(named)
        some_ = [*sorted(named)[:3], "urn:unknown"]
        return [None, "urn:unknown", *every, *itertools.combinations(some_, 2)]
    bounds = [right for right in rights if not isinstance(right, OperandReference)] or [1.0, 3.0]
    step: Any = {Datatype.COUNT: 1, Datatype.NUMBER: 0.25}.get(known.datatype, timedelta(hours=1))
    if known.datatype is Datatype.DATE and not all(hasattr(bound, "year") for bound in bounds):
        bounds = [some.AT]
    if known.datatype is Datatype.DURATION and not all(isinstance(bound, timedelta) for bound in bounds):
        bounds = [timedelta(days=1)]
    around = sorted({value for bound in bounds for value in (bound - step, bound, bound + step)})
    return around if operand == TIME else [None, *around]


@settings(max_examples=60 * EFFORT, **QUIET)
@given(some.conditions(), some.conditions(), st.booleans(), st.randoms(use_true_random=False))
def test_enumeration_never_contradicts_the_algebra(
    first: Condition, second: Condition, permissive: bool, chance: Any
) -> None:
    trees = tuple(compile_condition(each, V, permissive=permissive) for each in (first, second))
    asker = Asker(V, trees=trees)
    said = [constraint for each in (first, second) for constraint in constraints_of(each)]
    rights = {c.right.operand for c in said if isinstance(c.right, OperandReference)}
    operands = sorted({c.left for c in said} | rights)
    grid = [values_of(operand, (first, second)) for operand in operands]
    tried = [tuple(chance.choice(values) for values in grid) for _ in range(300)]
    met: set[str] = set()
    for values in tried:
        facts = {o: Fact(value) for o, value in zip(operands, values, strict=True) if value is not None}
        verdicts = tuple(tree.evaluate(facts) for tree in trees)
        met |= {name for name, check in CHECKS.items() if check(*verdicts)}
    for name, question in questions(trees, permissive=permissive).items():
        reply = asker.some(question)
        assert reply.answered is not Answered.UNKNOWN
        assert name not in met or reply.answered is Answered.YES
        if reply.witness is not None:
            assert CHECKS[name](*(tree.evaluate(facts_of(reply.witness)) for tree in trees))


@pytest.mark.skipif(not available(), reason="the extra [analysis] is not installed")
@settings(max_examples=40 * EFFORT, **QUIET)
@given(some.conditions(), some.conditions(), st.booleans())
def test_the_solver_agrees_with_the_algebra_about_conditions(
    first: Condition, second: Condition, permissive: bool
) -> None:
    trees = tuple(compile_condition(each, V, permissive=permissive) for each in (first, second))
    asker, solver = Asker(V, trees=trees), Solver(V, trees=trees)
    for name, question in questions(trees, permissive=permissive).items():
        reply, witness = asker.some(question), solver.find(question(solver))
        assert (reply.answered is Answered.NO) == (witness is None), name
        if witness is not None:
            assert CHECKS[name](*(tree.evaluate(facts_of(witness)) for tree in trees)), name


@pytest.mark.skipif(not available(), reason="the extra [analysis] is not installed")
@settings(max_examples=40 * EFFORT, **QUIET)
@given(some.policy_sets())
def test_the_solver_agrees_with_the_algebra_about_policies(policies: list[Policy]) -> None:
    compiled = compile_policies(policies, V)
    edges = [edge for policy in policies for edge in (policy.effective_from, policy.effective_to)]
    space, solver = space_of(compiled), Solver(V, compiled.rules, edges=edges)

    def permitted(logic: Any) -> Any:
        against = logic.any_of([forbids(logic, compiled.rules), demands(logic, compiled.rules)])
        return logic.minus(permits(logic, compiled, PERMITTING_LAYERS, whole=True), against)

    for question in (permitted, lambda logic: forbids(logic, compiled.rules)):
        mine, theirs = find(space, question(space)), solver.find(question(solver))
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            first, second = (answer_of(compiled, each, PERMITTING_LAYERS) for each in (mine, theirs))
            assert first is second


@settings(max_examples=30 * EFFORT, **QUIET)
@given(some.conditions())
def test_a_limit_is_told_and_never_taken_for_an_answer(condition: Condition) -> None:
    tree = compile_condition(condition, V, permissive=True)
    exact = Asker(V, trees=(tree,)).some(lambda logic: logic.holds(logic.condition(tree)))
    limited = Asker(V, trees=(tree,), limit=2).some(lambda logic: logic.holds(logic.condition(tree)))
    assert limited.answered in (exact.answered, Answered.UNKNOWN)
    assert limited.by == "z3" or limited.reason or limited.answered is exact.answered
