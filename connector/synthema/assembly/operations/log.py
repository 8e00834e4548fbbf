"""Operations on the provenance log: verify it, read it, prove it, index it, and ask it in SPARQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field
from sqlalchemy import Connection

from synthema.assembly.log_rotation import rotate_log_key
from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.canonical import digest_bytes
from synthema.clock import from_text, to_text
from synthema.errors import DeniedError, InputError
from synthema.ids import new_id
from synthema.provenance import (
    Activity,
    Agent,
    Bounds,
    Checkpoint,
    Entity,
    Handover,
    check_question,
    export_nquads,
    make_bundle,
    open_checkpoint,
    question_bytes,
    run_question,
    serialise,
)

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

FRESH = timedelta(minutes=5)
"""How long the signature under an auditor's question counts."""


class Verification(Input):
    """Where to begin."""

    since: int = Field(default=0, ge=0, description="first entry to recompute; those before are held against the heads")


@operation("log/verify")
def verify_log(connector: Connector, given: Verification) -> dict[str, Any]:
    """Recompute the log from its stored bytes and compare it with every signed head."""
    connector.log.checkpoint()
    report = connector.log.verify(given.since)
    return {"sentence": report.sentence(), "size": report.size, "root": report.root}


@operation("log/size")
def size_of_log(connector: Connector, given: Nothing) -> dict[str, Any]:
    """How many entries the log has; the next one gets this number."""
    return {"size": connector.log.size()}


@operation("log/keys")
def log_keys(connector: Connector, given: Nothing) -> dict[str, Any]:
    """The address that this log's IRIs begin with, the keys of the log, and the one of this connector as a witness."""
    keys = connector.log.keys
    return {
        "origin": connector.log.origin,
        "log": str(keys.current),
        "former": [_handover(each) for each in keys.handovers],
        "witness": str(connector.witness.key),
    }


def _handover(handover: Handover) -> dict[str, Any]:
    return {
        "key": str(handover.former),
        "successor": str(handover.successor),
        "until": to_text(handover.at),
        "entry": handover.size - 1,
        "proof": handover.bundle,
    }


class Rotation(Input):
    """Why the log gets a new key."""

    reason: str = Field(min_length=1, max_length=500, description="one sentence; it stands in the log")


@operation("log/rotate")
def rotate_key(connector: Connector, given: Rotation) -> dict[str, Any]:
    """Let a new key sign the log from now on: both keys say so in an entry, and the old one is destroyed."""
    return _handover(rotate_log_key(connector, given.reason))


@operation("log/checkpoint")
def log_checkpoint(connector: Connector, given: Nothing) -> dict[str, Any]:
    """The signed head of the log with its cosignatures, the key to check it with, and the proofs of earlier keys."""
    note = connector.log.cosigned_checkpoint()
    keys = connector.log.keys
    head = open_checkpoint(note, keys)
    handovers = [handover.bundle for handover in keys.handovers]
    return {"checkpoint": note, "size": head.size, "key": str(keys.current), "handovers": handovers}


@operation("log/witness")
def witness_log(connector: Connector, given: Nothing) -> dict[str, str]:
    """Have every peer cosign the present head of the log, so that nobody can rewrite it unseen."""
    return {did: to_text(at) for did, at in connector.housekeeping.witness().items()}


@operation("log/witnessed")
def witnessed_logs(connector: Connector, given: Nothing) -> dict[str, Any]:
    """The partners' logs that this connector watches, and the contradictions it found in them."""
    return {
        "logs": [
            {"log": seen.origin, "size": seen.size, "cosigned": to_text(seen.cosigned_at)}
            for seen in connector.witness.witnessed()
        ],
        "findings": [
            {
                "finding": finding.id,
                "log": finding.origin,
                "found": to_text(finding.found_at),
                "reason": finding.reason,
                "cosigned": finding.cosigned_note,
                "refused": finding.refused_note,
            }
            for finding in connector.witness.findings()
        ],
    }


class Forgetting(Input):
    """Which partner's log is to count as new, and why."""

    log: str = Field(description="its name, as in: synthema log witnessed")
    reason: str = Field(min_length=1, max_length=500, description="one sentence; it stands in the log")


