"""Whatever a request holds, deciding never raises, the decision can be kept and replayed, and nothing odd permits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json, digest
from synthema.policy import AccessRequest, Fact, Fulfilment, Policy, compile_policies, decide, replay, to_nquads
from synthema.policy.decision import request_digest, request_record
from synthema.policy.model import ANY_DATASET
from tests.property import policy_strategies as some
from tests.property.reference_evaluator import evaluate
from tests.unit.policy.sample import AT, all_policies, request

V = some.VOCABULARY
EFFORT = some.EFFORT
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_TERMS = tuple(term.iri for scheme in V.schemes.values() for term in scheme)
_ODD = (
    *(True, False, "", "urn:x", (), ("",), ("a", "b"), 10**18, -(10**18), 0, 2**53 + 1, FIRST, LAST),
    *(float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 1e16),
    *(timedelta.max, timedelta.min, timedelta(0), timedelta(microseconds=-1)),
)
_VALUES = st.one_of(
    st.sampled_from(_ODD),
    st.sampled_from(_TERMS),
    st.lists(st.sampled_from(_TERMS), max_size=3).map(tuple),
    st.text(max_size=8),
    st.integers(-(10**18), 10**18),
    st.floats(),
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(),
)
_UNITS = st.sampled_from([None, None, "patients", "parties", "", "x"])
_FACTS = st.builds(Fact, _VALUES, st.none() | st.text(max_size=3), _UNITS, st.none() | st.just("sha256:x"))
_OPERANDS = st.lists(st.sampled_from(sorted(V.operands)), max_size=6)
_ACTIONS = st.sampled_from([term.iri for term in V.actions] + ["", "urn:x"])
_DUTIES = st.sampled_from([term.iri for term in V.duties] + ["", "urn:x"]) | _ACTIONS
_TIMES = st.sampled_from([AT, AT - timedelta(1), AT + timedelta(1), FIRST, LAST])
_EVIDENCE = st.sampled_from([None, "", " ", "urn:e"])
_STATES = st.sampled_from(["fulfilled", "violated"])
_SETS = some.policy_sets() | some.decisive_sets() | st.just(all_policies())
_BASES = st.sampled_from([request(), request("synthesise")]) | some.requests()


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Policy], AccessRequest]:
    """Policies, and a request that is odd in some of its parts."""
    policies, base = draw(_SETS), draw(_BASES)
    rules = st.sampled_from([None, "", "urn:x", *(rule.id for policy in policies for rule in policy.rules)])
    done = st.builds(Fulfilment, _DUTIES, _TIMES, st.text(max_size=2), _EVIDENCE, rules, _STATES)
    odd = replace(
        base,
        facts={**base.facts, **{operand: draw(_FACTS) for operand in draw(_OPERANDS)}},
        fulfilled=tuple(draw(st.lists(done, max_size=3))),
        at=draw(st.sampled_from([base.at, base.at, base.at, FIRST, LAST])),
        action=draw(st.just(base.action) | _ACTIONS),
        target=draw(st.sampled_from([base.target, base.target, "", ANY_DATASET])),
        assignee=draw(st.sampled_from([base.assignee, base.assignee, ""])),
    )
    return policies, odd


@settings(max_examples=250 * EFFORT, deadline=None)
@given(cases())
def test_nothing_odd_raises_or_permits(case: tuple[list[Policy], AccessRequest]) -> None:
    policies, asked = case
    compiled = compile_policies(policies, V)
    decision = decide(compiled, asked)
    assert decision.effect == evaluate([to_nquads(policy) for policy in policies], asked, V, {})
    assert decision.sentences()
    assert replay(json.loads(canonical_json(decision.as_dict())), compiled).digest == decision.digest
    assert request_digest(asked) == digest(request_record(asked))
