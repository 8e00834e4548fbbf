"""What the log says about a study: one function per step, each giving a pure PROV-O activity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from synthema.federation.model import Contributed, RoundRecord, SiteLimits, StudyPlan
from synthema.ids import new_id
from synthema.provenance.model import Activity, Agent, Entity, Iri, Value

MakeIri = Callable[[str, str], str]


class StudyRecords:
    """Makes the activities of one party; ``me`` is its did, ``iri`` names its things."""

    def __init__(self, iri: MakeIri, me: str) -> None:
        self._iri = iri
        self._me = Agent(me, "Organization")

    def invited(self, plan: StudyPlan, at: datetime) -> Activity:
        """The coordinator opened the study for its members."""
        members: dict[str, Value | Iri] = {"members": len(plan.members), "minimumSites": plan.minimum_sites}
        return self._activity(
            plan,
            "StudyInvitation",
            "study opened for its members",
            at,
            generated=(self._plan(plan),),
            attributes=members,
        )

    def started(self, plan: StudyPlan, at: datetime) -> Activity:
        """All members have accepted the plan and the rounds begin."""
        return self._activity(plan, "StudyStart", "all members accepted, the rounds begin", at)

    def accepted(self, plan: StudyPlan, limits: SiteLimits, at: datetime) -> Activity:
        """The site takes part, within its limits."""
        bounds: dict[str, Value | Iri] = {
            "rho": limits.rho,
            "rounds": limits.rounds,
            "minimumSites": limits.minimum_sites,
            "coordinator": Iri(plan.coordinator),
        }
        return self._activity(plan, "StudyAcceptance", "study accepted", at, attributes=bounds)

    def begun(self, plan: StudyPlan, number: int, round_id: str, state_digest: str, at: datetime) -> Activity:
        """A round was opened: the coordinator asked, or was heard by this site, about this state of the algorithm."""
        state = Entity(self._iri("state", round_id), ("AlgorithmState",), digest=state_digest)
        return self._activity(
            plan, "RoundStart", f"round {number} begun", at, used=(state,), attributes={"round": number}
        )

    def contributed(self, plan: StudyPlan, contributed: Contributed, at: datetime) -> Activity:
        """A masked vector is about to leave this site."""
        left = Entity(
            self._iri("contribution", contributed.round_id),
            ("MaskedVector",),
            digest=contributed.digest,
            attributes={"sigma": contributed.sigma, "rho": contributed.rho},
        )
        return self._activity(
            plan,
            "RoundContribution",
            f"masked vector of round {contributed.number} handed over",
            at,
            generated=(left,),
            attributes={"round": contributed.number, "sigma": contributed.sigma, "rho": contributed.rho},
        )

    def answered(self, plan: StudyPlan, number: int, survivors: int, dropped: int, at: datetime) -> Activity:
        """The site helps to open the sum of exactly these survivors, once."""
        sets: dict[str, Value | Iri] = {"round": number, "survivors": survivors, "dropped": dropped}
        return self._activity(plan, "RoundUnmasking", f"shares to open round {number} given", at, attributes=sets)

    def left_out(self, plan: StudyPlan, number: int, at: datetime) -> Activity:
        """The site was too late for a round: its vector is not in the sum, and it may come back at the next one."""
        return self._activity(plan, "RoundAbsence", f"left out of round {number}", at, attributes={"round": number})

    def returned(self, plan: StudyPlan, at: datetime) -> Activity:
        """The site was restarted and takes part in the rounds to come; the one it was in is lost to it."""
        return self._activity(plan, "StudyReturn", "this site was restarted and is back in the study", at)

    def opened(self, plan: StudyPlan, record: RoundRecord, at: datetime) -> Activity:
        """The coordinator opened a round's sum."""
        total = Entity(
            self._iri("aggregate", record.round_id),
            ("Aggregate",),
            digest=record.total_digest,
            attributes={"sigma": record.sigma, "transcript": record.transcript},
        )
        return self._activity(
            plan,
            "RoundOpening",
            f"sum of round {record.number} opened",
            at,
            generated=(total,),
            attributes={
                "round": record.number,
                "survivors": len(record.survivors),
                "dropped": len(record.dropped),
                "rho": record.rho,
                "sigma": record.sigma,
            },
        )

    def finished(self, plan: StudyPlan, rounds: int, rho: float, at: datetime) -> Activity:
        """The study came to its end."""
        sums: dict[str, Value | Iri] = {"rounds": rounds, "rho": rho}
        return self._activity(plan, "StudyCompletion", "study finished", at, attributes=sums)

    def failed(self, plan: StudyPlan, reason: str, at: datetime) -> Activity:
        """The study ended before its end, for this party."""
        return self._activity(plan, "StudyFailure", "study ended early", at, attributes={"reason": reason})

    def refused(self, plan: StudyPlan, reason: str, at: datetime) -> Activity:
        """The site does not take part, or no longer."""
        return self._activity(plan, "StudyRefusal", "this site stopped taking part", at, attributes={"reason": reason})

    def _plan(self, plan: StudyPlan) -> Entity:
        return Entity(self._iri("study", plan.id), ("StudyPlan",), plan.title, plan.digest)

    def _activity(
        self,
        plan: StudyPlan,
        type_: str,
        label: str,
        at: datetime,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value | Iri] | None = None,
    ) -> Activity:
        made = self._plan(plan)
        return Activity(
            self._iri("activity", new_id("activity")),
            type_,
            label,
            at,
            at,
            agents=(self._me,),
            used=used if made in generated else (made, *used),
            generated=generated,
            attributes=attributes or {},
        )
