"""Policies as they are kept and put in force: drafted in the form, signed by two people, active until replaced."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection, insert, select, update

from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, PolicyLoadError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, Signatory, SignatureCheck
from synthema.ids import new_id
from synthema.policy.analyse import Difference, Finding, analyse, semantic_diff
from synthema.policy.authoring import parse_policy
from synthema.policy.cases import CaseResult, load_case_files, read_cases, run_cases
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.law import union_law
from synthema.policy.model import ANY_DATASET, Fact, Layer, Policy
from synthema.policy.odrl import policy_digest, to_odrl
from synthema.policy.versions import (
    PolicyState,
    PolicyVersion,
    active_ids,
    active_rows,
    find_version,
    move,
    policy_signatures,
    policy_versions,
    signing_bytes,
    version_of,
)
from synthema.policy.wellformed import check_policy
from synthema.policy.writing import write_form
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database
from synthema.vocabulary import Vocabulary

_CACHED: Final = 256


class Log(Protocol):
    """What this room needs of the provenance log."""

    def append(self, connection: Connection, activity: Activity) -> object: ...

    def iri(self, kind: str, identifier: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Review:
    """What the people who sign should know about a version."""

    findings: tuple[Finding, ...]
    cases: tuple[CaseResult, ...]
    differences: tuple[Difference, ...]

    def obstacles(self, acknowledged: Collection[str] = ()) -> tuple[str, ...]:
        """What stands in the way of activation, in sentences."""
        open_ = [f for f in self.findings if f.severity == "error" and f.key not in acknowledged]
        failed = [result for result in self.cases if not result.passed]
        return (
            *(f"{finding.key}: {finding.sentence}" for finding in open_),
            *(f"case failed: {result.sentence}" for result in failed),
        )


class PolicyStore:
    """The policies of one connector. ``base`` of short names is the connector's own address, as its log knows it."""

    def __init__(
        self,
        database: Database,
        log: Log,
        clock: Clock,
        people: SignatureCheck,
        vocabulary: Vocabulary,
        *,
        member_state: Policy | None = None,
        standing: Mapping[str, Fact] | None = None,
    ) -> None:
        """Hold the bundled Union law pack, an L1 pack if one is given, and facts that hold for every request.

        Raises :class:`PolicyLoadError` when the bundled law pack cannot be understood.
        """
        self.vocabulary = vocabulary
        self.law = union_law(vocabulary)
        self._packs = (self.law, *((member_state,) if member_state else ()))
        self._standing = dict(standing or {})
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people
        self._base = log.iri("policy", "x").removesuffix("/id/policy/x")
        self._compiled: dict[tuple[str, str, tuple[str, ...]], CompiledPolicies] = {}
        self._lock = threading.Lock()

    # writing and putting in force ------------------------------------------------------

    def draft(
        self, text: str, file_name: str = "policy.yaml", *, cases: str = "", by: Agent | None = None
    ) -> PolicyVersion:
        """Keep a version for signature; the same version drafted again unchanged is the same one.

        ``cases`` is the text of its own cases. Raises :class:`PolicyLoadError` naming file and line,
        :class:`ConflictError` when this version exists with other words.
        """
        policy = parse_policy(text, self.vocabulary, file=file_name, base=self._base)
        if policy.layer not in (Layer.SITE, Layer.DATASET):
            raise PolicyLoadError(
                f"a policy of the layer {policy.layer} is not drafted here",
                where=file_name,
                fix="draft policies of the site or a dataset; law comes in packs, agreements from negotiations",
            )
        if cases:
            own = read_cases(cases, self.vocabulary, file=f"cases of {file_name}")
            if own.policy != policy.id:
                raise PolicyLoadError(f"these are the cases of {own.policy}", fix=f"write: policy: {policy.id}")
        return self._database.write(lambda connection: self._keep_draft(connection, policy, text, cases, by))

    def _keep_draft(
        self, connection: Connection, policy: Policy, text: str, cases: str, by: Agent | None
    ) -> PolicyVersion:
        digest = policy_digest(policy)
        known = connection.execute(
            select(policy_versions.c.digest, policy_versions.c.cases).where(
                policy_versions.c.policy_id == policy.id, policy_versions.c.version == policy.version
            )
        ).one_or_none()
        if known is not None:
            if tuple(known) != (digest, cases):
                raise ConflictError(
                    f"version {policy.version} of this policy exists with other words", fix="give it a new version"
                )
            return find_version(connection, policy.id, policy.version, self.vocabulary)
        version = self._insert(connection, policy, text, PolicyState.DRAFT, cases=cases)
        self._record(connection, "PolicyDraft", f"Policy drafted: {policy.title}", version, by, new=True)
        return version

    def review(self, policy_id: str, version: str) -> Review:
        """The findings, the outcome of its cases, and what it changes against the version in force."""
        with self._database.read() as connection:
            found = find_version(connection, policy_id, version, self.vocabulary)
            active = [version_of(connection, row, self.vocabulary).policy for row in active_rows(connection, ())]
        return self._review(found, active)

    def _review(self, version: PolicyVersion, active: Sequence[Policy]) -> Review:
        before = next((policy for policy in active if policy.id == version.policy.id), None)
        others = [*self._packs, *(policy for policy in active if policy.id != version.policy.id)]
        return Review(
            findings=analyse(version.policy, self.vocabulary, others),
            cases=self._run_cases(version),
            differences=() if before is None else semantic_diff(before, version.policy, self.vocabulary),
        )

    def _run_cases(self, version: PolicyVersion) -> tuple[CaseResult, ...]:
        files = [file for file in load_case_files(self.vocabulary) if file.policy == version.policy.id]
        if version.cases:
            files.append(read_cases(version.cases, self.vocabulary))
        results: list[CaseResult] = []
        for file in files:
            beside = [policy for policy in file.beside if policy.id != version.policy.id]
            if not any(policy.layer is Layer.UNION for policy in beside):
                beside.append(self.law)
            results += run_cases(file.cases, [*beside, version.policy], self.vocabulary, standing=file.standing)
        return tuple(results)

    def sign(
        self, policy_id: str, version: str, person_id: str, signature: bytes, *, acknowledge: Collection[str] = ()
    ) -> PolicyVersion:
        """Add a person's signature over :func:`signing_bytes`; the second one puts the version in force.

        ``acknowledge`` names findings (:attr:`Finding.key`) this person has seen and accepts.
        Raises :class:`ConflictError` while findings or failed cases stand in the way and when
        one person signs twice, :class:`DeniedError` when no data protection officer is among the two.
        """
        drafted = self.version(policy_id, version)
        person = self._people.verify(person_id, signing_bytes(policy_id, version, drafted.digest), signature)

        def work(connection: Connection) -> PolicyVersion:
            kept = find_version(connection, policy_id, version, self.vocabulary)
            self._require_signable(connection, kept, person, acknowledge)
            now = self._clock.now()
            accepted = sorted({*kept.acknowledged, *acknowledge})
            connection.execute(
                insert(policy_signatures).values(
                    id=new_id("signature"),
                    version_id=kept.id,
                    person_id=person.id,
                    roles=sorted(person.roles),
                    signature=signature.hex(),
                    signed_at=now,
                )
            )
            connection.execute(
                update(policy_versions).where(policy_versions.c.id == kept.id).values(acknowledged=accepted)
            )
            complete = len(kept.signed_by) + 1 >= REQUIRED_SIGNATURES
            if complete:
                self._supersede(connection, kept.policy.id)
                move(connection, kept, "activate", activated_at=now)
            else:
                move(connection, kept, "sign")
            signed = find_version(connection, policy_id, version, self.vocabulary)
            self._record(
                connection,
                "PolicyActivation" if complete else "PolicySignature",
                f"Policy {'activated' if complete else 'signed'}: {kept.policy.title}",
                signed,
                Agent(self._log.iri("person", person.id), "Person"),
            )
            return signed

        return self._database.write(work)

    def _require_signable(
        self, connection: Connection, version: PolicyVersion, person: Signatory, acknowledge: Collection[str]
    ) -> None:
        if version.state not in (PolicyState.DRAFT, PolicyState.IN_REVIEW):
            raise ConflictError(f"this policy is {version.state}", fix="draft a new version to change it")
        if person.id in version.signed_by:
            raise ConflictError("this person has signed already", fix="a second person must sign")
        officers = OFFICER_ROLE in person.roles or any(OFFICER_ROLE in roles for roles in version.signed_roles)
        if len(version.signed_by) + 1 >= REQUIRED_SIGNATURES and not officers:
            raise DeniedError(
                "no data protection officer is among the two who sign",
                fix="a person with the role 'dpo' must be the second to sign",
            )
        active = [version_of(connection, row, self.vocabulary).policy for row in active_rows(connection, ())]
        obstacles = self._review(version, active).obstacles({*version.acknowledged, *acknowledge})
        if obstacles:
            raise ConflictError(
                f"{len(obstacles)} findings stand in the way: {' | '.join(obstacles[:5])}",
                fix="mend the policy in a new version, or acknowledge each finding by its name when signing",
            )

    def _supersede(self, connection: Connection, policy_id: str) -> None:
        for row in active_rows(connection, ()):
            if row["policy_id"] == policy_id:
                old = version_of(connection, row, self.vocabulary)
                move(connection, old, "supersede", ended_at=self._clock.now())

    def withdraw(self, policy_id: str, version: str, *, by: Agent | None = None) -> PolicyVersion:
        """Take a version out of force: what it permitted is denied from now on."""

        def work(connection: Connection) -> PolicyVersion:
            kept = find_version(connection, policy_id, version, self.vocabulary)
            move(connection, kept, "withdraw", ended_at=self._clock.now())
            ended = find_version(connection, policy_id, version, self.vocabulary)
            self._record(connection, "PolicyWithdrawal", f"Policy withdrawn: {kept.policy.title}", ended, by)
            return ended

        return self._database.write(work)

    def add_agreement(self, connection: Connection, policy: Policy, agreement_id: str) -> PolicyVersion:
        """Put the policy (L4) of a final agreement in force, within the caller's transaction.

        Raises :class:`PolicyLoadError` for another layer or a policy that binds nobody,
        :class:`ConflictError` when the agreement has its policy already.
        """
        check_policy(policy, self.vocabulary)
        if policy.layer is not Layer.AGREEMENT or not policy.assignees or not agreement_id:
            raise PolicyLoadError(
                "this is not the policy of an agreement between named parties", fix="give a policy of L4 with assignees"
            )
        known = connection.execute(
            select(policy_versions.c.id).where(policy_versions.c.agreement == agreement_id)
        ).first()
        if known is not None:
            raise ConflictError("this agreement has its policy already", fix="conclude a new agreement to change it")
        form = write_form(policy, self.vocabulary)
        version = self._insert(connection, policy, form, PolicyState.ACTIVE, agreement=agreement_id)
        self._record(connection, "AgreementPolicy", f"Agreement in force: {policy.title}", version, None, new=True)
        return version

    def end_agreement(self, connection: Connection, agreement_id: str) -> None:
        """Take the policy of an agreement, if it has one, out of force within the caller's transaction."""
        for row in active_rows(connection, (agreement_id,)):
            if row["agreement"] == agreement_id:
                version = version_of(connection, row, self.vocabulary)
                move(connection, version, "withdraw", ended_at=self._clock.now())
                ended = find_version(
                    connection, row["policy_id"], row["version"], self.vocabulary, agreement=agreement_id
                )
                self._record(connection, "PolicyWithdrawal", f"Agreement ended: {version.policy.title}", ended, None)

    # reading ---------------------------------------------------------------------------

    def version(self, policy_id: str, version: str, *, agreement: str = "") -> PolicyVersion:
        """One version, of an agreement if one is named; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return find_version(connection, policy_id, version, self.vocabulary, agreement=agreement)

    def versions(self) -> list[PolicyVersion]:
        """All versions, newest first."""
        with self._database.read() as connection:
            query = select(policy_versions).order_by(policy_versions.c.drafted_at.desc(), policy_versions.c.id.desc())
            return [version_of(connection, dict(row), self.vocabulary) for row in connection.execute(query).mappings()]

    def compiled(self, target: str, agreement: str | None = None) -> CompiledPolicies:
        """What decides about a dataset (IRI) under an agreement: law, site, dataset, and this agreement alone.

        Kept until another version comes into force or goes. Without an agreement
        there is no L4 policy, and a decision denies saying so.
        """
        with self._database.read() as connection:
            key = (target, agreement or "", active_ids(connection, agreement or ""))
            known = self._compiled.get(key)
            if known is not None:
                return known
            rows = active_rows(connection, (agreement,) if agreement else ())
            policies = [version_of(connection, row, self.vocabulary).policy for row in rows]
        about = [policy for policy in policies if _is_about(policy, target)]
        compiled = compile_policies([*self._packs, *about], self.vocabulary, standing=self._standing)
        with self._lock:
            if len(self._compiled) >= _CACHED:
                self._compiled.clear()
            self._compiled[key] = compiled
        return compiled

    # helpers ---------------------------------------------------------------------------

    def _insert(
        self,
        connection: Connection,
        policy: Policy,
        form: str,
        state: PolicyState,
        *,
        cases: str = "",
        agreement: str = "",
    ) -> PolicyVersion:
        now = self._clock.now()
        connection.execute(
            insert(policy_versions).values(
                id=new_id("policy"),
                policy_id=policy.id,
                version=policy.version,
                agreement=agreement,
                layer=str(policy.layer),
                digest=policy_digest(policy),
                form=form,
                odrl=to_odrl(policy),
                cases=cases,
                acknowledged=[],
                state=state,
                drafted_at=now,
                activated_at=now if state is PolicyState.ACTIVE else None,
            )
        )
        return find_version(connection, policy.id, policy.version, self.vocabulary, agreement=agreement)

    def _record(
        self,
        connection: Connection,
        kind: str,
        label: str,
        version: PolicyVersion,
        by: Agent | None,
        *,
        new: bool = False,
    ) -> None:
        now = self._clock.now()
        entity = Entity(
            self._log.iri("policy-version", version.id),
            types=("Policy",),
            label=version.policy.title,
            digest=version.digest,
            attributes={
                "policyId": version.policy.id,
                "version": version.policy.version,
                "layer": str(version.policy.layer),
                "vocabularyVersion": self.vocabulary.version,
                "lawPack": policy_digest(self.law),
                **({"agreement": version.agreement} if version.agreement else {}),
            },
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


def _is_about(policy: Policy, target: str) -> bool:
    return any({ANY_DATASET, target} & set(policy.targets_of(rule)) for rule in policy.rules)
