"""The ODRL test suite (SolidLab, imec, MIT) through a small adapter to our policy model.

Each of its 68 cases has one policy with one rule, one request and a state of
the world, and says whether the rule is active. The adapter puts that rule into
the site's layer, lets all other layers permit everything, and reads the answer
off our decision: a permission is active when the request is permitted, a
prohibition when it is denied.

Adapted, because our profile has other words for it: the suite's actions stand
for ours in a vocabulary of the adapter; collections are replaced by their
members in the state of the world; a missing party, action or target means any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from rdflib import Graph, Namespace, URIRef
from rdflib.namespace import DCTERMS, RDF
from rdflib.term import Node

from synthema.policy import decide
from synthema.policy.compile import compile_policies
from synthema.policy.model import (
    AccessRequest,
    Combination,
    Condition,
    Constraint,
    Duty,
    Fulfilment,
    Kind,
    Layer,
    Operator,
    Policy,
    Rule,
)
from synthema.vocabulary import Vocabulary, load_vocabulary
from synthema.vocabulary.hierarchy import Hierarchy, Term
from tests.conformance.suite import STANDARDS, Case

DATA = STANDARDS / "odrl-test-suite" / "data"
ODRL = Namespace("http://www.w3.org/ns/odrl/2/")
EX = Namespace("http://example.org/")
REPORT = Namespace("https://w3id.org/force/compliance-report#")
CURRENT_TIME = URIRef("http://example.com/request/currentTime")
USE, TRANSFER = str(ODRL.use), str(ODRL.transfer)
# ODRL 2.2 vocabulary: broader actions; "write" is the deprecated exact match of "modify".
BROADER = {"read": USE, "modify": USE, "sell": TRANSFER}
SAME = {str(ODRL.write): str(ODRL.modify)}


def strict_cases() -> Iterator[Case]:
    """Our reading for health data: a duty that is not yet fulfilled keeps a permission from being used."""
    return _cases(lax=False)


def lax_cases() -> Iterator[Case]:
    """The suite's reading: only a violated duty keeps a permission from being used."""
    return _cases(lax=True)


def _cases(*, lax: bool) -> Iterator[Case]:
    world = _everything()
    vocabulary = _vocabulary()
    for path in sorted((DATA / "test_cases").glob("*.ttl")):
        graph = Graph().parse(path)
        case = _one(graph.subjects(RDF.type, EX.TestCase))
        policy, request, state = (_one(graph.objects(case, name)) for name in (EX.policy, EX.request, EX.sotw))
        expected = REPORT.Active in set(graph.objects(None, REPORT.activationState))
        try:
            active = _is_active(world, vocabulary, policy, request, state, lax=lax)
        except Exception as error:  # noqa: BLE001 - a policy that cannot be adapted is a failed case
            yield Case(path.stem, f"{type(error).__name__}: {error}")
            continue
        said = {True: "active", False: "inactive"}
        problem = "" if active is expected else f"{said[active]}, the suite says {said[expected]}"
        yield Case(path.stem, problem)


@cache
def _everything() -> dict[Node, Graph]:
    """Every policy, request and state of the world by its name, each in a graph of its own.

    They must not be mixed: several policies give the same constraint another operator.
    """
    kinds = {"policies": ODRL.Set, "requests": ODRL.Request, "sotw": EX.Sotw}
    graphs: dict[Node, Graph] = {}
    for folder, kind in kinds.items():
        for path in sorted((DATA / folder).glob("*.ttl")):
            graph = Graph().parse(path)
            graphs[_one(graph.subjects(RDF.type, kind))] = graph
    return graphs


def _is_active(
    world: dict[Node, Graph], vocabulary: Vocabulary, policy: Node, request: Node, state: Node, *, lax: bool
) -> bool:
    text, sotw = world[policy], world[state]
    rule = _rule(text, sotw, policy)
    open_world = [_permissive(layer) for layer in (Layer.DATASET, Layer.AGREEMENT)]
    if rule.kind is Kind.PROHIBITION:
        open_world.append(_permissive(Layer.SITE))
    ours = Policy(str(policy), Layer.SITE, "1", "from the suite", (rule,))
    compiled = compile_policies([_silent_law(), ours, *open_world], vocabulary)
    fulfilled = tuple(_fulfilments(text, sotw, rule, lax=lax))
    decision = decide(compiled, _request(world[request], sotw, request, fulfilled))
    return (decision.effect == "permit") is (rule.kind is Kind.PERMISSION)


