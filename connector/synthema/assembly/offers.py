"""The offers of one connector as they are kept: what is offered, in which words, and to whom it may be shown.

An offer never changes. What is needed to show it is worked out once, when it is published: its words as they stand on
the wire, and its audience, the parties whom its policy permits anything. So a page of the catalogue is one query, whose
number of rows does not depend on how many offers there are, and the list and the single read cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    String,
    Table,
    Text,
    exists,
    insert,
    select,
    update,
)

from synthema.config import Role
from synthema.datasets.store import datasets, public_names
from synthema.dataspace.policy_wire import to_wire
from synthema.errors import NotFoundError
from synthema.policy import Policy, to_odrl
from synthema.policy.model import Kind
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

offers = Table(
    "offers",
    metadata,
    Column("id", String, primary_key=True),
    Column("dataset", String, nullable=False, index=True),
    Column("kind", String, nullable=False),  # patients | synthetic
    Column("title", String, nullable=False),
    Column("policy", Text, nullable=False),
    # The policy in wire form; empty only for offers of earlier versions, until the next start.
    Column("wire", CanonicalJson),
    Column("epsilon", Float),
    Column("delta", Float),
    Column("published_at", UtcDateTime, nullable=False),
)

offer_audience = Table(
    "offer_audience",
    metadata,
    Column("offer", String, ForeignKey("offers.id"), primary_key=True),
    Column("party", String, primary_key=True),
)

EVERYONE: Final = "*"
"""The party of an offer whose policy names nobody."""

_SHOWN_TO: Final[Mapping[Role | None, tuple[str, ...]]] = {"hub": ("patients", "synthetic"), "registry": ("synthetic",)}
"""Which kinds of offers a peer is shown, besides the datasets that are listed publicly."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the role a peer is registered with, its did and the collections it is in; nobody known by default."""

    role: Role | None = None
    names: tuple[str, ...] = ()


class OfferBook:
    """Keeps and finds offers. ``read_policy`` understands the text of a policy in the officer's form."""

    def __init__(
        self, database: Database, read_policy: Callable[[str], Policy], dataset_iri: Callable[[str], str]
    ) -> None:
        self._database = database
        self._read_policy = read_policy
        self._dataset_iri = dataset_iri

    def keep(self, connection: Connection, offer: Mapping[str, Any]) -> None:
        """Keep a new offer within the caller's transaction; raises where its policy cannot stand on the wire."""
        policy = self._read_policy(offer["policy"])
        connection.execute(insert(offers).values(**offer, wire=self.wire(policy, offer["dataset"])))
        self._add_audience(connection, offer["id"], policy)

    def complete(self) -> None:
        """Work out what offers of earlier versions lack."""
        with self._database.read() as connection:
            rows = connection.execute(select(offers).where(offers.c.wire.is_(None))).mappings()
            lacking = [dict(row) for row in rows]
        for offer in lacking:
            self._database.write(lambda connection, offer=offer: self._complete(connection, offer))  # type: ignore[misc]

    def all(self) -> list[Row]:
        """All offers, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(offers).order_by(offers.c.published_at.desc(), offers.c.id)).mappings()
            return [dict(row) for row in rows]

    def of_dataset(self, dataset: str) -> list[Row]:
        """The offers of a dataset (its name), newest first."""
        with self._database.read() as connection:
            return self._of_dataset(connection, dataset)

    def newest(self, connection: Connection, dataset: str) -> Row:
        """The newest offer of a dataset (its name); raises :class:`NotFoundError` when there is none."""
        for row in self._of_dataset(connection, dataset):
            return row
        raise NotFoundError("there is no offer of this dataset", fix="publish one with: synthema offer publish")

    @staticmethod
    def _of_dataset(connection: Connection, dataset: str) -> list[Row]:
        chosen = select(offers).where(offers.c.dataset == dataset)
        rows = connection.execute(chosen.order_by(offers.c.published_at.desc(), offers.c.id)).mappings()
        return [dict(row) for row in rows]

    def shown_to(
        self,
        viewer: Viewer,
        *,
        dataset: str | None = None,
        after: str | None = None,
        limit: int,
        records: bool = False,
    ) -> dict[str, list[Row]]:
        """Datasets by name, in order of names, each with its offers, newest first.

        Who reads ``records`` also gets datasets that are listed publicly although no offer of them is for this viewer;
        ``shown`` tells of each offer whether it is. Only ``dataset`` if it is given; those after the name
        ``after``; at most ``limit`` datasets.
        """
        seen = _may_see(viewer)
        listed = seen | _PUBLIC if records else seen
        names = select(offers.c.dataset).where(listed).distinct().order_by(offers.c.dataset).limit(limit)
        if dataset is not None:
            names = names.where(offers.c.dataset == dataset)
        if after is not None:
            names = names.where(offers.c.dataset > after)
        page = names.subquery()
        wanted = (offers.c.id, offers.c.dataset, offers.c.kind, offers.c.title, offers.c.wire, offers.c.published_at)
        order = (offers.c.dataset, offers.c.published_at.desc(), offers.c.id)
        chosen = (
            select(*wanted, seen.label("shown"))
            .join_from(page, offers, offers.c.dataset == page.c.dataset)
            .where(listed)
            .order_by(*order)
        )
        found: dict[str, list[Row]] = {}
        with self._database.read() as connection:
            for row in connection.execute(chosen).mappings():
                found.setdefault(row["dataset"], []).append(dict(row))
        return found

    def wire(self, policy: Policy, dataset: str) -> Mapping[str, Any]:
        """A policy as counterparties see it: whoever may see the offer is the party it is made to."""
        return to_wire(to_odrl(replace(policy, assignees=())), self._dataset_iri(dataset))

    def _complete(self, connection: Connection, row: Row) -> None:
        policy = self._read_policy(row["policy"])
        wire = self.wire(policy, row["dataset"])
        connection.execute(update(offers).where(offers.c.id == row["id"]).values(wire=wire))
        self._add_audience(connection, row["id"], policy)

    @staticmethod
    def _add_audience(connection: Connection, offer: str, policy: Policy) -> None:
        rows = [{"offer": offer, "party": party} for party in sorted(audience(policy))]
        if rows:
            connection.execute(insert(offer_audience), rows)


def audience(policy: Policy) -> frozenset[str]:
    """The parties, and collections of parties, whom any permission of a policy is about; nobody if it has none."""
    permissions = [rule for rule in policy.rules if rule.kind is Kind.PERMISSION]
    return frozenset(party for rule in permissions for party in policy.assignees_of(rule) or (EVERYONE,))


_PUBLIC = (offers.c.kind == "patients") & public_names().where(datasets.c.name == offers.c.dataset).correlate(
    offers
).exists()
"""The dataset is listed publicly: everybody may know of it."""


def _may_see(viewer: Viewer) -> ColumnElement[bool]:
    """The one condition under which a viewer is shown an offer, whether it lists, reads or negotiates."""
    names = (EVERYONE, *viewer.names)
    addressed = exists().where(offer_audience.c.offer == offers.c.id, offer_audience.c.party.in_(names))
    return addressed & (offers.c.kind.in_(_SHOWN_TO.get(viewer.role, ())) | _PUBLIC)
