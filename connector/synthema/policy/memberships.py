"""The collections a site knows: which datasets belong to a register, which parties to a network.

A rule may name a collection in place of a dataset or a party. Who belongs to one is never taken
from a request: only what stands here counts, put here by people of the house and logged. Whoever changes a collection
changes what policies mean, permissions and prohibitions alike, so each change takes the signatures that a policy
takes: two people's, a data protection officer's among them. They sign this one change of this collection, which is
numbered, so that a signature serves once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Protocol

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)

from synthema.canonical import canonical_json, digest_bytes
from synthema.clock import Clock
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.identity.four_eyes import Signatory, SignatureCheck, two_people
from synthema.ids import new_id
from synthema.policy.model import ANY_DATASET
from synthema.policy.wellformed import is_iri
from synthema.provenance.model import Activity, Agent, Entity, Iri
from synthema.storage import Database, UtcDateTime, metadata

policy_collections = Table(
    "policy_collections",
    metadata,
    Column("iri", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("title", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # How often it was changed: each change is signed under its number.
    Column("changes", Integer, nullable=False),
)

policy_collection_members = Table(
    "policy_collection_members",
    metadata,
    Column("id", String, primary_key=True),
    Column("collection", String, ForeignKey("policy_collections.iri"), nullable=False, index=True),
    Column("member", String, nullable=False, index=True),
    Column("added_at", UtcDateTime, nullable=False),
    UniqueConstraint("collection", "member"),
)

_LONGEST_TITLE: Final = 200


class CollectionKind(StrEnum):
    """What a collection holds; collections hold further ones of their own kind only."""

    DATASET = "dataset"
    PARTY = "party"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with what was put in it directly."""

    iri: str
    kind: CollectionKind
    title: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change to a collection: what is put in or taken out, and the how manieth change it is.

    ``title`` names a new collection for people; it says nothing where the collection is known.
    """

    act: Literal["add", "remove"]
    collection: str
    member: str
    kind: CollectionKind
    title: str
    number: int

    def signing_bytes(self) -> bytes:
        """What two people sign; the statement is part of it, so that it fits nothing else."""
        return canonical_json(
            {
                "statement": "I approve this change to a collection.",
                "act": self.act,
                "collection": self.collection,
                "member": self.member,
                "kind": str(self.kind),
                "title": self.title,
                "number": self.number,
            }
        )

    def sentence(self) -> str:
        """The change for people."""
        name = f"the {self.kind} collection {self.collection}"
        if self.act == "remove":
            return f"{self.member} is taken out of {name}: no rule that names it is about {self.member} any more."
        return f"{self.member} is put into {name}: every rule that names it is about {self.member} from then on."


Approvals = Sequence[tuple[str, bytes]]
"""Who signed, with the signature."""


class Log(Protocol):
    """What this room needs of the provenance log."""

    def append(self, connection: Connection, activity: Activity) -> object: ...

    def iri(self, kind: str, identifier: str) -> str: ...


class CollectionRegister:
    """The collections of one connector."""

    def __init__(self, database: Database, log: Log, clock: Clock, people: SignatureCheck) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people
        self._datasets = log.iri("dataset", "")

    def addition(self, collection: str, member: str, kind: CollectionKind, *, title: str = "") -> Change:
        """The change that puts a dataset, a party or another collection into a collection, new or known, to be signed.

        Raises :class:`InputError` for names that cannot stand for these, :class:`ConflictError`
        for a member it has already, a circle, or a collection of the other kind.
        """
        self._check_names(collection, member, kind)
        if len(title) > _LONGEST_TITLE:
            raise InputError(f"the title has {len(title)} characters", fix=f"use at most {_LONGEST_TITLE}")
        with self._database.read() as connection:
            return self._addition(connection, collection, member, kind, title)

    def removal(self, collection: str, member: str) -> Change:
        """The change that takes a member out, to be signed; raises :class:`NotFoundError` when it is not in it."""
        with self._database.read() as connection:
            return self._removal(connection, collection, member)

    def add(
        self, collection: str, member: str, kind: CollectionKind, *, title: str = "", approvals: Approvals
    ) -> Collection:
        """Do what :meth:`addition` says, signed by two people; a collection that is not known is made.

        Raises as :meth:`addition` does, and :class:`DeniedError` or :class:`IntegrityError` for signatures that do
        not suffice or are under another change, earlier ones of the same kind included.
        """
        change = self.addition(collection, member, kind, title=title)
        people = two_people(self._people, change.signing_bytes(), approvals, _WHAT)

        def work(connection: Connection) -> Collection:
            self._require_unchanged(change, self._addition(connection, collection, member, kind, title))
            now = self._clock.now()
            if change.number == 1:
                values = {"iri": collection, "kind": kind, "title": change.title, "created_at": now, "changes": 0}
                connection.execute(insert(policy_collections).values(values))
            connection.execute(
                insert(policy_collection_members).values(
                    id=new_id("member"), collection=collection, member=member, added_at=now
                )
            )
            return self._done(connection, change, people, "CollectionAddition", "Added to a collection")

        return self._database.write(work)

    def remove(self, collection: str, member: str, *, approvals: Approvals) -> Collection:
        """Do what :meth:`removal` says, signed by two people; raises as it does, and as :meth:`add` for signatures."""
        change = self.removal(collection, member)
        people = two_people(self._people, change.signing_bytes(), approvals, _WHAT)

        def work(connection: Connection) -> Collection:
            self._require_unchanged(change, self._removal(connection, collection, member))
            members = policy_collection_members.c
            connection.execute(
                delete(policy_collection_members).where(members.collection == collection, members.member == member)
            )
            return self._done(connection, change, people, "CollectionRemoval", "Removed from a collection")

        return self._database.write(work)

    def all(self) -> list[Collection]:
        """All collections, by identifier; those that have become empty too."""
        with self._database.read() as connection:
            iris = connection.execute(select(policy_collections.c.iri).order_by(policy_collections.c.iri)).scalars()
            return [_collection(connection, iri) for iri in iris.all()]

    def of(self, *names: str) -> Mapping[str, tuple[str, ...]]:
        """Each of the datasets and parties that is in a collection → all it is in, through others too."""
        with self._database.read() as connection:
            found = {name: _holding(connection, name) for name in names}
        return {name: tuple(sorted(collections)) for name, collections in found.items() if collections}

    def _addition(
        self, connection: Connection, collection: str, member: str, kind: CollectionKind, title: str
    ) -> Change:
        self._check_kinds(connection, collection, member, kind)
        known = connection.execute(_OF_COLLECTION.where(policy_collections.c.iri == collection)).one_or_none()
        if known is None:
            return Change("add", collection, member, kind, " ".join(title.split()) or collection, 1)
        return Change("add", collection, member, kind, known.title, known.changes + 1)

    def _removal(self, connection: Connection, collection: str, member: str) -> Change:
        members = policy_collection_members.c
        held = select(members.id).where(members.collection == collection, members.member == member)
        if connection.execute(held).first() is None:
            raise NotFoundError(
                f"{member[:80]} was not put into {collection[:80]}",
                fix="list them with: synthema policy collection list",
            )
        known = connection.execute(_OF_COLLECTION.where(policy_collections.c.iri == collection)).one()
        return Change("remove", collection, member, CollectionKind(known.kind), known.title, known.changes + 1)

    def _require_unchanged(self, signed: Change, now: Change) -> None:
        if signed != now:
            raise ConflictError("the collection was changed meanwhile", fix="look at it, and sign the change anew")

    def _check_names(self, collection: str, member: str, kind: CollectionKind) -> None:
        for name in (collection, member):
            if not is_iri(name):
                raise InputError(
                    f"'{name[:80]}' is not a full identifier (IRI)", fix="write it like https://… or did:…"
                )
        if collection.startswith(self._datasets) or collection == ANY_DATASET:
            raise InputError(f"{collection[:80]} is a dataset, not a collection", fix="give the collection its own IRI")
        wrong = {
            CollectionKind.DATASET: member.startswith("did:"),
            CollectionKind.PARTY: member.startswith(self._datasets),
        }
        if wrong[kind] or member == ANY_DATASET:
            raise InputError(
                f"{member[:80]} cannot be in a collection of the kind '{kind}'",
                fix="put datasets and parties into collections of their own kind",
            )

    def _check_kinds(self, connection: Connection, collection: str, member: str, kind: CollectionKind) -> None:
        for name in (collection, member):
            known = _kind_of(connection, name) or _kind_by_use(connection, name)
            if known is not None and known is not kind:
                raise ConflictError(
                    f"{name[:80]} belongs to the {known} collections", fix="use another name for the other kind"
                )
        if member == collection or member in _holding(connection, collection):
            raise ConflictError(
                f"{collection[:80]} would be in itself", fix="put in what does not already hold the collection"
            )
        members = policy_collection_members.c
        again = select(members.id).where(members.collection == collection, members.member == member)
        if connection.execute(again).first() is not None:
            raise ConflictError(f"{member[:80]} is in {collection[:80]} already", fix="nothing is left to do")

    def _done(
        self, connection: Connection, change: Change, people: tuple[Signatory, ...], type_: str, label: str
    ) -> Collection:
        """Count a change and log it with those who signed it."""
        connection.execute(
            update(policy_collections)
            .where(policy_collections.c.iri == change.collection)
            .values(changes=change.number)
        )
        now = self._clock.now()
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=type_,
            label=label,
            started=now,
            ended=now,
            agents=tuple(Agent(self._log.iri("person", person.id), "Person") for person in people),
            used=(Entity(change.collection, types=("Collection",)),),
            attributes={
                "collection": Iri(change.collection),
                "member": Iri(change.member),
                "digest": digest_bytes(change.signing_bytes()),
            },
        )
        self._log.append(connection, activity)
        return _collection(connection, change.collection)


_WHAT: Final = "a change to a collection"
_OF_COLLECTION: Final = select(policy_collections.c.kind, policy_collections.c.title, policy_collections.c.changes)


def _kind_of(connection: Connection, iri: str) -> CollectionKind | None:
    kind = connection.execute(select(policy_collections.c.kind).where(policy_collections.c.iri == iri)).scalar()
    return None if kind is None else CollectionKind(kind)


def _kind_by_use(connection: Connection, member: str) -> CollectionKind | None:
    """The kind of the collections something is in, if it is in any."""
    members = policy_collection_members.c
    query = (
        select(policy_collections.c.kind)
        .join(policy_collection_members, members.collection == policy_collections.c.iri)
        .where(members.member == member)
    )
    kind = connection.execute(query).scalars().first()
    return None if kind is None else CollectionKind(kind)


def _holding(connection: Connection, name: str) -> frozenset[str]:
    """All collections something is in, directly or through others."""
    found: set[str] = set()
    fresh: Iterable[str] = (name,)
    members = policy_collection_members.c
    while fresh:
        query = select(members.collection).where(members.member.in_(list(fresh)))
        fresh = set(connection.execute(query).scalars()) - found
        found |= fresh
    return frozenset(found)


def _collection(connection: Connection, iri: str) -> Collection:
    row = connection.execute(select(policy_collections).where(policy_collections.c.iri == iri)).mappings().one()
    members = policy_collection_members.c
    held = connection.execute(select(members.member).where(members.collection == iri).order_by(members.member))
    return Collection(iri, CollectionKind(row["kind"]), row["title"], tuple(held.scalars()))
