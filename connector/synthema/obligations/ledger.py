"""The obligations ledger: what comes with a permission is a dated task, and stays one until it is shown to be done.

Every step happens in one transaction with its entry in the log. :meth:`ObligationLedger.sweep` turns what is past
its last moment into a violation; a decision counts the clock by itself (:meth:`ObligationLedger.fulfilments`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from synthema.canonical import canonical_json
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, Signatory, SignatureCheck
from synthema.obligations import store
from synthema.obligations.making import TaskMaker, consequence, own_task
from synthema.obligations.model import (
    REMINDERS,
    SITE_DUTIES,
    UNFINISHED,
    Evidence,
    EvidenceKind,
    Task,
    TaskState,
    advance,
    check_evidence,
)
from synthema.obligations.records import ObligationRecords
from synthema.policy.compile import CompiledPolicies
from synthema.policy.decision import Decision
from synthema.policy.model import Event, Fulfilment, Timing
from synthema.provenance import Agent, ProvenanceLog
from synthema.provenance.store import size_of
from synthema.storage import Database

ENDS: Final = frozenset({"PermitExpired", "PermitRevoked", "EXPIRED", "TERMINATED"})
"""The states of permits and agreements in which nothing more is permitted, for good."""


def waiver_bytes(task: Task, reason: str) -> bytes:
    """What two people sign to waive an obligation."""
    return canonical_json({"waive obligation": task.id, "duty": task.action, "party": task.party, "reason": reason})


class ObligationLedger:
    """Everything that somebody owes this site, or this site owes others. ``site`` is its did."""

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        clock: Clock,
        people: SignatureCheck,
        site: str,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._people = people
        self._site = site
        self._records = ObligationRecords(log)

    # coming to be ------------------------------------------------------------------------

    def take_on(
        self,
        connection: Connection,
        decision: Decision,
        compiled: CompiledPolicies,
        *,
        run: str,
        dataset: str,
        basis: str | None,
        decision_iri: str | None = None,
    ) -> list[Task]:
        """Make a task of every obligation of a decision, in the transaction that records the decision.

        ``decision_iri`` names the decision where it is not the one that a run began with. A refusal leaves the prior
        duties that stood in the way, open at once. A task that stands for many decisions
        (no date, or one they share) is kept once and names them all.
        """
        now = self._clock.now()
        maker = TaskMaker(self._site, run, dataset, basis, decision_iri or self._log.iri("decision", run), now)
        made: list[Task] = []
        kept: list[Task] = []
        for task, following in maker.tasks(decision, compiled):
            like = store.standing_like(connection, task) if task.is_standing else None
            if like is None:
                store.insert_task(connection, task, following)
                made.append(task)
            else:
                like = self._prolonged(connection, like, task)
            store.add_cause(connection, like or task, run, decision.request.at)
            kept.append(like or task)
        if made:
            self._log.append(connection, self._records.taken_on(made, now, run=run))
        return kept

    def impose(
        self,
        connection: Connection,
        action: str,
        *,
        party: str,
        subject: str,
        due: datetime | None,
        articles: Sequence[str] = (),
        dataset: str | None = None,
        basis: str | None = None,
        evidence_type: str | None = None,
        by: Agent | None = None,
    ) -> Task | None:
        """Keep a duty that comes from no decision, e.g. the yearly check of a description; None if it is there already.

        ``subject`` is its key: one unfinished task of an action for a subject at a time; a later ``due`` moves it.
        """
        now = self._clock.now()
        for known in store.find_tasks(connection, subject=subject, states=UNFINISHED):
            if known.action == action and known.party == party:
                if known.state is TaskState.OPEN and due is not None and known.due != due:
                    store.update_task(connection, replace(known, due=due, changed_at=now))
                return None
        task = own_task(
            action, party, now, timing=Timing.POST, articles=tuple(articles), dataset=dataset, basis=basis,
            subject=subject, due=due, evidence_type=evidence_type,
        )  # fmt: skip
        store.insert_task(connection, task)
        self._log.append(connection, self._records.taken_on([task], now, by=by))
        return task

    # events ------------------------------------------------------------------------------

    def run_ended(self, connection: Connection, run: str, at: datetime, *, released: bool) -> list[Task]:
        """A run came to its end: what is counted from its completion (and its release) gets its date.

        What is counted from a release that did not happen is void. A duty for the time of the run was kept when no
        breach was recorded, unless its rule asks for evidence.
        """
        events = {Event.COMPLETION, Event.RELEASE} if released else {Event.COMPLETION}
        begun = self._begin(connection, store.find_tasks(connection, run=run), events, at)
        if not released:
            gone = [t for t in store.find_tasks(connection, run=run) if t.run == run and t.after is Event.RELEASE]
            self._void(connection, gone, at, "the run released nothing")
        self._close_during(connection, run, at)
        return begun

    def run_failed(self, connection: Connection, run: str, at: datetime, *, started: bool) -> list[Task]:
        """A run ended without a result: what waits for its completion is void.

        One that never started has read nothing: then all its own tasks are void, those of other runs stay.
        """
        own = [task for task in store.find_tasks(connection, run=run) if store.causes_of(connection, task.id) == [run]]
        gone = [
            task
            for task in own
            if task.action not in SITE_DUTIES
            and (not started or task.after in (Event.COMPLETION, Event.RELEASE) or task.timing is Timing.DURING)
        ]
        return self._void(connection, gone, at, "the run gave no result" if started else "the run never started")

    def basis_ended(self, connection: Connection, basis: str, state: str) -> None:
        """A permit or agreement came to a state: where that is its end, what is counted from it gets its date.

        A listener for :meth:`synthema.permits.PermitStore.on_end`; what is only suspended has not ended.
        """
        if state in ENDS:
            found = store.find_tasks(connection, basis=basis)
            self._begin(connection, found, {Event.EXPIRY}, self._clock.now())

    # doing -------------------------------------------------------------------------------

    def fulfil(self, task_ids: Sequence[str], evidence: str, *, by: Signatory) -> list[Task]:
        """Record that duties were done, and what shows it; one piece of evidence may serve several.

        What is past its last moment is not fulfilled any more but settled: that takes a data protection officer,
        and all that followed from it must be done as well. Raises :class:`InputError` for evidence of another kind
        than the rule asks for, :class:`DeniedError` for who may not accept it.
        """
        return self._database.write(
            lambda connection: [self.fulfil_within(connection, one, evidence, by=by) for one in task_ids]
        )

    def fulfil_within(self, connection: Connection, task_id: str, evidence: str, *, by: Signatory) -> Task:
        """:meth:`fulfil` as part of a larger transaction."""
        now = self._clock.now()
        task = self._counting_the_clock(connection, store.find_task(connection, task_id), now)
        kind = check_evidence(evidence, task.evidence_type)
        if kind is EvidenceKind.LOG_ENTRY:
            self._require_entry(evidence)
        person = self._log.iri("person", by.id)
        shown = (*task.evidence, Evidence(kind, evidence, person, now))
        if task.state is TaskState.VIOLATED:
            return self._settle(connection, replace(task, evidence=shown), by, now)
        done = replace(task, state=advance(task.state, "fulfil"), evidence=shown, changed_at=now)
        store.update_task(connection, done)
        self._log.append(
            connection, self._records.step("ObligationFulfilment", done, now, evidence=evidence, by=_agent(person))
        )
        if done.parent is not None:
            self._settle_parent(connection, done.parent, by, now)
        return done

    def kept_by_site(self, connection: Connection, task_id: str, entry: str) -> Task:
        """Record that the connector itself did what its site owes, shown by a log entry of this transaction.

        What is late stays violated, now with what shows that it was done: an officer settles it.
        """
        now = self._clock.now()
        task = self._counting_the_clock(connection, store.find_task(connection, task_id), now)
        late = task.state is TaskState.VIOLATED
        shown = (*task.evidence, Evidence(EvidenceKind.LOG_ENTRY, entry, self._site, now))
        state = task.state if late else advance(task.state, "fulfil")
        done = replace(task, state=state, evidence=shown, changed_at=now)
        store.update_task(connection, done)
        kind = "ObligationLateFulfilment" if late else "ObligationFulfilment"
        self._log.append(connection, self._records.step(kind, done, now, evidence=entry))
        return done

    def fall_away(self, connection: Connection, task_id: str, reason: str) -> None:
        """A task is void, because there is nothing left that it is about."""
        self._void(connection, [store.find_task(connection, task_id)], self._clock.now(), reason)

    def record_prior(
        self, connection: Connection, action: str, *, party: str, dataset: str, basis: str | None, rule: str,
        evidence: str, by: Signatory,
    ) -> Task:  # fmt: skip
        """Record a duty that was done before anybody asked, so that the next request finds it fulfilled."""
        _require_officer(by, "what was done beforehand is recorded")
        now = self._clock.now()
        task = own_task(action, party, now, timing=Timing.PRE, rule=rule, dataset=dataset, basis=basis)
        store.insert_task(connection, task)
        self._log.append(connection, self._records.taken_on([task], now))
        return self.fulfil_within(connection, task.id, evidence, by=by)

    def report_breach(self, task_id: str, reason: str, *, by: Signatory) -> Task:
        """Record that a duty was broken, e.g. a publication before the agreed date; needs a data protection officer."""
        if not reason.strip():
            raise InputError("no reason is given", fix="say in one sentence what happened; it stands in the log")
        _require_officer(by, "a breach is recorded")

        def work(connection: Connection) -> Task:
            now = self._clock.now()
            task = self._counting_the_clock(connection, store.find_task(connection, task_id), now)
            return self._violate(connection, task, now, reason.strip(), _agent(self._log.iri("person", by.id)))

        return self._database.write(work)

    def waive(self, task_id: str, reason: str, approvals: Sequence[tuple[str, bytes]]) -> Task:
        """Drop a duty on the word of two people, one of them a data protection officer, with the reason.

        Raises :class:`DeniedError` for a duty of a law pack: what a law demands no site can waive.
        """
        if not reason.strip():
            raise InputError("a waiver needs its reason", fix="say why in one sentence; it stands in the log")
        task = self.task(task_id)
        if task.statutory:
            articles = ", ".join(task.articles) or "the law"
            raise DeniedError(
                f"this duty comes from {articles}; a site cannot waive it", fix="fulfil it, or ask the authority"
            )
        people = self._four_eyes(waiver_bytes(task, reason), approvals)

        def work(connection: Connection) -> Task:
            now = self._clock.now()
            found = self._counting_the_clock(connection, store.find_task(connection, task_id), now)
            waived = replace(found, state=advance(found.state, "waive"), reason=reason.strip(), changed_at=now)
            store.update_task(connection, waived)
            agents = tuple(_agent(self._log.iri("person", person.id)) for person in people)
            self._log.append(connection, self._records.step("ObligationWaiver", waived, now, by=agents))
            return waived

        return self._database.write(work)

    # the clock ---------------------------------------------------------------------------

    def sweep(self) -> list[Task]:
        """Turn what is past its last moment into a violation (a hold that was kept: into a fulfilment), each logged."""
        now = self._clock.now()
        with self._database.read() as connection:
            due = [task.id for task in store.find_tasks(connection, states=(TaskState.OPEN,), due_before=now)]
        if not due:
            return []

        def work(connection: Connection) -> list[Task]:
            found = [store.find_task(connection, one) for one in due]
            return [self._counting_the_clock(connection, task, now) for task in found]

        return self._database.write(work)

    def remind(self) -> list[Task]:
        """Note a reminder in the log for each open task that comes near: 30, 7 and 1 days ahead, each once."""
        now = self._clock.now()
        with self._database.read() as connection:
            near = store.find_tasks(
                connection, states=(TaskState.OPEN,), due_before=now + REMINDERS[0] + timedelta(seconds=1)
            )
        due = [(task, passed) for task in near if (passed := _reminders_passed(task, now)) > task.reminded]
        if not due:
            return []

        def work(connection: Connection) -> list[Task]:
            noted = []
            for task, passed in due:
                fresh = store.find_task(connection, task.id)
                if fresh.state is TaskState.OPEN and fresh.reminded < passed:
                    reminded = replace(fresh, reminded=passed)
                    store.update_task(connection, reminded)
                    self._log.append(connection, self._records.step("ObligationReminder", reminded, now))
                    noted.append(reminded)
            return noted

        return self._database.write(work)

    # reading -----------------------------------------------------------------------------

    def fulfilments(self, party: str, dataset: str, basis: str | None, at: datetime) -> tuple[Fulfilment, ...]:
        """What a decision is told of earlier duties of a party.

        A violated duty, about whichever dataset, blocks until it is settled or waived. A duty fulfilled beforehand
        counts for the dataset and the permit or agreement it was about. Counts the clock.
        """
        with self._database.read() as connection:
            tasks = store.find_tasks(connection, party=party, states=(TaskState.OPEN, TaskState.VIOLATED))
            done = (TaskState.FULFILLED, TaskState.WAIVED, TaskState.SETTLED)
            tasks += store.find_tasks(connection, party=party, timing=Timing.PRE, states=done)
        found: list[Fulfilment] = []
        for task in tasks:
            state = task.state_at(at)
            if state is TaskState.VIOLATED:
                since = task.due if task.due is not None and task.state is TaskState.OPEN else task.changed_at
                iri = self._records.iri(task)
                found.append(Fulfilment(task.action, min(since, at), task.party, iri, task.rule, "violated"))
            elif task.timing is Timing.PRE and state in done and _is_about(task, dataset, basis):
                shown = task.evidence[-1].value if task.evidence else self._records.iri(task)
                found.append(Fulfilment(task.action, task.changed_at, task.party, shown, task.rule))
        return tuple(found)

    def task(self, task_id: str) -> Task:
        """One task, counting the clock; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return _as_of(store.find_task(connection, task_id), self._clock.now())

    def tasks(
        self, *, party: str | None = None, dataset: str | None = None, basis: str | None = None, run: str | None = None,
        due_within: timedelta | None = None, unfinished: bool = False,
    ) -> list[Task]:  # fmt: skip
        """Tasks as they stand now, the nearest date first; ``due_within`` finds the dated and unfinished ones."""
        now = self._clock.now()
        with self._database.read() as connection:
            found = store.find_tasks(connection, party=party, dataset=dataset, basis=basis, run=run)
        tasks = [_as_of(task, now) for task in found]
        if unfinished or due_within is not None:
            tasks = [task for task in tasks if task.state in UNFINISHED]
        if due_within is not None:
            tasks = [task for task in tasks if task.due is not None and task.due <= now + due_within]
        return tasks

    def last_done(self, connection: Connection, action: str, subject: str) -> datetime | None:
        """When a standing duty was last fulfilled (or settled), so that its next turn is counted from then."""
        done = store.find_tasks(connection, subject=subject, states=(TaskState.FULFILLED, TaskState.SETTLED))
        return max((task.changed_at for task in done if task.action == action), default=None)

    def causes(self, task_id: str) -> list[str]:
        """The runs whose decisions imposed a task."""
        with self._database.read() as connection:
            return store.causes_of(connection, task_id)

    # helpers -----------------------------------------------------------------------------

    def _prolonged(self, connection: Connection, kept: Task, again: Task) -> Task:
        """A hold lasts as long as the latest decision demands."""
        if kept.holds and again.due is not None and kept.due is not None and again.due > kept.due:
            kept = replace(kept, due=again.due, reminded=0, changed_at=self._clock.now())
            store.update_task(connection, kept)
        return kept

    def _begin(self, connection: Connection, tasks: Iterable[Task], events: set[Event], at: datetime) -> list[Task]:
        begun = []
        for task in tasks:
            if task.state is TaskState.WAITING and task.after in events and task.within is not None:
                opened = replace(
                    task, state=advance(task.state, "begin"), starts=at, due=at + task.within, changed_at=at
                )
                store.update_task(connection, opened)
                begun.append(opened)
        if begun:
            self._log.append(connection, self._records.begun(begun, at))
        return begun

    def _void(self, connection: Connection, tasks: Iterable[Task], at: datetime, reason: str) -> list[Task]:
        gone = []
        for task in tasks:
            if task.state in (TaskState.WAITING, TaskState.OPEN):
                voided = replace(task, state=advance(task.state, "void"), reason=reason, changed_at=at)
                store.update_task(connection, voided)
                gone.append(voided)
        if gone:
            self._log.append(connection, self._records.voided(gone, at, reason))
        return gone

    def _close_during(self, connection: Connection, run: str, at: datetime) -> None:
        for task in store.find_tasks(connection, run=run, states=(TaskState.OPEN,)):
            if task.run == run and task.timing is Timing.DURING and task.evidence_type is None and task.due is None:
                run_iri = self._log.iri("run", run)
                reason = "the run ended and no breach was recorded"
                done = replace(task, state=advance(task.state, "fulfil"), reason=reason, changed_at=at)
                store.update_task(connection, done)
                self._log.append(connection, self._records.step("ObligationFulfilment", done, at, evidence=run_iri))

    def _counting_the_clock(self, connection: Connection, task: Task, now: datetime) -> Task:
        """The task as the clock left it, kept and logged if that changed it."""
        state = task.state_at(now)
        if state is task.state:
            return task
        if state is TaskState.VIOLATED:
            return self._violate(connection, task, now, "its last moment has passed", None)
        head = self._log.graph_iri(max(0, size_of(connection) - 1))
        shown = (*task.evidence, Evidence(EvidenceKind.LOG_ENTRY, head, self._site, now))
        reason = "its date has passed and no breach was recorded"
        kept = replace(task, state=advance(task.state, "fulfil"), evidence=shown, reason=reason, changed_at=now)
        store.update_task(connection, kept)
        self._log.append(connection, self._records.step("ObligationFulfilment", kept, now, evidence=head))
        return kept

    def _violate(self, connection: Connection, task: Task, now: datetime, reason: str, by: Agent | None) -> Task:
        broken = replace(task, state=advance(task.state, "violate"), reason=reason, changed_at=now)
        store.update_task(connection, broken)
        self._log.append(connection, self._records.step("ObligationViolation", broken, now, by=by))
        following = [consequence(broken, value, now) for value in store.consequences_of(connection, broken.id)]
        for task_ in following:
            store.insert_task(connection, task_)
        if following:
            self._log.append(connection, self._records.taken_on(following, now))
        return broken

    def _settle(self, connection: Connection, task: Task, by: Signatory, now: datetime) -> Task:
        """What was late or broken is done now; it is settled once all that followed from it is done too."""
        _require_officer(by, "what was late or broken is settled")
        open_ = [child for child in store.find_tasks(connection, parent=task.id) if child.state in UNFINISHED]
        state = task.state if open_ else advance(task.state, "settle")
        settled = replace(task, state=state, changed_at=now)
        store.update_task(connection, settled)
        kind = "ObligationLateFulfilment" if open_ else "ObligationSettlement"
        person = _agent(self._log.iri("person", by.id))
        shown = task.evidence[-1].value if task.evidence else None
        self._log.append(connection, self._records.step(kind, settled, now, evidence=shown, by=person))
        return settled

    def _settle_parent(self, connection: Connection, parent_id: str, by: Signatory, now: datetime) -> None:
        """With the last of its consequences done, a duty that was itself done late is settled."""
        parent = store.find_task(connection, parent_id)
        left = any(child.state in UNFINISHED for child in store.find_tasks(connection, parent=parent_id))
        if parent.state is TaskState.VIOLATED and parent.evidence and not left and OFFICER_ROLE in by.roles:
            self._settle(connection, parent, by, now)

    def _require_entry(self, iri: str) -> None:
        origin, _, number = iri.rpartition("/log/")
        if origin != self._log.origin or int(number) >= self._log.size():
            raise InputError(
                "this connector's log has no such entry",
                where="evidence",
                fix=f"give an entry as {self._log.origin}/log/<number>; see them with: synthema log show",
            )

    def _four_eyes(self, data: bytes, approvals: Sequence[tuple[str, bytes]]) -> list[Signatory]:
        people = [self._people.verify(person, data, signature) for person, signature in approvals]
        if len({person.id for person in people}) < REQUIRED_SIGNATURES:
            raise DeniedError("a waiver needs the signatures of two different people", fix="let a second person sign")
        if not any(OFFICER_ROLE in person.roles for person in people):
            raise DeniedError(
                "no data protection officer is among those who sign", fix="one of the two must have the role 'dpo'"
            )
        return people


def _is_about(task: Task, dataset: str, basis: str | None) -> bool:
    return task.dataset in (None, dataset) and task.basis in (None, basis)


def _as_of(task: Task, at: datetime) -> Task:
    state = task.state_at(at)
    return task if state is task.state else replace(task, state=state)


def _reminders_passed(task: Task, now: datetime) -> int:
    return 0 if task.due is None or task.holds else sum(now >= task.due - ahead for ahead in REMINDERS)


def _agent(iri: str) -> Agent:
    return Agent(iri, "Person")


def _require_officer(person: Signatory, what: str) -> None:
    if OFFICER_ROLE not in person.roles:
        raise DeniedError(f"{what} by a data protection officer", fix="let a person with the role 'dpo' do it")
