"""The state of the world and the request, read from the shapes that are in use for them.

============================  ==========================================================================================
what                          where it may stand
============================  ==========================================================================================
the time                      ``currentTime`` of the state of the world (a time, or a node with ``dct:issued``),
                              a parameter of the request describing ``sotw:TemporalData``, ``dct:issued`` of the request
membership                    ``odrl:partOf``, ``dct:isPartOf``, ``vcard:hasMember``
value of a left operand       a property of the state, the request, the party or the asset with the left operand as
                              predicate; an ``odrl:Constraint`` with ``odrl:eq`` under ``context``; a request parameter;
                              a context with ``conditionID`` naming the constraint
what was done                 a node with ``odrl:action`` (and party, target, time, operands), or a report on the rule
state of a duty               ``report:DutyReport`` with ``report:rule`` and a performance or deontic state
============================  ==========================================================================================

Namespaces accepted for ``sotw:`` are those of FORCE and of the drafts of the formal semantics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyoxigraph import Literal

from synthema.policy.evaluator.shapes import (
    ALIASES,
    CURRENT_TIME,
    PAY,
    SPACES,
    TIME,
    TIMES,
    Values,
    about,
    action_of,
    action_values,
    collect,
    moment,
    named,
    nodes_of,
    said,
    stated,
    statements,
)
from synthema.policy.evaluator.terms import DCT, REPORT
from synthema.policy.intake.graph import Graph, Node, refuse
from synthema.vocabulary.namespaces import ODRL


@dataclass(frozen=True, slots=True)
class Performed:
    """An act that took place, with what is known about it. ``settles`` names rules it is said to be about."""

    node: str
    actions: tuple[str, ...]
    party: str | None = None
    target: str | None = None
    at: datetime | None = None
    values: Values = field(default_factory=dict)
    settles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reported:
    """What an earlier report says of a rule."""

    performance: str | None = None
    deontic: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The state of the world. ``now`` is the time it describes, where it names one."""

    graph: Graph
    iri: str | None
    now: datetime | None
    values: Values
    of_constraint: Values
    performed: tuple[Performed, ...]
    reported: Mapping[str, Reported]


def read_world(graph: Graph) -> World:
    """Read a state of the world; raises :class:`PolicyLoadError` on a time or value that cannot be read."""
    nodes = nodes_of(graph, ("SotW", "Sotw"))
    contexts = [n for node in nodes for n in about(graph, node, ("context", "includes"))]
    values: dict[str, list[Node]] = {}
    for node in nodes:
        collect(values, statements(graph, node))
    of_constraint: dict[str, list[Node]] = {}
    for node in contexts:
        if graph.objects(node, ODRL + "leftOperand"):
            collect(values, stated(graph, node))
        instants = graph.objects(node, TIME + "inXSDDateTime")
        for condition in named(graph, node, ("conditionID", "conditionId")):
            of_constraint.setdefault(condition, []).extend(instants)
    return World(
        graph=graph,
        iri=nodes[0] if nodes else None,
        now=_current_time(graph, nodes, contexts),
        values={key: tuple(found) for key, found in values.items()},
        of_constraint={key: tuple(found) for key, found in of_constraint.items() if found},
        performed=tuple(_performed(graph, nodes, contexts)),
        reported=_reported(graph),
    )


def _current_time(graph: Graph, nodes: tuple[str, ...], contexts: list[str]) -> datetime | None:
    stated: list[Node] = list(graph.objects(CURRENT_TIME, DCT + "issued"))
    for node in nodes:
        for item in said(graph, node, ("currentTime",)):
            stated += [item] if isinstance(item, Literal) else graph.objects(item.value, DCT + "issued")
    for node in contexts:
        if TIME + "Instant" in graph.types(node):
            stated += graph.objects(node, TIME + "inXSDDateTime")
    moments = {moment(item, graph) for item in stated}
    if len(moments) > 1:
        refuse("the state of the world has two current times", "give one", where=graph.where)
    return next(iter(moments), None)


def _performed(graph: Graph, nodes: tuple[str, ...], contexts: list[str]) -> Iterator[Performed]:
    linked = [n for node in nodes for n in about(graph, node, ("action", "event", "performedAction"))]
    inside = {
        o.value for name in ("permission", "prohibition", "obligation", "duty") for _, o in graph.pairs(ODRL + name)
    }
    acts = [subject for subject, _ in graph.pairs(ODRL + "action") if subject not in inside]
    settling = [n for n in contexts if named(graph, n, ("conditionID", "conditionId")) and not _is_instant(graph, n)]
    for node in dict.fromkeys([*linked, *acts, *settling]):
        actions = [action_of(graph, item.value) for item in graph.objects(node, ODRL + "action")]
        if not actions and PAY + "Payment" in graph.types(node):
            actions = [ODRL + "compensate"]
        values = {ALIASES.get(key, key): found for key, found in graph.subjects.get(node, {}).items()}
        parties = [*values.get(ODRL + "assignee", ()), *values.get(ODRL + "compensatingParty", ())]
        targets = values.get(ODRL + "target", ())
        yield Performed(
            node=node,
            actions=tuple(actions) or graph.types(node),
            party=parties[0].value if parties else None,
            target=targets[0].value if targets else None,
            at=_time_of(graph, node),
            values={**values, **action_values(graph, node)},
            settles=frozenset(named(graph, node, ("conditionID", "conditionId"))),
        )


def _is_instant(graph: Graph, node: str) -> bool:
    return bool(graph.objects(node, TIME + "inXSDDateTime"))


def _time_of(graph: Graph, node: str) -> datetime | None:
    found = [item for name in TIMES for item in graph.objects(node, name)]
    found += [item for space in SPACES for item in graph.objects(node, space + "atTime")]
    return moment(found[0], graph) if found else None


def _reported(graph: Graph) -> Mapping[str, Reported]:
    found: dict[str, Reported] = {}
    for subject, rule in graph.pairs(REPORT + "rule"):
        performance, deontic = (
            graph.iris(subject, REPORT + "performanceState"),
            graph.iris(subject, REPORT + "deonticState"),
        )
        if performance or deontic:
            found[rule.value] = Reported(
                performance[0].removeprefix(REPORT) if performance else None,
                deontic[0].removeprefix(REPORT) if deontic else None,
                _time_of(graph, subject),
            )
    return found
