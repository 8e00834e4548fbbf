"""Heads of logs travel with every message between connectors, and come back cosigned.

A message of a negotiation, a transfer or a study carries the sender's signed
head, the cosignatures it has, and the proof that it extends the head the
receiver cosigned last: the body of a C2SP ``add-checkpoint`` request, in a
header beside the message, so that no message format changes. The receiver
answers as a witness. So whoever agrees on something with a partner has seen its
log at that moment, and a log that was rewritten is noticed with the next message.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, NamedTuple

from synthema.errors import IntegrityError, SynthemaError
from synthema.provenance.checkpoint import COSIGNATURE, VerifierKey, open_checkpoint, parse_signature, parse_size
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.witness import Answer, Witness, witness_request
from synthema.provenance.witnessing import last_witnessed

HEAD_HEADER: Final = "Synthema-Log-Head"
ANSWER_HEADER: Final = "Synthema-Log-Answer"
MAX_HEADER: Final = 7 * 1024
"""Proxies usually let 8 KiB of a header pass; witnesses' lines that do not fit are left out."""

_logger = logging.getLogger(__name__)


class _Told(NamedTuple):
    size: int
    kept: int


class Heads:
    """One connector's side of the exchange: shows its own log's head, and answers to those of others."""

    def __init__(
        self, log: ProvenanceLog, witness: Witness, witnesses: Mapping[str, str], key_of: Callable[[str], bytes]
    ) -> None:
        """``witnesses`` gives the witness name of each partner by its did, ``key_of`` its raw key for that."""
        self._log = log
        self._witness = witness
        self._names = witnesses
        self._key_of = key_of
        self._told: dict[str, _Told] = {}
        self._lock = Lock()

    def show(self, did: str) -> str | None:
        """The header for a message to a partner; None for one that is no witness of ours."""
        name = self._names.get(did)
        if name is None:
            return None
        note = self._log.checkpoint()
        size = open_checkpoint(note, self._log.keys).size
        old = min(self._seen_by(did, name), size)
        proof = self._log.consistency_proof(old, size)
        for line in self._log.cosignatures(size):
            if len(longer := _encode(witness_request(old, proof, note + line))) > MAX_HEADER:
                break
            note, _ = note + line, longer
        return _encode(witness_request(old, proof, note))

    def answered(self, did: str, shown: str, header: str | None) -> None:
        """Keep the partner's cosignature, or the size it has seen; an answer that cannot be read is left."""
        try:
            answer = _decode_answer(header)
            note = _decode(shown).decode().partition("\n\n")[2]
            head = open_checkpoint(note, self._log.keys)
        except (SynthemaError, UnicodeDecodeError):
            return
        if answer.status == 200:
            self._keep(did, note, head.size, answer.body)
        elif answer.status == 409 and (seen := _size(answer.body)) is not None:
            self._remember(did, seen)

    def taken(self, header: str) -> str:
        """A partner's head came with a message: cosign it. Returns the header of the answer.

        Raises :class:`IntegrityError` when the partner's log contradicts what
        this connector has cosigned: then the message is not taken. A head that
        proves nothing (an unknown log, another size than ours) is answered as a
        witness does, and the message goes on.
        """
        try:
            request = _decode(header)
        except IntegrityError:
            return _encode_answer(Answer(400, "the header cannot be read\n"))
        answer, contradicted = self._witness.judge(request)
        if contradicted:
            raise IntegrityError(
                "the log that came with this message is not the one that was shown before",
                fix="nothing is taken from this connector before both sides have compared their logs; "
                "see the finding with: synthema log witnessed",
            )
        return _encode_answer(answer)

    def _keep(self, did: str, note: str, size: int, body: str) -> None:
        try:
            key = VerifierKey(self._names[did], self._key_of(did), COSIGNATURE)
            line = next(line for line in body.split("\n") if line and parse_signature(line).by(key)) + "\n"
            self._log.keep_cosignature(note, line, key)
        except (StopIteration, SynthemaError):
            _logger.warning("the answer of %s to our log's head is not signed with its key", did)
            return
        self._remember(did, size)

    def _seen_by(self, did: str, name: str) -> int:
        """What the partner said last that it has seen, unless a newer cosignature was kept since."""
        kept = last_witnessed(self._log, name)
        with self._lock:
            told = self._told.get(did)
        return told.size if told is not None and told.kept == kept else kept

    def _remember(self, did: str, size: int) -> None:
        kept = last_witnessed(self._log, self._names[did])
        with self._lock:
            self._told[did] = _Told(size, kept)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError("this header is not base64", fix="send it as it was made") from error


def _encode_answer(answer: Answer) -> str:
    return _encode(f"{answer.status}\n{answer.body}".encode())


def _decode_answer(header: str | None) -> Answer:
    status, _, body = _decode(header or "").decode().partition("\n")
    return Answer(int(status) if status in ("200", "409", "422", "400", "403", "404") else 0, body)


def _size(body: str) -> int | None:
    try:
        return parse_size(body.removesuffix("\n"))
    except IntegrityError:
        return None
