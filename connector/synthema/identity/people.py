"""People as role accounts: an id, roles and a public key; no name, no address.

Who the person behind an account is, the organisation's own directory says.
A role account signs with a key that its holder keeps (:class:`PersonKey`), and
no two accounts share a key, so that "two different people" means two keys.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Column, Connection, LargeBinary, Row, String, Table, insert, select, update

from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError
from synthema.identity.keys import Signer, load_private_key, save_private_key, verify_signature
from synthema.ids import new_id, require_id
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

ROLES: Final = ("dpo", "data steward", "operator", "researcher", "clinician", "auditor")

people_table = Table(
    "people",
    metadata,
    Column("id", String, primary_key=True),
    Column("roles", CanonicalJson, nullable=False),
    Column("public_key", LargeBinary, nullable=False, unique=True),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime, nullable=True),
)


@dataclass(frozen=True, slots=True)
class Person:
    """A role account."""

    id: str
    roles: tuple[str, ...]
    public_key: bytes
    registered_at: datetime
    revoked_at: datetime | None = None

    def has(self, role: str) -> bool:
        """Whether the account holds this role."""
        return role in self.roles


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What the log is told: an account was made or ended, and by whom (an IRI, where known)."""

    kind: Literal["registered", "revoked"]
    person: Person
    at: datetime
    by: str | None


class AccountLog(Protocol):
    """The port to the provenance log, which is a higher room: there, ``PeopleLog`` fills it."""

    def record_account_change(self, connection: Connection, change: AccountChange) -> object:
        """Write the change within the caller's transaction; raising stops the change."""
        ...


