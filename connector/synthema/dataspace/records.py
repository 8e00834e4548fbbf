"""What the provenance log keeps of the data space: each message that moved a process, each hand-over of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from synthema.canonical import digest
from synthema.dataspace.model import Agreement, Process
from synthema.dataspace.ports import Log
from synthema.errors import InputError
from synthema.ids import new_id
from synthema.provenance.model import Activity, Agent, Entity, Iri, Value, node

_TYPES = {"negotiation": "ContractNegotiation", "transfer": "TransferProcess"}


def step(
    log: Log,
    before: str | None,
    process: Process,
    *,
    message: str,
    message_digest: str,
    sender: str,
    at: datetime,
) -> Activity:
    """A process moved from one state to the next because of a message."""
    thing = Entity(
        iri=log.iri(process.kind, process.id),
        types=(_TYPES[process.kind],),
        attributes={"counterparty": Iri(party(log, process.peer)), "subject": process.subject},
    )
    attributes: dict[str, Value | Iri] = {
        "message": message,
        "messageDigest": message_digest,
        "stateAfter": process.state or "none",
    }
    if before is not None:
        attributes["stateBefore"] = before
    if process.reasons:
        attributes["reason"] = "; ".join(process.reasons)
    return Activity(
        iri=log.iri("activity", new_id("activity")),
        type="DataspaceStep",
        label=f"{process.kind} {before or 'begins'} → {process.state}",
        started=at,
        ended=at,
        agents=(Agent(party(log, sender), "Organization"),),
        used=(thing,),
        attributes=attributes,
    )


def agreed(log: Log, agreement: Agreement, at: datetime) -> Activity:
    """A contract became final."""
    return Activity(
        iri=log.iri("activity", new_id("activity")),
        type="AgreementFinalised",
        label="agreement is final",
        started=at,
        ended=at,
        agents=tuple(Agent(party(log, did), "Organization") for did in (agreement.provider, agreement.consumer)),
        used=(Entity(log.iri("negotiation", agreement.negotiation), types=("ContractNegotiation",)),),
        generated=(
            Entity(
                as_iri(log, "agreement", agreement.id),
                types=("Agreement", "http://www.w3.org/ns/odrl/2/Agreement"),
                digest=agreement.digest,
                attributes={"subject": agreement.dataset},
            ),
        ),
    )


def held(log: Log, process: Process, reason: str, at: datetime) -> Activity:
    """A process waits for a person."""
    return _about(log, process, "DataspaceHold", f"{process.kind} waits for a person", at, {"reason": reason})


def approved(log: Log, process: Process, person: str, at: datetime) -> Activity:
    """A person let a process go on; ``person`` is the IRI of a role account."""
    activity = _about(log, process, "DataspaceApproval", f"{process.kind} may go on", at, {})
    return replace(activity, agents=(Agent(person, "Person"),))


def moved(log: Log, process: Process, artefact: str, artefact_digest: str, *, received: bool, at: datetime) -> Activity:
    """Bytes were handed out, or received and found to be what their digest says."""
    entity = Entity(
        log.iri("artefact", digest(artefact).removeprefix("sha256:")),
        types=("Artefact",),
        digest=artefact_digest,
        attributes={"identifier": artefact},
    )
    label = "artefact received" if received else "artefact handed out"
    activity = _about(log, process, "ArtefactReceived" if received else "ArtefactHandedOut", label, at, {})
    return replace(activity, agents=(Agent(party(log, process.peer), "Organization"),), used=(*activity.used, entity))


def party(log: Log, identifier: str) -> str:
    """A participant as an IRI: its did, or one of ours for a data space that names participants otherwise."""
    return as_iri(log, "party", identifier)


def as_iri(log: Log, kind: str, identifier: str) -> str:
    """A foreign identifier as an IRI: itself if it is one, else one of ours made from its digest."""
    try:
        node(identifier)
    except InputError:
        return log.iri(kind, digest(identifier).removeprefix("sha256:"))
    return identifier


def _about(
    log: Log, process: Process, type_: str, label: str, at: datetime, attributes: Mapping[str, Value | Iri]
) -> Activity:
    return Activity(
        iri=log.iri("activity", new_id("activity")),
        type=type_,
        label=label,
        started=at,
        ended=at,
        used=(Entity(log.iri(process.kind, process.id), types=(_TYPES[process.kind],)),),
        attributes=attributes,
    )
