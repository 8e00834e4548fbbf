"""Replacing a key while the connector works: written down, published, and only then used.

The private key lies in a file before anything speaks of it; the version and
its log entry are written in one transaction. A crash leaves either a file that
nobody knows, which the next rotation writes anew, or a rotation that is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, String, Table, insert, select, update

from synthema.clock import Clock
from synthema.errors import ConflictError, InputError
from synthema.identity.keys import FileSigner
from synthema.identity.versions import KeyVersion
from synthema.storage import Database, UtcDateTime, metadata

ROTATED: Final = ("assertion",)
"""The purposes whose key is replaced here; the key of the log is replaced by the log itself."""

NOTICE: Final = timedelta(seconds=90)
"""How long a new key is published before it signs. A connector asks anew for a key that it does not find in its
copy, unless the copy is younger than 30 seconds: after this time no copy is."""

LONGEST_NOTICE: Final = timedelta(days=7)

key_versions = Table(
    "key_versions",
    metadata,
    Column("purpose", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("begins", UtcDateTime, nullable=True),
    Column("ends", UtcDateTime, nullable=True),
    Column("revoked", Boolean, nullable=False, default=False),
)

Told = Callable[[Connection, KeyVersion, KeyVersion], object]
"""Writes the rotation (replaced, new) into the log within the transaction; raising stops the rotation."""


class KeyBook:
    """The versions of a connector's keys. Opening it tells the signer which of its keys to use."""

    def __init__(self, database: Database, signer: FileSigner, folder: Path, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._folder = folder
        self._clock = clock
        self.follow()

    def follow(self) -> None:
        """Let the signer use what is written down."""
        with self._database.read() as connection:
            self._signer.schedule(_all(connection), self._clock)

    def rotate(
        self,
        purpose: str,
        passphrase: bytes,
        told: Told,
        *,
        notice: timedelta = NOTICE,
        compromised: bool = False,
    ) -> tuple[KeyVersion, KeyVersion]:
        """Make a new key for a purpose, publish it now and sign with it after ``notice``; returns (replaced, new).

        A ``compromised`` key is revoked at once, with everything it ever signed:
        then there is no notice. Raises :class:`InputError` for a purpose whose key
        is not replaced here, :class:`ConflictError` while an earlier new key waits.
        """
        if purpose not in ROTATED:
            raise InputError(
                f"the key '{purpose[:40]}' is not replaced here", fix=f"choose one of: {', '.join(ROTATED)}"
            )
        if not timedelta(0) <= notice <= LONGEST_NOTICE:
            raise InputError("a new key is published 0 seconds to 7 days before it signs", fix="choose another time")
        now = self._clock.now()
        versions = self._signer.versions(purpose)
        if not compromised and versions[-1].begins is not None and versions[-1].begins > now:
            raise ConflictError(
                f"{versions[-1].name} waits to be used from {versions[-1].begins:%Y-%m-%d %H:%M:%S} UTC",
                fix="wait until then, or say that the key is compromised",
            )
        name = f"{purpose}-{len(versions) + 1}"
        begins = now if compromised else now + notice
        public_key = self._signer.add_key(self._folder, name, passphrase)
        new = KeyVersion(purpose, name, public_key, begins)
        replaced = self._database.write(lambda connection: _replace(connection, versions, new, compromised, told))
        self.follow()
        return replaced, new


def _replace(
    connection: Connection,
    versions: tuple[KeyVersion, ...],
    new: KeyVersion,
    compromised: bool,  # noqa: FBT001 - what is done to every open version, no switch of the reader's
    told: Told,
) -> KeyVersion:
    known = {version.name for version in _all(connection)}
    for number, version in enumerate(versions, start=1):
        if version.name not in known:
            connection.execute(insert(key_versions).values(_row(number, version)))
    still_open = key_versions.c.ends.is_(None) | (key_versions.c.ends > new.begins)
    connection.execute(
        update(key_versions)
        .where(key_versions.c.purpose == new.purpose, still_open)
        .values(ends=new.begins, revoked=compromised)
    )
    connection.execute(insert(key_versions).values(_row(len(versions) + 1, new)))
    replaced = next(version for version in _all(connection) if version.name == versions[-1].name)
    told(connection, replaced, new)
    return replaced


def _row(number: int, version: KeyVersion) -> dict[str, object]:
    return {
        "purpose": version.purpose,
        "number": number,
        "name": version.name,
        "public_key": version.public_key,
        "begins": version.begins,
        "ends": version.ends,
        "revoked": version.revoked,
    }


def _all(connection: Connection) -> tuple[KeyVersion, ...]:
    rows = connection.execute(select(key_versions).order_by(key_versions.c.purpose, key_versions.c.number))
    return tuple(KeyVersion(r.purpose, r.name, r.public_key, r.begins, r.ends, r.revoked) for r in rows)
