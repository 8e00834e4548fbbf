"""Operations on collections: which datasets belong to a register, which parties to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.policy.memberships import Change, Collection, CollectionKind

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class CollectionMember(Input):
    """A collection and one of its members."""

    collection: str = Field(description="IRI of the collection, as policies name it")
    member: str = Field(description="IRI or name of a dataset of this site, a party (did:…), or another collection")


class NewMember(CollectionMember):
    """What to put into a collection; a new collection is made with its kind and title."""

    kind: CollectionKind = Field(description="what the collection holds: datasets or parties")
    title: str = Field(default="", max_length=200, description="name of the collection for people, when it is new")


class ProposedChange(CollectionMember):
    """A change to a collection that two people are to sign."""

    act: Literal["add", "remove"]
    kind: CollectionKind = Field(default=CollectionKind.DATASET, description="of a collection that is added to")
    title: str = Field(default="", max_length=200)


@operation("collection/signing")
def collection_signing(connector: Connector, given: ProposedChange) -> dict[str, Any]:
    """What two people sign to change a collection, and which rules in force it touches."""
    register, member = connector.policies.collections, _member(connector, given)
    if given.act == "remove":
        change = register.removal(given.collection, member)
    else:
        change = register.addition(given.collection, member, given.kind, title=given.title)
    touched = connector.policies.naming(change.collection)
    said = [f"Rules in force that name it: {len(touched)}.", *touched]
    return {**_change_json(change), "sentences": [change.sentence(), *said], "sign": change.signing_bytes().hex()}


class Signed(Input):
    """One person's signature, hexadecimal."""

    person: str = Field(description="role account of the person who signed")
    signature: str


class SignedAddition(NewMember):
    """An addition with the signatures of two people, one of them a data protection officer."""

    approvals: list[Signed]


class SignedRemoval(CollectionMember):
    """A removal with the signatures of two people, one of them a data protection officer."""

    approvals: list[Signed]


@operation("collection/add")
def add_member(connector: Connector, given: SignedAddition) -> dict[str, Any]:
    """Put a dataset, a party or another collection into a collection; policies that name it then mean that, too."""
    register, member = connector.policies.collections, _member(connector, given)
    signed = _approvals(given.approvals)
    return _collection_json(register.add(given.collection, member, given.kind, title=given.title, approvals=signed))


@operation("collection/remove")
def remove_member(connector: Connector, given: SignedRemoval) -> dict[str, Any]:
    """Take a member out of a collection; policies that name the collection no longer mean it."""
    register, member = connector.policies.collections, _member(connector, given)
    return _collection_json(register.remove(given.collection, member, approvals=_approvals(given.approvals)))


@operation("collection/list")
def list_collections(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The collections of this site with their members."""
    return [_collection_json(each) for each in connector.policies.collections.all()]


def _member(connector: Connector, given: CollectionMember) -> str:
    """A dataset of this site may be given by its name alone."""
    return given.member if ":" in given.member else connector.log.iri("dataset", given.member)


def _approvals(signed: list[Signed]) -> list[tuple[str, bytes]]:
    return [(each.person, hexadecimal(each.signature, "signature")) for each in signed]


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "act": change.act,
        "collection": change.collection,
        "member": change.member,
        "kind": str(change.kind),
        "title": change.title,
        "number": change.number,
    }


def _collection_json(collection: Collection) -> dict[str, Any]:
    return {
        "collection": collection.iri,
        "kind": str(collection.kind),
        "title": collection.title,
        "members": list(collection.members),
    }