class People:
    """The role accounts of one connector."""

    def __init__(self, database: Database, log: AccountLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock

    def register(
        self, roles: Collection[str], public_key: bytes, *, person_id: str | None = None, by: str | None = None
    ) -> Person:
        """Make an account for the holder of an Ed25519 key (raw 32 bytes).

        Raises :class:`InputError` on unknown roles, :class:`ConflictError` when
        the id or the key has an account already, ended ones included.
        """
        return self._database.write(
            lambda connection: self.register_within(connection, roles, public_key, person_id=person_id, by=by)
        )

    def register_within(
        self,
        connection: Connection,
        roles: Collection[str],
        public_key: bytes,
        *,
        person_id: str | None = None,
        by: str | None = None,
    ) -> Person:
        """As :meth:`register`, within the caller's transaction."""
        identifier = require_id("person", person_id) if person_id else new_id("person")
        person = Person(identifier, _known_roles(roles), _raw_key(public_key), self._clock.now())
        same = (people_table.c.id == identifier) | (people_table.c.public_key == public_key)
        if connection.execute(select(people_table.c.id).where(same)).first() is not None:
            raise ConflictError("this id or key has an account already", fix="make a new key for a new account")
        row = {"id": person.id, "roles": list(person.roles), "public_key": public_key}
        connection.execute(insert(people_table).values(row | {"registered_at": person.registered_at}))
        self._log.record_account_change(connection, AccountChange("registered", person, person.registered_at, by))
        return person

    def revoke(self, person_id: str, *, by: str | None = None) -> Person:
        """End an account from now on; what it signed before stays signed."""
        return self._database.write(lambda connection: self._revoke(connection, person_id, by))

    def get(self, person_id: str) -> Person:
        """One account, ended or not; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _find(connection, person_id)

    def all(self, *, role: str | None = None) -> tuple[Person, ...]:
        """The accounts that have not ended, oldest first; with ``role``, those who hold it."""
        chosen = select(people_table).where(people_table.c.revoked_at.is_(None))
        with self._database.read() as connection:
            found = connection.execute(chosen.order_by(people_table.c.registered_at, people_table.c.id))
            people = tuple(_person(row) for row in found)
        return tuple(person for person in people if role is None or person.has(role))

    def verify(self, person_id: str, data: bytes, signature: bytes) -> Person:
        """The person who signed these bytes.

        Raises :class:`DeniedError` for an unknown or ended account (never told
        apart) and :class:`~synthema.errors.IntegrityError` for a wrong signature.
        """
        try:
            person = self.get(person_id)
        except NotFoundError:
            person = None
        if person is None or person.revoked_at is not None:
            raise DeniedError("this account may not sign", fix="ask an operator to register the account")
        verify_signature(person.public_key, data, signature, what="what this person should have signed")
        return person

    def require(self, person_id: str, role: str) -> Person:
        """The active account with this role; raises :class:`DeniedError` otherwise."""
        person = next((person for person in self.all(role=role) if person.id == person_id), None)
        if person is None:
            raise DeniedError(f"this needs an account with the role '{role}'", fix="ask someone who holds this role")
        return person

    def _revoke(self, connection: Connection, person_id: str, by: str | None) -> Person:
        person = _find(connection, person_id)
        if person.revoked_at is not None:
            raise ConflictError("this account has ended already", fix="nothing is left to do")
        now = self._clock.now()
        connection.execute(update(people_table).where(people_table.c.id == person_id).values(revoked_at=now))
        ended = Person(person.id, person.roles, person.public_key, person.registered_at, now)
        self._log.record_account_change(connection, AccountChange("revoked", ended, now, by))
        return ended


class PersonKey:
    """The private key of a role account, kept by its holder in an encrypted file."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def create(cls, path: Path, passphrase: bytes) -> Self:
        """Make a new key and write it, readable by its owner only; never over an existing file."""
        key = Ed25519PrivateKey.generate()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_private_key(path, key, passphrase)
        return cls(key)

    @classmethod
    def load(cls, path: Path, passphrase: bytes) -> Self:
        """Read a key; raises :class:`InputError` when the passphrase does not open it."""
        key = load_private_key(path, passphrase)
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError("this is not a signing key", where=str(path), fix="give the file of the role account")
        return cls(key)

    @property
    def public_key(self) -> bytes:
        """The raw 32 bytes to register."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of exactly these bytes."""
        return self._key.sign(data)

    def as_signer(self, key_id: str) -> Signer:
        """The same key as a signer with one key id, e.g. to add a proof to a credential."""
        return _OneKey(key_id, self)

    def __repr__(self) -> str:
        return "PersonKey()"


@dataclass(frozen=True, slots=True)
class _OneKey:
    _key_id: str
    _key: PersonKey

    def sign(self, key_id: str, data: bytes) -> bytes:
        self._require(key_id)
        return self._key.sign(data)

    def public_key(self, key_id: str) -> bytes:
        self._require(key_id)
        return self._key.public_key

    def key_ids(self) -> tuple[str, ...]:
        return (self._key_id,)

    def _require(self, key_id: str) -> None:
        if key_id != self._key_id:
            raise NotFoundError(f"there is no key '{key_id[:40]}'", fix=f"use '{self._key_id}'")


def _known_roles(roles: Collection[str]) -> tuple[str, ...]:
    if isinstance(roles, str) or not roles or not set(roles) <= set(ROLES):
        raise InputError("an account needs known roles", fix=f"choose from: {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in roles)


def _raw_key(public_key: bytes) -> bytes:
    if len(public_key) != 32:
        raise InputError("an account needs an Ed25519 public key of 32 bytes", fix="give PersonKey.public_key")
    return public_key


def _find(connection: Connection, person_id: str) -> Person:
    row = connection.execute(select(people_table).where(people_table.c.id == person_id)).one_or_none()
    if row is None:
        raise NotFoundError("there is no such account", fix="list the accounts")
    return _person(row)


def _person(row: Row[tuple[str, list[str], bytes, datetime, datetime | None]]) -> Person:
    return Person(row.id, tuple(row.roles), row.public_key, row.registered_at, row.revoked_at)
