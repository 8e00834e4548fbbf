"""Where the log's triples are kept for questions: inside this process, in a folder, or at a SPARQL 1.1 server.

All three are the same to whoever asks. None of them is the truth: what they
hold is taken from the log, and can be thrown away.
"""

from __future__ import annotations

import ipaddress
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx
from pyoxigraph import (
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryResultsFormat,
    QuerySolution,
    QuerySolutions,
    RdfFormat,
    Store,
    Triple,
    parse,
    parse_query_results,
)

from synthema.errors import InputError, StorageError
from synthema.provenance.model import PROV, RDF_TYPE, RDFS_LABEL, SYNTHEMA

DESCRIBING: Final = (RDF_TYPE, RDFS_LABEL, SYNTHEMA + "digest", PROV + "actedOnBehalfOf")
"""The predicates that say what a thing or an agent is: the same in every entry that names it."""

_DESCRIBING = tuple(f"<{predicate}> ".encode() for predicate in DESCRIBING)
_logger = logging.getLogger(__name__)
_SECONDS = 60.0


class Triples(Protocol):
    """Statements in named graphs, to be matched by their parts."""

    def match(
        self, subject: NamedNode | None, predicate: NamedNode | None, value: NamedNode | Literal | None
    ) -> Iterable[Quad]:
        """The statements of entries that have these parts, describing ones left out."""
        ...

    def describe(
        self, subject: NamedNode | None, predicate: NamedNode, value: NamedNode | Literal | None
    ) -> Iterable[Triple]:
        """The describing statements (:data:`DESCRIBING`) that have these parts, each once."""
        ...

    def add(self, nquads: bytes, *, first: bool = False) -> None:
        """Take in statements; ``first`` says that nothing is there yet, so that it may be done in bulk."""
        ...

    def remove(self, quad: Quad) -> None:
        """Forget one statement."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


class EmbeddedTriples:
    """Triples in this process: in memory (``path=None``) or in a folder, which only one process may open.

    Describing statements lie in a store of their own, once each. An entry
    describes everything it names, so that a plugin would otherwise be described
    as often as it ran, and this store walks along all that is said of a thing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._steps = Store() if path is None else _open(path / "steps")
        self._descriptions = Store() if path is None else _open(path / "descriptions")

    def match(
        self, subject: NamedNode | None, predicate: NamedNode | None, value: NamedNode | Literal | None
    ) -> Iterable[Quad]:
        return self._steps.quads_for_pattern(subject, predicate, value, None)

    def describe(
        self, subject: NamedNode | None, predicate: NamedNode, value: NamedNode | Literal | None
    ) -> Iterable[Triple]:
        found = self._descriptions.quads_for_pattern(subject, predicate, value, DefaultGraph())
        return (quad.triple for quad in found)

    def add(self, nquads: bytes, *, first: bool = False) -> None:
        told, steps = _apart(nquads)
        # In bulk a crash may leave a part, which is no harm: the mark that counts it comes afterwards.
        for store, lines in ((self._descriptions, told), (self._steps, steps)):
            load = store.bulk_load if first else store.load
            load(b"".join(line + b"\n" for line in lines), RdfFormat.N_QUADS)

    def remove(self, quad: Quad) -> None:
        self._steps.remove(quad)

    def clear(self) -> None:
        self._steps.clear()
        self._descriptions.clear()

    def close(self) -> None:
        """Nothing is held open that would not end with the process."""


