"""Handing a log over from its key to the next one, in one transaction (ADR 0023).

The entry that names both keys, the head that both sign, and the note that the
entry is a handover are written together: before, the former key signs every
head; after, only its successor does. No head of the former key can come later,
for witnesses and partners know from the same entry at which size its time ended.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, insert

from synthema.errors import InputError
from synthema.provenance.checkpoint import VerifierKey
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.provenance.store import log_handovers
from synthema.provenance.succession import HANDOVER_TYPE, Handover


def hand_over(log: ProvenanceLog, reason: str, agents: tuple[Agent, ...], at: datetime) -> Handover:
    """Let the key that was made to follow sign this log from now on; returns the proof for everybody else.

    ``reason`` is a sentence for the log. Raises :class:`ConflictError` when no successor was made.
    """
    if not reason.strip():
        raise InputError("no reason is given", fix="say why in one sentence; it stands in the log")
    log.database.write(partial(_hand_over, log=log, reason=reason, agents=agents, at=at))
    return log.keys.handovers[-1]


def _hand_over(
    connection: Connection, *, log: ProvenanceLog, reason: str, agents: tuple[Agent, ...], at: datetime
) -> None:
    log.sign_head(connection)  # refuses a log that does not extend what the former key signed
    former, successor = log.keyring.keys_in(connection).current, log.keyring.successor()
    entry = log.append(connection, _activity(log, former, successor, reason, agents, at))
    log.put_head(connection, entry.sequence + 1, former, successor)
    connection.execute(insert(log_handovers).values(sequence=entry.sequence))


def _activity(
    log: ProvenanceLog,
    former: VerifierKey,
    successor: VerifierKey,
    reason: str,
    agents: tuple[Agent, ...],
    at: datetime,
) -> Activity:
    return Activity(
        iri=log.iri("keyhandover", successor.id.hex()),
        type=HANDOVER_TYPE,
        label="The key that signs this log was followed by another",
        started=at,
        ended=at,
        agents=agents,
        used=(Entity(log.iri("logkey", former.id.hex()), ("LogKey",)),),
        generated=(Entity(log.iri("logkey", successor.id.hex()), ("LogKey",)),),
        attributes={"formerKey": str(former), "successorKey": str(successor), "reason": reason},
    )
