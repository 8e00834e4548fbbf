"""A proof that fits in one file: one log entry, checkable by a stranger without any network.

The form is C2SP ``tlog-proof``: the entry's inclusion proof, the signed head and
the witnesses' lines. The entry itself travels as the form's "extra data", so
that nothing else is needed; it is believed because its hash is proven, not
because it is there. The verifier brings the keys.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from synthema.errors import InputError, IntegrityError, NotFoundError
from synthema.provenance.checkpoint import (
    Checkpoint,
    HeadKeys,
    Note,
    VerifierKey,
    decode_base64,
    decode_hash,
    encode_hash,
    open_checkpoint,
    parse_note,
    parse_size,
    verify_cosignature,
)
from synthema.provenance.merkle import leaf_hash, verify_inclusion

if TYPE_CHECKING:
    from synthema.provenance.log import ProvenanceLog

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"
MEDIA_TYPE: Final = "text/plain; charset=utf-8"
_MAX_STEPS: Final = 64
_MAX_CHARACTERS: Final = 1024 * 1024
_HEAD = re.compile(r"extra (?P<extra>[^\n]*)\nindex (?P<index>[^\n]*)\n(?P<steps>(?:[^\n]+\n)*)\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that is proven to stand in a log. ``witnessed`` says which witness saw that head, and when."""

    sequence: int
    body: bytes
    checkpoint: Checkpoint
    witnessed: Mapping[str, datetime]


def make_bundle(log: ProvenanceLog, sequence: int, size: int | None = None) -> str:
    """The proof bundle of one entry, as the text of a ``.tlog-proof`` file.

    ``size`` names a head that was signed earlier, such as one that witnesses
    have cosigned; by default the present head is taken.
    """
    note = log.cosigned_checkpoint(size)
    head = open_checkpoint(note, log.keys)
    if sequence >= head.size:
        raise NotFoundError(
            f"entry {sequence} is not in the log of {head.size} entries",
            fix="take a newer checkpoint, or another entry",
        )
    return bundle_text(sequence, log.entry(sequence).body, log.inclusion_proof(sequence, head.size), note)


def bundle_text(sequence: int, body: bytes, proof: Iterable[bytes], note: str) -> str:
    """An entry, its inclusion proof and the head it leads to, written as the specification says."""
    steps = (encode_hash(step) for step in proof)
    extra = base64.b64encode(body).decode()
    return "\n".join([FIRST_LINE, f"extra {extra}", f"index {sequence}", *steps, "", note])


def entry_in(bundle: str) -> bytes:
    """The entry that a bundle carries, before anything in it is verified; raises :class:`IntegrityError`."""
    return _parts(bundle)[1]


def verify_bundle(
    bundle: str,
    key: HeadKeys,
    *,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> VerifiedEntry:
    """Check a bundle against the log's key, or the keys it has had, which the verifier knows from elsewhere.

    At least ``quorum`` of the given witnesses must have cosigned the head.
    Raises :class:`IntegrityError` on the first thing that does not hold.
    """
    sequence, body, proof, note = _parts(bundle)
    where = f"log entry {sequence}"
    try:
        head = open_checkpoint(note, key)
        verify_inclusion(sequence, head.size, leaf_hash(body), proof, head.root)
        witnessed = require_quorum(note, witnesses, quorum)
    except IntegrityError as error:
        raise IntegrityError(error.message, fix=error.fix, where=where) from error
    return VerifiedEntry(sequence, body, head, witnessed)


def require_quorum(note: str, witnesses: Iterable[VerifierKey], quorum: int) -> dict[str, datetime]:
    """Which of the witnesses cosigned a checkpoint, and when; raises :class:`IntegrityError` when too few did.

    A line that claims to be by one of them and is not refuses the whole
    checkpoint, as in any signed note. Lines by others are ignored.
    """
    known = {witness.name: witness for witness in witnesses}
    if not 0 <= quorum <= len(known):
        raise InputError("more witnesses are asked for than are known", fix="name the witnesses whose word you trust")
    parsed: Note = parse_note(note)
    witnessed = {}
    for signature in parsed.signatures:
        witness = known.get(signature.name)
        if witness is not None and signature.by(witness):
            witnessed[witness.name] = verify_cosignature(parsed.text, signature.line(), witness)
    if len(witnessed) < quorum:
        raise _broken(f"{len(witnessed)} of {quorum} necessary witnesses have seen this log")
    return witnessed


def _parts(bundle: str) -> tuple[int, bytes, list[bytes], str]:
    first, _, rest = bundle.partition("\n")
    found = _HEAD.match(rest)
    if first != FIRST_LINE or found is None or len(bundle) > _MAX_CHARACTERS:
        raise _broken(f"it is not a proof of the form {FIRST_LINE} with its entry as extra data")
    steps = found["steps"].split("\n")[:-1]
    if len(steps) > _MAX_STEPS:
        raise _broken("its proof is longer than any log")
    body = decode_base64(found["extra"])
    return parse_size(found["index"]), body, [decode_hash(step) for step in steps], rest[found.end() :]


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(f"this proof does not hold: {reason}", fix="ask the connector for the proof again")
