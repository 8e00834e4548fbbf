"""What a party is, confirmed: today, that it is a public sector body (EHDS Art. 53(2)).

Two people of the site confirm it on evidence they saw, or a body the site trusts has signed it. Without a confirmation
that is in force there is none: nobody is taken for a public sector body on their word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, String, Table, Text, insert, select, update

from synthema.canonical import canonical_json, digest
from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError
from synthema.identity import DidResolver
from synthema.identity.credentials import StatusLookup, verify
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, Signatory, SignatureCheck
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

PUBLIC_SECTOR: Final = "public sector body"
TYPE: Final = "PublicSectorBodyCredential"

attestations = Table(
    "attestations",
    metadata,
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False, index=True),
    Column("basis", String, nullable=False),  # two people | credential
    Column("evidence", Text, nullable=False),
    Column("credential", CanonicalJson),
    Column("attested_by", CanonicalJson, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("valid_to", String(10), nullable=False),
    Column("ended_at", UtcDateTime),
    Column("reason", Text),
)


@dataclass(frozen=True, slots=True)
class Attestation:
    """A confirmation that ``subject`` (did) is a public sector body; it counts until the end of ``valid_to``."""

    id: str
    subject: str
    basis: Literal["two people", "credential"]
    evidence: str
    credential: dict[str, Any] | None
    attested_by: tuple[str, ...]
    made_at: datetime
    valid_to: date
    ended_at: datetime | None = None
    reason: str | None = None

    def counts_at(self, at: datetime) -> bool:
        """Whether it is in force."""
        ended = self.ended_at is not None and self.ended_at <= at
        return self.made_at <= at and not ended and at.date() <= self.valid_to


def attestation_bytes(subject: str, evidence: str, valid_to: date) -> bytes:
    """What two people sign to confirm that a party is a public sector body."""
    return canonical_json(
        {"attest": PUBLIC_SECTOR, "subject": subject, "evidence": evidence, "validTo": valid_to.isoformat()}
    )


class Attestations:
    """What is confirmed of the parties of one connector."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock, people: SignatureCheck) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people

    def attest(
        self, subject: str, evidence: str, valid_to: date, approvals: Sequence[tuple[str, bytes]]
    ) -> Attestation:
        """Confirm on the word of two people, one of them a data protection officer, who saw ``evidence``."""
        if not subject.startswith("did:") or len(evidence.strip()) < 8:
            raise InputError(
                "a confirmation names a party (did) and what shows it",
                fix="give the party's did, and the act, register entry or letter that was seen",
            )
        people = [self._people.verify(p, attestation_bytes(subject, evidence, valid_to), s) for p, s in approvals]
        if len({person.id for person in people}) < REQUIRED_SIGNATURES:
            raise DeniedError("two different people confirm what a party is", fix="let a second person sign")
        if not any(OFFICER_ROLE in person.roles for person in people):
            raise DeniedError("no data protection officer is among the two", fix="one of them must have the role 'dpo'")
        by = tuple(self._log.iri("person", person.id) for person in people)
        return self._keep(subject, "two people", evidence.strip(), None, by, valid_to)

    def take_in(
        self,
        document: Mapping[str, Any],
        *,
        bodies: Collection[str],
        resolver: DidResolver,
        status: StatusLookup,
        by: Signatory,
    ) -> Attestation:
        """Keep a credential in which a trusted body confirms it; raises as the checks of credentials do."""
        if document.get("issuer") not in bodies:
            raise DeniedError(
                f"'{str(document.get('issuer'))[:120]}' is no body that this site trusts",
                fix="name it under [[access_bodies]] in connector.toml, or let two people confirm it",
            )
        verified = verify(document, resolver, self._clock.now(), status)
        subject = verified.subject.get("id")
        if TYPE not in verified.types or not isinstance(subject, str) or verified.valid_until is None:
            raise InputError(
                "this credential does not say of a party, and until when, that it is a public sector body",
                fix=f"ask its issuer for a {TYPE} with credentialSubject.id and validUntil",
            )
        who = (self._log.iri("person", by.id), verified.issuer)
        return self._keep(
            subject, "credential", digest(dict(document)), dict(document), who, verified.valid_until.date()
        )

    def end(self, attestation_id: str, reason: str, *, by: Signatory) -> Attestation:
        """End a confirmation from now on."""
        if not reason.strip():
            raise InputError("no reason is given", fix="say why in one sentence; it stands in the log")

        def work(connection: Connection) -> Attestation:
            found = _find(connection, attestation_id)
            if found.ended_at is not None:
                raise ConflictError("this confirmation has ended already", fix="nothing is left to do")
            now = self._clock.now()
            changes = {"ended_at": now, "reason": reason.strip()}
            connection.execute(update(attestations).where(attestations.c.id == attestation_id).values(**changes))
            ended = _find(connection, attestation_id)
            person = self._log.iri("person", by.id)
            self._record(connection, "PartyAttestationEnd", "what a party is no longer counts", ended, (person,))
            return ended

        return self._database.write(work)

    def all(self) -> list[Attestation]:
        """Every confirmation, the latest first."""
        query = select(attestations).order_by(attestations.c.made_at.desc(), attestations.c.id.desc())
        with self._database.read() as connection:
            return [_attestation(row) for row in connection.execute(query).mappings()]

    def public_sector(self, subject: str, at: datetime) -> Fact | None:
        """That a party is a public sector body, with the confirmation as evidence; ``None`` where none is in force."""
        query = select(attestations).where(attestations.c.subject == subject)
        with self._database.read() as connection:
            found = [_attestation(row) for row in connection.execute(query).mappings()]
        valid = [attestation for attestation in found if attestation.counts_at(at)]
        if not valid:
            return None
        newest = max(valid, key=lambda attestation: (attestation.made_at, attestation.id))
        return Fact(value=True, evidence=self._log.iri("attestation", newest.id))

    def _keep(
        self,
        subject: str,
        basis: Literal["two people", "credential"],
        evidence: str,
        credential: dict[str, Any] | None,
        by: tuple[str, ...],
        valid_to: date,
    ) -> Attestation:
        now = self._clock.now()
        if valid_to < now.date():
            raise InputError("this confirmation would have ended already", fix="give a later last day")
        made = Attestation(new_id("attestation"), subject, basis, evidence, credential, by, now, valid_to)

        def work(connection: Connection) -> Attestation:
            values = {name: getattr(made, name) for name in Attestation.__dataclass_fields__}
            values |= {"valid_to": valid_to.isoformat(), "attested_by": list(by)}
            connection.execute(insert(attestations).values(**values))
            self._record(connection, "PartyAttestation", "what a party is was confirmed", made, by)
            return made

        return self._database.write(work)

    def _record(
        self, connection: Connection, kind: str, label: str, attestation: Attestation, by: tuple[str, ...]
    ) -> None:
        now = self._clock.now()
        entity = Entity(
            self._log.iri("attestation", attestation.id),
            types=("AttestationRecord",),
            attributes={
                "attested": PUBLIC_SECTOR,
                "counterparty": Iri(attestation.subject),
                "shownBy": attestation.evidence,
                "validTo": attestation.valid_to.isoformat(),
            },
        )
        agents = tuple(Agent(iri, "Organization" if iri.startswith("did:") else "Person") for iri in by)
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=agents,
            generated=(entity,) if attestation.ended_at is None else (),
            used=() if attestation.ended_at is None else (entity,),
            attributes={"reason": attestation.reason} if attestation.reason else {},
        )
        self._log.append(connection, activity)


def _find(connection: Connection, attestation_id: str) -> Attestation:
    row = connection.execute(select(attestations).where(attestations.c.id == attestation_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such confirmation", fix="list them with: synthema permit attestations")
    return _attestation(row)


def _attestation(row: Any) -> Attestation:
    values = dict(row)
    return Attestation(
        **(values | {"attested_by": tuple(row["attested_by"]), "valid_to": date.fromisoformat(row["valid_to"])})
    )
