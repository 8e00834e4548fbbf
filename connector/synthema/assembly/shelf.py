"""What this connector offers in the data space: the three doors that the dataspace room asks.

A data protection officer publishes an offer: a dataset (or a released
synthetic one), the agreement policy it comes with, and the privacy budget an
agreement opens. Who accepts it word for word gets the agreement; any other
words are refused with the reason, because a person has to look at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Float, String, Table, Text, insert, select

from synthema.assembly.hub_acts import HubActs
from synthema.budget import EVERYONE
from synthema.canonical import digest_bytes
from synthema.datasets import DatasetVersion, catalogue_record
from synthema.datasets.catalogue import CONTEXT
from synthema.dataspace import (
    COMPUTE,
    PULL,
    Accept,
    Agreement,
    Artefact,
    Caller,
    CatalogueEntry,
    Offered,
    OfferQuestion,
    Refuse,
    Verdict,
)
from synthema.dataspace.policy_wire import from_wire, to_wire
from synthema.errors import DeniedError, NotFoundError, SynthemaError
from synthema.ids import new_id
from synthema.permits import Agreement as KeptAgreement
from synthema.policy import Policy, from_odrl, parse_policy, to_odrl
from synthema.policy.wellformed import check_policy
from synthema.provenance import Activity, Agent, Entity
from synthema.runs.rooms import Rooms
from synthema.storage import UtcDateTime, metadata

offers = Table(
    "offers",
    metadata,
    Column("id", String, primary_key=True),
    Column("dataset", String, nullable=False, index=True),
    Column("kind", String, nullable=False),  # patients | synthetic
    Column("title", String, nullable=False),
    Column("policy", Text, nullable=False),
    Column("epsilon", Float),
    Column("delta", Float),
    Column("published_at", UtcDateTime, nullable=False),
)


class Shelf:
    """Catalogue, contracts and artefacts of one connector."""

    def __init__(self, rooms: Rooms, acts: HubActs) -> None:
        self._rooms = rooms
        self._acts = acts

    # publishing ------------------------------------------------------------------------

    def publish(self, dataset: str, policy: str, *, epsilon: float, delta: float, total_epsilon: float) -> str:
        """Offer a dataset under an agreement policy (YAML form) and a privacy budget; returns the offer's id.

        ``epsilon`` and ``delta`` are what one agreement may spend, ``total_epsilon`` what all
        recipients together may. Raises :class:`PolicyLoadError` where the policy cannot be understood.
        """
        version = self._rooms.datasets.version(dataset)
        loaded = self._parsed(policy)
        self._wire(loaded, self._rooms.log.iri("dataset", version.name))
        offer = self._row(version.name, "patients", version.title, policy) | {"epsilon": epsilon, "delta": delta}

        def keep(connection: Connection) -> None:
            try:
                self._rooms.budget.account_for(connection, version.name, None, EVERYONE)
            except DeniedError:
                self._rooms.budget.open_account_within(connection, version.name, EVERYONE, total_epsilon, delta)
            self._keep_offer(connection, offer)

        self._rooms.database.write(keep)
        return str(offer["id"])

    def publish_synthetic(self, connection: Connection, artefact: str, title: str, policy: str) -> None:
        """Offer a released package, within the transaction that releases it."""
        self._keep_offer(connection, self._row(artefact, "synthetic", title, policy))

    def _keep_offer(self, connection: Connection, offer: dict[str, Any]) -> None:
        connection.execute(insert(offers).values(**offer))
        log, now = self._rooms.log, offer["published_at"]
        dataset = Entity(log.iri("dataset", offer["dataset"]), ("Dataset",), offer["title"])
        entity = Entity(log.iri("offer", offer["id"]), ("Offer",), digest=digest_bytes(offer["policy"].encode()))
        log.append(
            connection,
            Activity(
                log.iri("activity", new_id("activity")),
                "OfferPublication",
                f"Offered: {offer['title']}",
                now,
                now,
                agents=(Agent(self._rooms.settings.did, "Organization"),),
                used=(dataset,),
                generated=(entity,),
            ),
        )

    def _row(self, dataset: str, kind: str, title: str, policy: str) -> dict[str, Any]:
        return {
            "id": new_id("offer"),
            "dataset": dataset,
            "kind": kind,
            "title": title,
            "policy": policy,
            "published_at": self._rooms.clock.now(),
        }

    def offered(self) -> list[Mapping[str, Any]]:
        """All offers, newest first."""
        with self._rooms.database.read() as connection:
            rows = connection.execute(select(offers).order_by(offers.c.published_at.desc())).mappings()
            return [dict(row) for row in rows]

    # catalogue -------------------------------------------------------------------------

    def visible(
        self, caller: Caller, *, dataset: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[CatalogueEntry]:
        """Offered datasets: patients' data to hubs, synthetic data to registries and hubs (one rule for all reads)."""
        seen = {self._iri(row): row for row in self.offered() if _may_see(caller, row)}
        names = sorted(iri for iri in seen if (dataset is None or iri == dataset) and (after is None or iri > after))
        return [self._entry(iri, seen[iri]) for iri in names[:limit]]

    def offers_for(self, dataset: str) -> Sequence[Offered]:
        """The offers of one dataset, in wire form."""
        return [
            Offered(self._rooms.log.iri("offer", row["id"]), self._wire(self._policy(row), dataset))
            for row in self.offered()
            if self._iri(row) == dataset
        ]

    def _entry(self, iri: str, row: Mapping[str, Any]) -> CatalogueEntry:
        if row["kind"] == "synthetic":
            record = {CONTEXT["dct"] + "title": row["title"], CONTEXT["dct"] + "type": "synthetic data"}
            return CatalogueEntry(iri, record, (PULL,))
        version = self._rooms.datasets.version(row["dataset"])
        return CatalogueEntry(iri, self._record(iri, version), (COMPUTE,))

    def _record(self, iri: str, version: DatasetVersion) -> dict[str, Any]:
        settings = self._rooms.settings
        record = catalogue_record(
            version, iri, publisher=settings.did, publisher_name=settings.name, access_url=f"{settings.public_url}/dsp"
        )
        wire: dict[str, Any] = expand_terms({k: v for k, v in record.items() if k != "@context"})
        return wire | {CONTEXT["syn"] + "codebookDigest": version.codebook_digest}

    # contracts -------------------------------------------------------------------------

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        """Agree to what is published, word for word; refuse other words with the reason."""
        if question.same:
            return Accept()
        if question.role == "provider":
            return Refuse(("these are not the words of the offer in the catalogue; a person must agree to others",))
        return Refuse(("the provider changed the words of its offer",))

    def on_agreement(self, connection: Connection, agreement: Agreement) -> None:
        """Keep a final agreement and put its policy in force; the provider also opens its privacy budget."""
        ours = agreement.role != "consumer"
        name = self._dataset_name(agreement.dataset) if ours else agreement.dataset
        row = next(row for row in self.offered() if self._iri(row) == agreement.dataset) if ours else None
        offered = self._agreed(agreement) if row is None else self._policy(row)
        self._rooms.permits.keep_agreement(
            connection,
            KeptAgreement(
                id=agreement.id,
                counterparty=agreement.peer,
                dataset_id=name,
                policy=dict(agreement.policy),
                agreed_at=agreement.agreed,
                valid_to=None if offered is None else offered.effective_to,
            ),
        )
        if offered is None:
            return
        self._rooms.policies.add_agreement(connection, replace(offered, assignees=(agreement.consumer,)), agreement.id)
        if row is not None and row["kind"] != "synthetic":
            self._rooms.budget.open_account_within(
                connection, name, agreement.consumer, row["epsilon"], row["delta"], basis=agreement.id
            )

    def _agreed(self, agreement: Agreement) -> Policy | None:
        """The policy of an agreement with another provider; what is not understood of it permits nothing here."""
        try:
            policy = from_odrl(from_wire(agreement.policy), self._rooms.policies.vocabulary)
            check_policy(policy, self._rooms.policies.vocabulary)
        except SynthemaError:
            return None
        return policy

    # artefacts -------------------------------------------------------------------------

    def open_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """The released package an agreement is about, if the policies permit it; all else is as what never was."""
        if agreement.dataset != self._rooms.log.iri("dataset", artefact_id):
            raise NotFoundError("no such artefact", fix="ask for the artefact that the agreement is about")
        return self._acts.hand_on(agreement, artefact_id)

    # helpers ---------------------------------------------------------------------------

    def _policy(self, row: Mapping[str, Any]) -> Policy:
        return self._parsed(row["policy"])

    def _parsed(self, text: str) -> Policy:
        base = self._rooms.settings.public_url
        return parse_policy(text, self._rooms.policies.vocabulary, file="offer", base=base)

    def _wire(self, policy: Policy, dataset: str) -> Mapping[str, Any]:
        """The policy as counterparties see it: whoever may see the offer is the party it is made to."""
        return to_wire(to_odrl(replace(policy, assignees=())), dataset)

    def _iri(self, row: Mapping[str, Any]) -> str:
        return self._rooms.log.iri("dataset", row["dataset"])

    def _dataset_name(self, iri: str) -> str:
        return iri.rsplit("/", 1)[-1]


def _may_see(caller: Caller, row: Mapping[str, Any]) -> bool:
    return caller.role == "hub" or (row["kind"] == "synthetic" and caller.role == "registry")


def expand_terms(value: Any) -> Any:
    """A JSON-LD value with its prefixed names written out, for readers who know no context of ours."""
    if isinstance(value, dict):
        return {_expand(key): expand_terms(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_terms(item) for item in value]
    return _expand(value) if isinstance(value, str) else value


def _expand(text: str) -> str:
    prefix, colon, rest = text.partition(":")
    return CONTEXT[prefix] + rest if colon and prefix in CONTEXT and not rest.startswith("//") else text
