"""What this connector offers in the data space: the three doors that the dataspace room asks.

A data protection officer publishes an offer: a dataset (or a released
synthetic one), the agreement policy it comes with, and the privacy budget an
agreement opens. Who accepts it word for word gets the agreement; other words
are answered by :mod:`synthema.assembly.bargaining`, with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from synthema.assembly import bargaining
from synthema.assembly.hub_acts import HubActs
from synthema.assembly.known_records import KnownRecords
from synthema.assembly.offers import OfferBook, Viewer
from synthema.budget import EVERYONE
from synthema.canonical import digest_bytes
from synthema.datasets import DatasetVersion, catalogue_record
from synthema.datasets.healthdcat import CONTEXT
from synthema.dataspace import (
    COMPUTE,
    PULL,
    Agreement,
    Artefact,
    Caller,
    CatalogueEntry,
    Offered,
    OfferQuestion,
    Verdict,
)
from synthema.dataspace.policy_wire import from_wire
from synthema.errors import DeniedError, NotFoundError, SynthemaError
from synthema.ids import new_id
from synthema.permits import Agreement as KeptAgreement
from synthema.policy import Policy, from_odrl, parse_policy
from synthema.policy.wellformed import check_policy
from synthema.provenance import Activity, Agent, Entity
from synthema.runs.governor import Governor
from synthema.runs.rooms import Rooms


class Shelf:
    """Catalogue, contracts and artefacts of one connector."""

    def __init__(self, rooms: Rooms, governor: Governor, acts: HubActs) -> None:
        self._rooms = rooms
        self._governor = governor
        self._acts = acts
        self._formats = (PULL, *(name for plane in rooms.settings.data_planes for name in plane.formats))
        self._offers = OfferBook(rooms.database, self._parsed, self.iri_of)
        self._offers.complete()
        self._records = KnownRecords(rooms.datasets, self._record)

    # publishing ------------------------------------------------------------------------

    def publish(self, dataset: str, policy: str, *, epsilon: float, delta: float, total_epsilon: float) -> str:
        """Offer a dataset under an agreement policy (YAML form) and a privacy budget; returns the offer's id.

        ``epsilon`` and ``delta`` are what one agreement may spend, ``total_epsilon`` what all
        recipients together may. Raises :class:`PolicyLoadError` where the policy cannot be understood.
        """
        version = self._rooms.datasets.version(dataset)
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
        self._offers.keep(connection, offer)
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
        return self._offers.all()

    # catalogue -------------------------------------------------------------------------

    def visible(
        self, caller: Caller, *, dataset: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[CatalogueEntry]:
        """Offered datasets that the caller may see, with the offers made to it (one condition for all reads)."""
        found = self.shown(caller, dataset=dataset, after=after, limit=limit)
        records = self._records.of([row["dataset"] for _, row in found if row["kind"] == "patients"])
        return [self._entry(iri, row, records.get(row["dataset"])) for iri, row in found]

    def shown(
        self,
        caller: Caller | None,
        *,
        dataset: str | None = None,
        after: str | None = None,
        limit: int = 100,
        records: bool = False,
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """What :meth:`visible` shows; without a caller, what is public.

        By IRI of the dataset, in order: its newest offer as it is kept, and under ``offers`` those the caller may see.
        Who reads ``records`` also gets datasets whose record is public although no offer is made to it.
        """
        found = self._offers.shown_to(
            self._viewer(caller),
            dataset=None if dataset is None else self._own_name(dataset),
            after=None if after is None else self._own_name(after),
            limit=limit,
            records=records,
        )
        return [
            (self.iri_of(name), dict(rows[0]) | {"offers": tuple(self._offered(row) for row in rows if row["shown"])})
            for name, rows in found.items()
        ]

    def offers_for(self, dataset: str) -> Sequence[Offered]:
        """All offers of one dataset (its IRI), in wire form, for those who work here."""
        return [self._offered(row) for row in self._offers.of_dataset(self._own_name(dataset))]

    def _viewer(self, caller: Caller | None) -> Viewer:
        if caller is None:
            return Viewer()
        collections = self._rooms.policies.collections.of(caller.did).get(caller.did, ())
        return Viewer(caller.role, (caller.did, *collections))

    def _offered(self, row: Mapping[str, Any]) -> Offered:
        return Offered(self._rooms.log.iri("offer", row["id"]), row["wire"])

    def _entry(self, iri: str, row: Mapping[str, Any], record: dict[str, Any] | None) -> CatalogueEntry:
        if record is None:
            record = {CONTEXT["dct"] + "title": row["title"], CONTEXT["dct"] + "type": "synthetic data"}
            return CatalogueEntry(iri, record, self._formats, row["offers"])
        return CatalogueEntry(iri, record, (COMPUTE, PULL), row["offers"])

    def _record(self, version: DatasetVersion) -> dict[str, Any]:
        settings = self._rooms.settings
        record = catalogue_record(
            version,
            self.iri_of(version.name),
            publisher=settings.did,
            publisher_name=settings.name,
            access_url=f"{settings.public_url}/dsp",
            regime=settings.regime,
            complete=False,
        )
        wire: dict[str, Any] = expand_terms({k: v for k, v in record.items() if k != "@context"})
        return wire | {CONTEXT["syn"] + "codebookDigest": version.codebook_digest}

    # contracts -------------------------------------------------------------------------

    def decide_offer(self, question: OfferQuestion) -> Verdict:
        """Agree to what is published, word for word; the policy engine answers other words."""
        return bargaining.answer(question, self._rooms.policies.vocabulary)

    def on_agreement(self, connection: Connection, agreement: Agreement) -> None:
        """Keep a final agreement and put its policy in force; the provider also opens its privacy budget."""
        ours = agreement.role != "consumer"
        name = self._dataset_name(agreement.dataset) if ours else agreement.dataset
        row = self._offers.newest(connection, name) if ours else None
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
        if agreement.dataset == self._rooms.log.iri("dataset", artefact_id):
            self._require_in_force(agreement)
            return self._acts.hand_on(agreement, artefact_id)
        return self._result(agreement, artefact_id, first=True)

    def reopen_artefact(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """The same for a further piece: whatever ended since the first one ends the download."""
        self._require_in_force(agreement)
        if agreement.dataset == self._rooms.log.iri("dataset", artefact_id):
            return self._acts.hand_on_further(agreement, artefact_id)
        return self._result(agreement, artefact_id, first=False)

    def why_ended(self, agreement: Agreement) -> str | None:
        """Why nothing may flow under an agreement any more; None while it is in force."""
        return self._rooms.permits.ended(agreement.id, self._rooms.clock.now())

    def _require_in_force(self, agreement: Agreement) -> None:
        ended = self.why_ended(agreement)
        if ended is not None:
            raise DeniedError(ended, fix="conclude a new agreement")

    def _result(self, agreement: Agreement, artefact_id: str, *, first: bool) -> Artefact:
        """What a computation ordered under the agreement released, for the party that ordered it.

        That it may leave was decided with its release; that the study is still permitted is decided each time.
        """
        run, artefact, path = self._governor.released_file(f"sha256:{artefact_id}")
        request = self._governor.run(run).request
        if (request.agreement, request.requester) != (agreement.id, agreement.consumer) or request.study is not None:
            raise NotFoundError("no such artefact", fix="ask for the artefact that the agreement is about")
        self._require_in_force(agreement)
        self._governor.require_still_permitted(run)
        if first:
            self._governor.released(artefact.digest)  # whose bytes are checked against their digest
        return Artefact(artefact_id, path, artefact.digest, artefact.media_type)

    # helpers ---------------------------------------------------------------------------

    def _policy(self, row: Mapping[str, Any]) -> Policy:
        return self._parsed(row["policy"])

    def _parsed(self, text: str) -> Policy:
        base = self._rooms.settings.public_url
        return parse_policy(text, self._rooms.policies.vocabulary, file="offer", base=base)

    def iri_of(self, dataset: str) -> str:
        """What a dataset, or a released package, is called in the data space."""
        return self._rooms.log.iri("dataset", dataset)

    def _dataset_name(self, iri: str) -> str:
        return iri.rsplit("/", 1)[-1]

    def _own_name(self, iri: str) -> str:
        """The name of a dataset of ours from its IRI; for any other IRI, the name of none."""
        base = self.iri_of("")
        return iri.removeprefix(base) if iri.startswith(base) else ""


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
