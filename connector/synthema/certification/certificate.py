"""Issuing certificates: what the logs already say, put together, compared, and signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from synthema.canonical import digest, digest_bytes
from synthema.certification import store
from synthema.certification.consistency import evidence_contradictions, gate_failures, privacy_contradictions
from synthema.certification.evidence import (
    ASSERTION,
    candidate_iri,
    log_key,
    require_log_position,
    states,
    verify_evidence,
    verify_log_proof,
)
from synthema.certification.model import (
    CERTIFICATE_TYPE,
    CONTEXTS,
    MAX_VALIDITY_MONTHS,
    Certificate,
    CertificateContent,
    EvidenceStatement,
    LogProof,
    SchemaReference,
    read_document,
)
from synthema.certification.package import write_package
from synthema.certification.readme import readme
from synthema.certification.status import StatusRegister
from synthema.certification.store import CertificateRecord
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import add_proof, issue
from synthema.ids import new_id
from synthema.provenance.checkpoint import VerifierKey
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import SYNTHEMA, Activity, Agent, Entity, literal
from synthema.storage import Database

RESERVED_KEYS: Final = frozenset({"assertion", "log", "witness", "grant"})
"""Keys of the organisation itself: none of them can stand for its data protection officer."""


@dataclass(frozen=True, slots=True)
class SecondSignature:
    """The data protection officer's signature: a role key, published as ``key_id`` in the issuer's DID document.

    ``person`` is the IRI of the role account; ``signer`` holds the key, as ``PersonKey.as_signer(key_id)`` gives it.
    """

    person: str
    key_id: str
    signer: Signer


class CertificateIssuer:
    """Issues the certificates of one connector."""

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

    def issue(
        self,
        content: CertificateContent,
        *,
        months: int = MAX_VALIDITY_MONTHS,
        second: SecondSignature | None = None,
    ) -> CertificateRecord:
        """Compare all that the certificate rests on, sign it, and write it into the log, in one transaction.

        ``months`` is its validity, at most 24. Raises :class:`InputError` where content and
        evidence contradict each other, :class:`IntegrityError` where a signature or
        log proof does not hold, :class:`DeniedError` where a gate was not passed.
        """
        if not 1 <= months <= MAX_VALIDITY_MONTHS:
            raise InputError(f"a validity of {months} months", fix=f"choose 1 to {MAX_VALIDITY_MONTHS} months")
        if second is not None and second.key_id in RESERVED_KEYS:
            raise InputError("the second signature must be a person's", fix="sign with the key of the role account")
        self._require_sound(content)
        start = self._clock.now().astimezone(UTC).replace(microsecond=0)
        until = add_months(start, months)
        text = readme(content, self._did, start, until)

        def keep(connection: Connection) -> CertificateRecord:
            record = self._sign(connection, content, (start, until), text, second)
            store.insert_certificate(connection, record)
            self._log.append(connection, self._activity(record, content, second))
            return record

        return self._database.write(keep)

    def find(self, certificate: str) -> CertificateRecord:
        """An issued certificate by its IRI; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return store.certificate_of(connection, certificate)

    def recent(self, limit: int = 200) -> list[CertificateRecord]:
        """The latest certificates, newest first."""
        with self._database.read() as connection:
            return store.all_certificates(connection, limit)

    def of_candidate(self, candidate: str) -> list[CertificateRecord]:
        """All certificates about these synthetic rows (by digest): what a withdrawal may have to suspend."""
        with self._database.read() as connection:
            return store.certificates_of_candidate(connection, candidate)

    def package(self, certificate: str, files: Mapping[str, bytes]) -> bytes:
        """The package of an issued certificate; ``files`` are the dataset and the codebook by name."""
        record = self.find(certificate)
        return write_package(record.document, files, record.readme)

    def _require_sound(self, content: CertificateContent) -> None:
        for figure in content.figures:
            require_log_position(figure.measurement)
        statements = self._statements(content)
        contradictions = [
            *evidence_contradictions(content, statements),
            *privacy_contradictions(content.privacy.guarantee, statements),
        ]
        if contradictions:
            raise InputError("; ".join(contradictions), fix="let the certificate say what the evidence says")
        failures = list(gate_failures(content, statements))
        if failures:
            raise DeniedError(
                f"a gate of the impact assessment was not passed: {'; '.join(failures)}",
                fix="make another candidate; a certificate needs every gate",
            )
        check_release(content, self._did, log_key(self._did, self._resolver))

    def _statements(self, content: CertificateContent) -> dict[str, EvidenceStatement]:
        now = self._clock.now()
        statements: dict[str, EvidenceStatement] = {}
        for evidence in content.evidence:
            if evidence.site in statements or digest(evidence.credential) != evidence.digest:
                raise InputError(
                    f"the evidence of {evidence.site} is there twice, or is not the one its digest names",
                    fix="embed each site's evidence once, unchanged",
                )
            verified = verify_evidence(evidence.credential, content.candidate, self._resolver, now)
            if verified.issuer != evidence.site:
                raise InputError(f"the evidence of {evidence.site} is by another site", fix="name the right site")
            statements[evidence.site] = verified.statement
        return statements

    def _sign(
        self,
        connection: Connection,
        content: CertificateContent,
        validity: tuple[datetime, datetime],
        text: str,
        second: SecondSignature | None,
    ) -> CertificateRecord:
        start, until = validity
        index = store.next_status_index(connection)
        unsigned = {
            "@context": list(CONTEXTS),
            "id": self._log.iri("certificate", new_id("certificate")),
            "type": ["VerifiableCredential", CERTIFICATE_TYPE],
            "issuer": self._did,
            "name": content.title,
            "validFrom": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "validUntil": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "readme": digest_bytes(text.encode()),
            "credentialSchema": SchemaReference().as_json(),
            "credentialStatus": [entry.as_json() for entry in self._status.entries(index)],
            "credentialSubject": content.as_json(),
        }
        signed = issue(unsigned, self._signer, f"{self._did}#{ASSERTION}", start)
        if second is not None:
            signed = add_proof(signed, second.signer, f"{self._did}#{second.key_id}", start)
        read_document(Certificate, signed)
        return CertificateRecord(str(unsigned["id"]), content.candidate, index, "valid", "", signed, text, start, start)

    def _activity(
        self, record: CertificateRecord, content: CertificateContent, second: SecondSignature | None
    ) -> Activity:
        people = () if second is None else (Agent(second.person, "Person", acts_for=self._did),)
        evidence = tuple(
            Entity(str(reference.credential["id"]), ("Evidence",), digest=reference.digest)
            for reference in content.evidence
        )
        return Activity(
            iri=f"{record.id}/issue",
            type="Certification",
            label="a certificate was issued",
            started=record.issued_at,
            ended=record.issued_at,
            agents=(Agent(self._did, "Organization"), *people),
            used=(Entity(candidate_iri(content.candidate), ("SyntheticDataset",), digest=content.candidate), *evidence),
            generated=(
                Entity(
                    record.id,
                    ("Certificate",),
                    content.title,
                    digest(record.document),
                    derived_from=(candidate_iri(content.candidate),),
                    attributes={"validUntil": str(record.document["validUntil"])},
                ),
            ),
        )


