"""Every policy can be put in RDF, explained, analysed and compared; its ways there and back are tested elsewhere."""

from __future__ import annotations

import pyoxigraph
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.policy import Layer, analyse, semantic_diff, to_nquads, to_turtle
from synthema.policy.explain import explain_policy
from synthema.policy.model import Policy
from tests.property import policy_strategies as some

V = some.VOCABULARY
EFFORT = some.EFFORT
any_policy = st.sampled_from(Layer).flatmap(some.policies)


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
