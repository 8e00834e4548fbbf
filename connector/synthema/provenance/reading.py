"""Reads steps, things and agents out of the index of a log, and tells them to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pyoxigraph import Literal, NamedNode

from synthema.clock import from_text, to_text
from synthema.errors import InputError
from synthema.provenance.index import ProvenanceIndex
from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL, SYNTHEMA, node

USED: Final = NamedNode(PROV + "used")
GENERATED_BY: Final = NamedNode(PROV + "wasGeneratedBy")
DERIVED_FROM: Final = NamedNode(PROV + "wasDerivedFrom")
INFORMED_BY: Final = NamedNode(PROV + "wasInformedBy")
ASSOCIATED: Final = NamedNode(PROV + "wasAssociatedWith")
ON_BEHALF: Final = NamedNode(PROV + "actedOnBehalfOf")
STARTED: Final = NamedNode(PROV + "startedAtTime")
ENDED: Final = NamedNode(PROV + "endedAtTime")
DIGEST: Final = NamedNode(SYNTHEMA + "digest")
TYPE: Final = NamedNode(RDF_TYPE)
LABEL: Final = NamedNode(RDFS_LABEL)


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

    ``complete`` is false when the walk was stopped at its bound. ``names`` says
    what things and agents are called.
    """

    question: str
    things: tuple[Thing, ...]
    steps: tuple[Step, ...]
    complete: bool

    names: Mapping[str, str] = field(default_factory=dict)

    def sentences(self) -> tuple[str, ...]:
        """The answer for people: who did what, one line per step, in order of time."""
        told = [_sentence(step, self.names) for step in self.steps]
        if not self.complete:
            told.append("There is more than is shown here.")
        return (self.question, *(told or ["The log holds nothing about this."]))


class Reader:
    """What the questions have in common: parts of an answer, looked up in the index."""

    def __init__(self, index: ProvenanceIndex) -> None:
        self._index = index

    def _answer(self, question: str, things: set[str], steps: set[str], *, complete: bool = True) -> Answer:
        told = sorted((self._step(step) for step in steps), key=lambda step: (step.started or "", step.entries))
        named = things | {iri for step in told for iri in (*step.used, *step.generated, *step.agents)}
        names = {iri: self._label(iri) for iri in sorted(named)}
        shown = tuple(self._thing(thing, names[thing]) for thing in sorted(things))
        return Answer(question, shown, tuple(told), complete, names)

    def _thing(self, iri: str, label: str | None = None) -> Thing:
        digest = next(iter(sorted(self._said(iri, DIGEST))), None)
        return Thing(iri, label or self._label(iri), self._types(iri), digest)

    def _step(self, iri: str) -> Step:
        started, ended = self._moments(iri, STARTED), self._moments(iri, ENDED)
        return Step(
            iri,
            self._label(iri),
            self._types(iri),
            min(started, default=None),
            max(ended, default=None),
            tuple(sorted(set(self._objects(iri, USED)))),
            tuple(sorted(set(self._subjects(GENERATED_BY, iri)))),
            tuple(sorted(set(self._objects(iri, ASSOCIATED)))),
            self._entries(iri),
        )

    def _entries(self, activity: str) -> tuple[int, ...]:
        quads = self._index.match(NamedNode(activity), ENDED, None)
        graphs = {quad.graph_name.value for quad in quads if isinstance(quad.graph_name, NamedNode)}
        return tuple(sorted(int(graph.rpartition("/")[2]) for graph in graphs))

    def _label(self, iri: str) -> str:
        label = min(self._said(iri, LABEL), default=None)
        if label is None:
            kind = min(map(_in_words, self._types(iri)), default="")
            return f"{kind} {_short(_last(iri))}".strip()
        return label

    def _types(self, iri: str) -> tuple[str, ...]:
        return tuple(sorted({name for name in self._said(iri, TYPE) if not name.startswith(PROV)}))

    def _said(self, iri: str, predicate: NamedNode) -> set[str]:
        """What any entry says of a thing: its types, labels or digests."""
        told = self._index.describe(NamedNode(iri), predicate, None)
        return {each.object.value for each in told if isinstance(each.object, NamedNode | Literal)}

    def _texts(self, iri: str, predicate: NamedNode) -> set[str]:
        quads = self._index.match(NamedNode(iri), predicate, None)
        return {quad.object.value for quad in quads if isinstance(quad.object, Literal)}

    def _moments(self, iri: str, predicate: NamedNode) -> set[str]:
        # The store shortens fractions of a second; only our own spelling sorts in order of time.
        return {to_text(from_text(text)) for text in self._texts(iri, predicate)}

    def _objects(self, subject: str, predicate: NamedNode) -> Iterator[str]:
        for quad in self._index.match(NamedNode(subject), predicate, None):
            if isinstance(quad.object, NamedNode):
                yield quad.object.value

    def _subjects(self, predicate: NamedNode, target: str) -> Iterator[str]:
        for quad in self._index.match(None, predicate, NamedNode(target)):
            if isinstance(quad.subject, NamedNode):
                yield quad.subject.value


def _sentence(step: Step, names: Mapping[str, str]) -> str:
    def listed(iris: Iterable[str]) -> str:
        return ", ".join(names.get(iri, _last(iri)) for iri in iris)

    when = f"{step.started[:16].replace('T', ' ')} UTC: " if step.started else ""
    used = f" It used {listed(step.used)}." if step.used else ""
    made = f" It made {listed(step.generated)}." if step.generated else ""
    people = [agent for agent in step.agents if agent not in step.used]  # a plugin is told of among what was used
    by = f" By {listed(people)}." if people else ""
    label = step.label.rstrip(".")
    return f"{when}{label[:1].upper()}{label[1:]}.{used}{made}{by}"


def _short(name: str) -> str:
    """The end of a long identifier: its beginning is its time, which many things share."""
    return name if len(name) <= 24 else f"…{name[-8:]}"


def _last(iri: str) -> str:
    return iri.rstrip("/").rpartition("/")[2]


def _in_words(term: str) -> str:
    """``https://…#ExclusionList`` as "exclusion list"."""
    name = term.rpartition("#")[2].rpartition("/")[2]
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def checked_iri(text: str) -> str:
    """An IRI as the index knows it; raises :class:`InputError` for anything else."""
    try:
        node(text)
        return NamedNode(text).value
    except ValueError as error:
        raise InputError("this is not the address of a thing", fix="give the full IRI as the log shows it") from error
