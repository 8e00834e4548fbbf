"""The keys with which one connector signs the heads of its own log: the present one, and what leads to it."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, select

from synthema.errors import ConflictError, IntegrityError
from synthema.identity.keys import Signer, successor_of
from synthema.provenance import merkle
from synthema.provenance.bundle import bundle_text
from synthema.provenance.checkpoint import VerifierKey, sign_text
from synthema.provenance.store import cosignature_lines, hashes_of, log_entries, log_handovers, signed_note
from synthema.provenance.succession import Handover, LogKeys

KEY_ID = "log"


class Keyring:
    """Reads from the log's own handovers which key signs now, and signs with it."""

    def __init__(self, signer: Signer, name: str) -> None:
        self._signer = signer
        self._name = name
        self._read: tuple[tuple[int, ...], LogKeys] | None = None

    def keys_in(self, connection: Connection, *, anew: bool = False) -> LogKeys:
        """All keys of the log as they are within a transaction; ``anew`` verifies every handover again.

        Raises :class:`IntegrityError` when a handover does not hold, or leads to a key that is not here.
        """
        entries = tuple(connection.scalars(select(log_handovers.c.sequence).order_by(log_handovers.c.sequence)))
        read = self._read
        if anew or read is None or read[0] != entries:
            read = (entries, self._keys_after([_bundle(connection, sequence) for sequence in entries]))
            self._read = read
        return read[1]

    def successor(self) -> VerifierKey:
        """The key that was made to follow; raises :class:`ConflictError` when none was."""
        staged = successor_of(KEY_ID)
        if staged not in self._signer.key_ids():
            raise ConflictError("no key was made that could follow this one", fix="make one first")
        return self._verifier(staged)

    def line(self, text: str, key: VerifierKey) -> str:
        """The line with which a key signs the text of a head; raises :class:`IntegrityError` when it is not here."""
        for key_id in self._key_ids():
            if self._verifier(key_id) == key:
                return sign_text(text, key, partial(self._signer.sign, key_id))
        raise self._not_here(key)

    def _keys_after(self, bundles: list[str]) -> LogKeys:
        held = [self._verifier(key_id) for key_id in self._key_ids()]
        present = Handover.read(bundles[-1]).successor if bundles else held[0]
        if present not in held:
            raise self._not_here(present)
        return LogKeys.read(present, bundles)

    def _key_ids(self) -> list[str]:
        """The log key, and the one that was made to follow it, while there is one."""
        return [key_id for key_id in (KEY_ID, successor_of(KEY_ID)) if key_id in self._signer.key_ids()]

    def _verifier(self, key_id: str) -> VerifierKey:
        return VerifierKey(self._name, self._signer.public_key(key_id))

    def _not_here(self, key: VerifierKey) -> IntegrityError:
        return IntegrityError(
            f"this log is to be signed with the key {key.id.hex()}, which this connector does not hold",
            where=f"log {self._name}",
            fix="restore keys and database from one and the same backup",
        )


def _bundle(connection: Connection, sequence: int) -> str:
    """The proof of a handover, under the head that both keys signed."""
    entry = connection.execute(select(log_entries).where(log_entries.c.sequence == sequence)).one_or_none()
    note = signed_note(connection, sequence + 1)
    if entry is None or note is None:
        raise IntegrityError(
            f"the entry {sequence} in which the log got a new key, or the head that both keys signed, is missing",
            where=f"log entry {sequence}",
            fix="keep a copy as evidence, and restore the database from its backup",
        )
    proof = merkle.inclusion_proof(sequence, sequence + 1, partial(hashes_of, connection))
    return bundle_text(sequence, entry.body, proof, note + "".join(cosignature_lines(connection, sequence + 1)))
