"""Small policies, requests and states of the world for the tests of the evaluator, written as Turtle."""

from __future__ import annotations

from synthema.policy.evaluator import Evaluation, Options, evaluate, read_request, read_world
from synthema.policy.evaluator.semantics import RuleState
from synthema.policy.intake import Graph, Syntax, read_graph, read_policies

PREFIXES = """
@prefix odrl: <http://www.w3.org/ns/odrl/2/> .
@prefix sotw: <https://w3id.org/force/sotw#> .
@prefix fs: <https://w3id.org/odrl-fs#> .
@prefix report: <https://w3id.org/force/compliance-report#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix ex: <https://registry.example/> .
"""
NOON = "2026-11-21T12:00:00Z"


def graph(text: str) -> Graph:
    """Turtle with the prefixes of these tests."""
    return read_graph((PREFIXES + text).encode(), Syntax.TURTLE)


def permission(more: str = "", **policy: str) -> str:
    """One permission: the lab may read the samples."""
    return rules(
        f"odrl:permission [ odrl:assignee ex:lab ; odrl:action odrl:read ; odrl:target ex:samples ; {more} ]", **policy
    )


def rules(*lines: str, kind: str = "Set", **properties: str) -> str:
    """A policy with rules and properties of its own."""
    said = [f"odrl:{name} {value}" for name, value in properties.items()]
    return f"ex:policy a odrl:{kind} ; {' ; '.join((*said, *lines))} ."


def comparing(left: str, operator: str, *right: str, more: str = "") -> str:
    """A constraint as a nameless node."""
    values = "" if not right else f"odrl:rightOperand {', '.join(right)} ;"
    return f"[ odrl:leftOperand {left} ; odrl:operator odrl:{operator} ; {values} {more} ]"


def constrained(left: str, operator: str, *right: str, more: str = "") -> str:
    """A permission with one constraint."""
    return permission(f"odrl:constraint {comparing(left, operator, *right, more=more)}")


def asking(action: str = "odrl:read", target: str = "ex:samples", party: str = "ex:lab", more: str = "") -> str:
    """A request in the shape of the drafts."""
    return (
        f"ex:request a sotw:EvaluationRequest ; sotw:requestedAction {action} ; "
        f"sotw:requestedTarget {target} ; sotw:requestingParty {party} ; {more} dct:description 'asked' ."
    )


def saying(more: str = "", at: str = NOON, rest: str = "") -> str:
    """A state of the world at a time, with values of left operands and further statements."""
    return f'ex:world a sotw:SotW ; sotw:currentTime "{at}"^^xsd:dateTime ; {more} rdfs:label "now" . {rest}'


def act(name: str, action: str, at: str = "2026-11-20T09:00:00Z", more: str = "") -> str:
    """Something that was done."""
    return f'ex:{name} odrl:action {action} ; dct:issued "{at}"^^xsd:dateTime ; {more} rdfs:label "{name}" . '


def evaluated(policy: str, request: str | None = None, world: str | None = None, **options: object) -> Evaluation:
    """Evaluate Turtle; without a request, what was done is checked."""
    source = graph(policy)
    return evaluate(
        read_policies(source),
        read_world(graph(saying() if world is None else world)),
        None if request is None else read_request(graph(request)),
        sources=[source],
        options=Options(**options),  # type: ignore[arg-type]
    )


def only_rule(evaluation: Evaluation) -> RuleState:
    """The state of the one rule of the one policy."""
    (policy,) = evaluation.policies
    (rule,) = policy.rules
    return rule
