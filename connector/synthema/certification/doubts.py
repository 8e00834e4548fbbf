"""Doubts: a site tells an issuer, under its signature, that its evidence for a certificate no longer stands.

A site attests a candidate once; its impact assessment asks it to measure what was released again and again
(post-release gates). Where a gate was not measured in time, or no longer holds, the certificate must not stay
valid until somebody happens to look (GDPR Art. 35(11)): the issuer suspends it by itself, and a person decides
what becomes of it. Written down with its log entry, sent until it was taken, each exactly once in effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Self

from pydantic import AwareDatetime, Field, model_validator
from sqlalchemy import Column, Connection, Integer, String, Table, Text, UniqueConstraint, insert, select, update

from synthema.certification import store as certificate_store
from synthema.certification.document import CONTEXTS, Did, Digest, Document, Iri, Proof, read_document
from synthema.certification.evidence import candidate_iri, verify_log_proof
from synthema.certification.model import LogProof
from synthema.certification.status import StatusRegister
from synthema.certification.store import CertificateRecord
from synthema.clock import Clock
from synthema.errors import DeniedError, IntegrityError, NotFoundError, SynthemaError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import issue, verify
from synthema.identity.versions import is_key_of, signing_method
from synthema.ids import new_id
from synthema.provenance.bundle import make_bundle
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.provenance.succession import log_keys
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

DOUBT_TYPE: Final = "SyntheticDataDoubt"

doubts = Table(
    "certificate_doubts",
    metadata,
    Column("id", String, primary_key=True),
    Column("direction", String, nullable=False),  # sent | received
    Column("peer", String, nullable=False),
    Column("candidate", String, nullable=False, index=True),
    Column("gate", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("log_position", Integer, nullable=False),  # of the doubting site's entry
    Column("document", CanonicalJson),
    Column("at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    # The same failure of a gate is a doubt once; when it was settled and fails again later, it is another one.
    UniqueConstraint("direction", "peer", "candidate", "gate", "since"),
)

Send = Callable[[str, dict[str, Any]], None]
"""Hands a signed doubt to a party (did, document); raises when it was not taken."""


class DoubtSubject(Document):
    """Which gate of the site's assessment no longer holds for the candidate, since when, and where its log says so."""

    id: Iri
    candidate: Digest
    gate: Annotated[str, Field(min_length=1, max_length=200)]
    sentence: Annotated[str, Field(min_length=1, max_length=4000)]
    since: AwareDatetime
    log: LogProof


class DoubtCredential(Document):
    """A doubt as a verifiable credential of the site."""

    context: list[Any] = Field(alias="@context")
    id: Iri
    type: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    issuer: Did
    valid_from: AwareDatetime
    credential_subject: DoubtSubject
    proof: Proof

    @model_validator(mode="after")
    def _is_of_our_kind(self) -> Self:
        if self.context != list(CONTEXTS) or self.type != ("VerifiableCredential", DOUBT_TYPE):
            raise ValueError("this is not a doubt about a synthetic dataset")
        return self


@dataclass(frozen=True, slots=True)
class Doubted:
    """What is doubted: a candidate certified by ``issuer``, because of a gate that has not held ``since``."""

    issuer: str
    candidate: str
    gate: str
    sentence: str
    since: datetime