def check_release(content: CertificateContent, issuer: str, key: VerifierKey, **witnessing: Any) -> None:
    """The issuer's own log names the release of exactly these rows; raises :class:`IntegrityError` otherwise."""
    proof: LogProof = content.release
    if proof.party != issuer:
        raise IntegrityError("the release is proven by another party's log", fix="ask the issuer for a new certificate")
    body = verify_log_proof(proof, key, **witnessing).body
    if not states(body, candidate_iri(content.candidate), SYNTHEMA + "digest", literal(content.candidate)):
        raise IntegrityError(
            "the entry of the issuer's log is not about this dataset", fix="ask the issuer for a new certificate"
        )


def release_activity(iri: str, candidate: str, did: str, at: datetime, **parts: Any) -> Activity:
    """How a coordinator records that a candidate passed and was released: the entry a certificate proves.

    ``parts`` are further fields of :class:`Activity`, such as ``used``, ``informed_by`` or ``attributes``.
    """
    return Activity(
        iri=iri,
        type="Release",
        label="a synthetic dataset was released",
        started=at,
        ended=at,
        agents=(Agent(did, "Organization"),),
        generated=(Entity(candidate_iri(candidate), ("SyntheticDataset",), "synthetic dataset", candidate),),
        **parts,
    )


def add_months(moment: datetime, months: int) -> datetime:
    """The same day so many months later, or the last day of that month where there is no such day."""
    count = moment.month - 1 + months
    year, month = moment.year + count // 12, count % 12 + 1
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return moment.replace(year=year, month=month)
