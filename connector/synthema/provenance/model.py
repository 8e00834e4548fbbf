"""What is recorded: one activity with what it used, what it made, who was behind it (W3C PROV-O).

An :class:`Activity` is a pure value. It is written as sorted N-Quads without
blank nodes in a graph of its own, and those bytes are what the log hashes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from pyoxigraph import NamedNode

from synthema.canonical import sorted_nquads
from synthema.clock import to_text
from synthema.errors import InputError

PROV = "http://www.w3.org/ns/prov#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
RDFS_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
XSD = "http://www.w3.org/2001/XMLSchema#"
SYNTHEMA = "https://w3id.org/synthema/ns#"

Value = str | int | float | bool | datetime


@dataclass(frozen=True, slots=True)
class Iri:
    """An attribute value that is a node, not a literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing with a digest: dataset version, policy, decision, grant, artefact, certificate.

    ``types`` and attribute keys are local names of the Synthema ontology
    (``Dataset`` means ``syn:Dataset``) or full IRIs. Names of patients, fields'
    contents and secrets never belong here.
    """

    iri: str
    types: tuple[str, ...] = ()
    label: str | None = None
    digest: str | None = None
    derived_from: tuple[str, ...] = ()
    attributes: Mapping[str, Value | Iri] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agent:
    """Who bears responsibility: a person's role account, an organisation, or a plugin."""

    iri: str
    kind: str  # "Person" | "Organization" | "SoftwareAgent"
    label: str | None = None
    acts_for: str | None = None  # the organisation that the agent acts for


@dataclass(frozen=True, slots=True)
class Activity:
    """One step that happened, ready to be written into the log."""

    iri: str
    type: str
    label: str
    started: datetime
    ended: datetime
    agents: tuple[Agent, ...] = ()
    used: tuple[Entity, ...] = ()
    generated: tuple[Entity, ...] = ()
    informed_by: tuple[str, ...] = ()
    attributes: Mapping[str, Value | Iri] = field(default_factory=dict)
    plan: Entity | None = None  # what the agents were bound by: a grant, a study plan

    def nquads(self, graph: str, *, recorded: datetime | None = None) -> bytes:
        """The canonical bytes of this activity inside the named graph.

        ``recorded`` is when the log took it; it becomes a statement about the
        graph itself, so that it is covered by the hash like everything else.
        """
        inside = node(graph)
        triples = list(self._triples())
        if recorded is not None:
            triples.append((inside, node(SYNTHEMA + "recordedAt"), literal(recorded)))
        return sorted_nquads(f"{s} {p} {o} {inside} ." for s, p, o in triples)

    def _triples(self) -> Iterator[tuple[str, str, str]]:
        me = node(self.iri)
        yield me, node(RDF_TYPE), node(PROV + "Activity")
        yield me, node(RDF_TYPE), node(term(self.type))
        yield me, node(RDFS_LABEL), literal(self.label)
        yield me, node(PROV + "startedAtTime"), literal(self.started)
        yield me, node(PROV + "endedAtTime"), literal(self.ended)
        for cause in self.informed_by:
            yield me, node(PROV + "wasInformedBy"), node(cause)
        for agent in self.agents:
            yield me, node(PROV + "wasAssociatedWith"), node(agent.iri)
            yield from _agent_triples(agent)
        if self.plan is not None:
            yield from self._plan_triples(me, self.plan)
        for entity in self.used:
            yield me, node(PROV + "used"), node(entity.iri)
            yield from _entity_triples(entity)
        for entity in self.generated:
            yield node(entity.iri), node(PROV + "wasGeneratedBy"), me
            yield from _entity_triples(entity)
        yield from _attribute_triples(me, self.attributes)

    def _plan_triples(self, me: str, plan: Entity) -> Iterator[tuple[str, str, str]]:
        """The associations that say by which plan the agents acted (PROV-O, "Association"); each has its own name."""
        for number, agent in enumerate(self.agents, start=1):
            association = node(f"{self.iri}/association/{number}")
            yield me, node(PROV + "qualifiedAssociation"), association
            yield association, node(RDF_TYPE), node(PROV + "Association")
            yield association, node(PROV + "agent"), node(agent.iri)
            yield association, node(PROV + "hadPlan"), node(plan.iri)
        yield node(plan.iri), node(RDF_TYPE), node(PROV + "Plan")
        yield from _entity_triples(plan)


def _agent_triples(agent: Agent) -> Iterator[tuple[str, str, str]]:
    me = node(agent.iri)
    yield me, node(RDF_TYPE), node(PROV + "Agent")
    yield me, node(RDF_TYPE), node(PROV + agent.kind)
    if agent.label:
        yield me, node(RDFS_LABEL), literal(agent.label)
    if agent.acts_for:
        # Each entry is read alone as well, and then says of everything it names what it is.
        yield me, node(PROV + "actedOnBehalfOf"), node(agent.acts_for)
        yield node(agent.acts_for), node(RDF_TYPE), node(PROV + "Agent")
        yield node(agent.acts_for), node(RDF_TYPE), node(PROV + "Organization")


def _entity_triples(entity: Entity) -> Iterator[tuple[str, str, str]]:
    me = node(entity.iri)
    yield me, node(RDF_TYPE), node(PROV + "Entity")
    for type_ in entity.types:
        yield me, node(RDF_TYPE), node(term(type_))
    if entity.label:
        yield me, node(RDFS_LABEL), literal(entity.label)
    if entity.digest:
        yield me, node(SYNTHEMA + "digest"), literal(entity.digest)
    for source in entity.derived_from:
        yield me, node(PROV + "wasDerivedFrom"), node(source)
        yield node(source), node(RDF_TYPE), node(PROV + "Entity")
    yield from _attribute_triples(me, entity.attributes)


def _attribute_triples(subject: str, attributes: Mapping[str, Value | Iri]) -> Iterator[tuple[str, str, str]]:
    for key, value in attributes.items():
        yield subject, node(term(key)), node(value.value) if isinstance(value, Iri) else literal(value)


def term(name: str) -> str:
    """A full IRI: a local name belongs to the Synthema ontology."""
    return name if ":" in name else SYNTHEMA + name


@lru_cache(maxsize=4096)
def node(iri: str) -> str:
    """An IRI in N-Quads; raises :class:`InputError` for anything that is not an absolute IRI (RFC 3987).

    The check is that of the triple index, so that no entry is ever written
    that the index could not read.
    """
    try:
        return str(NamedNode(iri))
    except ValueError as error:
        raise InputError(f"'{iri[:80]}' cannot be used as an IRI", fix="use an absolute IRI without spaces") from error


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})


def literal(value: Value) -> str:
    """A typed literal in N-Quads; text stays untyped (xsd:string)."""
    if isinstance(value, bool):
        return f'"{str(value).lower()}"^^<{XSD}boolean>'
    if isinstance(value, int):
        return f'"{value}"^^<{XSD}integer>'
    if isinstance(value, float):
        return f'"{_double(value)}"^^<{XSD}double>'
    if isinstance(value, datetime):
        return f'"{to_text(value)}"^^<{XSD}dateTime>'
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError("a text holds half a character", fix="give complete Unicode characters") from error
    return f'"{value.translate(_ESCAPES)}"'


def _double(value: float) -> str:
    """XML Schema's spelling (Part 2, §3.3.5), which differs from Python's for what is not finite."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
