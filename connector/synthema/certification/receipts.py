"""Receipts: a registry tells an issuer, under its signature, what became of a package; both keep it and log it.

A receipt holds the proof of the registry's own log entry, so that the issuer, or a court, need not just believe it.
What has to be told is written down in the transaction in which it happens, and sent afterwards until it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator
from sqlalchemy import Column, Connection, Integer, String, Table, Text, insert, select, update

from synthema.canonical import digest
from synthema.certification import store as certificate_store
from synthema.certification.document import CONTEXTS, Did, Digest, Document, Iri, Proof, read_document
from synthema.certification.evidence import verify_log_proof
from synthema.certification.model import LogProof
from synthema.clock import Clock
from synthema.errors import DeniedError, IntegrityError, SynthemaError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import issue, verify
from synthema.identity.versions import is_key_of, signing_method
from synthema.ids import new_id
from synthema.provenance.bundle import make_bundle
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.provenance.succession import log_keys
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

RECEIPT_TYPE: Final = "SyntheticDataReceipt"
Event = Literal["accepted", "refused", "suspended", "reinstated", "withdrawn"]

receipts = Table(
    "certificate_receipts",
    metadata,
    Column("id", String, primary_key=True),
    Column("direction", String, nullable=False),  # sent | received
    Column("peer", String, nullable=False),
    Column("certificate", String, nullable=False, index=True),
    Column("package", String, nullable=False),
    Column("artefact", String, nullable=False),
    Column("event", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("log_position", Integer, nullable=False),  # of the registry's entry
    Column("document", CanonicalJson),
    Column("at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
)

Send = Callable[[str, dict[str, Any]], None]
"""Hands a signed receipt to a party (did, document); raises when it was not taken."""


class ReceiptSubject(Document):
    """What became of a package at a registry, and the proof that its log says so."""

    id: Iri
    package: Digest
    certificate: Iri
    artefact: Digest
    event: Event
    reason: str = Field(max_length=4000)
    at: AwareDatetime
    log: LogProof


class ReceiptCredential(Document):
    """A receipt as a verifiable credential of the registry."""

    context: list[Any] = Field(alias="@context")
    id: Iri
    type: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    issuer: Did
    valid_from: AwareDatetime
    credential_subject: ReceiptSubject
    proof: Proof

    @model_validator(mode="after")
    def _is_of_our_kind(self) -> Self:
        if self.context != list(CONTEXTS) or self.type != ("VerifiableCredential", RECEIPT_TYPE):
            raise ValueError("this is not a receipt for a synthetic dataset")
        return self


@dataclass(frozen=True, slots=True)
class About:
    """What a receipt is about: whose certificate, of which rows, in which package."""

    issuer: str
    certificate: str
    artefact: str
    package: str


class ReceiptBook:
    """The receipts one connector has to send, and those it was sent."""

    def __init__(
        self, database: Database, log: ProvenanceLog, signer: Signer, did: str, resolver: DidResolver, clock: Clock
    ) -> None:
        self._database = database
        self._log = log
        self._signer = signer
        self._did = did
        self._resolver = resolver
        self._clock = clock

    def owe(self, connection: Connection, about: About, event: Event, reason: str, log_position: int) -> str:
        """Note, within the caller's transaction, that an issuer is to be told; returns the receipt's IRI."""
        identifier = self._log.iri("receipt", new_id("receipt"))
        connection.execute(
            insert(receipts).values(
                id=identifier,
                direction="sent",
                peer=about.issuer,
                certificate=about.certificate,
                package=about.package,
                artefact=about.artefact,
                event=event,
                reason=reason,
                log_position=log_position,
                at=self._clock.now(),
            )
        )
        return identifier

    def deliver(self, send: Send) -> tuple[str, ...]:
        """Send what is owed; returns a sentence for each receipt that could not be handed over and stays owed."""
        failures = []
        for row in self._rows(receipts.c.direction == "sent", receipts.c.delivered_at.is_(None)):
            try:
                document = row["document"] or self._signed(row)
                send(row["peer"], document)
            except SynthemaError as error:
                failures.append(f"the receipt for {row['certificate']} stays owed to {row['peer']}: {error.message}")
                continue
            self._database.write(partial(self._delivered, row=row, document=document))
        return tuple(failures)

    def take(self, document: Mapping[str, Any], sender: str) -> str:
        """Keep a receipt that a registry sent for a certificate of ours; taking it twice changes nothing.

        Raises :class:`DeniedError` for one of another registry, :class:`NotFoundError` for a certificate that is
        not ours, :class:`IntegrityError` where signature or log proof does not hold.
        """
        receipt = read_document(ReceiptCredential, document)
        subject = receipt.credential_subject
        if receipt.issuer != sender or not is_key_of(receipt.proof.verification_method, sender):
            raise DeniedError("this receipt is not by the one who sends it", fix="let the registry send its own")
        verify(document, self._resolver, self._clock.now())
        entry = verify_log_proof(subject.log, log_keys(sender, self._resolver, [subject.log.bundle]))
        body = entry.body.decode(errors="replace")
        if subject.log.party != sender or subject.artefact not in body or subject.certificate not in body:
            raise IntegrityError("no entry of the registry's log stands behind this receipt", fix="ask for another one")

        def keep(connection: Connection) -> str:
            if connection.execute(select(receipts.c.id).where(receipts.c.id == receipt.id)).first() is not None:
                return receipt.id
            certificate_store.certificate_of(connection, subject.certificate)
            values = {"id": receipt.id, "direction": "received", "peer": sender, "document": dict(document)}
            named = {name: getattr(subject, name) for name in ("certificate", "package", "artefact", "event", "reason")}
            times = {"at": subject.at, "delivered_at": self._clock.now(), "log_position": subject.log.position}
            connection.execute(insert(receipts).values(**values, **named, **times))
            activity = self._activity("ReceiptTaken", "a registry's receipt was taken", receipt.id, document, sender)
            self._log.append(connection, activity)
            return receipt.id

        return self._database.write(keep)

    def all(self, certificate: str | None = None) -> list[Mapping[str, Any]]:
        """Receipts sent and received, newest first; of one certificate, or of all."""
        chosen = () if certificate is None else (receipts.c.certificate == certificate,)
        return list(reversed(self._rows(*chosen)))

    def _rows(self, *where: Any) -> list[Mapping[str, Any]]:
        with self._database.read() as connection:
            chosen = select(receipts).where(*where).order_by(receipts.c.at, receipts.c.id)
            return [dict(row) for row in connection.execute(chosen).mappings()]

    def _signed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        position = row["log_position"]
        subject = ReceiptSubject(
            id=f"urn:synthema:package:{row['package'].removeprefix('sha256:')}",
            package=row["package"],
            certificate=row["certificate"],
            artefact=row["artefact"],
            event=row["event"],
            reason=row["reason"],
            at=row["at"],
            log=LogProof(party=self._did, position=position, bundle=make_bundle(self._log, position)),
        )
        now = self._clock.now()
        unsigned = {
            "@context": list(CONTEXTS),
            "id": row["id"],
            "type": ["VerifiableCredential", RECEIPT_TYPE],
            "issuer": self._did,
            "validFrom": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "credentialSubject": subject.as_json(),
        }
        signed = issue(unsigned, self._signer, signing_method(self._signer, self._did), now)
        # Kept before it is sent: a receipt that got lost on the way is sent again as it was.
        self._database.write(
            lambda c: c.execute(update(receipts).where(receipts.c.id == row["id"]).values(document=signed))
        )
        return signed

    def _delivered(self, connection: Connection, *, row: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        now: datetime = self._clock.now()
        connection.execute(update(receipts).where(receipts.c.id == row["id"]).values(delivered_at=now))
        told = self._activity("ReceiptDelivered", "an issuer took a receipt", row["id"], document, row["peer"])
        self._log.append(connection, told)

    def _activity(self, type_: str, label: str, receipt: str, document: Mapping[str, Any], peer: str) -> Activity:
        now = self._clock.now()
        subject = document["credentialSubject"]
        entity = Entity(
            receipt, ("Receipt",), f"receipt: {subject['event']}", digest(dict(document)), (subject["certificate"],)
        )
        return Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=type_,
            label=label,
            started=now,
            ended=now,
            agents=(Agent(self._did, "Organization"), Agent(peer, "Organization")),
            used=(Entity(subject["certificate"], ("Certificate",)), entity),
            attributes={"receiptEvent": subject["event"]},
        )
