"""Asking another connector to witness the own log, and keeping its word.

How the request travels is the caller's matter: ``send`` gets the body of
``add-checkpoint`` and gives back the witness's answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from synthema.errors import IntegrityError, PeerError
from synthema.provenance.checkpoint import VerifierKey, open_checkpoint, parse_signature, parse_size, verify_cosignature
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.store import log_cosignatures
from synthema.provenance.witness import Answer, witness_request

Send = Callable[[bytes], Answer]


def obtain_cosignature(log: ProvenanceLog, witness: VerifierKey, send: Send) -> datetime:
    """Have the present head cosigned and kept; returns the time at which the witness saw it.

    Raises :class:`IntegrityError` when the witness saw another history or a
    longer log than ours, and :class:`PeerError` when it does not answer as a
    witness must.
    """
    note = log.checkpoint()
    size = open_checkpoint(note, log.keys).size
    old = min(last_witnessed(log, witness.name), size)
    answer = send(witness_request(old, log.consistency_proof(old, size), note))
    for _ in range(2):
        if answer.status != 409:
            break
        seen = _size_in(answer.body)
        # Our size answered with our size means two heads of one size.
        if seen > size or seen == old:
            raise _contradicted(witness.name, f"it has seen a log of {seen} entries that is not ours of {size}")
        old = seen
        answer = send(witness_request(old, log.consistency_proof(old, size), note))
    if answer.status == 422:
        raise _contradicted(witness.name, "our log does not extend what it has seen")
    if answer.status != 200:
        raise _unhelpful(witness.name, f"it answered {answer.status}")
    return _keep(log, note, witness, answer.body)


def last_witnessed(log: ProvenanceLog, name: str) -> int:
    """The size of the newest head whose cosignature by this witness is kept; 0 where there is none."""
    chosen = select(func.max(log_cosignatures.c.size)).where(log_cosignatures.c.witness == name)
    with log.database.read() as connection:
        size: int | None = connection.scalar(chosen)
    return size or 0


def _keep(log: ProvenanceLog, note: str, witness: VerifierKey, body: str) -> datetime:
    text = open_checkpoint(note, log.keys).text()
    try:
        line = next(line for line in body.split("\n") if line and parse_signature(line).by(witness)) + "\n"
        seen_at = verify_cosignature(text, line, witness)
    except (StopIteration, IntegrityError) as error:
        raise _unhelpful(witness.name, "its answer is not signed with its key") from error
    log.keep_cosignature(note, line, witness)
    return seen_at


def _size_in(body: str) -> int:
    try:
        return parse_size(body.removesuffix("\n"))
    except IntegrityError as error:
        raise _unhelpful("the witness", "its answer names no size") from error


def _contradicted(name: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{name} contradicts this log: {reason}",
        where=name,
        fix="stop, compare with a backup: entries were lost or rewritten since the witness last saw the log",
    )


def _unhelpful(name: str, reason: str) -> PeerError:
    return PeerError(f"{name} did not witness the log: {reason}", fix="ask its operators whether it knows our log key")
