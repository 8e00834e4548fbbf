"""RDF from outside as a small indexed graph: bounded, without a network, and every node with a name.

Nothing is dropped on the way: what a parser would leave out silently (a relative
IRI, an undefined JSON-LD term) is refused, since a policy that loses a constraint
permits more than its author wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

import pyoxigraph
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat

from synthema.errors import PolicyLoadError
from synthema.policy.intake import jsonld

Node = NamedNode | Literal

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_STATEMENTS: Final = 200_000

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TYPE: Final = RDF + "type"
_BLANK: Final = "urn:synthema:blank:"


class Syntax(StrEnum):
    """How RDF is written; the value is the usual ending of a file's name."""

    TURTLE = "ttl"
    TRIG = "trig"
    N_TRIPLES = "nt"
    N_QUADS = "nq"
    JSON_LD = "jsonld"


_PARSERS: Mapping[Syntax, RdfFormat] = {
    Syntax.TURTLE: RdfFormat.TURTLE,
    Syntax.TRIG: RdfFormat.TRIG,
    Syntax.N_TRIPLES: RdfFormat.N_TRIPLES,
    Syntax.N_QUADS: RdfFormat.N_QUADS,
    Syntax.JSON_LD: RdfFormat.JSON_LD,
}


def syntax_of(name: str) -> Syntax:
    """The syntax a file name stands for; raises :class:`PolicyLoadError` on another ending."""
    ending = name.rpartition(".")[2].casefold()
    if ending == "json":
        return Syntax.JSON_LD
    if ending not in set(Syntax):
        refuse(f"'{name}' ends with no known kind of RDF", "name it .ttl, .trig, .nt, .nq or .jsonld", where=name)
    return Syntax(ending)


@dataclass(frozen=True, slots=True)
class Graph:
    """Statements by subject and predicate, in the order they were written. Blank nodes have names of their own."""

    subjects: Mapping[str, Mapping[str, tuple[Node, ...]]]
    digest: str
    where: str = ""

    def objects(self, subject: str, predicate: str) -> tuple[Node, ...]:
        """The objects of a subject's statements, in order."""
        return self.subjects.get(subject, {}).get(predicate, ())

    def iris(self, subject: str, predicate: str) -> tuple[str, ...]:
        """The objects that are nodes, by name; literals are left out."""
        return tuple(node.value for node in self.objects(subject, predicate) if isinstance(node, NamedNode))

    def types(self, subject: str) -> tuple[str, ...]:
        """The classes a subject is said to belong to."""
        return self.iris(subject, TYPE)

    def predicates(self, subject: str) -> tuple[str, ...]:
        """What is said of a subject."""
        return tuple(self.subjects.get(subject, {}))

    def of_type(self, *types: str) -> tuple[str, ...]:
        """The subjects of any of these classes, in order."""
        return tuple(subject for subject in self.subjects if not set(types).isdisjoint(self.types(subject)))

    def pairs(self, predicate: str) -> Iterator[tuple[str, Node]]:
        """Subject and object of every statement with a predicate."""
        for subject, said in self.subjects.items():
            for node in said.get(predicate, ()):
                yield subject, node

    def stray(self, roots: Iterable[str]) -> tuple[str, ...]:
        """The subjects that no statement leads to from the roots."""
        reached, waiting = set(roots), list(roots)
        while waiting:
            for nodes in self.subjects.get(waiting.pop(), {}).values():
                new = {node.value for node in nodes if isinstance(node, NamedNode)} - reached
                reached |= new
                waiting += new
        return tuple(subject for subject in self.subjects if subject not in reached)

    def list_items(self, head: str) -> tuple[Node, ...] | None:
        """The members of an RDF list; ``None`` when the node is no list. Refuses one that is broken or circular."""
        if head != RDF + "nil" and not self.objects(head, RDF + "first"):
            return None
        items: list[Node] = []
        seen: set[str] = set()
        while head != RDF + "nil":
            first, rest = self.objects(head, RDF + "first"), self.iris(head, RDF + "rest")
            if head in seen or len(first) != 1 or len(rest) != 1:
                refuse("a list is broken or runs in a circle", "write it as ( a b c )", where=self.where)
            seen.add(head)
            items.append(first[0])
            head = rest[0]
        return tuple(items)


def is_blank(iri: str) -> bool:
    """Whether a name was given by us to a node that had none."""
    return iri.startswith(_BLANK)


def read_graph(data: bytes, syntax: Syntax, *, where: str = "") -> Graph:
    """Read RDF; named graphs are merged. Raises :class:`PolicyLoadError` on anything that would get lost."""
    if len(data) > MAX_BYTES:
        refuse(f"the file has {len(data)} bytes", f"give at most {MAX_BYTES} bytes", where=where)
    digest = hashlib.sha256(data).hexdigest()
    text = jsonld.closed(data, where=where) if syntax is Syntax.JSON_LD else data
    base = jsonld.RELATIVE if syntax is Syntax.JSON_LD else None
    named: dict[str, str] = {}

    def name(node: object) -> Node:
        match node:
            case BlankNode():
                return NamedNode(named.setdefault(node.value, f"{_BLANK}{digest[:16]}:{len(named)}"))
            case NamedNode():
                jsonld.check_iri(node.value, where=where)
                return node
            case Literal():
                if node.datatype.value.startswith((jsonld.UNKNOWN, jsonld.RELATIVE)):
                    jsonld.check_iri(node.datatype.value, where=where)
                return node
            case _:
                refuse("the file holds a statement about a statement", "use plain RDF", where=where)

    subjects: dict[str, dict[str, dict[Node, None]]] = {}
    try:
        for count, quad in enumerate(pyoxigraph.parse(input=text, format=_PARSERS[syntax], base_iri=base)):
            if count >= MAX_STATEMENTS:
                refuse("the file holds too many statements", f"give at most {MAX_STATEMENTS}", where=where)
            predicate = name(quad.predicate).value
            subjects.setdefault(name(quad.subject).value, {}).setdefault(predicate, {})[name(quad.object)] = None
    except (SyntaxError, ValueError) as error:
        raise PolicyLoadError(f"not valid {syntax.name}: {error}", fix="mend that place", where=where) from error
    return Graph(_frozen(subjects), digest, where)


def merged(graphs: Iterable[Graph]) -> Graph:
    """Several graphs as one."""
    subjects: dict[str, dict[str, dict[Node, None]]] = {}
    digest = hashlib.sha256()
    for graph in graphs:
        digest.update(bytes.fromhex(graph.digest))
        for subject, said in graph.subjects.items():
            for predicate, nodes in said.items():
                subjects.setdefault(subject, {}).setdefault(predicate, {}).update(dict.fromkeys(nodes))
    return Graph(_frozen(subjects), digest.hexdigest())


def _frozen(subjects: dict[str, dict[str, dict[Node, None]]]) -> Mapping[str, Mapping[str, tuple[Node, ...]]]:
    return {s: {p: tuple(nodes) for p, nodes in said.items()} for s, said in subjects.items()}


def refuse(message: str, fix: str, *, where: str = "") -> NoReturn:
    """Raise :class:`PolicyLoadError`."""
    raise PolicyLoadError(message, fix=fix, where=where)
