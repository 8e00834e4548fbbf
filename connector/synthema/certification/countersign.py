"""The second signature on a certificate: the data protection officer's, added with a key that its holder keeps.

The certificate was signed by the issuer when every comparison held; the officer signs the same document, not the
signature, so that neither depends on the other (Data Integrity, proof sets). What is signed is made from the
certificate that the officer was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, String, Table, insert, select

from synthema.canonical import digest
from synthema.certification import store
from synthema.certification.document import read_document
from synthema.certification.model import Certificate
from synthema.certification.store import CertificateRecord
from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError
from synthema.identity import People
from synthema.identity.credentials import LEEWAY, attach_proof, prepare_proof
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database, UtcDateTime, metadata

ROLE = "dpo"

signatures = Table(
    "certificate_signatures",
    metadata,
    Column("certificate", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
)


def method_of(did: str, person: str) -> str:
    """How an officer's key is named in the issuer's DID document."""
    return f"{did}#{person}"


def signing_bytes(document: Mapping[str, Any], did: str, person: str, created: datetime) -> bytes:
    """The 64 bytes that an officer signs: they follow from the certificate, the key's name and the time."""
    return prepare_proof(document, method_of(did, person), created)[1]


class Countersigning:
    """Adds officers' signatures to the certificates of one connector, and knows which keys to publish for them."""

    def __init__(self, database: Database, log: ProvenanceLog, people: People, did: str, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._people = people
        self._did = did
        self._clock = clock

    def add(self, certificate: str, person: str, created: datetime, signature: bytes) -> CertificateRecord:
        """Add the signature of an officer to a valid certificate that has none yet.

        Raises :class:`DeniedError` for an account that is not an officer's, :class:`IntegrityError` for a wrong
        signature, :class:`ConflictError` for a certificate that is signed twice already or not valid any more.
        """
        with self._database.read() as connection:
            record = store.certificate_of(connection, certificate)
        if record.state != "valid" or len(read_document(Certificate, record.document).proofs) > 1:
            raise ConflictError(
                "this certificate is not valid any more, or has two signatures already",
                fix="look at it with: synthema cert issued",
            )
        if abs(created - self._clock.now()) > LEEWAY:
            raise DeniedError("this signature was not made now", fix="sign again, and send it at once")
        self._people.require(person, ROLE)
        options, data = prepare_proof(record.document, method_of(self._did, person), created)
        self._people.verify(person, data, signature)
        signed = attach_proof(record.document, options, signature)
        read_document(Certificate, signed)
        return self._database.write(lambda connection: self._keep(connection, record, person, signed))

    def published_keys(self) -> dict[str, bytes]:
        """The keys to publish in the DID document: those of officers now, and of all who ever signed a certificate."""
        with self._database.read() as connection:
            signers = set(connection.scalars(select(signatures.c.person)))
        active = {account.id: account for account in self._people.all(role=ROLE)}
        known = active | {person: self._people.get(person) for person in signers - active.keys()}
        return {identifier: account.public_key for identifier, account in sorted(known.items())}

    def _keep(
        self, connection: Connection, record: CertificateRecord, person: str, signed: dict[str, Any]
    ) -> CertificateRecord:
        now = self._clock.now()
        connection.execute(insert(signatures).values(certificate=record.id, person=person, signed_at=now))
        kept = store.set_certificate_document(connection, record.id, signed)
        officer = self._log.iri("person", person)
        self._log.append(
            connection,
            Activity(
                iri=f"{record.id}/countersign",
                type="Countersignature",
                label="a data protection officer signed a certificate",
                started=now,
                ended=now,
                agents=(Agent(self._did, "Organization"), Agent(officer, "Person", acts_for=self._did)),
                used=(Entity(record.id, ("Certificate",), digest=digest(record.document)),),
                generated=(Entity(f"{record.id}#countersigned", ("Certificate",), digest=digest(signed)),),
            ),
        )
        return kept
