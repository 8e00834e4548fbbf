"""A site in studies: takes part within its grant, refuses the rest, and says why in its own log.

The site decides in each round. Whatever the coordinator says, nothing leaves
unless: the plan, the algorithm and the aggregator are those of the grant; the round is new;
its cost fits what the grant has left; the noise is what this site computes itself;
each member's keys are signed by that member; enough sites take part, survive, and signed the same survivors;
and whatever else this site wants to be sure of (``check``: its policies, its consents, the age of its lists).

What goes wrong is told in two ways: this site's own log says why; the coordinator is told what this site's policy
allows (``tell``), which is nothing but the fact unless somebody decided otherwise.

A site that is too slow for a round is left out of it and asked again at the next one; a vector that left it
too late counts as spent all the same. So is a site that was killed and started anew (:meth:`Participant.go_on`):
the round it died in is lost to it, and what had left it stays spent. A coordinator that falls silent is waited
for, since it may be on its way back.

That one row changes the vector by at most ``state.sensitivity`` is for the approved algorithm to
guarantee: it must refuse, in ``federated_contribute``, a state it would not have made itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.errors import DeniedError, SynthemaError
from synthema.federation import store
from synthema.federation.granted import check_plan
from synthema.federation.model import (
    Contributed,
    Outcome,
    ParticipationState,
    SiteLimits,
    StudyPlan,
)
from synthema.federation.ports import ActivityLog, Channel, DidResolver, Signer, SiteSession
from synthema.federation.records import StudyRecords
from synthema.federation.taking_part import Part, tell_refusal
from synthema.storage import Database

STOPPED = "this site stopped taking part; why stands in its own log"
"""What a coordinator is told where the site's policy allows no more."""


class Participant:
    """One site's part in studies.

    ``silence_seconds`` is how long the coordinator may say nothing. ``check`` is asked before each round and raises
    the :class:`SynthemaError` that ends this site's part; ``tell`` makes of an error what the coordinator hears.
    ``spend`` counts a round's loss in the transaction that notes that its vector may leave, before it does; an error
    it raises keeps the vector here. ``stopping`` says that the connector stops: a study is then left as it stands.
    """

    def __init__(
        self,
        database: Database,
        log: ActivityLog,
        signer: Signer,
        resolver: DidResolver,
        clock: Clock,
        me: str,
        channel: Channel,
        *,
        silence_seconds: float = 900.0,
        check: Callable[[], None] = lambda: None,
        tell: Callable[[SynthemaError], str] = lambda _error: STOPPED,
        spend: Callable[[Connection, Contributed], object] = lambda _connection, _left: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.database = database
        self.log = log
        self.signer = signer
        self.resolver = resolver
        self.clock = clock
        self.me = me
        self.channel = channel
        self.silence_seconds = silence_seconds
        self.check = check
        self.tell = tell
        self.spend = spend
        self.stopping = stopping
        self.records = StudyRecords(log.iri, me)

    def accept(self, plan: StudyPlan, limits: SiteLimits) -> None:
        """Store that this site takes part; raises :class:`DeniedError` when the plan does not fit the grant."""

        def write(connection: Any) -> None:
            store.add_participation(connection, plan, limits, self.clock.now())
            self.log.append(connection, self.records.accepted(plan, limits, self.clock.now()))

        check_plan(plan, limits, self.me)
        self.database.write(write)

    def run(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """Take part until the study ends, for everyone or for this site only; never raises for a refusal.

        Accepts the plan first, unless :meth:`accept` has done so. One that was running before a restart goes
        on with :meth:`go_on`.
        """
        try:
            check_plan(plan, limits, self.me)
            self._accept_unless_done(plan, limits)
        except DeniedError as error:
            return self.refuse(plan, error)
        return Part(self, plan, session, limits).to_the_end()

    def go_on(self, plan: StudyPlan, session: SiteSession, limits: SiteLimits) -> Outcome:
        """Come back into a study after a restart, for its later rounds, within the limits it was accepted with.

        ``limits`` are those of now: the plan must still fit them too. The round that was open then is lost; what was
        spent stays spent. Never raises for a refusal.
        """
        try:
            check_plan(plan, limits, self.me)
        except DeniedError as error:
            return self.leave(plan, error)
        kept = self.participation(plan.id).limits
        self.database.write(
            lambda connection: self.log.append(connection, self.records.returned(plan, self.clock.now()))
        )
        return Part(self, plan, session, kept).from_here_on()

    def leave(self, plan: StudyPlan, error: SynthemaError) -> Outcome:
        """End a participation under way that cannot go on; the log says why, the coordinator what it may know."""

        def write(connection: Connection) -> None:
            now = self.clock.now()
            store.move_participation(connection, plan.id, "refuse", "site", now, reason=error.message)
            self.log.append(connection, self.records.refused(plan, error.message, now))

        self.database.write(write)
        tell_refusal(self, plan, self.tell(error), self.participation(plan.id).sequence, 0, None)
        return self.outcome(plan.id)

    def refuse(self, plan: StudyPlan, error: SynthemaError) -> Outcome:
        """Note in the log that this site does not enter a study and why, and tell the coordinator what it may know.

        Also for the owner's own no, say when policy denies the run. A participation already
        running is not touched by this: it ends by itself or with its run.
        """
        reason = error.message
        self.database.write(
            lambda connection: self.log.append(connection, self.records.refused(plan, reason, self.clock.now()))
        )
        tell_refusal(self, plan, self.tell(error), 0, 0, None)
        return Outcome(plan.id, ParticipationState.REFUSED, reason, (), 0.0)

    def recover(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """After a start: fail what was running when the connector stopped, but for the studies in ``keep``."""

        def write(connection: Any) -> tuple[str, ...]:
            plans = [plan for plan in store.unfinished_participations(connection) if plan.id not in keep]
            reason = "interrupted: this site was restarted"
            for plan in plans:
                now = self.clock.now()
                store.move_participation(connection, plan.id, "abort", "site", now, reason=reason)
                self.log.append(connection, self.records.failed(plan, reason, now))
            return tuple(plan.id for plan in plans)

        return self.database.write(write)

    def participation(self, study_id: str) -> store.ParticipationRow:
        """The participation as stored; raises :class:`NotFoundError`."""
        with self.database.read() as connection:
            return store.participation(connection, study_id)

    def outcome(self, study_id: str) -> Outcome:
        """How a participation stands, with all that has left this site; raises :class:`NotFoundError`."""
        with self.database.read() as connection:
            row = store.participation(connection, study_id)
            sent = store.contributions(connection, study_id)
        return Outcome(study_id, row.state, row.reason, sent, sum((left.rho for left in sent), 0.0))

    def _accept_unless_done(self, plan: StudyPlan, limits: SiteLimits) -> None:
        with self.database.read() as connection:
            known = plan in store.unfinished_participations(connection)
        if not known:
            self.accept(plan, limits)
            return
        row = self.participation(plan.id)
        if row.state != ParticipationState.ACCEPTED or row.limits != limits:
            raise DeniedError(
                "this participation was begun before, or under other limits; it is not taken up again",
                fix="ask the coordinator for a new study",
            )
