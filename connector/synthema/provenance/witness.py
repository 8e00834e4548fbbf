"""Watching the logs of other connectors: C2SP tlog-witness ``add-checkpoint``.

A witness remembers the newest head of each log it knows and cosigns a newer
one only with proof that it extends the old. So a log cannot show two histories
to two sides, not even when its own people hold its key.

A log may get another key; the witness follows only where the key that it knows
handed over to it (ADR 0023), and keeps what else claims to be the log as evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Row, delete, insert, select

from synthema.clock import Clock
from synthema.errors import IntegrityError, NotFoundError, SynthemaError
from synthema.identity.keys import Signer
from synthema.ids import new_id
from synthema.provenance.checkpoint import (
    COSIGNATURE,
    Checkpoint,
    HeadKeys,
    VerifierKey,
    cosign,
    decode_hash,
    encode_hash,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_size,
    witness_name,
)
from synthema.provenance.merkle import EMPTY_ROOT, verify_consistency
from synthema.provenance.store import witness_findings, witnessed_logs
from synthema.provenance.succession import LogKeys
from synthema.storage import Database

MAX_REQUEST_BYTES = 128 * 1024
MAX_PROOF_LINES = 63
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says, as HTTP status, body and media type.

    200 with cosignature lines; 400 not understood; 403 not signed by the log's
    key, or by one that the known key did not hand the log over to; 404 unknown
    log; 409 another size than ours (the body is our size), or two heads of one
    size; 422 the new head does not extend the old one.
    """

    status: int
    body: str
    media_type: str = TEXT


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence of a log that contradicts itself: two heads, both signed with a key that it has or had."""

    id: str
    origin: str
    found_at: datetime
    reason: str
    cosigned_note: str
    refused_note: str


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A log that is watched: the newest size that was cosigned, and when."""

    origin: str
    size: int
    cosigned_at: datetime


@dataclass(frozen=True, slots=True)
class _Request:
    old: int
    proof: tuple[bytes, ...]
    note: str


class _Refusal(Exception):  # noqa: N818 - an answer on its way out, not a fault
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


Logs = Callable[[str, str], HeadKeys | None]
"""Finds the keys of a log by its origin line, for a note of it that is to be checked; ``None`` for an unknown log."""