class DoubtBook:
    """The doubts one connector has to tell, and those it was told."""

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        signer: Signer,
        did: str,
        resolver: DidResolver,
        status: StatusRegister,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._signer = signer
        self._did = did
        self._resolver = resolver
        self._status = status
        self._clock = clock

    def raise_once(self, doubt: Doubted) -> str | None:
        """Write a doubt down with its log entry; ``None`` where this failure of this gate was noted before."""
        same = self._same("sent", doubt.issuer, doubt.candidate, doubt.gate, doubt.since)
        with self._database.read() as connection:
            if connection.execute(same).first() is not None:
                return None
        return self._database.write(partial(self._raise, doubt=doubt))

    def _raise(self, connection: Connection, *, doubt: Doubted) -> str | None:
        same = self._same("sent", doubt.issuer, doubt.candidate, doubt.gate, doubt.since)
        if connection.execute(same).first() is not None:
            return None
        identifier = self._log.iri("doubt", new_id("doubt"))
        told = f"the gate '{doubt.gate}' of the impact assessment does not hold for a released dataset any more"
        entry = self._log.append(connection, self._activity("Doubt", told, identifier, doubt.candidate, doubt.issuer))
        values = {"gate": doubt.gate, "sentence": doubt.sentence, "since": doubt.since, "at": self._clock.now()}
        connection.execute(
            insert(doubts).values(
                id=identifier,
                direction="sent",
                peer=doubt.issuer,
                candidate=doubt.candidate,
                log_position=entry.sequence,
                **values,
            )
        )
        return identifier

    def deliver(self, send: Send) -> tuple[str, ...]:
        """Send what was not taken yet; returns a sentence for each doubt that could not be handed over."""
        failures = []
        for row in self._rows(doubts.c.direction == "sent", doubts.c.delivered_at.is_(None)):
            try:
                document = row["document"] or self._signed(row)
                send(row["peer"], document)
            except SynthemaError as error:
                failures.append(f"{row['peer']} was not told of a doubt about {row['candidate']}: {error.message}")
                continue
            delivered = update(doubts).where(doubts.c.id == row["id"]).values(delivered_at=self._clock.now())
            self._database.write(lambda connection, change=delivered: connection.execute(change).close())  # type: ignore[misc]
        return tuple(failures)

    def take(self, document: Mapping[str, Any], sender: str) -> str:
        """Suspend the certificates that rest on the sender's evidence; taking a doubt twice changes nothing.

        Raises :class:`DeniedError` for a doubt of somebody else, :class:`NotFoundError` where no certificate of ours
        rests on the sender's evidence, :class:`IntegrityError` where signature or log proof does not hold.
        """
        doubt = read_document(DoubtCredential, document)
        subject = doubt.credential_subject
        if doubt.issuer != sender or not is_key_of(doubt.proof.verification_method, sender):
            raise DeniedError("this doubt is not by the one who sends it", fix="let the site send its own")
        verify(document, self._resolver, self._clock.now())
        body = verify_log_proof(subject.log, log_keys(sender, self._resolver, [subject.log.bundle])).body.decode()
        if subject.log.party != sender or doubt.id not in body or subject.candidate not in body:
            raise IntegrityError("no entry of the site's log stands behind this doubt", fix="ask for another one")
        return self._database.write(partial(self._take, document=document, doubt=doubt, sender=sender))

    def _take(self, connection: Connection, *, document: Mapping[str, Any], doubt: DoubtCredential, sender: str) -> str:
        subject = doubt.credential_subject
        found = certificate_store.certificates_of_candidate(connection, subject.candidate)
        resting = [record for record in found if rests_on(record, sender)]
        if not resting:
            raise NotFoundError("no certificate rests on your evidence for this dataset", fix="look at the candidate")
        same = self._same("received", sender, subject.candidate, subject.gate, subject.since)
        if connection.execute(same).first() is not None:
            return doubt.id
        connection.execute(
            insert(doubts).values(
                id=doubt.id,
                direction="received",
                peer=sender,
                candidate=subject.candidate,
                gate=subject.gate,
                sentence=subject.sentence,
                since=subject.since,
                log_position=subject.log.position,
                document=dict(document),
                at=self._clock.now(),
                delivered_at=self._clock.now(),
            )
        )
        told = "a site's doubt about a certified dataset was taken"
        self._log.append(connection, self._activity("DoubtTaken", told, doubt.id, subject.candidate, sender))
        for record in resting:
            if record.state == "valid":
                self._status.suspend_within(connection, record.id, f"{sender}: {subject.sentence}")
        return doubt.id

    def all(self, candidate: str | None = None) -> list[Mapping[str, Any]]:
        """Doubts told and taken, newest first; about one candidate, or about all."""
        chosen = () if candidate is None else (doubts.c.candidate == candidate,)
        return list(reversed(self._rows(*chosen)))

    def _rows(self, *where: Any) -> list[Mapping[str, Any]]:
        with self._database.read() as connection:
            chosen = select(doubts).where(*where).order_by(doubts.c.at, doubts.c.id)
            return [dict(row) for row in connection.execute(chosen).mappings()]

    @staticmethod
    def _same(direction: str, peer: str, candidate: str, gate: str, since: datetime) -> Any:
        return select(doubts.c.id).where(
            doubts.c.direction == direction,
            doubts.c.peer == peer,
            doubts.c.candidate == candidate,
            doubts.c.gate == gate,
            doubts.c.since == since,
        )

    def _signed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        position = row["log_position"]
        subject = DoubtSubject(
            id=candidate_iri(row["candidate"]),
            candidate=row["candidate"],
            gate=row["gate"],
            sentence=row["sentence"],
            since=row["since"],
            log=LogProof(party=self._did, position=position, bundle=make_bundle(self._log, position)),
        )
        now = self._clock.now()
        unsigned = {
            "@context": list(CONTEXTS),
            "id": row["id"],
            "type": ["VerifiableCredential", DOUBT_TYPE],
            "issuer": self._did,
            "validFrom": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "credentialSubject": subject.as_json(),
        }
        signed = issue(unsigned, self._signer, signing_method(self._signer, self._did), now)
        # Kept before it is sent: a doubt that got lost on the way is sent again as it was.
        kept = update(doubts).where(doubts.c.id == row["id"]).values(document=signed)
        self._database.write(lambda connection: connection.execute(kept).close())
        return signed

    def _activity(self, type_: str, label: str, identifier: str, candidate: str, peer: str) -> Activity:
        now = self._clock.now()
        return Activity(
            iri=f"{identifier}/{type_.lower()}",
            type=type_,
            label=label,
            started=now,
            ended=now,
            agents=(Agent(self._did, "Organization"), Agent(peer, "Organization")),
            used=(Entity(candidate_iri(candidate), ("SyntheticDataset",), digest=candidate),),
        )


def rests_on(record: CertificateRecord, site: str) -> bool:
    """Whether a certificate embeds a site's evidence."""
    evidence = record.document["credentialSubject"]["evidence"]
    return any(reference["site"] == site for reference in evidence)
