"""Issuing certificates: what the logs already say, put together, compared, and signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from synthema.canonical import digest, digest_bytes
from synthema.certification import store
from synthema.certification.consistency import (
    decision_failures,
    evidence_contradictions,
    gate_failures,
    privacy_contradictions,
)
from synthema.certification.crate import Envelope
from synthema.certification.description import README, described
from synthema.certification.document import (
    CERTIFICATE_TYPE,
    CONTEXTS,
    MAX_VALIDITY_MONTHS,
    SchemaReference,
    read_document,
)
from synthema.certification.evidence import (
    candidate_iri,
    names_decision,
    require_log_position,
    states,
    verify_evidence,
    verify_log_proof,
)
from synthema.certification.model import Certificate, CertificateContent, EvidenceStatement, LogProof
from synthema.certification.package import write_package
from synthema.certification.status import StatusRegister
from synthema.certification.store import CertificateRecord
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import add_proof, issue
from synthema.identity.versions import signing_method
from synthema.ids import new_id
from synthema.provenance.checkpoint import HeadKeys
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
        files: Mapping[str, bytes],
        *,
        months: int = MAX_VALIDITY_MONTHS,
        second: SecondSignature | None = None,
    ) -> CertificateRecord:
        """Compare all that the certificate rests on, sign it, and write it into the log, in one transaction.

        ``files`` are the dataset, the codebook and the plan that ``content`` names; the other files of the
        package follow from them. ``months`` is the validity, at most 24. Raises :class:`InputError` where
        content, files and evidence contradict each other, :class:`IntegrityError` where a signature or log
        proof does not hold, :class:`DeniedError` where a gate was not passed or a decision did not permit.
        """
        if not 1 <= months <= MAX_VALIDITY_MONTHS:
            raise InputError(f"a validity of {months} months", fix=f"choose 1 to {MAX_VALIDITY_MONTHS} months")
        if second is not None and second.key_id in RESERVED_KEYS:
            raise InputError("the second signature must be a person's", fix="sign with the key of the role account")
        _require_given(content, files)
        self._require_sound(content)
        start = self._clock.now().astimezone(UTC).replace(microsecond=0)
        identifier = self._log.iri("certificate", new_id("certificate"))
        envelope = Envelope(identifier, self._did, start, add_months(start, months))
        whole, added = described(content, files, envelope)

        def keep(connection: Connection) -> CertificateRecord:
            record = self._sign(connection, whole, envelope, added[README].decode(), second)
            store.insert_certificate(connection, record)
            self._log.append(connection, self._activity(record, whole, second))
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
        """The package of an issued certificate; ``files`` are the dataset, the codebook and the plan by name.

        Raises :class:`InputError` for other files than those that were certified.
        """
        document = self.find(certificate).document
        signed = read_document(Certificate, document)
        given = signed.credential_subject.given
        _require_given(given, files)
        envelope = Envelope(signed.id, signed.issuer, signed.valid_from, signed.valid_until)
        return write_package(document, dict(files) | described(given, files, envelope)[1])

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
        denied = list(decision_failures(content, statements))
        if denied:
            raise DeniedError("; ".join(denied), fix="ask again; a certificate needs every decision to permit")
        check_release(content, self._did, self._log.keys)
        check_decisions(content, self._did, self._log.keys)

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
        envelope: Envelope,
        text: str,
        second: SecondSignature | None,
    ) -> CertificateRecord:
        start = envelope.valid_from
        index = store.next_status_index(connection)
        unsigned = {
            "@context": list(CONTEXTS),
            "id": envelope.certificate,
            "type": ["VerifiableCredential", CERTIFICATE_TYPE],
            "issuer": self._did,
            "name": content.title,
            "validFrom": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "validUntil": envelope.valid_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "credentialSchema": SchemaReference().as_json(),
            "credentialStatus": [entry.as_json() for entry in self._status.entries(index)],
            "credentialSubject": content.as_json(),
        }
        signed = issue(unsigned, self._signer, signing_method(self._signer, self._did), start)
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


def check_release(content: CertificateContent, issuer: str, key: HeadKeys, **witnessing: Any) -> None:
    """The issuer's own log names the release of exactly these rows; raises :class:`IntegrityError` otherwise."""
    proof: LogProof = content.release
    if proof.party != issuer:
        raise IntegrityError("the release is proven by another party's log", fix="ask the issuer for a new certificate")
    body = verify_log_proof(proof, key, **witnessing).body
    if not states(body, candidate_iri(content.candidate), SYNTHEMA + "digest", literal(content.candidate)):
        raise IntegrityError(
            "the entry of the issuer's log is not about this dataset", fix="ask the issuer for a new certificate"
        )


def check_decisions(content: CertificateContent, issuer: str, key: HeadKeys, **witnessing: Any) -> None:
    """The issuer's own log records each decision the certificate names; raises :class:`IntegrityError` otherwise."""
    for proven in content.decisions:
        decision, proof = proven.decision, proven.proof
        entry = verify_log_proof(proof, key, **witnessing)
        if proof.party != issuer or proof.position != decision.log_position or not names_decision(entry.body, decision):
            raise IntegrityError(
                f"no log entry of the issuer stands behind its decision on '{decision.action}'",
                fix="ask the issuer for a new certificate",
            )


def _require_given(content: CertificateContent, files: Mapping[str, bytes]) -> None:
    expected = {file.name: file.digest for file in content.files}
    if {name: digest_bytes(value) for name, value in files.items()} != expected:
        raise InputError("the files are not those that are to be certified", fix=f"give exactly: {sorted(expected)}")


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