class Witness:
    """Cosigns the heads of known logs."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        public_url: str,
        clock: Clock,
        logs: Logs,
    ) -> None:
        self.key = VerifierKey(witness_name(public_url), signer.public_key("witness"), COSIGNATURE)
        self._database = database
        self._sign = partial(signer.sign, "witness")
        self._clock = clock
        self._logs = logs

    def add_checkpoint(self, request: bytes) -> Answer:
        """Check a request body of tlog-witness and, if all is well, remember the head and cosign it."""
        return self.judge(request)[0]

    def judge(self, request: bytes) -> tuple[Answer, bool]:
        """As :meth:`add_checkpoint`, and whether the log contradicts what this witness has cosigned of it."""
        try:
            asked = _parse_request(request)
            keys = self._keys_for(asked)
            try:
                head = open_checkpoint(asked.note, keys)
            except SynthemaError as error:
                return self._refuse_signature(asked, keys, error.message)
            if asked.old > head.size:
                raise _refuse(400, "the old size is greater than the new one")
            return self._database.write(lambda connection: self._advance(connection, asked, keys, head))
        except _Refusal as refusal:
            return refusal.answer, False

    def latest(self, origin: str) -> Checkpoint | None:
        """The newest head of a log that this witness cosigned."""
        with self._database.read() as connection:
            row = _latest(connection, origin)
        return parse_checkpoint(parse_note(row.note).text) if row else None

    def witnessed(self) -> tuple[Witnessed, ...]:
        """The newest heads this witness cosigned, by the logs' names."""
        chosen = select(witnessed_logs).order_by(witnessed_logs.c.origin)
        with self._database.read() as connection:
            return tuple(Witnessed(row.origin, row.size, row.cosigned_at) for row in connection.execute(chosen))

    def forget(self, connection: Connection, origin: str) -> Checkpoint:
        """Know a log no more, so that its next head counts as its first; the findings stay.

        For a partner that lost its key and began a new log at its old address, within the transaction that records
        why. Raises :class:`NotFoundError` for a log that is not watched.
        """
        row = _latest(connection, origin)
        if row is None:
            raise NotFoundError("this log is not watched here", fix="see which are: synthema log witnessed")
        connection.execute(delete(witnessed_logs).where(witnessed_logs.c.origin == origin))
        return parse_checkpoint(parse_note(row.note).text)

    def findings(self) -> tuple[Finding, ...]:
        """The contradictions found so far, newest first."""
        chosen = select(witness_findings).order_by(witness_findings.c.found_at.desc(), witness_findings.c.id.desc())
        with self._database.read() as connection:
            return tuple(Finding(**row._mapping) for row in connection.execute(chosen))  # noqa: SLF001 - SQLAlchemy's public name for a row's columns

    def _keys_for(self, asked: _Request) -> HeadKeys:
        try:
            origin = parse_checkpoint(parse_note(asked.note).text).origin
        except IntegrityError as error:
            raise _refuse(400, error.message) from error
        try:
            keys = self._logs(origin, asked.note)
        except IntegrityError as error:  # what is published of its keys does not hold together
            raise _refuse(403, error.message) from error
        if keys is None:
            raise _refuse(404, "this log is not known here")
        return keys

    def _refuse_signature(self, asked: _Request, keys: HeadKeys, reason: str) -> tuple[Answer, bool]:
        """A head that no key of the log signed proves nothing; one by a key whose time is over is kept as evidence."""
        former = keys.misused_in(asked.note) if isinstance(keys, LogKeys) else None
        if former is None:
            return Answer(403, f"{reason}\n"), False
        reason = f"the head is signed with the key {former.id.hex()}, whose time is over"

        def keep(connection: Connection) -> bool:
            row = _latest(connection, keys.name)
            if row is not None:
                self._keep_finding(connection, row.note, asked.note, keys.name, reason)
            return row is not None

        return Answer(403, f"{reason}\n"), self._database.write(keep)

    def _advance(
        self, connection: Connection, asked: _Request, keys: HeadKeys, head: Checkpoint
    ) -> tuple[Answer, bool]:
        row = _latest(connection, head.origin)
        if row is not None and (broken := _not_continued(row.note, keys)):
            self._keep_finding(connection, row.note, asked.note, head.origin, broken)
            return Answer(403, f"{broken}\n"), True
        known = parse_checkpoint(parse_note(row.note).text) if row else Checkpoint(head.origin, 0, EMPTY_ROOT)
        if asked.old != known.size:
            return Answer(409, f"{known.size}\n", SIZE), False
        try:
            verify_consistency(known.size, head.size, known.root, head.root, asked.proof)
        except IntegrityError as error:
            if row is not None:
                self._keep_finding(connection, row.note, asked.note, head.origin, error.message)
            if known.size == head.size and known.size:
                return Answer(409, f"{known.size}\n", SIZE), True
            return Answer(422, f"{error.message}\n"), row is not None
        now = self._clock.now()
        connection.execute(delete(witnessed_logs).where(witnessed_logs.c.origin == head.origin))
        newest = {"origin": head.origin, "size": head.size, "note": asked.note, "cosigned_at": now}
        connection.execute(insert(witnessed_logs).values(newest))
        return Answer(200, cosign(head.text(), self.key, self._sign, now)), False

    def _keep_finding(self, connection: Connection, cosigned: str, refused: str, origin: str, reason: str) -> None:
        """Keep both heads, once: each is signed by the log, so together they may prove that it was rewritten."""
        same = (witness_findings.c.origin == origin) & (witness_findings.c.refused_note == refused)
        if connection.execute(select(witness_findings.c.id).where(same)).first() is not None:
            return
        row = {"id": new_id("finding"), "origin": origin, "found_at": self._clock.now(), "reason": reason}
        row |= {"cosigned_note": cosigned, "refused_note": refused}
        connection.execute(insert(witness_findings).values(row))


def witness_request(old: int, proof: tuple[bytes, ...], note: str) -> bytes:
    """The body of ``add-checkpoint`` that a log sends: its proof from the witness's size to the new head."""
    lines = [f"old {old}", *(encode_hash(step) for step in proof), "", note]
    return "\n".join(lines).encode()


def _parse_request(request: bytes) -> _Request:
    if len(request) > MAX_REQUEST_BYTES:
        raise _refuse(400, "the request is too long")
    try:
        head, separator, note = request.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise _refuse(400, "the request is not UTF-8") from error
    lines = head.split("\n")
    if not separator or not lines[0].startswith("old ") or len(lines) > MAX_PROOF_LINES + 1:
        raise _refuse(400, "the request is not 'old N', proof lines, an empty line and a checkpoint")
    try:
        old = parse_size(lines[0].removeprefix("old "))
        proof = tuple(decode_hash(line) for line in lines[1:])
    except IntegrityError as error:
        raise _refuse(400, error.message) from error
    return _Request(old, proof, note)


def _latest(connection: Connection, origin: str) -> Row[tuple[str, int, str, datetime]] | None:
    return connection.execute(select(witnessed_logs).where(witnessed_logs.c.origin == origin)).one_or_none()


def _not_continued(cosigned: str, keys: HeadKeys) -> str | None:
    """Why these are not the keys of the log that was cosigned before; ``None`` when they are."""
    try:
        open_checkpoint(cosigned, keys)
    except SynthemaError:
        return "the head is signed with a key that the key known here did not hand the log over to"
    return None


def _refuse(status: int, reason: str) -> _Refusal:
    return _Refusal(Answer(status, f"{reason}\n"))
