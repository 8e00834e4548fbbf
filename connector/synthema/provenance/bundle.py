"""A proof that fits in one file: one log entry, checkable by a stranger without any network.

The bundle holds the entry's bytes, its inclusion proof, the signed head and the
witnesses' lines. The verifier brings the keys; a key inside the bundle is a
help for finding the right one and is never trusted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from synthema.errors import InputError, IntegrityError, NotFoundError
from synthema.provenance.checkpoint import (
    Checkpoint,
    VerifierKey,
    decode_hash,
    encode_hash,
    open_checkpoint,
    parse_signature,
    verify_cosignature,
)
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.merkle import leaf_hash, verify_inclusion

FORMAT: Final = "synthema-proof/1"
_MEMBERS: Final = {"format", "sequence", "entry", "inclusion", "checkpoint", "cosignatures", "key"}
_MAX_STEPS: Final = 64


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that is proven to stand in a log. ``witnessed`` says which witness saw that head, and when."""

    sequence: int
    body: bytes
    checkpoint: Checkpoint
    witnessed: Mapping[str, datetime]


def make_bundle(log: ProvenanceLog, sequence: int, size: int | None = None) -> dict[str, Any]:
    """The proof bundle of one entry, as a JSON value.

    ``size`` names a head that was signed earlier, such as one that witnesses
    have cosigned; by default the present head is taken.
    """
    note = log.checkpoint() if size is None else log.signed_checkpoint(size)
    head = open_checkpoint(note, log.key)
    if sequence >= head.size:
        raise NotFoundError(
            f"entry {sequence} is not in the log of {head.size} entries",
            fix="take a newer checkpoint, or another entry",
        )
    return {
        "format": FORMAT,
        "sequence": sequence,
        "entry": base64.b64encode(log.entry(sequence).body).decode(),
        "inclusion": [encode_hash(step) for step in log.inclusion_proof(sequence, head.size)],
        "checkpoint": note,
        "cosignatures": list(log.cosignatures(head.size)),
        "key": str(log.key),
    }


def verify_bundle(
    bundle: Mapping[str, Any],
    key: VerifierKey,
    *,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> VerifiedEntry:
    """Check a bundle against the log's key, which the verifier knows from elsewhere.

    At least ``quorum`` of the given witnesses must have cosigned the head.
    Raises :class:`IntegrityError` on the first thing that does not hold.
    """
    known = {witness.name: witness for witness in witnesses}
    if not 0 <= quorum <= len(known):
        raise InputError("more witnesses are asked for than are known", fix="name the witnesses whose word you trust")
    sequence, body, proof = _parts(bundle)
    head = open_checkpoint(bundle["checkpoint"], key)
    verify_inclusion(sequence, head.size, leaf_hash(body), proof, head.root)
    witnessed = {}
    for line in bundle["cosignatures"]:
        witness = known.get(parse_signature(line.removesuffix("\n")).name)
        if witness is not None:
            witnessed[witness.name] = verify_cosignature(head.text(), line, witness)
    if len(witnessed) < quorum:
        raise _broken(f"{len(witnessed)} of {quorum} necessary witnesses have seen this log")
    return VerifiedEntry(sequence, body, head, witnessed)


def _parts(bundle: Mapping[str, Any]) -> tuple[int, bytes, list[bytes]]:
    if bundle.keys() != _MEMBERS or bundle["format"] != FORMAT:
        raise _broken(f"it is not a bundle of the form {FORMAT}")
    sequence, steps, lines = bundle["sequence"], bundle["inclusion"], bundle["cosignatures"]
    texts = (bundle["entry"], bundle["checkpoint"], bundle["key"])
    if not isinstance(sequence, int) or isinstance(sequence, bool) or not all(isinstance(text, str) for text in texts):
        raise _broken("a member has another type than it should")
    if not _texts(steps) or not _texts(lines) or len(steps) > _MAX_STEPS or len(lines) > _MAX_STEPS:
        raise _broken("its proof or its cosignatures are not lists of texts")
    try:
        body = base64.b64decode(bundle["entry"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _broken("its entry is not base64") from error
    return sequence, body, [decode_hash(step) for step in steps]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(f"this proof does not hold: {reason}", fix="ask the connector for the proof again")
