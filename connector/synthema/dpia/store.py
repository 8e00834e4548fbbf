"""Assessments as they are kept, and their activation by two people.

An assessment is proposed as a whole and named by its digest. Two different people
sign that digest, one of them a data protection officer; the second signature
activates it and supersedes the version before. Nothing signed can be edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, String, Table, UniqueConstraint, insert, select, update

from synthema.canonical import canonical_json
from synthema.clock import Clock
from synthema.dpia.check import Evidence, GateReport, check
from synthema.dpia.model import GOOD_OUTCOMES, Dpia, Phase
from synthema.errors import ConflictError, DeniedError, NotFoundError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, SignatureCheck
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import Activity, Agent, Entity, ProvenanceLog
from synthema.provenance.model import SYNTHEMA
from synthema.storage import CanonicalJson, Database, UtcDateTime, metadata

dpia_versions = Table(
    "dpia_versions",
    metadata,
    Column("id", String, primary_key=True),
    Column("dpia_id", String, nullable=False, index=True),
    Column("digest", String, nullable=False, unique=True),
    Column("document", CanonicalJson, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
)

dpia_signatures = Table(
    "dpia_signatures",
    metadata,
    Column("id", String, primary_key=True),
    Column("version_id", String, ForeignKey("dpia_versions.id"), nullable=False, index=True),
    Column("person_id", String, nullable=False),
    Column("roles", CanonicalJson, nullable=False),
    Column("signature", String, nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
    UniqueConstraint("version_id", "person_id"),
)


class DpiaState(StrEnum):
    """Where a version of an assessment stands. Only :data:`TRANSITIONS` says how it may move."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


TRANSITIONS: dict[tuple[DpiaState, str], DpiaState] = {
    (DpiaState.PROPOSED, "activate"): DpiaState.ACTIVE,
    (DpiaState.PROPOSED, "withdraw"): DpiaState.WITHDRAWN,
    (DpiaState.ACTIVE, "supersede"): DpiaState.SUPERSEDED,
    (DpiaState.ACTIVE, "withdraw"): DpiaState.WITHDRAWN,
}
"""The whole life of a version; what is not listed cannot happen."""


@dataclass(frozen=True, slots=True)
class DpiaVersion:
    """One version of an assessment with who signed it."""

    id: str
    dpia: Dpia
    state: DpiaState
    signed_by: tuple[str, ...]
    proposed_at: datetime
    activated_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def digest(self) -> str:
        return self.dpia.digest


def signing_bytes(digest: str) -> bytes:
    """What a person signs to approve an assessment; the statement is part of it, so it fits nothing else."""
    return canonical_json({"statement": "I approve this data protection impact assessment.", "digest": digest})


