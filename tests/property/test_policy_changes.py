"""The suggested changes permit, and no smaller set of changes does: held against trying everything."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synthema.policy import CompiledPolicies, compile_policies
from synthema.policy.aims import DUTY, MET, Standpoint
from synthema.policy.assess import assess
from synthema.policy.changes import changed_request, suggest
from synthema.policy.mending import mending
from synthema.policy.model import AccessRequest, Fact, OperandReference, Policy, conditions_of, constraints_of
from synthema.vocabulary import ChangedBy, Datatype, Operand
from tests.property import policy_strategies as some

V = some.VOCABULARY
EFFORT = some.EFFORT
LARGEST = 2  # sets of more changes are too many to try


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests())
def test_no_smaller_set_of_changes_permits(policies: list[Policy], request: AccessRequest) -> None:
    compiled = compile_policies(policies, V)
    outcome = assess(compiled, request)
    assume(not outcome.permitted and not outcome.refusals)
    suggestion = suggest(compiled, request, outcome)
    assume(suggestion.proven)
    smaller = len(suggestion.changes) - 1 if suggestion.changes else LARGEST
    space = _space(compiled, request)
    for size in range(1, min(smaller, LARGEST) + 1):
        for keys in itertools.combinations(sorted(space), size):
            for values in itertools.product(*(space[key] for key in keys)):
                fixes = dict(zip(keys, values, strict=True))
                assert not assess(compiled, changed_request(request, fixes)).permitted, (fixes, suggestion)


@settings(max_examples=150 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests(), st.data())
def test_what_is_judged_again_after_a_change_is_all_of_it(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    """The aims are met exactly where the whole request, changed in this way, would be permitted."""
    compiled = compile_policies(policies, V)
    outcome = assess(compiled, request)
    assume(not outcome.refusals)
    space = _space(compiled, request)
    keys = data.draw(st.lists(st.sampled_from(sorted(space)), max_size=3, unique=True))
    fixes = {key: data.draw(st.sampled_from(space[key])) for key in keys}
    changed = changed_request(request, fixes)
    facts = {**outcome.facts, **{key: Fact(value) for key, value in fixes.items() if not key.startswith(DUTY)}}
    broken = frozenset((done.action, done.rule) for done in request.fulfilled if done.state == "violated")
    found = mending(compiled, outcome.speaking, broken)
    aims = (*found.silent.values(), *found.done.values(), *found.layers.values(), *found.settled)
    at = Standpoint(compiled, changed, facts, {})
    assert all(aim.lacks(at) == MET for aim in aims) is assess(compiled, changed).permitted


def _space(compiled: CompiledPolicies, request: AccessRequest) -> dict[str, list[Any]]:
    """What may change → the values worth trying: every bound a rule names, and just beside it."""
    space: dict[str, list[Any]] = {DUTY + duty: [True] for duty in some.DUTIES}
    for policy in compiled.policies:
        for rule in policy.rules:
            for condition in conditions_of(rule):
                for constraint in constraints_of(condition):
                    right = constraint.right
                    names = [constraint.left, *([right.operand] if isinstance(right, OperandReference) else [])]
                    for name in names:
                        operand = V.operands[name]
                        if operand.changed_by is not ChangedBy.NOBODY:
                            found = space.setdefault(name, [])
                            found += [v for v in _values(right, operand, request) if v not in found]
    return space


def _values(right: Any, operand: Operand, request: AccessRequest) -> Iterator[Any]:
    if isinstance(right, OperandReference):
        for fact in request.facts.values():
            if type(fact.value) in (int, float) and math.isfinite(fact.value):
                yield from (math.nextafter(fact.value, -math.inf), fact.value, math.nextafter(fact.value, math.inf))
        return
    if operand.datatype in (Datatype.TERM, Datatype.TEXT):
        yield from [*right, right] if isinstance(right, tuple) else [right]
        if operand.datatype is Datatype.TERM:
            yield from (term.iri for term in V.terms_of(operand))
        return
    yield right
    if operand.datatype is Datatype.BOOLEAN:
        yield not right
    elif operand.datatype is Datatype.NUMBER:
        yield from (math.nextafter(right, -math.inf), math.nextafter(right, math.inf))
    else:
        step = 1 if operand.datatype is Datatype.COUNT else timedelta(seconds=1)
        yield from (right - step, right + step)
