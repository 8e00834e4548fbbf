"""Doors through which other rooms take part; they register themselves, this room never imports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from synthema.dataspace.model import (
    Accept,
    Agreement,
    Artefact,
    Caller,
    CatalogueEntry,
    Hold,
    OfferQuestion,
    Process,
    Refuse,
    Verdict,
)
from synthema.errors import NotFoundError
from synthema.provenance.model import Activity


class Log(Protocol):
    """What this room needs of the provenance log."""

    def append(self, connection: Connection, activity: Activity) -> object: ...

    def iri(self, kind: str, identifier: str) -> str: ...


class Catalogue(Protocol):
    """The datasets and offers that a caller may see.

    ``visible`` is the only way in: listing, single read and the check of an
    offer all go through it, so that they cannot disagree.
    """

    def visible(
        self, caller: Caller, *, dataset: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[CatalogueEntry]:
        """Datasets the caller may see, in order of id, each with the offers this caller may see.

        Only ``dataset`` if it is given; those after the id ``after``; at most ``limit``.
        Offers are in wire form (:func:`policy_wire.to_wire`). Their number must not
        change the number of questions that the port asks its own store.
        """
        ...


class Contracts(Protocol):
    """Decides about offers and learns of agreements."""

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        """Answer an offer. May take long and is asked again after a crash; must not change state."""
        ...

    def on_agreement(self, connection: Connection, agreement: Agreement) -> None:
        """An agreement is final; called once on each side, within the transaction that makes it so."""
        ...

    def why_ended(self, agreement: Agreement) -> str | None:
        """Why nothing may flow under an agreement any more, in words; None while it is in force."""
        ...


class Artefacts(Protocol):
    """Hands out what an agreement lets the consumer have."""

    def open_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """The bytes and their digest, their hand-over being decided and kept in the log.

        Raises :class:`NotFoundError` for anything the agreement does not cover, :class:`DeniedError` where the
        policies do not permit it.
        """
        ...

    def reopen_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """The same for a further piece of a hand-over that has begun: decided anew on the facts of now, not counted."""
        ...


class PendingGuard(Protocol):
    """The door for people: a process that is held does not go on until it is approved."""

    def holds(self, process: Process) -> bool:
        """Asked before each step of our own, outside any transaction."""
        ...


class CautiousContracts:
    """The default: agree only to what is already known word for word, leave the rest to people."""

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        if question.same:
            return Accept()
        if question.role == "provider":
            return Refuse(("the offer is not the one in the catalogue",))
        return Hold("the provider's offer differs from the one that was asked for")

    def why_ended(self, agreement: Agreement) -> str | None:
        return None

    def on_agreement(self, connection: Connection, agreement: Agreement) -> None:
        """Nothing more than what the log and the agreement table already hold."""


class NoArtefacts:
    """The default: there is nothing to hand out."""

    def open_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        raise NotFoundError("no such artefact", fix="ask for an artefact that the agreement covers")

    def reopen_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        return self.open_artefact(agreement, artefact_id)
