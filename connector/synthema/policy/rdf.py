"""A policy as RDF: the same statements as its ODRL JSON-LD, without blank nodes, as N-Quads or Turtle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyoxigraph
from pyoxigraph import Literal, NamedNode, Quad, Triple

from synthema.clock import to_text
from synthema.policy.model import (
    PROFILE,
    Combination,
    Condition,
    Constraint,
    Duty,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Policy,
    Rule,
    Value,
)
from synthema.policy.odrl_writing import COLLECTIONS, PINNED_PREFIXES, datatype_of, refinements_of
from synthema.policy.values import duration_text, value_text
from synthema.policy.wellformed import is_iri
from synthema.vocabulary import PREFIXES, Datatype
from synthema.vocabulary.namespaces import ODRL, SYN

_RDF_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_RDF_VALUE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#value")
_TITLE = NamedNode("http://purl.org/dc/terms/title")
_XSD = "http://www.w3.org/2001/XMLSchema#"
_TYPES = {
    Datatype.NUMBER: "double",
    Datatype.COUNT: "integer",
    Datatype.BOOLEAN: "boolean",
    Datatype.DATE: "dateTime",
    Datatype.DURATION: "dayTimeDuration",
}

Node = NamedNode | Literal


def triples(policy: Policy) -> Iterator[Triple]:
    """The statements of a policy; nodes inside it get identifiers below the policy's or the rule's own."""
    me = NamedNode(policy.id)
    yield Triple(me, _RDF_TYPE, _odrl("Agreement" if policy.layer is Layer.AGREEMENT else "Set"))
    yield Triple(me, _odrl("uid"), me)
    yield Triple(me, _odrl("profile"), NamedNode(PROFILE))
    yield Triple(me, _odrl("conflict"), _odrl("prohibit"))
    yield Triple(me, _syn("layer"), Literal(str(policy.layer)))
    yield Triple(me, _syn("version"), Literal(policy.version))
    yield Triple(me, _TITLE, Literal(policy.title))
    yield from _nodes(me, "target", policy.targets)
    yield from _nodes(me, "assignee", policy.assignees)
    yield from _nodes(me, "assigner", (policy.assigner,) if policy.assigner else ())
    for name, moment in (("effectiveFrom", policy.effective_from), ("effectiveTo", policy.effective_to)):
        if moment is not None:
            yield Triple(me, _syn(name), _typed(to_text(moment), "dateTime"))
    yield from _law(policy.id, policy.law)
    for number, decision in enumerate(policy.site_decisions, start=1):
        node = NamedNode(_below(policy.id, f"confirmed-{number}"))
        yield Triple(me, _syn("siteDecision"), node)
        yield Triple(node, _syn("operand"), NamedNode(decision.operand))
        yield Triple(node, _syn("reason"), Literal(decision.reason))
    for number, parent in enumerate(policy.inherits, start=1):
        node = NamedNode(_below(policy.id, f"inherited-{number}"))
        yield Triple(me, _odrl("inheritFrom"), NamedNode(parent.policy))
        yield Triple(me, _syn("inheritance"), node)
        yield Triple(node, _syn("inheritedPolicy"), NamedNode(parent.policy))
        yield Triple(node, _syn("inheritedVersion"), Literal(parent.version))
    for rule in policy.rules:
        yield Triple(me, _odrl(rule.kind), NamedNode(rule.id))
        yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[Triple]:
    me = NamedNode(rule.id)
    name = {Kind.PERMISSION: "Permission", Kind.PROHIBITION: "Prohibition", Kind.OBLIGATION: "Duty"}[rule.kind]
    yield Triple(me, _RDF_TYPE, _odrl(name))
    narrowed = refinements_of(rule)
    if rule.kind is Kind.OBLIGATION:
        yield from _actions(me, _syn("triggeredBy"), rule.actions, narrowed)
        # The rule's own condition has the name "when" below it.
        yield from _duty(me, rule.duties[0], _syn("dutyConstraint"), "duty-when")
    else:
        yield from _actions(me, _odrl("action"), rule.actions, narrowed)
        yield from _duties(me, "duty", rule.duties)
    yield from _duties(me, "remedy", rule.remedies)
    yield from _collections(me, "target", rule.targets, narrowed)
    yield from _collections(me, "assignee", rule.assignees, narrowed)
    if rule.when is not None:
        yield from _condition(me, _odrl("constraint"), rule.when, _below(rule.id, "when"))
    if rule.unless is not None:
        yield from _condition(me, _syn("unless"), rule.unless, _below(rule.id, "unless"))
    yield from _law(rule.id, rule.law)
    if rule.sentence:
        yield Triple(me, _syn("sentence"), Literal(rule.sentence))
    if rule.origin:
        yield Triple(me, _syn("origin"), NamedNode(rule.origin))


def _actions(
    me: NamedNode, link: NamedNode, iris: Iterable[str], narrowed: Mapping[str, Condition]
) -> Iterator[Triple]:
    for number, iri in enumerate(iris, start=1):
        if iri not in narrowed:
            yield Triple(me, link, NamedNode(iri))
            continue
        node = NamedNode(_below(me.value, f"action-{number}"))
        yield Triple(me, link, node)
        yield Triple(node, _RDF_TYPE, _odrl("Action"))
        yield Triple(node, _RDF_VALUE, NamedNode(iri))
        yield from _condition(node, _odrl("refinement"), narrowed[iri], _below(node.value, "refinement"))


def _collections(me: NamedNode, name: str, iris: Iterable[str], narrowed: Mapping[str, Condition]) -> Iterator[Triple]:
    for number, iri in enumerate(iris, start=1):
        if iri not in narrowed:
            yield Triple(me, _odrl(name), NamedNode(iri))
            continue
        node = NamedNode(_below(me.value, f"{name}-{number}"))
        yield Triple(me, _odrl(name), node)
        yield Triple(node, _RDF_TYPE, _odrl(COLLECTIONS[name]))
        yield Triple(node, _odrl("source"), NamedNode(iri))
        yield from _condition(node, _odrl("refinement"), narrowed[iri], _below(node.value, "refinement"))


def _duties(me: NamedNode, name: str, duties: Iterable[Duty]) -> Iterator[Triple]:
    for number, duty in enumerate(duties, start=1):
        node = NamedNode(_below(me.value, f"{name}-{number}"))
        yield Triple(me, _odrl(name), node)
        yield Triple(node, _RDF_TYPE, _odrl("Duty"))
        yield from _duty(node, duty, _odrl("constraint"), "when")


def _duty(me: NamedNode, duty: Duty, when: NamedNode, name: str) -> Iterator[Triple]:
    """What is said of a duty; ``when`` and ``name`` are the property and the last part of the name of its condition."""
    yield Triple(me, _odrl("action"), NamedNode(duty.action))
    yield Triple(me, _syn("dutyTiming"), _syn(duty.timing))
    if duty.within is not None:
        yield Triple(me, _syn("deadline"), _typed(duration_text(duty.within), "dayTimeDuration"))
        yield Triple(me, _syn("deadlineAfter"), _syn(duty.after))
    if duty.evidence is not None:
        yield Triple(me, _syn("evidenceType"), Literal(duty.evidence))
    if duty.when is not None:
        yield from _condition(me, when, duty.when, _below(me.value, name))
    yield from _duties(me, "consequence", duty.consequences)


def _condition(parent: NamedNode, link: NamedNode, condition: Condition, iri: str) -> Iterator[Triple]:
    me = NamedNode(iri)
    yield Triple(parent, link, me)
    if isinstance(condition, Combination):
        yield Triple(me, _RDF_TYPE, _odrl("LogicalConstraint"))
        for number, part in enumerate(condition.parts, start=1):
            yield from _condition(me, _odrl(condition.joined), part, f"{iri}-{number}")
        return
    yield from _constraint(me, condition)


def _constraint(me: NamedNode, constraint: Constraint) -> Iterator[Triple]:
    yield Triple(me, _RDF_TYPE, _odrl("Constraint"))
    yield Triple(me, _odrl("leftOperand"), NamedNode(constraint.left))
    yield Triple(me, _odrl("operator"), _odrl(constraint.operator))
    if isinstance(constraint.right, OperandReference):
        yield Triple(me, _odrl("rightOperandReference"), NamedNode(constraint.right.operand))
    else:
        items = constraint.right if isinstance(constraint.right, tuple) else (constraint.right,)
        yield from (Triple(me, _odrl("rightOperand"), _value(item)) for item in items)
    if constraint.unit is not None:
        yield Triple(me, _odrl("unit"), Literal(constraint.unit))


def _value(value: Value) -> Node:
    if isinstance(value, str):
        return NamedNode(value) if is_iri(value) else Literal(value)
    return _typed(value_text(value), _TYPES[datatype_of(value)])


def _law(iri: str, references: Iterable[LawReference]) -> Iterator[Triple]:
    for number, reference in enumerate(references, start=1):
        node = NamedNode(_below(iri, f"law-{number}"))
        yield Triple(NamedNode(iri), _syn("lawReference"), node)
        yield Triple(node, _syn("eli"), NamedNode(reference.eli))
        yield Triple(node, _syn("act"), Literal(reference.act))
        yield Triple(node, _syn("article"), Literal(reference.article))


def _below(iri: str, name: str) -> str:
    return f"{iri}{'.' if '#' in iri else '#'}{name}"


def _nodes(me: NamedNode, name: str, iris: Iterable[str]) -> Iterator[Triple]:
    yield from (Triple(me, _odrl(name), NamedNode(iri)) for iri in iris)


def _typed(text: str, type_: str) -> Literal:
    return Literal(text, datatype=NamedNode(_XSD + type_))


def _odrl(name: str) -> NamedNode:
    return NamedNode(ODRL + name)


def _syn(name: str) -> NamedNode:
    return NamedNode(SYN + name)


def to_nquads(policy: Policy, graph: str | None = None) -> bytes:
    """Sorted N-Quads in a named graph (the policy's own IRI when none is given)."""
    name = NamedNode(graph or policy.id)
    lines = sorted({str(Quad(t.subject, t.predicate, t.object, name)) for t in triples(policy)})
    return "".join(f"{line} .\n" for line in lines).encode()


def to_turtle(policy: Policy) -> str:
    """Turtle with the prefixes of the profile, and those of the vocabulary that the policy needs beside them."""
    statements = list(triples(policy))
    named = [node.value for triple in statements for node in triple if isinstance(node, NamedNode)]
    further = {
        prefix: namespace
        for prefix, namespace in PREFIXES.items()
        if prefix not in PINNED_PREFIXES and any(iri.startswith(namespace) for iri in named)
    }
    text = pyoxigraph.serialize(statements, format=pyoxigraph.RdfFormat.TURTLE, prefixes={**PINNED_PREFIXES, **further})
    return (text or b"").decode()
