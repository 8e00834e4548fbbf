"""Policies as they are kept and put in force: drafted in the form, signed by two people, active until replaced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, NotFoundError, PolicyLoadError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, Signatory, SignatureCheck
from synthema.ids import new_id
from synthema.policy.analysis import (
    CaseResult,
    compare,
    load_case_files,
    read_cases,
    run_cases,
)
from synthema.policy.authoring import parse_policy
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.decide import decide
from synthema.policy.decision import Decision
from synthema.policy.inheritance import resolve
from synthema.policy.law import union_law
from synthema.policy.memberships import CollectionRegister, Log
from synthema.policy.model import AccessRequest, Fact, Layer, Parent, Policy
from synthema.policy.odrl import policy_digest, to_odrl
from synthema.policy.reviewing import Findings, Review
from synthema.policy.versions import (
    PolicyState,
    PolicyVersion,
    active_ids,
    active_rows,
    every_active_row,
    find_version,
    move,
    policy_signatures,
    policy_versions,
    rows_at,
    signing_bytes,
    version_of,
)
from synthema.policy.wellformed import check_policy
from synthema.policy.words import rule_sentence
from synthema.policy.writing import write_form
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database
from synthema.vocabulary import Vocabulary

_CACHED: Final = 256


class PolicyStore:
    """The policies of one connector, and the ``collections`` of datasets and parties they may name.

    Short names are below the connector's own address, as its log knows it.
    """

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
        self.collections = CollectionRegister(database, log, clock, people)
        self._compiled: dict[tuple[str, str, tuple[str, ...]], CompiledPolicies] = {}
        self._findings = Findings(vocabulary, self._standing)
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
        self._resolved(connection, policy)
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
            return self._review(connection, found)

    def _review(self, connection: Connection, version: PolicyVersion) -> Review:
        policy, active = self._resolved(connection, version.policy), self._in_force(connection)
        before = next((other for other in active if other.id == policy.id), None)
        others = [*self._packs, *(other for other in active if other.id != policy.id)]
        return Review(
            findings=self._findings.of(policy, others),
            cases=self._run_cases(replace(version, policy=policy)),
            comparison=None if before is None else compare(before, policy, self.vocabulary, standing=self._standing),
        )

    def beside(self, policy: Policy) -> tuple[Policy, list[Policy]]:
        """A policy with all it inherits, and what it would stand beside: the law packs, and the others in force."""
        with self._database.read() as connection:
            others = [other for other in self._in_force(connection) if other.id != policy.id]
            return self._resolved(connection, policy), [*self._packs, *others]

    def in_force(self, policy_id: str) -> Policy | None:
        """The version of a policy that is in force, with all it inherits; ``None`` if there is none."""
        with self._database.read() as connection:
            return next((policy for policy in self._in_force(connection) if policy.id == policy_id), None)

    @property
    def standing(self) -> Mapping[str, Fact]:
        """The facts that hold for every request."""
        return self._standing

    def _in_force(self, connection: Connection) -> list[Policy]:
        """The active policies with all they inherit, but for those that lost a parent and deny by themselves.

        A new version that mends such a policy must not fail on the old one.
        """
        found = []
        for row in active_rows(connection, ()):
            with contextlib.suppress(PolicyLoadError):
                found.append(self._resolved(connection, version_of(connection, row, self.vocabulary).policy))
        return found

    def _resolved(self, connection: Connection, policy: Policy, *, withdrawn: bool = False) -> Policy:
        """A policy with the rules of its parents, each a version two people have signed and nobody withdrew.

        With ``withdrawn``, what it would say if none of them had been: to see what it is about, not to decide.
        """
        allowed = {PolicyState.ACTIVE, PolicyState.SUPERSEDED, *((PolicyState.WITHDRAWN,) if withdrawn else ())}

        def find(parent: Parent) -> Policy:
            found = find_version(connection, parent.policy, parent.version, self.vocabulary)
            if found.state not in allowed:
                raise NotFoundError(
                    f"it is {found.state}", fix="inherit from a version that is signed and not withdrawn"
                )
            return found.policy

        return resolve(policy, find)

    def _run_cases(self, version: PolicyVersion) -> tuple[CaseResult, ...]:
        files = list(load_case_files(self.vocabulary, policy=version.policy.id))
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
        obstacles = self._review(connection, version).obstacles({*version.acknowledged, *acknowledge})
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
        """Take a version out of force: what it permitted is denied from now on.

        A policy that inherits from it can no longer be compiled, so that nothing is decided
        about the datasets it speaks about until a new version of it stands without.
        """

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
        if any(rule.origin for rule in policy.rules):
            raise PolicyLoadError(
                "a rule of this agreement claims to come from another policy",
                fix="leave 'syn:origin' out; name what is inherited under 'inheritFrom'",
            )
        if policy.layer is not Layer.AGREEMENT or not policy.assignees or not agreement_id:
            raise PolicyLoadError(
                "this is not the policy of an agreement between named parties", fix="give a policy of L4 with assignees"
            )
        known = connection.execute(
            select(policy_versions.c.id).where(policy_versions.c.agreement == agreement_id)
        ).first()
        if known is not None:
            raise ConflictError("this agreement has its policy already", fix="conclude a new agreement to change it")
        self._resolved(connection, policy)
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
        there is no L4 policy, and a decision denies saying so. Only a policy that names other datasets
        of this site and nothing else is left out: what names a collection may mean this dataset.
        Raises :class:`PolicyLoadError` when a policy lost a parent it inherits from.
        """
        with self._database.read() as connection:
            key = (target, agreement or "", active_ids(connection, agreement or ""))
            known = self._compiled.get(key)
            if known is not None:
                return known
            rows = active_rows(connection, (agreement,) if agreement else ())
            found = [version_of(connection, row, self.vocabulary).policy for row in rows]
            about = [
                self._resolved(connection, policy)
                for policy in found
                if self._may_be_about(self._resolved(connection, policy, withdrawn=True), target)
            ]
        compiled = compile_policies([*self._packs, *about], self.vocabulary, standing=self._standing)
        with self._lock:
            if len(self._compiled) >= _CACHED:
                self._compiled.clear()
            self._compiled[key] = compiled
        return compiled

    def compiled_at(self, target: str, agreement: str | None, at: datetime) -> CompiledPolicies:
        """What decided about a dataset earlier, for replay: the versions in force then, under the law of now.

        A law pack or vocabulary that changed since gives other policies, whose digest says so.
        """
        with self._database.read() as connection:
            rows = rows_at(connection, (agreement,) if agreement else (), at)
            found = [
                self._resolved(connection, version_of(connection, row, self.vocabulary).policy, withdrawn=True)
                for row in rows
            ]
        about = [policy for policy in found if self._may_be_about(policy, target)]
        return compile_policies([*self._packs, *about], self.vocabulary, standing=self._standing)

    def decide(self, request: AccessRequest, agreement: str | None = None) -> tuple[Decision, CompiledPolicies]:
        """The decision on a request under the policies in force, and those policies.

        The one door through which this house decides: which collections a dataset and a party are in is never taken
        from a request. Raises :class:`PolicyLoadError` when a policy lost a parent it inherits from.
        """
        placed = self.placed(request)
        compiled = self.compiled(placed.target, agreement)
        return decide(compiled, placed), compiled

    def naming(self, collection: str) -> tuple[str, ...]:
        """The rules in force that name a collection, or one that holds it, each as a sentence with its policy."""
        names = {collection, *self.collections.of(collection).get(collection, ())}
        with self._database.read() as connection:
            policies = [version_of(connection, row, self.vocabulary).policy for row in every_active_row(connection)]
        return tuple(
            f"{policy.title} ({policy.layer}): {rule_sentence(policy, rule, self.vocabulary)}"
            for policy in (*self._packs, *policies)
            for rule in policy.rules
            if not names.isdisjoint((*policy.targets_of(rule), *policy.assignees_of(rule)))
        )

    def placed(self, request: AccessRequest) -> AccessRequest:
        """The request with the collections this site knows its dataset and its party to be in, and no others."""
        return replace(request, collections=self.collections.of(request.target, request.assignee))

    # helpers ---------------------------------------------------------------------------

    def _may_be_about(self, policy: Policy, target: str) -> bool:
        datasets = self._log.iri("dataset", "")
        named = {iri for rule in policy.rules for iri in policy.targets_of(rule)}
        return any(iri == target or not iri.startswith(datasets) for iri in named)

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
