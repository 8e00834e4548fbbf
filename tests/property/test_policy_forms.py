"""A policy survives every form it takes: the authoring form, ODRL JSON-LD, N-Quads and Turtle."""

from __future__ import annotations

import json

import pyoxigraph
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.canonical import canonical_json
from synthema.policy import Layer, from_odrl, parse_policy, policy_digest, to_nquads, to_odrl, to_turtle, write_form
from synthema.policy.analyse import analyse, semantic_diff
from synthema.policy.compile import compile_condition
from synthema.policy.explain import explain_policy
from synthema.policy.model import AccessRequest, Condition, Fact, Policy
from synthema.policy.regions import can_hold, negate
from tests.property import policy_strategies as some

V = some.VOCABULARY
EFFORT = some.EFFORT
any_policy = st.sampled_from(Layer).flatmap(some.policies)


@settings(max_examples=80 * EFFORT, deadline=None)
@given(any_policy)
def test_odrl_comes_back_as_the_same_policy(policy: Policy) -> None:
    value = json.loads(canonical_json(to_odrl(policy)))
    assert from_odrl(value, V) == policy
    assert policy_digest(from_odrl(value, V)) == policy_digest(policy)


@settings(max_examples=80 * EFFORT, deadline=None)
@given(any_policy)
def test_the_written_form_is_read_as_the_same_policy(policy: Policy) -> None:
    assert parse_policy(write_form(policy, V), V) == policy


@settings(max_examples=50 * EFFORT, deadline=None)
@given(any_policy)
def test_rdf_has_no_blank_nodes_and_turtle_says_what_nquads_say(policy: Policy) -> None:
    nquads, graph = to_nquads(policy), pyoxigraph.NamedNode(policy.id)
    quads = list(pyoxigraph.parse(nquads, format=pyoxigraph.RdfFormat.N_QUADS))
    first = {quad.triple for quad in quads}
    second = {quad.triple for quad in pyoxigraph.parse(to_turtle(policy), format=pyoxigraph.RdfFormat.TURTLE)}
    assert first == second
    assert all(quad.graph_name == graph for quad in quads)
    assert not any(isinstance(node, pyoxigraph.BlankNode) for quad in quads for node in (quad.subject, quad.object))


@settings(max_examples=50 * EFFORT, deadline=None)
@given(any_policy, any_policy)
def test_everything_can_be_explained_analysed_and_compared(first: Policy, second: Policy) -> None:
    assert len(explain_policy(first, V)) >= 3
    analyse(first, V, [second])
    assert semantic_diff(first, first, V) == ()


@settings(max_examples=80 * EFFORT, deadline=None)
@given(some.conditions(), st.data())
def test_a_condition_that_can_never_hold_holds_for_no_request(condition: Condition, data: st.DataObject) -> None:
    if can_hold(condition, V):
        return
    request = data.draw(some.requests())
    single = {k: f for k, f in request.facts.items() if not isinstance(f.value, tuple)}
    tree = compile_condition(condition, V, permissive=True)
    assert tree.evaluate({**single, some.expand("odrl:dateTime"): Fact(request.at)}) is not True


@settings(max_examples=80 * EFFORT, deadline=None)
@given(some.conditions(), some.requests())
def test_a_negated_condition_is_true_exactly_where_the_condition_is_false(
    condition: Condition, request: AccessRequest
) -> None:
    opposite = negate(condition)
    if opposite is None:
        return
    facts = {k: f for k, f in request.facts.items() if not isinstance(f.value, tuple)}
    facts[some.expand("odrl:dateTime")] = Fact(request.at)
    first, second = (compile_condition(c, V, permissive=True).evaluate(facts) for c in (condition, opposite))
    assert second is (None if first is None else not first)
