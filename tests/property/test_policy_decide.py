"""What must be true of every decision, whatever the policies and whatever the request."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json, digest_bytes
from synthema.policy import compile_policies, decide, replay
from synthema.policy.assess import assess
from synthema.policy.changes import changed_request
from synthema.policy.decision import read_request, request_digest, request_record
from synthema.policy.model import AccessRequest, Fulfilment, Kind, Layer, OperandReference, Policy
from synthema.policy.model import constraints_of as constraints_in
from tests.property import policy_strategies as some
from tests.property.reference_evaluator import evaluate

V = some.VOCABULARY
EFFORT = some.EFFORT


@settings(max_examples=200 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests())
def test_the_decision_is_the_one_of_the_reference_evaluator(policies: list[Policy], request: AccessRequest) -> None:
    assert decide(compile_policies(policies, V), request).effect == evaluate(policies, request, V, {})


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
@given(some.policy_sets(), some.requests(), st.data())
def test_a_prohibition_that_counts_denies_in_every_layer(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    compiled = compile_policies(policies, V)
    for rule in compiled.by_action.get(request.action, {}).get(Kind.PROHIBITION, ()):
        if rule.concerns(request.target, request.assignee, request.at):
            facts = assess(compiled, request).facts
            if rule.holds(facts) is True:
                assert decide(compiled, request).effect == "deny"


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests(), st.data())
def test_leaving_out_a_fact_that_matters_never_permits(
    policies: list[Policy], request: AccessRequest, data: st.DataObject
) -> None:
    if not request.facts:
        return
    dropped = data.draw(st.sampled_from(sorted(request.facts)))
    used = {
        iri
        for policy in policies
        for rule in policy.rules
        for condition in (rule.when, rule.unless)
        for constraint in constraints_in(condition)
        for iri in (constraint.left, getattr(constraint.right, "operand", constraint.left))
    }
    poorer = replace(request, facts={k: v for k, v in request.facts.items() if k != dropped})
    before, after = (decide(compile_policies(policies, V), r) for r in (request, poorer))
    simple = all(
        not isinstance(c.right, OperandReference) for p in policies for r in p.rules for c in constraints_in(r.when)
    )
    if before.effect == "deny" and dropped in V.operands and dropped != some.expand("odrl:dateTime") and simple:
        # What is unknown can only be worse than what is known, except where a wrong value
        # was itself the trouble: then it was undetermined before and is undetermined now.
        assert after.effect == "deny" or dropped not in used


@settings(max_examples=50 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests(), st.randoms(use_true_random=False))
def test_order_means_nothing(policies: list[Policy], request: AccessRequest, source: random.Random) -> None:
    first = decide(compile_policies(policies, V), request)
    shuffled = [replace(p, rules=tuple(source.sample(p.rules, len(p.rules)))) for p in policies]
    source.shuffle(shuffled)
    again = replace(request, facts=dict(source.sample(sorted(request.facts.items()), len(request.facts))))
    second = decide(compile_policies(shuffled, V), again)
    assert first.reasons == second.reasons
    assert (first.effect, first.obligations, first.changes) == (second.effect, second.obligations, second.changes)
    assert first.request_digest == second.request_digest


@settings(max_examples=60 * EFFORT, deadline=None)
@given(some.policy_sets(), some.requests())
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
@given(some.policy_sets(), some.requests())
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
