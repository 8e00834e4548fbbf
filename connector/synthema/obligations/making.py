"""How tasks come to be: out of the obligations of a decision, the prior duties of a refusal, and what was not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from synthema.ids import new_id
from synthema.obligations.model import SITE_DUTIES, Task, TaskState
from synthema.policy.assess import assess
from synthema.policy.compile import CompiledPolicies
from synthema.policy.decision import Decision, Obligation
from synthema.policy.model import AccessRequest, Duty, Event, Layer, Timing

LAW = (Layer.UNION, Layer.MEMBER_STATE)

Following = tuple[dict[str, Any], ...]
"""The duties that follow if another is not kept, as kept JSON."""


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """Makes the tasks of one decision. ``site`` owes the site's own duties, the requester all others."""

    site: str
    run: str
    dataset: str
    basis: str | None
    decision_iri: str
    now: datetime

    def tasks(self, decision: Decision, compiled: CompiledPolicies) -> Iterator[tuple[Task, Following]]:
        """A task for every obligation; after a refusal, for every prior duty that stands in the way."""
        request = decision.request
        law = frozenset(rule.rule.id for rule in compiled.rules if rule.layer in LAW)
        for obligation in decision.obligations:
            task = replace(self._from_obligation(obligation, request), statutory=obligation.rule in law)
            yield task, _following(obligation, compiled)
        if not decision.permitted:
            for duty, rule in open_prior_duties(compiled, request):
                yield replace(self._from_duty(duty, rule, request), statutory=rule in law), ()

    def _from_obligation(self, value: Obligation, request: AccessRequest) -> Task:
        duty = Duty(value.action, value.timing, value.within, value.after, value.evidence)
        return replace(self._from_duty(duty, value.rule, request), articles=tuple(map(str, value.law)))

    def _from_duty(self, duty: Duty, rule: str, request: AccessRequest) -> Task:
        counted = duty.after is Event.DECISION or duty.within is None
        ours = duty.action in SITE_DUTIES
        return Task(
            id=new_id("obligation"),
            action=duty.action,
            party=self.site if ours else request.assignee,
            timing=duty.timing,
            rule=rule,
            articles=(),
            dataset=self.dataset,
            basis=None if ours else self.basis,
            run=self.run,
            subject=None,
            decision=self.decision_iri,
            after=duty.after,
            within=duty.within,
            starts=request.at if counted else None,
            due=request.at + duty.within if counted and duty.within is not None else None,
            evidence_type=duty.evidence,
            state=TaskState.OPEN if counted else TaskState.WAITING,
            created_at=self.now,
            changed_at=self.now,
        )


def open_prior_duties(compiled: CompiledPolicies, request: AccessRequest) -> tuple[tuple[Duty, str], ...]:
    """Each prior duty that stands between a request and its permission, with the rule that imposes it.

    Duties of permissions that fail for another reason too are left out: doing them would not help.
    """
    outcome = assess(compiled, request)
    if outcome.refusals or outcome.forbidding:
        return ()
    found: dict[tuple[str, str], Duty] = {}
    for attempts in outcome.attempts.values():
        for attempt in attempts:
            if attempt.verdict is True:
                found |= {(each.duty.action, attempt.rule.rule.id): each.duty for each in attempt.open_duties}
    for rule in outcome.open_obligations:
        found |= {(each.duty.action, rule.rule.id): each.duty for each in rule.duties if each.duty.timing is Timing.PRE}
    return tuple((found[key], key[1]) for key in sorted(found))


def _following(value: Obligation, compiled: CompiledPolicies) -> Following:
    """The consequences its rule names for a duty that is not kept (ODRL ``consequence``)."""
    rules = (rule for rule in compiled.rules if rule.rule.id == value.rule)
    duties = [
        duty
        for rule in rules
        for duty in rule.rule.duties
        if (duty.action, duty.timing) == (value.action, value.timing)
    ]
    return tuple(
        {"action": further.action, "evidence": further.evidence} for duty in duties for further in duty.consequences
    )


def consequence(broken: Task, value: dict[str, Any], now: datetime) -> Task:
    """A consequence as a task of its own; it has no date, since until it is done nothing is permitted."""
    return replace(
        broken,
        id=new_id("obligation"),
        action=value["action"],
        timing=Timing.POST,
        after=Event.DECISION,
        within=None,
        starts=now,
        due=None,
        evidence_type=value["evidence"],
        evidence=(),
        state=TaskState.OPEN,
        created_at=now,
        changed_at=now,
        reason=None,
        parent=broken.id,
        reminded=0,
    )


def own_task(
    action: str,
    party: str,
    now: datetime,
    *,
    timing: Timing,
    rule: str | None = None,
    articles: tuple[str, ...] = (),
    dataset: str | None = None,
    basis: str | None = None,
    subject: str | None = None,
    due: datetime | None = None,
    evidence_type: str | None = None,
) -> Task:
    """An open task that comes from no decision."""
    return Task(
        id=new_id("obligation"),
        action=action,
        party=party,
        timing=timing,
        rule=rule,
        articles=articles,
        dataset=dataset,
        basis=basis,
        run=None,
        subject=subject,
        decision=None,
        after=Event.DECISION,
        within=None if due is None else due - now,
        starts=now,
        due=due,
        evidence_type=evidence_type,
        state=TaskState.OPEN,
        created_at=now,
        changed_at=now,
        statutory=bool(articles),
    )
