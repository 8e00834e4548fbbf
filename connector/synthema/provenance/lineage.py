"""Questions people ask of the log, each with a name, parameters and an answer that can be read aloud.

There is no query language from outside. IRIs enter as values, never as text of
a query, and each walk stops after a bounded number of things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyoxigraph import Literal, NamedNode, Store

from synthema.clock import from_text, to_text
from synthema.errors import InputError
from synthema.provenance.index import ProvenanceIndex
from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL, SYNTHEMA, node

MAX_THINGS: Final = 2000

_USED: Final = NamedNode(PROV + "used")
_GENERATED_BY: Final = NamedNode(PROV + "wasGeneratedBy")
_DERIVED_FROM: Final = NamedNode(PROV + "wasDerivedFrom")
_INFORMED_BY: Final = NamedNode(PROV + "wasInformedBy")
_ASSOCIATED: Final = NamedNode(PROV + "wasAssociatedWith")
_ON_BEHALF: Final = NamedNode(PROV + "actedOnBehalfOf")
_STARTED: Final = NamedNode(PROV + "startedAtTime")
_ENDED: Final = NamedNode(PROV + "endedAtTime")
_DIGEST: Final = NamedNode(SYNTHEMA + "digest")
_TYPE: Final = NamedNode(RDF_TYPE)
_LABEL: Final = NamedNode(RDFS_LABEL)


@dataclass(frozen=True, slots=True)
class Thing:
    """An entity, as the log describes it. ``types`` are IRIs without those of PROV itself."""

    iri: str
    label: str
    types: tuple[str, ...]
    digest: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """An activity with what it used and made. ``entries`` are the log's sequence numbers that tell of it."""

    iri: str
    label: str
    types: tuple[str, ...]
    started: str | None
    ended: str | None
    used: tuple[str, ...]
    generated: tuple[str, ...]
    agents: tuple[str, ...]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The things and steps that answer a question, and the answer in sentences.

    ``complete`` is false when the walk was stopped at its bound.
    """

    question: str
    things: tuple[Thing, ...]
    steps: tuple[Step, ...]
    complete: bool

    def sentences(self) -> tuple[str, ...]:
        """The answer for people: one sentence per step, in order of time."""
        names = {thing.iri: thing.label for thing in self.things}
        told = [_sentence(step, names) for step in self.steps]
        if not self.complete:
            told.append("There is more than is shown here.")
        return (self.question, *(told or ["The log holds nothing about this."]))


class Lineage:
    """Answers from an index, which is brought up to date before each question."""

    def __init__(self, index: ProvenanceIndex) -> None:
        self._index = index

    def origin_of(self, entity: str) -> Answer:
        """Where a thing comes from: all it was derived from or made of, back to the beginning."""
        return self._walk(entity, self._sources, "Where does {} come from?")

    def derived_from(self, entity: str) -> Answer:
        """What became of a thing: all that was derived from it or made with it."""
        return self._walk(entity, self._results, "What was made from {}?")

    def runs_with_plugin(self, digest: str) -> Answer:
        """The steps that used the plugin, or any other thing, with this digest."""
        store = self._fresh()
        plugins = sorted(
            quad.subject.value
            for quad in store.quads_for_pattern(None, _DIGEST, Literal(digest), None)
            if isinstance(quad.subject, NamedNode)
        )
        steps = {step for plugin in plugins for step in self._subjects(_USED, plugin)}
        return self._answer(f"Which steps used the plugin with the digest {digest}?", set(plugins), steps)

    def activities_of(self, agent: str) -> Answer:
        """The steps an agent took part in, or others on its behalf."""
        self._fresh()
        acting, complete = _reach(_iri(agent), lambda who: ((None, other) for other in self._subjects(_ON_BEHALF, who)))
        steps = {step for who in acting for step in self._subjects(_ASSOCIATED, who)}
        return self._answer(f"What did {self._label(agent)} do?", set(), steps, complete=complete)

    def graph_of(self, entity: str) -> dict[str, Any]:
        """What leads to a thing and what follows from it, as ``nodes`` and ``edges`` for drawing.

        Nodes: ``id``, ``kind`` (entity, activity, agent), ``label``, ``types``,
        ``digest``, ``time``. Edges: ``source``, ``target``, ``relation`` (the
        PROV name; it points from the later to the earlier, as PROV does).
        """
        before, after = self.origin_of(entity), self.derived_from(entity)
        things = {thing.iri: thing for thing in (*before.things, *after.things)}
        steps = {step.iri: step for step in (*before.steps, *after.steps)}
        nodes: dict[str, dict[str, Any]] = {}
        for step in steps.values():
            nodes[step.iri] = _drawn(step.iri, "activity", step.label, step.types, time=step.ended)
            for agent in step.agents:
                nodes[agent] = _drawn(agent, "agent", self._label(agent), self._types(agent))
        for iri in [*things, *(iri for step in steps.values() for iri in (*step.used, *step.generated))]:
            thing = things.get(iri) or self._thing(iri)
            nodes[iri] = _drawn(iri, "entity", thing.label, thing.types, digest=thing.digest)
        edges = sorted(self._edges(nodes))
        return {
            "nodes": [nodes[iri] for iri in sorted(nodes)],
            "edges": [{"source": source, "target": target, "relation": name} for source, target, name in edges],
            "complete": before.complete and after.complete,
        }

    def _edges(self, nodes: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        known = set(nodes)
        for source in known:
            for relation in (_USED, _GENERATED_BY, _DERIVED_FROM, _INFORMED_BY, _ASSOCIATED, _ON_BEHALF):
                for target in self._objects(source, relation):
                    if target in known:
                        yield source, target, relation.value.removeprefix(PROV)

    def _walk(self, entity: str, neighbours: Callable[[str], Iterator[tuple[str | None, str]]], words: str) -> Answer:
        self._fresh()
        steps: set[str] = set()
        reached, complete = _reach(_iri(entity), neighbours, steps)
        return self._answer(words.format(self._label(entity)), reached, steps, complete=complete)

    def _sources(self, entity: str) -> Iterator[tuple[str | None, str]]:
        yield from ((None, source) for source in self._objects(entity, _DERIVED_FROM))
        for step in self._objects(entity, _GENERATED_BY):
            used = list(self._objects(step, _USED))
            yield from ((step, source) for source in used or [entity])

    def _results(self, entity: str) -> Iterator[tuple[str | None, str]]:
        yield from ((None, result) for result in self._subjects(_DERIVED_FROM, entity))
        for step in self._subjects(_USED, entity):
            made = list(self._subjects(_GENERATED_BY, step))
            yield from ((step, result) for result in made or [entity])

    def _answer(self, question: str, things: set[str], steps: set[str], *, complete: bool = True) -> Answer:
        told = sorted((self._step(step) for step in steps), key=lambda step: (step.started or "", step.iri))
        return Answer(question, tuple(self._thing(thing) for thing in sorted(things)), tuple(told), complete)

    def _thing(self, iri: str) -> Thing:
        digest = next(iter(sorted(self._texts(iri, _DIGEST))), None)
        return Thing(iri, self._label(iri), self._types(iri), digest)

    def _step(self, iri: str) -> Step:
        started, ended = self._moments(iri, _STARTED), self._moments(iri, _ENDED)
        return Step(
            iri,
            self._label(iri),
            self._types(iri),
            min(started, default=None),
            max(ended, default=None),
            tuple(sorted(set(self._objects(iri, _USED)))),
            tuple(sorted(set(self._subjects(_GENERATED_BY, iri)))),
            tuple(sorted(set(self._objects(iri, _ASSOCIATED)))),
            self._entries(iri),
        )

    def _entries(self, activity: str) -> tuple[int, ...]:
        quads = self._store.quads_for_pattern(NamedNode(activity), _ENDED, None, None)
        graphs = {quad.graph_name.value for quad in quads if isinstance(quad.graph_name, NamedNode)}
        return tuple(sorted(int(graph.rpartition("/")[2]) for graph in graphs))

    def _label(self, iri: str) -> str:
        return min(self._texts(iri, _LABEL), default=iri.rstrip("/").rpartition("/")[2])

    def _types(self, iri: str) -> tuple[str, ...]:
        return tuple(sorted({name for name in self._objects(iri, _TYPE) if not name.startswith(PROV)}))

    def _texts(self, iri: str, predicate: NamedNode) -> set[str]:
        quads = self._store.quads_for_pattern(NamedNode(iri), predicate, None, None)
        return {quad.object.value for quad in quads if isinstance(quad.object, Literal)}

    def _moments(self, iri: str, predicate: NamedNode) -> set[str]:
        # The store shortens fractions of a second; only our own spelling sorts in order of time.
        return {to_text(from_text(text)) for text in self._texts(iri, predicate)}

    def _objects(self, subject: str, predicate: NamedNode) -> Iterator[str]:
        for quad in self._store.quads_for_pattern(NamedNode(subject), predicate, None, None):
            if isinstance(quad.object, NamedNode):
                yield quad.object.value

    def _subjects(self, predicate: NamedNode, target: str) -> Iterator[str]:
        for quad in self._store.quads_for_pattern(None, predicate, NamedNode(target), None):
            if isinstance(quad.subject, NamedNode):
                yield quad.subject.value

    @property
    def _store(self) -> Store:
        return self._index.store

    def _fresh(self) -> Store:
        self._index.catch_up()
        return self._store


def _reach(
    start: str, neighbours: Callable[[str], Iterator[tuple[str | None, str]]], steps: set[str] | None = None
) -> tuple[set[str], bool]:
    """All that can be reached, each thing once, up to :data:`MAX_THINGS`; the steps on the way go into ``steps``."""
    reached, waiting = {start}, deque([start])
    while waiting:
        for step, neighbour in neighbours(waiting.popleft()):
            if steps is not None and step is not None:
                steps.add(step)
            if neighbour not in reached:
                if len(reached) >= MAX_THINGS:
                    return reached, False
                reached.add(neighbour)
                waiting.append(neighbour)
    return reached, True


def _sentence(step: Step, names: dict[str, str]) -> str:
    def listed(iris: Iterable[str]) -> str:
        return ", ".join(names.get(iri, iri.rpartition("/")[2]) for iri in iris)

    when = f"{step.started[:16].replace('T', ' ')} UTC: " if step.started else ""
    used = f" It used {listed(step.used)}." if step.used else ""
    made = f" It made {listed(step.generated)}." if step.generated else ""
    return f"{when}{step.label.rstrip('.')}.{used}{made}"


def _drawn(
    iri: str, kind: str, label: str, types: tuple[str, ...], *, digest: str | None = None, time: str | None = None
) -> dict[str, Any]:
    return {"id": iri, "kind": kind, "label": label, "types": list(types), "digest": digest, "time": time}


def _iri(text: str) -> str:
    try:
        node(text)
        return NamedNode(text).value
    except ValueError as error:
        raise InputError("this is not the address of a thing", fix="give the full IRI as the log shows it") from error
