"""What the log says of each step of an obligation: pure PROV-O activities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from synthema.ids import new_id
from synthema.obligations.model import Task
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog
from synthema.provenance.model import Value

_LABELS = {
    "ObligationFulfilment": "an obligation was fulfilled",
    "ObligationLateFulfilment": "an obligation was fulfilled late; what follows from that is still open",
    "ObligationViolation": "an obligation was not kept",
    "ObligationSettlement": "an obligation that was not kept is settled",
    "ObligationWaiver": "an obligation was waived by two people",
    "ObligationReminder": "an obligation comes near its last moment",
}


class ObligationRecords:
    """Makes the activities of one connector's obligations."""

    def __init__(self, log: ProvenanceLog) -> None:
        self._log = log

    def iri(self, task: Task) -> str:
        """The IRI of a task."""
        return self._log.iri("obligation", task.id)

    def taken_on(
        self, tasks: Sequence[Task], at: datetime, *, run: str | None = None, by: Agent | None = None
    ) -> Activity:
        """Tasks came to be: by a decision on a run, as a standing duty, or because another was not kept."""
        attributes = {} if run is None else {"run": Iri(self._log.iri("run", run))}
        decisions = tuple(Entity(iri) for iri in sorted({task.decision for task in tasks if task.decision}))
        label = f"{len(tasks)} obligation{'s' if len(tasks) > 1 else ''} noted"
        return self._activity(
            "ObligationCreation", label, at, used=decisions, generated=self._entities(tasks), attributes=attributes,
            by=() if by is None else (by,),
        )  # fmt: skip

    def begun(self, tasks: Sequence[Task], at: datetime) -> Activity:
        """The event that deadlines are counted from has happened."""
        return self._activity("ObligationStart", "deadlines of obligations begin", at, used=self._entities(tasks))

    def voided(self, tasks: Sequence[Task], at: datetime, reason: str) -> Activity:
        """The act that obligations belonged to did not take place."""
        return self._activity(
            "ObligationVoiding", "obligations fell away", at, used=self._entities(tasks), attributes={"reason": reason}
        )

    def step(
        self,
        kind: str,
        task: Task,
        at: datetime,
        *,
        evidence: str | None = None,
        by: Agent | tuple[Agent, ...] | None = None,
    ) -> Activity:
        """One task moved; ``evidence`` is what shows it."""
        attributes: dict[str, Value | Iri] = {}
        if evidence is not None:
            attributes["shownBy"] = evidence
        if task.reason:
            attributes["reason"] = task.reason
        agents = by if isinstance(by, tuple) else () if by is None else (by,)
        return self._activity(kind, _LABELS[kind], at, used=self._entities([task]), attributes=attributes, by=agents)

    def _entities(self, tasks: Sequence[Task]) -> tuple[Entity, ...]:
        return tuple(self._entity(task) for task in tasks)

    def _entity(self, task: Task) -> Entity:
        attributes: dict[str, Value | Iri] = {
            "duty": Iri(task.action),
            "owedBy": Iri(task.party),
            "obligationState": str(task.state),
        }
        if task.rule is not None:
            attributes["imposedBy"] = Iri(task.rule)
        if task.due is not None:
            attributes["due"] = task.due
        return Entity(self.iri(task), ("Obligation",), attributes=attributes)

    def _activity(
        self,
        kind: str,
        label: str,
        at: datetime,
        *,
        used: tuple[Entity, ...] = (),
        generated: tuple[Entity, ...] = (),
        attributes: Mapping[str, Value | Iri] | None = None,
        by: tuple[Agent, ...] = (),
    ) -> Activity:
        return Activity(
            iri=self._log.iri("activity", new_id("activity")),
            type=kind,
            label=label,
            started=at,
            ended=at,
            agents=by,
            used=used,
            generated=generated,
            attributes=attributes or {},
        )