@operation("log/forget")
def forget_log(connector: Connector, given: Forgetting) -> dict[str, Any]:
    """Take the next head of a partner's log as its first, after it lost its key and you agreed on that with it."""
    if not given.reason.strip():
        raise InputError("no reason is given", fix="say in one sentence with whom this was agreed, and why")

    def work(connection: Connection) -> int:
        seen = connector.witness.forget(connection, given.log)
        connector.log.append(connection, _forgotten(connector, seen, given.reason))
        return seen.size

    return {"log": given.log, "entries": connector.database.write(work)}


def _forgotten(connector: Connector, seen: Checkpoint, reason: str) -> Activity:
    now = connector.clock.now()
    return Activity(
        iri=connector.log.iri("activity", new_id("activity")),
        type="WitnessReset",
        label="A partner's log counts as new from its next head on",
        started=now,
        ended=now,
        agents=(Agent(connector.settings.did, "Organization"),),
        used=(Entity(f"urn:synthema:log:{seen.root.hex()}", ("Log",), f"{seen.origin}, {seen.size} entries"),),
        attributes={"reason": reason},
    )


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
    """An offline proof that the log holds this entry (C2SP tlog-proof), and the key to check it with."""
    return {
        "entry": given.entry,
        "proof": make_bundle(connector.log, given.entry),
        "key": str(connector.log.key),
    }


class Export(Input):
    """The format of an export."""

    form: str = Field(default="nquads", description="nquads, trig, turtle or jsonld")


@operation("log/export")
def export_log(connector: Connector, given: Export) -> dict[str, Any]:
    """The whole log as PROV-O in a format of RDF; N-Quads byte for byte as they are hashed."""
    return {given.form: serialise(export_nquads(connector.log), given.form).decode()}


@operation("log/reindex")
def reindex_log(connector: Connector, given: Nothing) -> dict[str, Any]:
    """Throw the index for questions away and make it again from the log, each entry's hash checked."""
    return {"entries": connector.index.rebuild(), "store": connector.settings.index.store}


class FreeQuestion(Input):
    """A question in SPARQL with the signature of the auditor who asks."""

    question: str
    person: str
    asked: str = Field(description="when it was signed, e.g. 2026-03-01T10:00:00Z")
    signature: str = Field(description="hexadecimal")


@operation("log/query")
def query_log(connector: Connector, given: FreeQuestion) -> dict[str, Any]:
    """Answer an auditor's own question in SPARQL: read-only, bounded in time, and recorded before it is answered."""
    asked = from_text(given.asked)
    _require_auditor(connector, given, asked)
    check_question(given.question)
    log, chosen = connector.log, connector.settings.index
    activity = _asked(connector, given, asked)
    entry = log.record(activity)
    answer = run_question(log, given.question, Bounds(chosen.seconds, chosen.memory_bytes))
    return {"answer": answer, "entry": entry.sequence}


def _require_auditor(connector: Connector, given: FreeQuestion, asked: datetime) -> None:
    statement = question_bytes(connector.log.origin, given.question, asked)
    person = connector.people.verify(given.person, statement, hexadecimal(given.signature, "signature"))
    if not person.has("auditor"):
        raise DeniedError(
            "only an auditor may ask the log freely",
            fix="use the named questions (synthema lineage), or ask somebody with the role 'auditor'",
        )
    if abs(connector.clock.now() - asked) > FRESH:
        raise DeniedError("this question was signed at another time", fix="sign it again and send it at once")


def _asked(connector: Connector, given: FreeQuestion, asked: datetime) -> Activity:
    """The entry of a question: who asked, and the digest of the text, for the text may name people."""
    log = connector.log
    text = digest_bytes(given.question.encode())
    return Activity(
        iri=log.iri("activity", new_id("activity")),
        type="LogQuestion",
        label="An auditor asked the log a question of their own",
        started=asked,
        ended=max(asked, connector.clock.now()),
        agents=(Agent(log.iri("person", given.person), "Person", acts_for=connector.settings.did),),
        used=(
            Entity(f"{log.origin}/log", types=("Log",)),
            Entity(log.iri("question", text.removeprefix("sha256:")), types=("Question",), digest=text),
        ),
    )
