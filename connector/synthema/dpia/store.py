"""Assessments as they are kept, their activation by two people, and whether they hold when something is decided.

An assessment is proposed as a whole and named by its digest. Two different people
sign that digest, one of them a data protection officer; the second signature
activates it and supersedes the version before. Nothing signed can be edited; what it
rests on is examined anew for every decision (:mod:`synthema.dpia.conformance`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from synthema.canonical import canonical_json, digest
from synthema.clock import Clock
from synthema.dpia import records
from synthema.dpia.check import Evidence, GateReport, check, joined
from synthema.dpia.conformance import Conformance, Finding, PluginState, end_of, examine
from synthema.dpia.model import Dpia, pin_plugins
from synthema.dpia.parts import GOOD_OUTCOMES, Phase
from synthema.dpia.records import Declaration, Declared, declaration_bytes
from synthema.dpia.versions import (
    DpiaState,
    DpiaVersion,
    circumstances,
    dpia_signatures,
    dpia_versions,
    find,
    has_officer,
    move,
)
from synthema.errors import ConflictError, DeniedError, InputError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, SignatureCheck
from synthema.ids import new_id
from synthema.policy.model import Fact
from synthema.provenance import Activity, Agent, Entity, ProvenanceLog
from synthema.provenance.model import SYNTHEMA
from synthema.storage import Database


def signing_bytes(digest: str) -> bytes:
    """What a person signs to approve an assessment; the statement is part of it, so it fits nothing else."""
    return canonical_json({"statement": "I approve this data protection impact assessment.", "digest": digest})


def _no_plugin(name: str) -> PluginState:
    """Where nobody can say how a plugin stands, it is not there."""
    return PluginState(f"'{name}' is not known")


def _one_of(version: DpiaVersion, covering: Sequence[DpiaVersion]) -> str:
    """What the officer is told beside a sentence of an assessment that is not alone; nothing where it is."""
    if len(covering) == 1:
        return ""
    return (
        f" (So says the assessment '{version.dpia.id}'. {len(covering)} assessments in force cover this act, and all "
        "of them count; one that was not made for it is proposed anew without it under 'actions'.)"
    )


class DpiaStore:
    """The assessments of one connector. ``plugin_state`` says how a plugin stands now; without it none counts."""

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        clock: Clock,
        people: SignatureCheck,
        plugin_state: Callable[[str], PluginState] = _no_plugin,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people
        self._plugin_state = plugin_state

    # life of a version -----------------------------------------------------------------

    def propose(self, dpia: Dpia, *, by: Agent | None = None) -> DpiaVersion:
        """Keep an assessment for signature, with the digests of the plugins it was made for.

        The same document proposed again is the same version.
        """
        states = {name: self._plugin_state(name) for name in dpia.plugins()}
        pinned = pin_plugins(dpia, {name: state.digest for name, state in states.items() if state.digest})

        def work(connection: Connection) -> DpiaVersion:
            known = connection.execute(
                select(dpia_versions.c.id).where(dpia_versions.c.digest == pinned.digest)
            ).scalar_one_or_none()
            if known is not None:
                return find(connection, known)
            version = DpiaVersion(new_id("dpia"), pinned, DpiaState.PROPOSED, (), self._clock.now())
            connection.execute(
                insert(dpia_versions).values(
                    id=version.id,
                    dpia_id=pinned.id,
                    digest=pinned.digest,
                    document=pinned.model_dump(mode="json"),
                    state=version.state,
                    proposed_at=version.proposed_at,
                )
            )
            label = f"Impact assessment proposed: {pinned.title}"
            self._record(connection, "DpiaProposal", label, version, by, new=True)
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
            kept = find(connection, version_id)
            if kept.state is not DpiaState.PROPOSED:
                raise ConflictError(f"this assessment is {kept.state}", fix="propose a new version to change it")
            if person.id in kept.signed_by:
                raise ConflictError("this person has signed already", fix="a second person must sign")
            self._require_standing(connection, kept)
            officers = OFFICER_ROLE in roles or has_officer(connection, version_id)
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
                move(connection, kept, "activate", activated_at=now)
            signed = find(connection, version_id)
            label = f"Impact assessment {'activated' if complete else 'signed'}: {kept.dpia.title}"
            self._record(connection, "DpiaActivation" if complete else "DpiaSignature", label, signed, signer)
            return signed

        return self._database.write(work)

    def withdraw(self, version_id: str, *, by: Agent | None = None) -> DpiaVersion:
        """Take an assessment out of force: from now on nothing that needs it runs."""

        def work(connection: Connection) -> DpiaVersion:
            move(connection, find(connection, version_id), "withdraw", ended_at=self._clock.now())
            version = find(connection, version_id)
            label = f"Impact assessment withdrawn: {version.dpia.title}"
            self._record(connection, "DpiaWithdrawal", label, version, by)
            return version

        return self._database.write(work)

    def declare(
        self, version_id: str, kind: Declaration, subject: str, text: str, person_id: str, signature: bytes
    ) -> DpiaVersion:
        """Keep what a person declares, signed over :func:`declaration_bytes`.

        An item of the plan is ``done``, a trigger is ``raised`` or ``answered`` (by a data protection officer),
        a ``signature withdrawn``, a release ``recalled``. Raises :class:`InputError` for a
        subject that is not there, :class:`DeniedError` for a person who may not say so.
        """
        version = self.version(version_id)
        person = self._people.verify(person_id, declaration_bytes(kind, version.digest, subject, text), signature)

        def work(connection: Connection) -> DpiaVersion:
            kept = find(connection, version_id)
            if kept.state in (DpiaState.SUPERSEDED, DpiaState.WITHDRAWN):
                raise ConflictError(f"this assessment is {kept.state}", fix="declare it of the version in force")
            self._require_sayable(connection, kept, kind, subject, person.id, tuple(person.roles))
            declared = Declared(version_id, kind, subject, text, person.id, self._clock.now())
            records.add_declaration(connection, kept.dpia.id, declared, signature)
            by = Agent(self._log.iri("person", person.id), "Person")
            said = {"declaration": kind, "subject": subject, "reason": text}
            self._record(connection, "DpiaDeclaration", f"Declared of the assessment: {kind}", kept, by, extra=said)
            return kept

        return self._database.write(work)

    # reading ---------------------------------------------------------------------------

    def version(self, version_id: str) -> DpiaVersion:
        """One version; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return find(connection, version_id)

    def versions(self) -> list[DpiaVersion]:
        """All versions, newest first."""
        with self._database.read() as connection:
            query = select(dpia_versions.c.id).order_by(dpia_versions.c.proposed_at.desc(), dpia_versions.c.id.desc())
            return [find(connection, version_id) for version_id in connection.execute(query).scalars()]

    def in_force(self, dpia_id: str) -> DpiaVersion | None:
        """The active version of an assessment, if there is one."""
        return next((version for version in self._in_force() if version.dpia.id == dpia_id), None)

    def covering(self, dataset_id: str, action: str | None = None) -> tuple[DpiaVersion, ...]:
        """The assessments in force for a dataset (and an action on it), the one activated last at the end.

        Where several cover it, all of them count: each was made for processing of this kind, and nothing says that
        one takes the risks of another off (GDPR Art. 35(1)). Raises :class:`DeniedError` without one.
        """
        covering = tuple(version for version in self._in_force() if version.dpia.covers(dataset_id, action))
        if not covering:
            what = "this dataset" if action is None else f"'{action[:80]}' on this dataset"
            raise DeniedError(
                f"no impact assessment in force covers {what} (GDPR Art. 35(1))",
                fix="propose one that does and have two people sign it, one of them the data protection officer",
            )
        return covering

    def rules_digest(self, dataset_id: str, action: str | None = None) -> str:
        """One digest for all assessments in force that cover an action: that of the assessment where there is one."""
        digests = [version.digest for version in self.covering(dataset_id, action)]
        return digests[0] if len(digests) == 1 else digest(digests)

    def figures(self, version: DpiaVersion) -> dict[str, Evidence]:
        """The last figure of each metric that was measured under a version."""
        with self._database.read() as connection:
            return records.latest_evidence(connection, version.id)

    # whether it holds ------------------------------------------------------------------

    def examine(self, version: DpiaVersion, at: datetime | None = None) -> Conformance:
        """Look at everything a version rests on, now (or as of a moment)."""
        states = {name: self._plugin_state(name) for name in version.dpia.plugins()}
        with self._database.read() as connection:
            found = circumstances(connection, version, states)
        return examine(version.dpia, found, at or self._clock.now())

    def require(self, dataset_id: str, action: str | None = None) -> tuple[DpiaVersion, ...]:
        """The assessments in force, which all hold now; raises :class:`DeniedError` saying what does not hold."""
        versions = self.covering(dataset_id, action)
        stopping = [(version, found) for version in versions for found in self.examine(version).stops(action)]
        if stopping:
            said = " ".join(f"{found.sentence}{_one_of(version, versions)}" for version, found in stopping)
            raise DeniedError(
                f"the impact assessment does not hold: {said}",
                fix="; ".join(dict.fromkeys(found.fix for _, found in stopping)),
            )
        return versions

    def why_not(self, dataset_id: str, action: str | None = None) -> tuple[str, ...]:
        """What of the assessments stands in the way of an action, in sentences; none when they hold."""
        try:
            versions = self.covering(dataset_id, action)
        except DeniedError as missing:
            return (f"{missing.message[0].upper()}{missing.message[1:]}. To change it: {missing.fix}.",)
        return tuple(
            f"{said}{_one_of(version, versions)}"
            for version in versions
            for said in self.examine(version).sentences(action)
        )

    def facts(self, version: DpiaVersion, action: str | None = None) -> dict[str, Fact]:
        """``syn:dpiaOutcome`` and ``syn:dpiaReviewDue`` (the end of that day), as they hold now.

        Of a version in force only. An outcome that cannot be relied on is left out, and so denies.
        """
        if version.state is not DpiaState.ACTIVE:
            return {}
        evidence = self._log.iri("dpia", version.id)
        facts = {SYNTHEMA + "dpiaReviewDue": Fact(end_of(version.dpia.review_due), evidence)}
        outcome = self.examine(version).outcome(action)
        if outcome is not None:
            facts[SYNTHEMA + "dpiaOutcome"] = Fact(outcome.iri, evidence)
        return facts

    def facts_for(self, dataset_id: str, action: str) -> dict[str, Fact]:
        """:meth:`facts` of all assessments that cover an action: the earliest review, and the outcome that is worst."""
        found = [self.facts(version, action) for version in self.covering(dataset_id, action)]
        outcome, due = SYNTHEMA + "dpiaOutcome", SYNTHEMA + "dpiaReviewDue"
        facts = {due: min((each[due] for each in found), key=lambda fact: fact.value)}
        if all(outcome in each for each in found):
            good = {known.iri for known in GOOD_OUTCOMES}
            worst = [each[outcome] for each in found if each[outcome].value not in good]
            facts[outcome] = (worst or [each[outcome] for each in found])[-1]
        return facts

    def check(
        self, dataset_id: str, phase: Phase, evidence: Sequence[Evidence], at: datetime, action: str | None = None
    ) -> GateReport:
        """Hold evidence, and the assessments in force themselves, against their gates.

        Raises :class:`DeniedError` without an assessment. Where several cover the action, the gates of all count.
        """
        versions = self.covering(dataset_id, action)
        reports = [
            check(version.dpia, phase, evidence, at, self.examine(version, at).results(action)) for version in versions
        ]
        return joined([(report, _one_of(version, versions)) for report, version in zip(reports, versions, strict=True)])

    # evidence --------------------------------------------------------------------------

    def keep(
        self,
        connection: Connection,
        report: GateReport,
        evidence: Sequence[Evidence],
        *,
        about: str | None = None,
        released: bool = False,
    ) -> None:
        """Keep the figures a report judged, inside the transaction that records what came of it.

        ``about`` is the release they were measured on; ``released`` says that it left with this
        report, so that its post-release gates begin to run.
        """
        for dpia_digest in (report.dpia_digest, *report.beside):
            query = select(dpia_versions.c.id, dpia_versions.c.dpia_id).where(dpia_versions.c.digest == dpia_digest)
            version_id, dpia_id = connection.execute(query).one()
            records.add_evidence(connection, version_id, evidence, about)
            if released and about is not None:
                records.add_release(connection, dpia_id, version_id, about, report.at)

    def record(
        self, report: GateReport, evidence: Sequence[Evidence], *, about: str | None = None, released: bool = False
    ) -> None:
        """Keep the figures a report judged, with a log entry of their own."""

        def work(connection: Connection) -> None:
            self.keep(connection, report, evidence, about=about, released=released)
            now = self._clock.now()
            thing = () if about is None else (Entity(about),)
            activity = Activity(
                iri=self._log.iri("activity", new_id("activity")),
                type="GateCheck",
                label=f"{report.phase} gates of the impact assessment: "
                f"{'passed' if report.conformant else 'not passed'}",
                started=now,
                ended=now,
                used=thing,
                attributes={
                    "phase": report.phase,
                    "conformant": report.conformant,
                    "dpiaDigest": report.dpia_digest,
                    "evidenceDigest": report.digest,
                },
            )
            self._log.append(connection, activity)

        self._database.write(work)

    def failing_releases(self) -> tuple[Finding, ...]:
        """The post-release gates of all assessments in force that do not hold now, with what was released."""
        found = (finding for version in self._in_force() for finding in self.examine(version).findings)
        return tuple(finding for finding in found if finding.release is not None and not finding.holds)

    def measured_in(self, release: str) -> tuple[str, ...]:
        """The IRIs of the runs in which a release was measured, the first one first."""
        with self._database.read() as connection:
            return records.sources_of(connection, release)

    # inside ----------------------------------------------------------------------------

    def _in_force(self) -> list[DpiaVersion]:
        with self._database.read() as connection:
            query = (
                select(dpia_versions.c.id)
                .where(dpia_versions.c.state == DpiaState.ACTIVE)
                .order_by(dpia_versions.c.activated_at, dpia_versions.c.id)
            )
            return [find(connection, version_id) for version_id in connection.execute(query).scalars()]

    def _require_ready(self, dpia: Dpia) -> None:
        if waiting := dpia.unconfirmed():
            raise ConflictError(
                f"{len(waiting)} thresholds are not confirmed by the site: {', '.join(waiting[:10])}",
                fix="thresholds have no legal source: the data protection officer confirms each, then proposes again",
            )
        if dpia.standing_outcome not in GOOD_OUTCOMES or not dpia.opinion.favourable:
            raise ConflictError(
                "this assessment does not recommend that the processing goes on (GDPR Art. 36(1))",
                fix="add measures until the risks are mitigated, or consult the supervisory authority and record its "
                "answer under 'consultation'",
            )
        if self._clock.now() > end_of(dpia.review_due):
            raise ConflictError("the review of this assessment is overdue", fix="review it and set a new review date")

    def _require_standing(self, connection: Connection, version: DpiaVersion) -> None:
        """Nobody adds a signature to a version from which another person took theirs back."""
        declared = records.declarations_of(connection, version.dpia.id)
        if any(item.version == version.id and item.kind == "signature withdrawn" for item in declared):
            raise ConflictError(
                "a person withdrew their signature from this version", fix="propose a version that both can sign"
            )

    def _require_sayable(
        self,
        connection: Connection,
        version: DpiaVersion,
        kind: Declaration,
        subject: str,
        person: str,
        roles: tuple[str, ...],
    ) -> None:
        """Whether there is such a thing to declare, and this person may."""
        declared = records.declarations_of(connection, version.dpia.id)
        raised = records.still_raised(declared, version.id)
        recalled = [item.subject for item in declared if item.kind == "recalled"]
        names: dict[Declaration, list[str]] = {
            "done": [item.id for item in version.dpia.plan],
            "raised": [trigger.id for trigger in version.dpia.triggers],
            "answered": sorted(raised),
            "signature withdrawn": [person] if person in version.signed_by else [],
            "recalled": [r.thing for r in records.releases_of(connection, version.dpia.id, recalled)],
        }
        if subject not in names[kind]:
            raise InputError(
                f"there is no '{subject[:100]}' of which '{kind}' can be declared",
                where="subject",
                fix=f"name one of: {', '.join(names[kind])}" if names[kind] else "nothing can be declared so",
            )
        if kind in ("answered", "recalled") and OFFICER_ROLE not in roles:
            raise DeniedError(
                f"only a data protection officer may declare '{kind}' (GDPR Art. 39(1)(c))",
                fix="let a person with the role 'dpo' sign it",
            )

    def _supersede(self, connection: Connection, dpia_id: str, now: datetime) -> None:
        query = select(dpia_versions.c.id).where(
            dpia_versions.c.dpia_id == dpia_id, dpia_versions.c.state == DpiaState.ACTIVE
        )
        for version_id in connection.execute(query).scalars().all():
            move(connection, find(connection, version_id), "supersede", ended_at=now)

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        version: DpiaVersion,
        by: Agent | None,
        *,
        new: bool = False,
        extra: dict[str, str] | None = None,
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
            attributes={"state": str(version.state), "signatures": len(version.signed_by), **(extra or {})},
        )
        self._log.append(connection, activity)