class DpiaStore:
    """The assessments of one connector."""

    def __init__(self, database: Database, log: ProvenanceLog, clock: Clock, people: SignatureCheck) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people

    def propose(self, dpia: Dpia, *, by: Agent | None = None) -> DpiaVersion:
        """Keep an assessment for signature; the same document proposed again is the same version."""

        def work(connection: Connection) -> DpiaVersion:
            known = connection.execute(
                select(dpia_versions.c.id).where(dpia_versions.c.digest == dpia.digest)
            ).scalar_one_or_none()
            if known is not None:
                return _find(connection, known)
            version = DpiaVersion(new_id("dpia"), dpia, DpiaState.PROPOSED, (), self._clock.now())
            connection.execute(
                insert(dpia_versions).values(
                    id=version.id,
                    dpia_id=dpia.id,
                    digest=dpia.digest,
                    document=dpia.model_dump(mode="json"),
                    state=version.state,
                    proposed_at=version.proposed_at,
                )
            )
            self._record(connection, "DpiaProposal", f"Impact assessment proposed: {dpia.title}", version, by, new=True)
            return version

        return self._database.write(work)

    def sign(self, version_id: str, person_id: str, signature: bytes) -> DpiaVersion:
        """Add a person's signature over :func:`signing_bytes`; the second one activates the version.

        Raises :class:`ConflictError` while a threshold is unconfirmed, the outcome is not good or the
        review is overdue, and when the same person signs twice; :class:`DeniedError` when
        no data protection officer is among the two.
        """
        version = self.version(version_id)
        self._require_ready(version.dpia)
        person = self._people.verify(person_id, signing_bytes(version.digest), signature)
        roles = tuple(person.roles)

        def work(connection: Connection) -> DpiaVersion:
            now = self._clock.now()
            kept = _find(connection, version_id)
            if kept.state is not DpiaState.PROPOSED:
                raise ConflictError(f"this assessment is {kept.state}", fix="propose a new version to change it")
            if person.id in kept.signed_by:
                raise ConflictError("this person has signed already", fix="a second person must sign")
            officers = OFFICER_ROLE in roles or _has_officer(connection, version_id)
            complete = len(kept.signed_by) + 1 >= REQUIRED_SIGNATURES
            if complete and not officers:
                raise DeniedError(
                    "no data protection officer is among the two who sign (GDPR Art. 35(2))",
                    fix="a person with the role 'dpo' must be the second to sign",
                )
            connection.execute(
                insert(dpia_signatures).values(
                    id=new_id("signature"),
                    version_id=version_id,
                    person_id=person.id,
                    roles=sorted(roles),
                    signature=signature.hex(),
                    signed_at=now,
                )
            )
            signer = Agent(self._log.iri("person", person.id), "Person")
            if complete:
                self._supersede(connection, kept.dpia.id, now)
                _move(connection, kept, "activate", activated_at=now)
            signed = _find(connection, version_id)
            label = f"Impact assessment {'activated' if complete else 'signed'}: {kept.dpia.title}"
            self._record(connection, "DpiaActivation" if complete else "DpiaSignature", label, signed, signer)
            return signed

        return self._database.write(work)

    def withdraw(self, version_id: str, *, by: Agent | None = None) -> DpiaVersion:
        """Take an assessment out of force: from now on nothing that needs it runs."""

        def work(connection: Connection) -> DpiaVersion:
            _move(connection, _find(connection, version_id), "withdraw", ended_at=self._clock.now())
            version = _find(connection, version_id)
            self._record(
                connection, "DpiaWithdrawal", f"Impact assessment withdrawn: {version.dpia.title}", version, by
            )
            return version

        return self._database.write(work)

    def version(self, version_id: str) -> DpiaVersion:
        """One version; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _find(connection, version_id)

    def versions(self) -> list[DpiaVersion]:
        """All versions, newest first."""
        with self._database.read() as connection:
            query = select(dpia_versions.c.id).order_by(dpia_versions.c.proposed_at.desc(), dpia_versions.c.id.desc())
            return [_find(connection, version_id) for version_id in connection.execute(query).scalars()]

    def active(self, dataset_id: str, action: str | None = None) -> DpiaVersion:
        """The assessment in force for a dataset (and an action on it); raises :class:`DeniedError` without one.

        Where several cover it, the one activated last.
        """
        covering = [version for version in self._in_force() if version.dpia.covers(dataset_id, action)]
        if not covering:
            what = "this dataset" if action is None else f"'{action[:80]}' on this dataset"
            raise DeniedError(
                f"no impact assessment in force covers {what} (GDPR Art. 35(1))",
                fix="propose one that does and have two people sign it, one of them the data protection officer",
            )
        return covering[-1]

    def check(self, dataset_id: str, phase: Phase, evidence: Sequence[Evidence], at: datetime) -> GateReport:
        """Hold evidence against the gates of the assessment in force; raises :class:`DeniedError` without one."""
        return check(self.active(dataset_id).dpia, phase, evidence, at)

    def facts(self, version: DpiaVersion) -> dict[str, Fact]:
        """``syn:dpiaOutcome`` and ``syn:dpiaReviewDue`` (the end of that day) of a version in force only."""
        if version.state is not DpiaState.ACTIVE:
            return {}
        evidence = self._log.iri("dpia", version.id)
        return {
            SYNTHEMA + "dpiaOutcome": Fact(version.dpia.outcome.iri, evidence),
            SYNTHEMA + "dpiaReviewDue": Fact(datetime.combine(version.dpia.review_due, time.max, UTC), evidence),
        }

    def _in_force(self) -> list[DpiaVersion]:
        with self._database.read() as connection:
            query = (
                select(dpia_versions.c.id)
                .where(dpia_versions.c.state == DpiaState.ACTIVE)
                .order_by(dpia_versions.c.activated_at, dpia_versions.c.id)
            )
            return [_find(connection, version_id) for version_id in connection.execute(query).scalars()]

    def _require_ready(self, dpia: Dpia) -> None:
        if waiting := dpia.unconfirmed():
            raise ConflictError(
                f"{len(waiting)} thresholds are not confirmed by the site: {', '.join(waiting[:10])}",
                fix="thresholds have no legal source: the data protection officer confirms each, then proposes again",
            )
        if dpia.outcome not in GOOD_OUTCOMES or not dpia.opinion.favourable:
            raise ConflictError(
                "this assessment does not recommend that the processing goes on (GDPR Art. 36(1))",
                fix="add measures until the risks are mitigated, or consult the supervisory authority",
            )
        if self._clock.now().date() > dpia.review_due:
            raise ConflictError("the review of this assessment is overdue", fix="review it and set a new review date")

    def _supersede(self, connection: Connection, dpia_id: str, now: datetime) -> None:
        query = select(dpia_versions.c.id).where(
            dpia_versions.c.dpia_id == dpia_id, dpia_versions.c.state == DpiaState.ACTIVE
        )
        for version_id in connection.execute(query).scalars().all():
            _move(connection, _find(connection, version_id), "supersede", ended_at=now)

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        version: DpiaVersion,
        by: Agent | None,
        *,
        new: bool = False,
    ) -> None:
        now = self._clock.now()
        entity = Entity(
            self._log.iri("dpia", version.id),
            types=("ImpactAssessment",),
            label=version.dpia.title,
            digest=version.digest,
            attributes={"dpiaOutcome": version.dpia.outcome.iri, "version": version.dpia.version},
        )
        activity = Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=now,
            ended=now,
            agents=() if by is None else (by,),
            used=() if new else (entity,),
            generated=(entity,) if new else (),
            attributes={"state": str(version.state), "signatures": len(version.signed_by)},
        )
        self._log.append(connection, activity)


def _find(connection: Connection, version_id: str) -> DpiaVersion:
    row = connection.execute(select(dpia_versions).where(dpia_versions.c.id == version_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such impact assessment", fix="list them with: synthema dpia list")
    people = select(dpia_signatures.c.person_id).where(dpia_signatures.c.version_id == version_id)
    signed_by = connection.execute(people.order_by(dpia_signatures.c.signed_at, dpia_signatures.c.id)).scalars().all()
    return DpiaVersion(
        id=row["id"],
        dpia=Dpia.model_validate(row["document"]),
        state=DpiaState(row["state"]),
        signed_by=tuple(signed_by),
        proposed_at=row["proposed_at"],
        activated_at=row["activated_at"],
        ended_at=row["ended_at"],
    )


def _has_officer(connection: Connection, version_id: str) -> bool:
    roles = select(dpia_signatures.c.roles).where(dpia_signatures.c.version_id == version_id)
    return any(OFFICER_ROLE in held for held in connection.execute(roles).scalars())


def _move(connection: Connection, version: DpiaVersion, event: str, **changes: Any) -> None:
    state = TRANSITIONS.get((version.state, event))
    if state is None:
        raise ConflictError(
            f"an assessment that is {version.state} cannot be changed by '{event}'", fix="propose a new version"
        )
    connection.execute(update(dpia_versions).where(dpia_versions.c.id == version.id).values(state=state, **changes))
