"""The evaluation request, in the shapes of FORCE, of the drafts of the formal semantics, and as ``odrl:Request``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from synthema.policy.evaluator.shapes import (
    Values,
    about,
    action_of,
    action_values,
    at_most_one,
    collect,
    exactly_one,
    moment,
    named,
    nodes_of,
    parameter,
    stated,
    statements,
)
from synthema.policy.evaluator.terms import DATE_TIME, DCT
from synthema.policy.intake.graph import Graph, Node, refuse
from synthema.vocabulary.namespaces import ODRL


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluation request: who asks to do what with which asset, and what it says besides."""

    graph: Graph
    iri: str
    node: str
    action: str
    target: str | None
    assignee: str | None
    at: datetime | None
    values: Values
    of_action: Values


def read_request(graph: Graph) -> Asked:
    """Read the one evaluation request, or ``odrl:Request``, in a graph; raises :class:`PolicyLoadError`."""
    nodes = dict.fromkeys((*nodes_of(graph, ("EvaluationRequest",)), *graph.of_type(ODRL + "Request")))
    untyped = [subject for subject, _ in graph.pairs(ODRL + "action")]
    found = list(nodes) or untyped
    if len(found) != 1:
        refuse(
            f"it holds {len(found)} requests" if found else "there is no request in it",
            "give one odrl-fs:EvaluationRequest, or one odrl:Request with one permission",
            where=graph.where,
        )
    request = found[0]
    asked = [*graph.iris(request, ODRL + "permission")] or [request]
    if len(asked) != 1:
        refuse("the request asks for several things at once", "ask for one after the other", where=graph.where)
    node = asked[0]
    actions = [*graph.iris(node, ODRL + "action"), *named(graph, node, ("requestedAction", "evaluatedAction"))]
    values: dict[str, list[Node]] = {}
    for source in dict.fromkeys((request, node)):
        collect(values, statements(graph, source))
        constraints = graph.iris(source, ODRL + "constraint")
        for context in (*about(graph, source, ("context",)), *constraints):
            collect(values, stated(graph, context))
        for item in about(graph, source, ("requestParameter", "requestParameters")):
            collect(values, [parameter(graph, item)])
    moments = values.pop(DATE_TIME, []) or list(graph.objects(request, DCT + "issued"))
    return Asked(
        graph=graph,
        iri=request,
        node=node,
        action=exactly_one(graph, [action_of(graph, action) for action in actions], "action"),
        target=at_most_one(
            graph,
            [*graph.iris(node, ODRL + "target"), *named(graph, node, ("requestedTarget", "evaluatedTarget"))],
            "target",
        ),
        assignee=at_most_one(
            graph,
            [*graph.iris(node, ODRL + "assignee"), *named(graph, node, ("requestingParty", "evaluatedParty"))],
            "party",
        ),
        at=moment(moments[0], graph) if moments else None,
        values={key: tuple(found) for key, found in values.items()},
        of_action=action_values(graph, node),
    )
