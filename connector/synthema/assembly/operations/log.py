"""Operations on the provenance log and its lineage questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.clock import to_text
from synthema.provenance import export_nquads, make_bundle

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


@operation("log/verify")
def verify_log(connector: Connector, given: Nothing) -> dict[str, Any]:
    """Recompute the whole log from its stored bytes and compare it with every signed head."""
    connector.log.checkpoint()
    report = connector.log.verify()
    return {"sentence": report.sentence(), "size": report.size, "root": report.root}


@operation("log/size")
def size_of_log(connector: Connector, given: Nothing) -> dict[str, Any]:
    """How many entries the log has; the next one gets this number."""
    return {"size": connector.log.size()}


@operation("log/witness")
def witness_log(connector: Connector, given: Nothing) -> dict[str, str]:
    """Have every peer cosign the present head of the log, so that nobody can rewrite it unseen."""
    return {did: to_text(at) for did, at in connector.housekeeping.witness().items()}


class Entries(Input):
    """A page of the log."""

    after: int = Field(default=-1, ge=-1)
    limit: int = Field(default=100, ge=1, le=1000)


@operation("log/entries")
def list_entries(connector: Connector, given: Entries) -> list[dict[str, Any]]:
    """Entries of the log, as they are hashed."""
    return [
        {
            "sequence": entry.sequence,
            "graph": entry.graph,
            "recorded": to_text(entry.recorded_at),
            "leafHash": entry.leaf_hash,
            "body": entry.body.decode(),
        }
        for entry in connector.log.entries(given.after, given.limit)
    ]


class OneEntry(Input):
    """An entry by its position, from 0."""

    entry: int = Field(ge=0)


@operation("log/prove")
def prove_entry(connector: Connector, given: OneEntry) -> dict[str, Any]:
    """An offline proof that the log holds this entry."""
    bundle: dict[str, Any] = make_bundle(connector.log, given.entry)
    return bundle


@operation("log/export")
def export_log(connector: Connector, given: Nothing) -> dict[str, Any]:
    """The whole log as N-Quads."""
    return {"nquads": b"".join(export_nquads(connector.log)).decode()}


class Question(Input):
    """A question about a thing of this connector."""

    question: Literal["origin", "derived", "graph", "plugin", "agent"]
    about: str = Field(description="IRI of the thing or agent, or digest of the plugin")


@operation("lineage/ask")
def ask_lineage(connector: Connector, given: Question) -> dict[str, Any]:
    """Where a thing comes from, what became of it, which runs used a plugin, what an agent did."""
    connector.index.catch_up()
    if given.question == "graph":
        graph: dict[str, Any] = connector.lineage.graph_of(given.about)
        return graph
    ask = {
        "origin": connector.lineage.origin_of,
        "derived": connector.lineage.derived_from,
        "plugin": connector.lineage.runs_with_plugin,
        "agent": connector.lineage.activities_of,
    }[given.question]
    answer = ask(given.about)
    return {"sentences": list(answer.sentences())}
