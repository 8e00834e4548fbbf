"""Operations on negotiations with partners: what is on the table, and a person's word where one is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.assembly.operations.transfers import sentences_of
from synthema.canonical import canonical_json, digest
from synthema.clock import to_text
from synthema.dataspace import Process
from synthema.errors import ConflictError, DeniedError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class OneNegotiation(Input):
    """A negotiation by its identifier here."""

    negotiation: str


@operation("negotiation/list")
def list_negotiations(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The negotiations with partners, newest first; those that wait for a person say why."""
    return [_negotiation_json(process) for process in connector.dataspace.processes("negotiation")]


@operation("negotiation/show")
def show_negotiation(connector: Connector, given: OneNegotiation) -> dict[str, Any]:
    """One negotiation: what is on the table in sentences, and its messages."""
    process = connector.dataspace.process("negotiation", given.negotiation)
    messages = connector.dataspace.timeline(process.id)
    return _negotiation_json(process) | {
        "sentences": sentences_of(connector, _on_the_table(process)),
        "messages": [{**message, "at": to_text(message["at"])} for message in messages],
    }


@operation("negotiation/signing")
def negotiation_signing(connector: Connector, given: OneNegotiation) -> dict[str, Any]:
    """What a data protection officer signs to let a negotiation go on, and what its terms say in sentences."""
    process = connector.dataspace.process("negotiation", given.negotiation)
    sentences = sentences_of(connector, _on_the_table(process))
    return _negotiation_json(process) | {"sentences": sentences, "sign": _bytes_to_sign(process).hex()}


class ApproveNegotiation(OneNegotiation):
    """The signature of a data protection officer on the terms that are on the table."""

    person: str
    signature: str


@operation("negotiation/approve")
def approve_negotiation(connector: Connector, given: ApproveNegotiation) -> dict[str, Any]:
    """Let a negotiation that waits for a person go on, on exactly the terms that were signed."""
    process = connector.dataspace.process("negotiation", given.negotiation)
    signed = hexadecimal(given.signature, "signature")
    officer = connector.people.verify(given.person, _bytes_to_sign(process), signed)
    if not officer.has("dpo"):
        raise DeniedError(
            "a contract is approved by a data protection officer", fix="let a person with the role 'dpo' sign it"
        )
    connector.dataspace.approve("negotiation", process.id, connector.log.iri("person", officer.id))
    return _negotiation_json(connector.dataspace.process("negotiation", process.id))


class RefuseNegotiation(OneNegotiation):
    """Who ends a negotiation, and why; the partner reads the reason."""

    person: str
    reason: str = Field(min_length=3)


@operation("negotiation/refuse")
def refuse_negotiation(connector: Connector, given: RefuseNegotiation) -> dict[str, Any]:
    """End a negotiation as data protection officer; the partner is told the reason."""
    connector.people.require(given.person, "dpo")
    connector.dataspace.terminate("negotiation", given.negotiation, (given.reason,))
    return _negotiation_json(connector.dataspace.process("negotiation", given.negotiation))


def _on_the_table(process: Process) -> dict[str, Any]:
    """The newest text: the agreement, else the offer, else what we asked for."""
    found: dict[str, Any] = next((process.details[key] for key in _TEXTS if key in process.details), {})
    return found


_TEXTS = ("agreement", "offer", "ours")


def _bytes_to_sign(process: Process) -> bytes:
    if not process.pending:
        raise ConflictError(
            "this negotiation does not wait for anybody", fix="see its state with: synthema negotiation show"
        )
    return canonical_json(
        {
            "approves": process.id,
            "partner": process.peer,
            "dataset": process.subject,
            "state": process.state,
            "terms": digest(_on_the_table(process)),
        }
    )


def _negotiation_json(process: Process) -> dict[str, Any]:
    return {
        "negotiation": process.id,
        "role": process.role,
        "partner": process.peer,
        "dataset": process.subject,
        "state": process.state or "REQUESTING",
        "waits": process.pending,
        "reasons": list(process.reasons),
        "changed": to_text(process.changed),
    }
