"""What the log says of each step of a run: one function per step, each a pure PROV-O activity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from synthema.canonical import digest
from synthema.errors import InputError
from synthema.ids import new_id
from synthema.provenance.model import Activity, Agent, Entity, Value, node
from synthema.runs.model import Artefact, Grant, RunRequest


class RunRecords:
    """Makes the activities of one connector's runs."""

    def __init__(self, origin: str, connector: str, name: str) -> None:
        self._origin = origin
        self._us = Agent(connector, "Organization", name)

    def iri(self, kind: str, identifier: str) -> str:
        """The IRI of a thing of this connector."""
        return f"{self._origin}/id/{kind}/{identifier}"

    def decided(
        self, request: RunRequest, effect: str, decision_digest: str, policy_digest: str, at: datetime
    ) -> Activity:
        """A request was answered."""
        decision = Entity(
            self.iri("decision", request.id),
            ("Decision",),
            f"decision: {effect}",
            decision_digest,
            attributes={"effect": effect, "policyDigest": policy_digest},
        )
        return self._activity(
            request,
            "decision",
            "PolicyDecision",
            f"request answered: {effect}",
            at,
            used=(self._request(request), self._dataset(request.dataset), *self._basis(request)),
            generated=(decision,),
        )

    def granted(self, request: RunRequest, grant: Grant, at: datetime) -> Activity:
        """A grant was issued and its privacy budget set aside."""
        entity = Entity(
            self.iri("grant", grant.id),
            ("Grant",),
            "single-use grant",
            digest(grant.model_dump(mode="json")),
            attributes={
                "epsilon": grant.epsilon,
                "delta": grant.delta,
                "rho": grant.rho,
                "expiresAt": grant.expires_at,
            },
        )
        decision = Entity(self.iri("decision", request.id), ("Decision",), digest=grant.decision_digest)
        return self._activity(
            request,
            "grant",
            "Granting",
            "grant issued, privacy budget reserved",
            at,
            used=(decision,),
            generated=(entity,),
        )

    def started(self, request: RunRequest, grant: Grant, isolation: Mapping[str, Value], at: datetime) -> Activity:
        """A grant was consumed; from here on its privacy budget is spent."""
        plugins = tuple(
            Entity(self.iri("plugin", f"{name}-{value.removeprefix('sha256:')}"), ("Plugin",), name, value)
            for name, value in sorted(grant.plugin_digests.items())
        )
        return self._activity(
            request,
            "run",
            "Run",
            "grant consumed, run started in the sandbox",
            at,
            used=(
                Entity(self.iri("grant", grant.id), ("Grant",)),
                Entity(self.iri("decision", request.id), ("Decision",), digest=grant.decision_digest),
                self._dataset(grant.dataset, grant.dataset_digest),
                *plugins,
            ),
            attributes=isolation,
            plan=Entity(self.iri("grant", grant.id), ("Grant",)),
            software=tuple(Agent(each.iri, "SoftwareAgent", acts_for=self._us.iri) for each in plugins),
        )

    def resumed(
        self, request: RunRequest, grant: Grant, isolation: Mapping[str, Value], times: int, at: datetime
    ) -> Activity:
        """A run goes on after a crash, for the ``times``-th time, on the grant that it had."""
        return self._activity(
            request,
            f"resumption-{times}",
            "RunResumption",
            "run goes on in a new sandbox after the connector had stopped",
            at,
            used=(
                Entity(self.iri("grant", grant.id), ("Grant",)),
                self._dataset(grant.dataset, grant.dataset_digest),
            ),
            attributes=isolation,
            after="run",
        )

    def prepared(
        self, request: RunRequest, facts: Mapping[str, Value], at: datetime, *, again: int = 0, resumed: int = 0
    ) -> Activity:
        """Excluded patients were filtered and the table was anonymised, inside the sandbox.

        ``again`` counts the times it was done once more, without those who took consent back meanwhile; ``resumed``
        how often the run had gone on after a crash.
        """
        named = ["preparation", *([f"r{resumed}"] if resumed else []), *([str(again)] if again else [])]
        return self._activity(
            request,
            "-".join(named),
            "Preparation",
            "prepared again without those who took consent back"
            if again
            else "excluded patients filtered, table anonymised",
            at,
            used=(self._dataset(request.dataset),),
            attributes=facts,
            after="run",
        )

    def quarantined(self, request: RunRequest, files: Sequence[Artefact], at: datetime) -> Activity:
        """Outputs exist, and nobody may see them yet."""
        return self._activity(
            request,
            "quarantine",
            "Quarantine",
            "outputs placed in quarantine",
            at,
            used=(self._dataset(request.dataset),),
            generated=tuple(self._artefact(file, request) for file in files),
            after="run",
        )

    def settled(
        self, request: RunRequest, files: Sequence[Artefact], verdict: str, evidence_digest: str, at: datetime
    ) -> Activity:
        """The release checks were made: the outputs were released, or stay withheld."""
        return self._activity(
            request,
            verdict,
            "Release" if verdict == "released" else "Withholding",
            f"outputs {verdict}",
            at,
            used=tuple(self._artefact(file, request) for file in files),
            attributes={"evidenceDigest": evidence_digest},
            after="quarantine",
        )

    def failed(self, request: RunRequest, reason: str, at: datetime) -> Activity:
        """A run ended without a result; what it had reserved counts as spent once it started."""
        return self._activity(request, "failure", "Failure", f"run failed: {reason}", at)

    def refused(self, grant: str, reason: str, at: datetime) -> Activity:
        """Somebody tried to start or open something against the rules."""
        named = quote(grant[:80], safe="")  # a forged grant may call itself anything
        return Activity(
            self.iri("refusal", new_id("refusal")),
            "Refusal",
            f"refused: {reason}",
            at,
            at,
            agents=(self._us,),
            used=(Entity(self.iri("grant", named), ("Grant",)),),
        )

    def _request(self, request: RunRequest) -> Entity:
        return Entity(
            self.iri("request", request.id),
            ("Request",),
            "request",
            request.digest,
            attributes={"purpose": request.purpose, "action": request.action},
        )

    def _basis(self, request: RunRequest) -> tuple[Entity, ...]:
        """The permit or agreement that a request names."""
        named = request.agreement
        if named is None:
            return ()
        try:
            node(named)
        except InputError:
            kind = "permit" if named.startswith("permit-") else "agreement"
            # A request may name anything: what is unknown is denied, and the denial is recorded all the same.
            return (Entity(self.iri(kind, quote(named[:120], safe="")), (kind.capitalize(),)),)
        return (Entity(named, ("Agreement",)),)

    def _dataset(self, dataset: str, value: str | None = None) -> Entity:
        return Entity(self.iri("dataset", dataset), ("Dataset",), digest=value)

    def _artefact(self, file: Artefact, request: RunRequest) -> Entity:
        return Entity(
            self.iri("artefact", file.digest.removeprefix("sha256:")),
            ("Artefact",),
            file.name,
            file.digest,
            derived_from=(self.iri("dataset", request.dataset),),
        )

    def _activity(
        self,
        request: RunRequest,
        kind: str,
        type_: str,
        label: str,
        at: datetime,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value] | None = None,
        plan: Entity | None = None,
        software: tuple[Agent, ...] = (),
        after: str | None = None,
    ) -> Activity:
        requester = Agent(request.requester, "Organization")
        person = () if request.person is None else (Agent(self.iri("person", request.person), "Person"),)
        return Activity(
            f"{self.iri('run', request.id)}/{kind}",
            type_,
            label,
            at,
            at,
            agents=(self._us, requester, *person, *software),
            used=used,
            generated=generated,
            informed_by=(f"{self.iri('run', request.id)}/{after}",) if after else (),
            plan=plan,
            attributes={"run": self.iri("run", request.id), **(attributes or {})},
        )