class EndpointTriples:
    """Triples at a SPARQL 1.1 server, which other connectors may use as well.

    It holds the log as it is exported, for its own clients, and the describing
    statements once more in a graph of their own. ``graphs`` is how the IRIs of
    our graphs begin: nothing else is read, written or removed. Raises :class:`StorageError` when the server does not
    do what it is asked.
    """

    def __init__(self, query: str, update: str, graphs: str, http: httpx.Client | None = None) -> None:
        self._query, self._update = _safe(query), _safe(update)
        self._descriptions = NamedNode(graphs)
        self._ours = f"FILTER(STRSTARTS(STR(?g), {Literal(graphs)}))"
        # trust_env=False: a proxy variable must not carry the log elsewhere.
        self._http = http or httpx.Client(timeout=_SECONDS, follow_redirects=False, trust_env=False)

    def match(
        self, subject: NamedNode | None, predicate: NamedNode | None, value: NamedNode | Literal | None
    ) -> Iterator[Quad]:
        for row, triple in self._find("?g", (subject, predicate, value), self._ours):
            if row["g"] != self._descriptions:
                yield Quad(triple.subject, triple.predicate, triple.object, row["g"])

    def describe(
        self, subject: NamedNode | None, predicate: NamedNode, value: NamedNode | Literal | None
    ) -> Iterator[Triple]:
        for _, triple in self._find(str(self._descriptions), (subject, predicate, value), ""):
            yield triple

    def _find(
        self, graph: str, parts: tuple[NamedNode | Literal | None, ...], only: str
    ) -> Iterator[tuple[QuerySolution, Triple]]:
        asked = dict(zip(("s", "p", "o"), parts, strict=True))
        said = " ".join(f"?{name}" if part is None else str(part) for name, part in asked.items())
        for row in self._select(f"SELECT ?g ?s ?p ?o WHERE {{ GRAPH {graph} {{ {said} }} {only} }}"):
            yield row, Triple(*(row[name] or part for name, part in asked.items()))  # type: ignore[arg-type]

    def add(self, nquads: bytes, *, first: bool = False) -> None:
        told, _ = _apart(nquads)
        graphs: dict[str, list[str]] = {}
        if told:
            lines = b"".join(line + b"\n" for line in told)
            triples = (str(quad.triple) for quad in parse(lines, RdfFormat.N_QUADS))
            graphs[str(self._descriptions)] = list(triples)
        for quad in parse(nquads, RdfFormat.N_QUADS):
            graphs.setdefault(str(quad.graph_name), []).append(str(quad.triple))
        said = " ".join(f"GRAPH {graph} {{ {' . '.join(triples)} }}" for graph, triples in graphs.items())
        self._change(f"INSERT DATA {{ {said} }}")

    def remove(self, quad: Quad) -> None:
        self._change(f"DELETE DATA {{ GRAPH {quad.graph_name} {{ {quad.triple} }} }}")

    def clear(self) -> None:
        self._change(f"DELETE {{ GRAPH ?g {{ ?s ?p ?o }} }} WHERE {{ GRAPH ?g {{ ?s ?p ?o }} {self._ours} }}")

    def close(self) -> None:
        self._http.close()

    def _select(self, text: str) -> QuerySolutions:
        answer = self._post(self._query, "query", text, {"Accept": "application/sparql-results+json"})
        try:
            found = parse_query_results(answer, QueryResultsFormat.JSON)
        except (SyntaxError, ValueError) as error:
            raise _unhelpful(self._query, "its answer is not a result of SPARQL in JSON") from error
        if not isinstance(found, QuerySolutions):
            raise _unhelpful(self._query, "its answer has no rows")
        return found

    def _change(self, text: str) -> None:
        self._post(self._update, "update", text, {})

    def _post(self, url: str, kind: str, text: str, headers: dict[str, str]) -> bytes:
        headers = {"Content-Type": f"application/sparql-{kind}"} | headers
        try:
            answer = self._http.post(url, content=text.encode(), headers=headers)
        except httpx.HTTPError as error:
            raise _unhelpful(url, f"it does not answer ({type(error).__name__})") from error
        if not answer.is_success:
            raise _unhelpful(url, f"it answered {answer.status_code}")
        return answer.content


def _apart(nquads: bytes) -> tuple[set[bytes], list[bytes]]:
    """The describing statements of entries, without their graphs and once each; and the others as they are."""
    told: set[bytes] = set()
    others: list[bytes] = []
    for line in nquads.split(b"\n"):
        if line.startswith(_DESCRIBING, line.find(b" ") + 1):
            told.add(line[: line.rindex(b" <")] + b" .")
        elif line:
            others.append(line)
    return told, others


def _open(path: Path) -> Store:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return Store(str(path))
    except (OSError, RuntimeError) as error:
        # The index is never the truth: what cannot be read is thrown away and made again from the log.
        _logger.warning("the index in %s cannot be opened and is made anew: %s", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return Store(str(path))


def _safe(url: str) -> str:
    """The address, unless the log would cross a network in the clear."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise InputError(
            "the log would cross a network in the clear", where=url, fix="use https, or a server on this machine"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unhelpful(url: str, reason: str) -> StorageError:
    return StorageError(
        f"the SPARQL server of the log's index is of no use now: {reason}",
        where=url,
        fix="start it, or set [index] in connector.toml to another store, then run: synthema log reindex",
    )
