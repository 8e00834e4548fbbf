"""Questions people ask of the log, each with a name, parameters and an answer that can be read aloud.

There is no query language from outside. IRIs enter as values, never as text of
a query, and each walk stops after a bounded number of things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from pyoxigraph import Literal, NamedNode

from synthema.clock import from_text
from synthema.provenance.model import PROV, SYNTHEMA
from synthema.provenance.reading import (
    ASSOCIATED,
    DERIVED_FROM,
    DIGEST,
    GENERATED_BY,
    INFORMED_BY,
    ON_BEHALF,
    STARTED,
    TYPE,
    USED,
    Answer,
    Reader,
    Step,
    Thing,
    checked_iri,
)

MAX_THINGS: Final = 2000
DISCLOSURES: Final = ("Run", "ArtefactHandedOut", "ArtefactReceived", "RoundOpening", "LogQuestion")
"""The kinds of steps in which somebody came to see something (``syn:Disclosure`` in the ontology)."""

_RUN: Final = NamedNode(SYNTHEMA + "run")

__all__ = ["DISCLOSURES", "MAX_THINGS", "Answer", "Lineage", "Step", "Thing"]


class Lineage(Reader):
    """Answers from an index, which is brought up to date before each question."""

    def origin_of(self, entity: str) -> Answer:
        """Where a thing comes from: all it was derived from or made of, back to the beginning."""
        return self._walk(entity, self._sources, "Where does {} come from?")

    def derived_from(self, entity: str) -> Answer:
        """What became of a thing: all that was derived from it or made with it."""
        return self._walk(entity, self._results, "What was made from {}?")

    def runs_with_plugin(self, digest: str) -> Answer:
        """The steps that used the plugin, or any other thing, with this digest."""
        self._fresh()
        named = self._index.describe(None, DIGEST, Literal(digest))
        plugins = {told.subject.value for told in named if isinstance(told.subject, NamedNode)}
        steps = {step for plugin in plugins for step in self._subjects(USED, plugin)}
        return self._answer(f"Which steps used the plugin with the digest {digest}?", plugins, steps)

    def activities_of(self, agent: str) -> Answer:
        """The steps an agent took part in, or others on its behalf."""
        self._fresh()
        acting, complete = _reach(
            checked_iri(agent), lambda who: ((None, other) for other in self._described(ON_BEHALF, who))
        )
        steps = {step for who in acting for step in self._subjects(ASSOCIATED, who)}
        return self._answer(f"What did {self._label(agent)} do?", set(), steps, complete=complete)

    def under_permit(self, permit: str) -> Answer:
        """What happened under a permit or an agreement: each step that rests on it, and all of the runs it allowed."""
        self._fresh()
        steps: set[str] = set()
        things, complete = _reach(checked_iri(permit), self._results, steps)
        steps |= set(self._objects(permit, GENERATED_BY))
        for step in tuple(steps):
            for run in self._texts(step, _RUN):
                steps |= set(self._with_text(_RUN, run))
        return self._answer(f"What happened under {self._label(permit)}?", things, steps, complete=complete)

    def seen_between(self, since: datetime, until: datetime) -> Answer:
        """Who came to see what from one moment on until before another: rows inside a run, files, sums, the log."""
        self._fresh()
        steps = {
            step
            for kind in DISCLOSURES
            for step in self._described(TYPE, SYNTHEMA + kind)
            if any(since <= from_text(moment) < until for moment in self._texts(step, STARTED))
        }
        question = f"Who saw what from {since:%Y-%m-%d %H:%M} until {until:%Y-%m-%d %H:%M} UTC?"
        return self._answer(question, set(), steps)

    def derived_from_record(self, versions: Iterable[str]) -> Answer:
        """What was derived from a patient's record; ``versions`` are the dataset versions that hold it.

        The log holds no tokens of patients, so that the versions come from the
        cohort lists. All that was made from a version is counted: that a row
        took part cannot be ruled out, unless the run left the patient out.
        """
        self._fresh()
        steps: set[str] = set()
        things: set[str] = set()
        complete = True
        for version in versions:
            reached, whole = _reach(checked_iri(version), self._results, steps)
            things |= reached
            complete = complete and whole
        return self._answer("What was derived from this patient's record?", things, steps, complete=complete)

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
            for relation in (USED, GENERATED_BY, DERIVED_FROM, INFORMED_BY, ASSOCIATED, ON_BEHALF):
                targets = self._said(source, relation) if relation == ON_BEHALF else self._objects(source, relation)
                for target in targets:
                    if target in known:
                        yield source, target, relation.value.removeprefix(PROV)

    def _walk(self, entity: str, neighbours: Callable[[str], Iterator[tuple[str | None, str]]], words: str) -> Answer:
        self._fresh()
        steps: set[str] = set()
        reached, complete = _reach(checked_iri(entity), neighbours, steps)
        return self._answer(words.format(self._label(entity)), reached, steps, complete=complete)

    def _sources(self, entity: str) -> Iterator[tuple[str | None, str]]:
        yield from ((None, source) for source in self._objects(entity, DERIVED_FROM))
        for step in self._with_causes(self._objects(entity, GENERATED_BY)):
            used = list(self._objects(step, USED))
            yield from ((step, source) for source in used or [entity])

    def _with_causes(self, steps: Iterable[str]) -> Iterator[str]:
        """Steps, and the steps they followed from: what a run was allowed to use stands where it began."""
        waiting, met = deque(steps), set[str]()
        while waiting:
            step = waiting.popleft()
            if step not in met and self._texts(step, STARTED):
                met.add(step)
                waiting.extend(self._objects(step, INFORMED_BY))
                yield step

    def _results(self, entity: str) -> Iterator[tuple[str | None, str]]:
        yield from ((None, result) for result in self._subjects(DERIVED_FROM, entity))
        for step in self._subjects(USED, entity):
            made = list(self._subjects(GENERATED_BY, step))
            yield from ((step, result) for result in made or [entity])

    def _described(self, predicate: NamedNode, value: str) -> Iterator[str]:
        """The things of which a describing statement says this."""
        for told in self._index.describe(None, predicate, NamedNode(value)):
            if isinstance(told.subject, NamedNode):
                yield told.subject.value

    def _with_text(self, predicate: NamedNode, text: str) -> Iterator[str]:
        for quad in self._index.match(None, predicate, Literal(text)):
            if isinstance(quad.subject, NamedNode):
                yield quad.subject.value

    def _fresh(self) -> None:
        self._index.catch_up()


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


def _drawn(
    iri: str, kind: str, label: str, types: tuple[str, ...], *, digest: str | None = None, time: str | None = None
) -> dict[str, Any]:
    return {"id": iri, "kind": kind, "label": label, "types": list(types), "digest": digest, "time": time}
