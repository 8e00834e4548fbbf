"""The memory of the gate: an append-only, tamper-evident log of provenance activities.

An entry is appended in the transaction of the state change it describes, so
neither exists without the other. Entries are leaves of an RFC 9162 tree; the
head of the tree is signed as a C2SP checkpoint and every signed head is kept.
The key that signs may be followed by another (:mod:`synthema.provenance.rotation`).
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, insert, select

from synthema.clock import Clock
from synthema.errors import InputError, IntegrityError, NotFoundError
from synthema.identity.keys import Signer
from synthema.provenance import merkle
from synthema.provenance.checkpoint import (
    Checkpoint,
    VerifierKey,
    log_name,
    open_checkpoint,
    verify_cosignature,
)
from synthema.provenance.keyring import Keyring
from synthema.provenance.model import Activity, node
from synthema.provenance.store import (
    LogEntry,
    add_entry,
    cosignature_lines,
    entry_from,
    hashes_of,
    log_checkpoints,
    log_entries,
    put_cosignature,
    signed_note,
    size_of,
    tail_of,
)
from synthema.provenance.succession import LogKeys
from synthema.provenance.verification import Report, verify_log
from synthema.storage import Database

MAX_PAGE = 1000
MAX_ENTRY_BYTES = 65_535
"""The longest entry that the tiles of C2SP ``tlog-tiles`` can hold (a length of two bytes)."""


class ProvenanceLog:
    """One connector's log. ``origin`` is its public address, without a trailing slash."""

    def __init__(self, database: Database, signer: Signer, origin: str, clock: Clock) -> None:
        self.database = database
        self.origin = origin.rstrip("/")
        self.name = log_name(self.origin)
        self.keyring = Keyring(signer, self.name)
        self._clock = clock

    @property
    def keys(self) -> LogKeys:
        """The key that signs the heads, and those that did before it."""
        with self.database.read() as connection:
            return self.keyring.keys_in(connection)

    @property
    def key(self) -> VerifierKey:
        """The key that signs the heads now."""
        return self.keys.current

    def iri(self, kind: str, identifier: str) -> str:
        """The IRI of a thing of this connector: ``<origin>/id/<kind>/<identifier>``."""
        iri = f"{self.origin}/id/{kind}/{identifier}"
        node(iri)
        return iri

    def graph_iri(self, sequence: int) -> str:
        """The IRI of an entry's named graph."""
        return f"{self.origin}/log/{sequence}"

    def append(self, connection: Connection, activity: Activity) -> LogEntry:
        """Write an activity within the caller's transaction.

        If it raises, the caller's step must not happen; do not catch it. An
        activity of more than :data:`MAX_ENTRY_BYTES` raises :class:`InputError`.
        """
        tail = tail_of(connection)
        graph = self.graph_iri(tail.size)
        now = self._clock.now()
        body = activity.nquads(graph, recorded=now)
        if len(body) > MAX_ENTRY_BYTES:
            raise InputError(
                f"a step of {len(body)} bytes is too long for the log", fix="record it as several smaller steps"
            )
        return add_entry(connection, tail, graph, body, now)

    def record(self, activity: Activity) -> LogEntry:
        """Write an activity that changes no other state, in a durable transaction of its own."""
        return self.database.write(lambda connection: self.append(connection, activity))

    def verify(self, since: int | None = None) -> Report:
        """Recompute the log from its stored bytes and compare it with every head that was signed.

        ``since`` skips the entries before that number and trusts their stored
        subtrees. Raises :class:`IntegrityError` whose ``where`` names the entry.
        """
        with self.database.read() as connection:
            try:
                keys = self.keyring.keys_in(connection, anew=True)
            except IntegrityError:
                # A handover rests on the entries before it: what is wrong with one of them is to be named first.
                verify_log(connection, None, self.graph_iri, since or 0)
                raise
            return verify_log(connection, keys, self.graph_iri, since or 0)

    def keep_cosignature(self, note: str, line: str, witness: VerifierKey) -> None:
        """Check and keep a witness's line for a checkpoint of this log; raises :class:`IntegrityError`."""
        head = open_checkpoint(note, self.keys)
        seen_at = verify_cosignature(head.text(), line, witness)
        self.database.write(lambda connection: put_cosignature(connection, head.size, witness.name, line, seen_at))

    def cosignatures(self, size: int) -> tuple[str, ...]:
        """The witnesses' lines kept for the checkpoint of this size, by the witnesses' names."""
        with self.database.read() as connection:
            return cosignature_lines(connection, size)

    def cosigned_checkpoint(self, size: int | None = None) -> str:
        """A signed head together with the lines of the witnesses that saw it; by default the present head."""
        note = self.checkpoint() if size is None else self.signed_checkpoint(size)
        return note + "".join(self.cosignatures(open_checkpoint(note, self.keys).size))

    def size(self) -> int:
        """Number of entries; the next one gets this number."""
        with self.database.read() as connection:
            return size_of(connection)

    def entry(self, sequence: int) -> LogEntry:
        """One entry; raises :class:`NotFoundError`."""
        with self.database.read() as connection:
            row = connection.execute(select(log_entries).where(log_entries.c.sequence == sequence)).one_or_none()
        if row is None:
            raise NotFoundError(f"the log has no entry {sequence}", fix="ask for an entry below the log's size")
        return entry_from(row)

    def entries(self, after: int = -1, limit: int = 100) -> tuple[LogEntry, ...]:
        """The next entries after a sequence number, at most ``limit`` (up to 1000); -1 begins at the start."""
        if not 1 <= limit <= MAX_PAGE:
            raise InputError(f"{limit} entries at once", fix=f"ask for 1 to {MAX_PAGE} entries")
        chosen = select(log_entries).where(log_entries.c.sequence > after).order_by(log_entries.c.sequence).limit(limit)
        with self.database.read() as connection:
            return tuple(entry_from(row) for row in connection.execute(chosen))

    def root(self, size: int | None = None) -> bytes:
        """RFC 9162 root of the first ``size`` entries (default: all), from the stored subtrees."""
        with self.database.read() as connection:
            return merkle.root(self._known_size(connection, size), partial(hashes_of, connection))

    def inclusion_proof(self, sequence: int, size: int | None = None) -> tuple[bytes, ...]:
        """Proof that an entry is in the log of ``size`` entries (default: all)."""
        with self.database.read() as connection:
            known = self._known_size(connection, size)
            return merkle.inclusion_proof(sequence, known, partial(hashes_of, connection))

    def consistency_proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """Proof that the log of ``new`` entries (default: all) extends the log of ``old`` entries."""
        with self.database.read() as connection:
            known = self._known_size(connection, new)
            return merkle.consistency_proof(old, known, partial(hashes_of, connection))

    def checkpoint(self) -> str:
        """The signed head of the log as it is now; signs and keeps a new one when entries were added.

        Raises :class:`IntegrityError` when the log no longer extends what was
        signed last: a log must not sign two heads that contradict each other.
        """
        with self.database.read() as connection:
            size, newest, keys = size_of(connection), _newest_note(connection), self.keyring.keys_in(connection)
        if newest is not None and open_checkpoint(newest, keys).size == size:
            return newest
        return self.database.write(self.sign_head)

    def sign_head(self, connection: Connection) -> str:
        """As :meth:`checkpoint`, within the caller's transaction."""
        size, newest = size_of(connection), _newest_note(connection)
        if newest is not None and self._require_extends(connection, size, newest).size == size:
            return newest
        return self.put_head(connection, size, self.keyring.keys_in(connection).current)

    def put_head(self, connection: Connection, size: int, *keys: VerifierKey) -> str:
        """Sign the head of this many entries with these keys and keep it."""
        text = Checkpoint(self.name, size, merkle.root(size, partial(hashes_of, connection))).text()
        note = "".join([text, "\n", *(self.keyring.line(text, key) for key in keys)])
        connection.execute(insert(log_checkpoints).values(size=size, note=note, signed_at=self._clock.now()))
        return note

    def signed_checkpoint(self, size: int) -> str:
        """The checkpoint that was signed at exactly this size; raises :class:`NotFoundError`."""
        with self.database.read() as connection:
            note = signed_note(connection, size)
        if note is None:
            raise NotFoundError(f"no checkpoint was signed at size {size}", fix="ask for the newest checkpoint")
        return note

    def _require_extends(self, connection: Connection, size: int, note: str) -> Checkpoint:
        signed = open_checkpoint(note, self.keyring.keys_in(connection))
        if signed.size > size or merkle.root(signed.size, partial(hashes_of, connection)) != signed.root:
            raise IntegrityError(
                f"the log does not extend its own checkpoint of {signed.size} entries",
                where=f"log of {self.name}",
                fix="stop, run the log's verification, and restore the database from its backup",
            )
        return signed

    @staticmethod
    def _known_size(connection: Connection, size: int | None) -> int:
        present = size_of(connection)
        if size is None:
            return present
        if not 0 <= size <= present:
            raise InputError(f"the log has {present} entries, not {size}", fix="ask for a size up to the present one")
        return size


def _newest_note(connection: Connection) -> str | None:
    newest: str | None = connection.scalar(
        select(log_checkpoints.c.note).order_by(log_checkpoints.c.size.desc()).limit(1)
    )
    return newest
