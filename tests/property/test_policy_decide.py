"""What must be true of every decision, whatever the policies and whatever the request."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json, digest_bytes
from synthema.policy import compile_policies, decide, replay, to_nquads
from synthema.policy.assess import DATE_TIME, assess
from synthema.policy.changes import changed_request
from synthema.policy.decision import read_request, request_digest, request_record
from synthema.policy.model import AccessRequest, Fact, Fulfilment, Kind, Layer, Policy
from synthema.vocabulary import Datatype
from tests.property import policy_strategies as some
from tests.property.reference_evaluator import evaluate

V = some.VOCABULARY
EFFORT = some.EFFORT


@settings(max_examples=200 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests())
def test_the_decision_is_the_one_of_the_reference_evaluator(policies: list[Policy], request: AccessRequest) -> None:
    compiled, documents = compile_policies(policies, V), [to_nquads(policy) for policy in policies]
    assert decide(compiled, request).effect == evaluate(documents, request, V, {})


@settings(max_examples=200 * EFFORT, deadline=None)
@given(some.decisive_sets(), some.requests())
def test_one_rule_decides_as_in_the_reference_evaluator(policies: list[Policy], request: AccessRequest) -> None:
    compiled, documents = compile_policies(policies, V), [to_nquads(policy) for policy in policies]
    assert decide(compiled, request).effect == evaluate(documents, request, V, {})


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests(), st.data())
def test_adding_a_prohibition_never_permits_more(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    before = decide(compile_policies(policies, V), request)
    extra = data.draw(some.policies(data.draw(st.sampled_from(Layer)), 7, (Kind.PROHIBITION,)))
    after = decide(compile_policies([*policies, extra], V), request)
    if extra.layer is not Layer.UNION or any(policy.layer is Layer.UNION for policy in policies):
        assert not (before.effect == "deny" and after.effect == "permit")


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests(), st.data())
def test_adding_a_permission_never_denies_more(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    before = decide(compile_policies(policies, V), request)
    extra = data.draw(some.policies(data.draw(st.sampled_from(Layer)), 7, (Kind.PERMISSION,)))
    after = decide(compile_policies([*policies, extra], V), request)
    assert not (before.effect == "permit" and after.effect == "deny")


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests())
def test_a_prohibition_that_counts_denies_in_every_layer(policies: list[Policy], request: AccessRequest) -> None:
    compiled = compile_policies(policies, V)
    facts = assess(compiled, request).facts
    speaking = compiled.speaking(request, facts)
    for rule in () if speaking is None else speaking.prohibitions:
        if rule.counts_at(request.at) and rule.holds(facts) is not False:
            assert decide(compiled, request).effect == "deny"


_NOTHING_IN_PARTICULAR = st.sampled_from(
    [None, Fact("urn:unknown"), Fact(float("nan")), Fact(()), Fact(1, unit="grams"), Fact(("urn:unknown", "x"))]
)


@settings(max_examples=150 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests(), st.data())
def test_what_is_missing_mistyped_or_unknown_never_permits(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    """A fact that cannot be used instead of one that denies: it still denies."""
    compiled = compile_policies(policies, V)
    spoilt = data.draw(st.sets(st.sampled_from(sorted(set(request.facts) & set(V.operands) - {DATE_TIME}) or [""])))
    facts = {operand: data.draw(_NOTHING_IN_PARTICULAR) if operand in spoilt else fact
             for operand, fact in request.facts.items()}  # fmt: skip
    texts = {operand for operand in spoilt if operand and V.operands[operand].datatype is Datatype.TEXT}
    worse = replace(request, facts={k: v for k, v in facts.items() if v is not None and k not in texts})
    assert decide(compiled, request).effect == "permit" or decide(compiled, worse).effect == "deny"


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests(), st.integers(0, 9))
def test_forgetting_what_was_done_never_permits(policies: list[Policy], request: AccessRequest, number: int) -> None:
    compiled = compile_policies(policies, V)
    good = [done for done in request.fulfilled if done.state == "fulfilled"]
    if good:
        forgotten = good[number % len(good)]
        poorer = replace(request, fulfilled=tuple(done for done in request.fulfilled if done is not forgotten))
        assert decide(compiled, request).effect == "permit" or decide(compiled, poorer).effect == "deny"
    broken = replace(request.fulfilled[0], state="violated", at=request.at) if request.fulfilled else None
    if broken is not None:
        assert decide(compiled, replace(request, fulfilled=(*request.fulfilled, broken))).effect == "deny"


@settings(max_examples=50 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests(), st.randoms(use_true_random=False))
def test_order_means_nothing(policies: list[Policy], request: AccessRequest, source: random.Random) -> None:
    first = decide(compile_policies(policies, V), request)
    shuffled = [replace(p, rules=tuple(source.sample(p.rules, len(p.rules)))) for p in policies]
    source.shuffle(shuffled)
    again = replace(
        request,
        facts=dict(source.sample(sorted(request.facts.items(), key=lambda item: item[0]), len(request.facts))),
        collections={member: names[::-1] for member, names in reversed(request.collections.items())},
    )
    second = decide(compile_policies(shuffled, V), again)
    assert first.reasons == second.reasons
    assert (first.effect, first.obligations, first.changes) == (second.effect, second.obligations, second.changes)
    assert first.request_digest == second.request_digest


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests())
def test_suggested_changes_really_permit_and_none_of_them_is_idle(
    policies: list[Policy], request: AccessRequest
) -> None:
    compiled = compile_policies(policies, V)
    decision = decide(compiled, request)
    if not decision.changes:
        assert decision.effect == "permit" or decision.unchangeable
        return
    assert decision.effect == "deny"
    duties = [c.operand for c in decision.changes if c.after is None]
    fixes = {c.operand: c.after for c in decision.changes if c.after is not None}
    done = tuple(Fulfilment(duty, request.at, request.assignee, "urn:evidence") for duty in duties)
    full = replace(changed_request(request, fixes), fulfilled=(*request.fulfilled, *done))
    assert decide(compiled, full).effect == "permit"
    for left_out in fixes:
        fewer = {k: v for k, v in fixes.items() if k != left_out}
        partial = replace(changed_request(request, fewer), fulfilled=(*request.fulfilled, *done))
        assert decide(compiled, partial).effect == "deny"


@settings(max_examples=50 * EFFORT, deadline=None)
@given(some.policy_sets() | some.decisive_sets(), some.requests())
def test_decisions_are_values_that_replay(policies: list[Policy], request: AccessRequest) -> None:
    compiled = compile_policies(policies, V)
    decision = decide(compiled, request)
    recorded = json.loads(canonical_json(decision.as_dict()))
    assert replay(recorded, compiled).digest == decision.digest
    assert decision.sentences()
    assert decision.reasons
    assert read_request(recorded["request"]).action == request.action


@settings(max_examples=80 * EFFORT, deadline=None)
@given(some.requests(), st.text(st.characters(codec="utf-8"), max_size=20))
def test_the_fast_digest_is_the_canonical_one(request: AccessRequest, text: str) -> None:
    odd = replace(request, id=text)
    assert request_digest(odd) == digest_bytes(canonical_json(request_record(odd)))
