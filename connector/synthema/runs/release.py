"""The acts that follow a run: whether its output may leave the secure environment, and be certified.

The start of a run was decided on what was asked for. What came out is judged by what was measured on it, so the
policies are asked again, with the facts of now and the figures of the run. Masked contributions are not asked
about here: they leave one by one under the act of contributing, and only their sum can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from synthema.dpia import Evidence
from synthema.ids import new_id
from synthema.policy import AccessRequest, CompiledPolicies, Decision, Fact, read_request
from synthema.provenance import Activity, Agent, Entity
from synthema.runs import store
from synthema.runs.circumstances import earlier_acts
from synthema.runs.facts import OUTPUT_TERMS, FactFinder
from synthema.runs.measured import run_facts
from synthema.runs.model import IN_ROUNDS, OutputClass, RunRequest
from synthema.spi import ApprovedPlugin
from synthema.vocabulary.namespaces import ODRL, SYN

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms
    from synthema.runs.session import GovernedSession

EXPORT: Final = SYN + "export"
CERTIFY: Final = SYN + "certify"
DISTRIBUTE: Final = ODRL + "distribute"

LEAVING: Final[Mapping[str, str]] = {
    EXPORT: "this may not leave the secure environment (EHDS Article 73(2))",
    CERTIFY: "this may not be certified",
    DISTRIBUTE: "this may not be handed on (EHDS Article 61(2))",
}
"""Act → what its denial means, with the article that makes it a question at all."""


@dataclass(frozen=True, slots=True)
class DecidedAct:
    """An act on something that came out of a run, and how the policies decided it.

    ``about`` is that thing's IRI; ``position`` is that of the entry in the log, once the decision stands there.
    """

    id: str
    about: str
    decision: Decision
    compiled: CompiledPolicies
    position: int | None = None

    @property
    def action(self) -> str:
        """The IRI of the act."""
        return self.decision.request.action

    @property
    def permitted(self) -> bool:
        """Whether the policies permit it."""
        return self.decision.permitted

    def refusal(self) -> str:
        """Why it is denied, in sentences with their articles; empty where it is permitted."""
        if self.permitted:
            return ""
        return f"{LEAVING[self.action]}: {' '.join(self.decision.sentences())}"

    def as_dict(self) -> dict[str, Any]:
        """The act as JSON, with the whole decision, so that it can be replayed."""
        return {
            "id": self.id,
            "action": self.action,
            "about": self.about,
            "effect": self.decision.effect,
            "sentences": list(self.decision.sentences()),
            "digest": self.decision.digest,
            "position": self.position,
            "decision": self.decision.as_dict(),
        }


def decide_act(rooms: Rooms, access: AccessRequest, about: str, agreement: str | None) -> DecidedAct:
    """Ask the policies in force about an act."""
    return DecidedAct(new_id("decision"), about, *rooms.policies.decide(access, agreement))


def record_act(
    rooms: Rooms,
    connection: Connection,
    act: DecidedAct,
    *,
    process: str,
    dataset: str,
    basis: str | None,
    used: Sequence[Entity] = (),
    run: str | None = None,
) -> DecidedAct:
    """Log a decided act and take on its duties, in the transaction in which the act happens or is stopped.

    ``process`` is the id of the run or study that duties are counted from, ``run`` its IRI where it is a run.
    """
    now = rooms.clock.now()
    iri = rooms.log.iri("decision", act.id)
    decision = act.decision
    name = rooms.policies.vocabulary.label(act.action)
    made = Entity(
        iri,
        ("Decision",),
        f"decision: {decision.effect}",
        decision.digest,
        attributes={"effect": decision.effect, "policyDigest": decision.policy_digest, "action": act.action},
    )
    activity = Activity(
        f"{iri}/deciding",
        "PolicyDecision",
        f"asked of the output, to {name}: {decision.effect}"[:2000],
        now,
        now,
        agents=(Agent(rooms.settings.did, "Organization"), Agent(decision.request.assignee, "Organization")),
        used=tuple(used) or (Entity(act.about),),
        generated=(made,),
        informed_by=() if run is None else (f"{run}/quarantine",),
        attributes={} if run is None else {"run": run},
    )
    position = rooms.log.append(connection, activity).sequence
    rooms.obligations.take_on(
        connection, decision, act.compiled, run=process, dataset=dataset, basis=basis, decision_iri=iri
    )
    return replace(act, position=position)


class ReleaseDesk:
    """Asks the policies about what came out of runs."""

    def __init__(self, rooms: Rooms, facts: FactFinder) -> None:
        self._rooms = rooms
        self._facts = facts

    def of_output(self, session: GovernedSession, figures: Sequence[Evidence]) -> tuple[DecidedAct, ...]:
        """Whether a run's own output may leave; nothing to decide for a masked contribution, which has left already."""
        request = session.request
        if request.kind in IN_ROUNDS:
            return ()
        spent = {SYN + "epsilonRemaining": _set_aside(self._run(request.id))}
        access = self._access(request, session.prepared.exclusion_list, EXPORT, request.output, figures, spent)
        return (decide_act(self._rooms, access, self._rooms.log.iri("run", request.id), request.agreement),)

    def of_candidate(
        self, session: GovernedSession, figures: Sequence[Evidence], candidate: str, contribution: str
    ) -> tuple[DecidedAct, ...]:
        """Whether a study's candidate may leave and be certified, as far as this site's data are in it.

        ``candidate`` is its IRI, ``contribution`` the run in which this site took part in making it: what that cost
        a patient is what the candidate's release costs.
        """
        made, request = self._run(contribution), session.request
        grant = self._rooms.log.iri("grant", session.grant.id)
        spent = {
            SYN + "epsilonRequested": Fact(made.request.epsilon, grant),
            SYN + "delta": Fact(made.request.delta, grant),
            SYN + "epsilonRemaining": _set_aside(made),
        }
        applied = session.prepared.exclusion_list
        return tuple(
            decide_act(
                self._rooms,
                self._access(request, applied, action, "synthetic", figures, spent),
                candidate,
                request.agreement,
            )
            for action in (EXPORT, CERTIFY)
        )

    def of_report(
        self, contribution: store.RunRecord, applied: int, figures: Sequence[Evidence], report: str
    ) -> tuple[DecidedAct, ...]:
        """Whether the report that a study made of its sums may leave, as far as this site's data are in it.

        ``contribution`` is the run in which this site took part, ``applied`` the exclusion list it was made with,
        ``report`` the report's IRI. Of exact sums no loss is told: there is no bound on it.
        """
        spent = {SYN + "epsilonRemaining": _set_aside(contribution)}
        request = contribution.request
        access = self._access(request, applied, EXPORT, "aggregate", figures, spent)
        return (decide_act(self._rooms, access, report, request.agreement),)

    def under(self, request: RunRequest, basis: str, begun: store.RunRecord | None = None) -> Decision:
        """What the policies of another permit or agreement than its own decide on a request, as of now.

        ``begun`` is the run that does it already, if one does: what it set aside itself is no reason against it.
        """
        access = self._facts.access_request(
            request.model_copy(update={"agreement": basis}), self._plugins(request), self._rooms.clock.now()
        )
        before = None if begun is None else _set_aside(begun)
        if before is not None:
            access = replace(access, facts={**access.facts, SYN + "epsilonRemaining": before})
        return self._rooms.policies.decide(access, basis)[0]

    def keep(
        self, connection: Connection, request: RunRequest, acts: Sequence[DecidedAct], at: datetime
    ) -> tuple[DecidedAct, ...]:
        """Log decided acts, keep them with their run, and take on their duties; they come back with their entries."""
        rooms = self._rooms
        files = [file for file, _ in store.artefacts_of(connection, request.id)]
        entities = [Entity(rooms.log.iri("artefact", file.digest.removeprefix("sha256:"))) for file in files]
        run = rooms.log.iri("run", request.id)
        kept = tuple(
            record_act(
                rooms,
                connection,
                act,
                process=request.id,
                dataset=rooms.datasets.version(request.dataset).name,
                basis=request.agreement,
                used=entities if act.about == run else (),
                run=run,
            )
            for act in acts
        )
        if kept:
            store.keep_acts(connection, request.id, [act.as_dict() for act in kept], at)
        return kept

    def _access(
        self,
        request: RunRequest,
        applied: int,
        action: str,
        output: OutputClass,
        figures: Sequence[Evidence],
        spent: Mapping[str, Fact | None],
    ) -> AccessRequest:
        """The request of a run, asked again about its output: the facts of now, and what the run itself has shown."""
        rooms = self._rooms
        found = self._facts.access_request(request, self._plugins(request), rooms.clock.now())
        run = rooms.log.iri("run", request.id)
        measuring = request.compute if request.kind in ("evaluator", "analysis", "anonymiser") else request.evaluate
        shown: dict[str, Fact | None] = {
            SYN + "outputClass": Fact(rooms.policies.vocabulary.data_formats.resolve(OUTPUT_TERMS[output]), run),
            SYN + "exclusionListVersion": Fact(applied, rooms.log.iri("exclusion-list", str(applied))),
            **spent,
            ODRL + "count": _count(earlier_acts(rooms.database, request.agreement, action), run),
            **run_facts(figures, "" if measuring is None else measuring.plugin),
        }
        known = {operand: fact for operand, fact in {**found.facts, **shown}.items() if fact is not None}
        return replace(found, id=f"{run}/{rooms.policies.vocabulary.actions.name(action)}", action=action, facts=known)

    def _plugins(self, request: RunRequest) -> dict[str, ApprovedPlugin]:
        return {step.plugin: self._rooms.plugins.require(step.plugin) for _, step, _ in request.chain}

    def _run(self, run: str) -> store.RunRecord:
        with self._rooms.database.read() as connection:
            return store.find(connection, run)


def _set_aside(run: store.RunRecord) -> Fact | None:
    """The budget as it was before the run: its own share was set aside then, and is no reason against its release."""
    if run.decision is None:
        return None
    return read_request(run.decision["request"]).facts.get(SYN + "epsilonRemaining")


def _count(number: int | None, evidence: str) -> Fact | None:
    return None if number is None else Fact(number, evidence)