def _rule(text: Graph, sotw: Graph, policy: Node) -> Rule:
    found = [(kind, node) for kind in (Kind.PERMISSION, Kind.PROHIBITION) for node in text.objects(policy, ODRL[kind])]
    kind, node = _one(found)
    actions = tuple(_action(value) for value in text.objects(node, ODRL.action)) or (USE, TRANSFER)
    constraints = [_condition(text, value) for value in text.objects(node, ODRL.constraint)]
    return Rule(
        id=str(node),
        kind=kind,
        actions=actions,
        when=_joined("and", constraints) if constraints else None,
        targets=_members(text, sotw, node, ODRL.target),
        assignees=_members(text, sotw, node, ODRL.assignee),
        duties=tuple(Duty(str(text.value(duty, ODRL.action))) for duty in text.objects(node, ODRL.duty)),
    )


def _members(text: Graph, sotw: Graph, rule: Node, predicate: URIRef) -> tuple[str, ...]:
    named = list(text.objects(rule, predicate))
    members = [member for name in named for member in sotw.subjects(ODRL.partOf, name)]
    return tuple(str(node) for node in (*named, *members))


def _condition(text: Graph, node: Node) -> Condition:
    for joined in ("and", "or", "xone"):
        parts = [_condition(text, part) for part in text.objects(node, ODRL[joined])]
        if parts:
            return _joined(joined, parts)
    right = text.value(node, ODRL.rightOperand).toPython()  # type: ignore[union-attr]
    operator = Operator(str(text.value(node, ODRL.operator)).removeprefix(str(ODRL)))
    return Constraint(str(text.value(node, ODRL.leftOperand)), operator, right)


def _joined(joined: str, parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Combination(joined, tuple(parts))  # type: ignore[arg-type]


def _request(text: Graph, sotw: Graph, request: Node, fulfilled: tuple[Fulfilment, ...]) -> AccessRequest:
    wanted = _one(text.objects(request, ODRL.permission))
    return AccessRequest(
        id=str(request),
        action=_action(text.value(wanted, ODRL.action)),
        target=str(text.value(wanted, ODRL.target)),
        assignee=str(text.value(wanted, ODRL.assignee)),
        at=_time(sotw),
        fulfilled=fulfilled,
    )


def _time(sotw: Graph) -> datetime:
    at: datetime = sotw.value(CURRENT_TIME, DCTERMS.issued).toPython()  # type: ignore[union-attr]
    return at


def _fulfilments(text: Graph, sotw: Graph, rule: Rule, *, lax: bool) -> Iterator[Fulfilment]:
    """What the state of the world says about the rule's own duties; in the lax reading silence counts as done."""
    for duty in text.objects(URIRef(rule.id), ODRL.duty):
        action = str(text.value(duty, ODRL.action))
        states = {sotw.value(report, REPORT.deonticState) for report in sotw.subjects(REPORT.rule, duty)}
        if REPORT.Violated in states:
            yield Fulfilment(action, _time(sotw), "suite", state="violated")
        elif REPORT.Fulfilled in states or lax:
            yield Fulfilment(action, _time(sotw), "suite", rule=rule.id)


def _action(node: Node | None) -> str:
    return SAME.get(str(node), str(node))


def _permissive(layer: Layer) -> Policy:
    everything = Rule(f"urn:open:{layer}:rule", Kind.PERMISSION, (USE, TRANSFER))
    return Policy(f"urn:open:{layer}", layer, "1", "permits everything", (everything,))


def _silent_law() -> Policy:
    """Our engine decides nothing without Union law; this one forbids an act that nobody asks for."""
    forbidden = Rule("urn:law:rule", Kind.PROHIBITION, ("urn:act:nobody-asks",))
    return Policy("urn:law", Layer.UNION, "1", "stands in for Union law", (forbidden,))


@cache
def _vocabulary() -> Vocabulary:
    """Our vocabulary with the suite's actions and duty in place of ours."""
    ours = load_vocabulary()
    actions = [Term(USE, "use"), Term(TRANSFER, "transfer"), Term("urn:act:nobody-asks", "nothing")]
    actions += [Term(str(ODRL[name]), name, broader=(parent,)) for name, parent in BROADER.items()]
    duties = [Term(str(ODRL.compensate), "compensate")]
    schemes = {**ours.schemes, "Actions": Hierarchy("action", actions), "Duties": Hierarchy("duty", duties)}
    return dataclasses.replace(ours, schemes=schemes)


def _one(found: Any) -> Any:
    (only,) = found
    return only
