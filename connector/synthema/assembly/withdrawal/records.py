"""What the log says of a withdrawal on its way: counts, versions, things and reasons, and nothing of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from synthema.assembly.withdrawal.model import Plan
from synthema.assembly.withdrawal.store import KeptItem, Notice
from synthema.ids import new_id
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog, Value

_LONGEST = 1500


class WithdrawalRecords:
    """Makes the activities of one connector's withdrawals; ``us`` is its did."""

    def __init__(self, log: ProvenanceLog, us: str) -> None:
        self._log = log
        self._us = us

    def iri(self, plan: str) -> str:
        """The IRI of a plan."""
        return self._log.iri("withdrawal", plan)

    def planned(self, identifier: str, plan: Plan, at: datetime) -> Activity:
        """A withdrawal was followed into what was derived."""
        counts = Counter(str(item.consequence) for item in plan.items)
        told = ", ".join(f"{count} × {name}" for name, count in sorted(counts.items())) or "nothing was derived"
        made = Entity(self.iri(identifier), ("WithdrawalPlan",), f"plan: {told}"[:_LONGEST])
        cause = self._cause(plan)
        return self._activity(
            "WithdrawalPlanning",
            "A withdrawal was followed into everything that was derived",
            at,
            used=(cause,),
            generated=(made,),
            attributes={
                "exclusionListVersion": plan.cause.list_version,
                "derivedThings": len(plan.items),
                "lineageComplete": plan.complete,
            },
        )

    def found_more(self, identifier: str, count: int, at: datetime) -> Activity:
        """Work that was under way has made more, which is now part of the plan."""
        return self._activity(
            "WithdrawalPlanning",
            "More was derived since, and is now part of the plan",
            at,
            used=(self._plan(identifier),),
            attributes={"derivedThings": count},
        )

    def step(self, item: KeptItem, outcome: str, at: datetime, *, by: Agent | None = None) -> Activity:
        """What followed for one derived thing."""
        thing = Entity(item.item.subject, digest=item.item.digest)
        attributes: dict[str, Value | Iri] = {"consequence": str(item.item.consequence), "outcome": outcome[:_LONGEST]}
        return self._activity(
            "WithdrawalStep",
            f"Withdrawal carried on: {item.item.consequence}",
            at,
            used=(self._plan(item.plan), thing),
            attributes=attributes,
            by=by,
        )

    def erased(self, item: KeptItem, at: datetime, *, by: Agent | None = None) -> Activity:
        """A derived file is deleted for good; its digest stays."""
        return self._activity(
            "ArtefactErasure",
            "A derived file is deleted because consent was taken back",
            at,
            used=(self._plan(item.plan), Entity(item.item.subject, digest=item.item.digest)),
            attributes={"reason": item.item.why[:_LONGEST]},
            by=by,
        )

    def assessed(self, item: KeptItem, digest: str, finding: str, at: datetime, by: Agent) -> Activity:
        """An officer assessed whether a derived thing may stay."""
        iri = self._log.iri("assessment", new_id("assessment"))
        made = Entity(iri, ("AnonymityAssessment",), f"assessment: {finding}", digest, (item.item.subject,))
        return self._activity(
            "WithdrawalAssessment",
            f"An officer assessed what remains of the person in a derived thing: {finding}",
            at,
            used=(self._plan(item.plan), Entity(item.item.subject, digest=item.item.digest)),
            generated=(made,),
            attributes={"finding": finding},
            by=by,
        )

    def notified(self, notice: Notice, digest: str, at: datetime) -> Activity:
        """A notice to a partner was signed; it is sent until its receipt is here."""
        made = Entity(self._log.iri("withdrawal-notice", notice.id), ("WithdrawalNotice",), digest=digest)
        return self._activity(
            "WithdrawalNotification",
            "A partner is told of a withdrawal",
            at,
            used=(self._plan(notice.plan),),
            generated=(made,),
            attributes={"recipient": Iri(notice.recipient), "number": notice.number, "answerBy": notice.answer_by},
        )

    def answered(self, notice: Notice, digest: str, at: datetime) -> Activity:
        """A partner's receipt came in."""
        receipt = Entity(self._log.iri("withdrawal-receipt", notice.id), ("WithdrawalReceipt",), digest=digest)
        return self._activity(
            "WithdrawalReceiptArrival",
            "A partner answered a notice of withdrawal with its receipt",
            at,
            used=(Entity(self._log.iri("withdrawal-notice", notice.id), ("WithdrawalNotice",)), receipt),
            attributes={"recipient": Iri(notice.recipient), "number": notice.number},
        )

    def took(self, sender: str, notice: str, digest: str, receipt: str, known: int, at: datetime) -> Activity:
        """A partner's notice was taken, and a receipt was signed."""
        made = Entity(
            self._log.iri("withdrawal-receipt", receipt.removeprefix("sha256:")),
            ("WithdrawalReceipt",), digest=receipt,
        )  # fmt: skip
        return self._activity(
            "WithdrawalNoticeReceived",
            "A partner told of a withdrawal; what is derived here is looked for",
            at,
            used=(Entity(notice, ("WithdrawalNotice",), digest=digest),),
            generated=(made,),
            attributes={"sender": Iri(sender), "derivedThings": known},
        )

    def completed(self, identifier: str, at: datetime) -> Activity:
        """Nothing of a plan is left to do."""
        label = "A withdrawal was carried into everything that was derived; what stays, stays for a recorded reason"
        return self._activity("WithdrawalCompletion", label, at, used=(self._plan(identifier),))

    def rules_set(self, dataset: str, digest: str, at: datetime, by: Agent) -> Activity:
        """An officer set what follows for which class of derived things."""
        made = Entity(
            self._log.iri("withdrawal-rules", digest.removeprefix("sha256:")), ("WithdrawalRules",), digest=digest
        )
        return self._activity(
            "WithdrawalRulesChange",
            f"What follows from withdrawals was set for {'every dataset' if dataset == '*' else dataset}",
            at,
            generated=(made,),
            by=by,
        )

    def _plan(self, identifier: str) -> Entity:
        return Entity(self.iri(identifier), ("WithdrawalPlan",))

    def _cause(self, plan: Plan) -> Entity:
        if plan.cause.notice is not None:
            return Entity(plan.cause.notice, ("WithdrawalNotice",))
        return Entity(self._log.iri("exclusion-list", str(plan.cause.list_version)), ("ExclusionList",))

    def _activity(
        self,
        kind: str,
        label: str,
        at: datetime,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value | Iri] | None = None,
        by: Agent | None = None,
    ) -> Activity:
        us = Agent(self._us, "Organization")
        return Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=at,
            ended=at,
            agents=(us,) if by is None else (us, by),
            used=used,
            generated=generated,
            attributes=attributes or {},
        )
