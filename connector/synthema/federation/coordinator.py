"""The coordinator of studies: asks the sites round by round, opens sums, and never sees more.

Sites call in: :meth:`Coordinator.next` hands out what is meant for a site (the
call waits for it), :meth:`Coordinator.handle` takes what a site answers. Both
may be called from many threads; :meth:`Coordinator.run_study` runs a study in one thread of its own.

A coordinator that was killed goes on where it was: :meth:`Coordinator.recover` brings the open
rounds back, and :meth:`Coordinator.run_study` runs them on. What each site said and was told is on
disk before it takes effect, so no round counts twice and no site is asked twice for its vector.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthema import canonical
from synthema.clock import Clock
from synthema.datasets.seal import write_durably
from synthema.errors import ConflictError, DeniedError, NotFoundError, PeerError, PluginError, SynthemaError
from synthema.federation import going_on, store
from synthema.federation.going_on import Said
from synthema.federation.live import Closing, Keep, LiveStudy
from synthema.federation.messages import Parcel, verify
from synthema.federation.model import (
    FINAL_STUDY_STATES,
    RoundRecord,
    StudyPlan,
    StudyResult,
    StudyState,
    state_from_json,
    state_to_json,
)
from synthema.federation.ports import ActivityLog, DidResolver, Signer, SiteSession
from synthema.federation.privacy import MARGIN, NoiseShare, largest_number, share_in
from synthema.federation.records import StudyRecords
from synthema.federation.round import CoordinatorRound
from synthema.federation.taking_up import kept_vector, take_up
from synthema.ids import new_id
from synthema.spi.model import Aggregate, State
from synthema.storage import Database

LONGEST_WAIT = 55.0


class Coordinator:
    """The studies of one coordinating connector.

    ``answer_seconds`` is how long a site may take for one step, ``acceptance_seconds`` how long
    for accepting a plan. With ``folder``, all masked vectors are kept below it, so that anyone
    can see what a coordinator gets to see: one site's vector cannot be told from noise. Without a
    folder, a round that was interrupted after the first vector came in cannot be gone on with.
    """

    def __init__(
        self,
        database: Database,
        log: ActivityLog,
        signer: Signer,
        resolver: DidResolver,
        clock: Clock,
        me: str,
        *,
        answer_seconds: float = 120.0,
        acceptance_seconds: float = 600.0,
        folder: Path | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._signer = signer
        self._resolver = resolver
        self._clock = clock
        self._me = me
        self._answer_seconds = answer_seconds
        self._acceptance_seconds = acceptance_seconds
        self._folder = folder
        self._records = StudyRecords(log.iri, me)
        self._live: dict[str, LiveStudy] = {}
        self._lock = threading.Lock()
        self._closing = False

    # What sites call ---------------------------------------------------------------

    def handle(self, study_id: str, site: str, data: bytes) -> None:
        """Take one parcel from an authenticated site; a repeated one changes nothing.

        Raises :class:`NotFoundError` for a study the site has no part in,
        :class:`ConflictError` when the message is not due, other errors when it is not as it must be.
        """
        live = self._study_of(study_id, site)
        parcel = Parcel.from_bytes(data)
        live.check(parcel.message, site)
        verify(parcel.message, self._resolver)
        if not self._known(parcel):
            live.require_due(parcel.message)
            content = live.content(parcel)
            self._keep(parcel)
            if self._note(parcel, len(data)):
                live.take(parcel.message, content)

    def next(self, study_id: str, site: str, after: int, wait_seconds: float = 25.0) -> bytes | None:
        """The parcel that follows number ``after`` for this site, waiting for it; None when none came.

        Raises :class:`NotFoundError` for a study the site has no part in.
        """
        with self._lock:
            live = self._live.get(study_id)
        if live is None:
            return self._farewell(study_id, site, after)
        return self._study_of(study_id, site).next(site, after, min(wait_seconds, LONGEST_WAIT))

    # What the owner calls ----------------------------------------------------------

    def invite(self, plan: StudyPlan) -> None:
        """Store a study and let its members accept; raises :class:`ConflictError` when its id is taken."""
        if plan.coordinator != self._me:
            raise DeniedError(
                "the plan names another coordinator", fix="make the plan at the connector that coordinates"
            )

        def write(connection: Any) -> None:
            store.add_study(connection, plan, self._clock.now())
            self._log.append(connection, self._records.invited(plan, self._clock.now()))

        self._database.write(write)
        with self._lock:
            self._live[plan.id] = self._new(plan)

    def accepted(self, study_id: str) -> frozenset[str]:
        """The members that have accepted so far."""
        return self._running(study_id).accepted

    def without(self, study_id: str, site: str, reason: str) -> None:
        """A member refused on another way than by a message of the study; the others go on if they are enough."""
        self._running(study_id).without(site, reason)

    def present(self, study_id: str) -> frozenset[str]:
        """The members that would be asked in a round that began now; empty for a study that is not open here."""
        with self._lock:
            live = self._live.get(study_id)
        return frozenset() if live is None or live.ended else live.present

    def study(self, study_id: str) -> store.StudyRow:
        """The study as stored; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            return store.study(connection, study_id)

    def knows(self, study_id: str) -> bool:
        """Whether there is such a study here, in whatever state."""
        try:
            self.study(study_id)
        except NotFoundError:
            return False
        return True

    def opened_rounds(self, study_id: str) -> tuple[RoundRecord, ...]:
        """The rounds opened so far."""
        with self._database.read() as connection:
            return store.opened_rounds(connection, study_id)

    def run_study(self, study_id: str, session: SiteSession) -> StudyResult:
        """Wait for all members to accept, run all rounds, and return the result.

        Raises the :class:`SynthemaError` that ended the study; by then it is stored as
        failed with the reason, and the sites are told. :class:`Closing` says that the
        connector stops: the study goes on at its next start.
        """
        live = self._running(study_id)
        try:
            self._await_acceptance(live)
            result = self._run_rounds(live, session)
        except Closing:
            raise
        except SynthemaError as error:
            if self._closing:
                raise Closing from error
            self._fail(live, error.message)
            raise
        except BaseException:
            self._fail(live, "the coordinator failed within")
            raise
        self._finish(live, result)
        return result

    def stop(self, study_id: str, reason: str) -> None:
        """End a study from outside the thread that runs it; the sites are told."""
        live = self._running(study_id)
        live.interrupt(reason)
        if not live.started:
            self._fail(live, reason)

    def abandon(self, study_id: str, reason: str) -> None:
        """End a study that nobody runs any more; the sites are told. One that is not open here stays as it is."""
        with self._lock:
            live = self._live.get(study_id)
        if live is not None and not live.ended:
            self._fail(live, reason)

    def result(self, study_id: str) -> StudyResult | None:
        """What a finished study came to; None for one that has not finished."""
        row, records = self.study(study_id), self.opened_rounds(study_id)
        if row.state is not StudyState.FINISHED or row.result is None:
            return None
        state = state_from_json(row.result)
        return StudyResult(study_id, row.plan.digest, state, records, sum(record.rho for record in records))

    def close(self) -> None:
        """Stop where all studies are; they go on at the next start."""
        self._closing = True
        with self._lock:
            for live in self._live.values():
                live.close()

    def recover(self) -> tuple[str, ...]:
        """After a start: bring back the studies that were open, so that their sites can go on; returns their ids.

        Whoever owns a study then calls :meth:`run_study` or :meth:`abandon`.
        """
        with self._database.read() as connection:
            plans = [plan for plan in store.unfinished_studies(connection) if plan.id not in self._live]
        for plan in plans:
            live = self._new(plan)
            with self._lock:
                self._live[plan.id] = live
            try:
                with self._database.read() as connection:
                    take_up(connection, live, self._folder)
            except (SynthemaError, OSError) as error:
                self._fail(live, f"interrupted, and what was under way cannot be read: {error}"[:500])
        return tuple(plan.id for plan in plans if not self._live[plan.id].ended)

    # The steps -----------------------------------------------------------------------

    def _new(self, plan: StudyPlan) -> LiveStudy:
        return LiveStudy(plan, self._signer, keep=self._keeper(plan.id))

    def _keeper(self, study_id: str) -> Keep:
        def keep(said: Sequence[Said]) -> None:
            self._database.write(lambda connection: going_on.keep_said(connection, study_id, said))

        return keep

    def _await_acceptance(self, live: LiveStudy) -> None:
        if live.started:
            return
        everyone = frozenset(live.plan.dids)
        live.wait(lambda: live.accepted | live.refusals.keys() == everyone, self._acceptance_seconds)
        missing = everyone - live.accepted
        if len(live.accepted - live.refusals.keys()) < live.plan.minimum_sites:
            raise PeerError(
                f"not accepted in time by: {', '.join(sorted(missing))}", fix="make a new plan with those who accept"
            )

        def write(connection: Any) -> None:
            store.move_study(connection, live.plan.id, "start", "coordinator", self._clock.now())
            self._log.append(connection, self._records.started(live.plan, self._clock.now()))

        self._database.write(write)
        live.start()

    def _run_rounds(self, live: LiveStudy, session: SiteSession) -> StudyResult:
        plan = live.plan
        records = list(self.opened_rounds(plan.id))
        state = self._present_state(live, session, records)
        while not state.finished:
            share = self._afford(plan, state, records)
            record, total = self._run_round(live, session, state, share, len(records) + 1)
            records.append(record)
            state = self._absorbed(live, session, state, record, total)
        return StudyResult(plan.id, live.plan_digest, state, tuple(records), sum(record.rho for record in records))

    def _present_state(self, live: LiveStudy, session: SiteSession, records: list[RoundRecord]) -> State:
        """Where the algorithm stands: at its beginning, or where a crash left it."""
        plan = live.plan
        with self._database.read() as connection:
            known = going_on.progress_of(connection, plan.id)
        if known is None:
            opened = session.call(plan.algorithm.plugin, "federated_open", plan=plan.algorithm_plan())
            return self._keep_state(plan, 0, self._state(opened))
        state = state_from_json(known.state)
        if known.total is None:
            return state
        return self._absorbed(live, session, state, records[-1], np.frombuffer(known.total, "<i8").astype(np.int64))

    def _absorbed(
        self, live: LiveStudy, session: SiteSession, state: State, record: RoundRecord, total: NDArray[np.int64]
    ) -> State:
        aggregate = Aggregate(total, len(record.survivors), record.sigma)
        after = session.call(live.plan.algorithm.plugin, "federated_absorb", state=state, total=aggregate)
        return self._keep_state(live.plan, record.number, self._state(after))

    def _keep_state(self, plan: StudyPlan, number: int, state: State) -> State:
        said, now = state_to_json(state), self._clock.now()
        self._database.write(lambda connection: going_on.keep_state(connection, plan.id, number, said, now))
        return state

    def _afford(self, plan: StudyPlan, state: State, records: list[RoundRecord]) -> NoiseShare:
        """The noise of the next round, if the plan still allows a round of this cost."""
        if len(records) >= plan.rounds:
            raise PluginError(f"the algorithm wants more than the {plan.rounds} agreed rounds", fix="plan more rounds")
        share = share_in(plan, state)
        if sum(record.rho for record in records) + share.rho > plan.rho * (1 + MARGIN):
            raise PluginError("the algorithm wants to spend more than the plan's rho", fix="correct the algorithm")
        return share

    def _run_round(
        self, live: LiveStudy, session: SiteSession, state: State, share: NoiseShare, number: int
    ) -> tuple[RoundRecord, NDArray[np.int64]]:
        current = live.current(number) or self._begin(live, state, share, number)
        round_id = live.round_id
        while not current.ended:
            live.wait(lambda: live.complete, self._answer_seconds)
            live.advance()
        if current.phase == "aborted":
            raise PeerError(f"round {number}: {current.reason}", fix="mend those sites' connections, make a new study")
        total = self._open(live, session, current, round_id, share)
        record = self._record(live, current, share, total, number, round_id)
        return record, total

    def _begin(self, live: LiveStudy, state: State, share: NoiseShare, number: int) -> CoordinatorRound:
        """Open a round with all who are there; the round, and what its sites are told, are written first."""
        plan, round_id, said = live.plan, new_id("round"), state_to_json(state)
        state_digest = canonical.digest(said)
        live.wait(lambda: live.enough, self._answer_seconds)
        asked = live.present
        if len(asked) < plan.minimum_sites:
            raise PeerError(
                f"round {number}: only {len(asked)} sites are left and {plan.minimum_sites} are needed",
                fix="mend the other sites' connections, make a new study",
            )

        def keep(opening: Sequence[Said]) -> None:
            def write(connection: Any) -> None:
                now = self._clock.now()
                store.begin_round(connection, "coordinator", plan.id, number, round_id, state_digest, now)
                going_on.forget_said(connection, plan.id, asked)
                going_on.keep_said(connection, plan.id, opening)
                self._log.append(connection, self._records.begun(plan, number, round_id, state_digest, now))

            self._database.write(write)

        opening = {"state": said, "sigma": share.sigma, "threshold": plan.minimum_sites, "sites": sorted(asked)}
        machine = CoordinatorRound(asked, plan.minimum_sites, state.length)
        return live.begin(machine, number, round_id, opening, keep)

    def _open(
        self, live: LiveStudy, session: SiteSession, current: CoordinatorRound, round_id: str, share: NoiseShare
    ) -> NDArray[np.int64]:
        keys, masked, answers = current.opening()
        total = session.call(
            live.plan.aggregator.plugin,
            "secure_sum_open",
            round_id=round_id,
            public_keys=keys,
            masked=masked,
            answers=answers,
            threshold=live.plan.minimum_sites,
            bound=largest_number(share.sigma, live.plan.bound, len(live.plan.members)),
            colluders=live.plan.tolerated_colluders,
        )
        if not isinstance(total, np.ndarray) or total.dtype != np.int64 or total.shape != (current.length,):
            raise PluginError("the aggregator did not return a sum of the agreed form", fix="use an approved version")
        return total

    def _record(
        self,
        live: LiveStudy,
        current: CoordinatorRound,
        share: NoiseShare,
        total: NDArray[np.int64],
        number: int,
        round_id: str,
    ) -> RoundRecord:
        data = total.astype("<i8").tobytes()

        def write(connection: Any) -> RoundRecord:
            record = RoundRecord(
                number,
                round_id,
                current.sets.survivors,
                current.sets.dropped,
                share.rho,
                share.total_sigma(len(current.sets.survivors)),
                canonical.digest_bytes(data),
                canonical.digest(store.received_digests(connection, round_id)),
            )
            store.note_opening(connection, record, self._clock.now())
            going_on.keep_total(connection, live.plan.id, data, self._clock.now())
            store.move_study(connection, live.plan.id, "open", "coordinator", self._clock.now())
            self._log.append(connection, self._records.opened(live.plan, record, self._clock.now()))
            return record

        return self._database.write(write)

    def _finish(self, live: LiveStudy, result: StudyResult) -> None:
        def write(connection: Any) -> None:
            now = self._clock.now()
            last = state_to_json(result.state)
            store.move_study(connection, result.study, "finish", "coordinator", now, result=last)
            going_on.forget(connection, result.study)
            self._log.append(connection, self._records.finished(live.plan, len(result.rounds), result.rho, now))

        self._database.write(write)
        live.end("finish", {"rounds": len(result.rounds), "transcript": result.transcript})

    def _fail(self, live: LiveStudy, reason: str) -> None:
        role: Literal["site", "coordinator"] = "site" if live.refusal else "coordinator"
        self._database.write(
            lambda connection: self._write_failure(connection, live.plan, reason, self._clock.now(), role)
        )
        live.end("abort", {"reason": reason})

    def _write_failure(
        self,
        connection: Any,
        plan: StudyPlan,
        reason: str,
        now: datetime,
        role: Literal["site", "coordinator"] = "coordinator",
    ) -> None:
        going_on.forget(connection, plan.id)
        store.move_study(connection, plan.id, "refuse" if role == "site" else "abort", role, now, reason=reason)
        self._log.append(connection, self._records.failed(plan, reason, now))

    def _known(self, parcel: Parcel) -> bool:
        with self._database.read() as connection:
            return store.was_received(connection, parcel.message.digest)

    def _note(self, parcel: Parcel, size: int) -> bool:
        """Record what was received; False when it was received before."""
        message = parcel.message

        def write(connection: Any) -> bool:
            new = store.add_received(
                connection, digest=message.digest, study=message.study, round_id=message.round_id, site=message.sender,
                kind=message.kind, attachment=message.attachment, size=size, now=self._clock.now(),
            )  # fmt: skip
            if new:
                going_on.keep_heard(connection, message)
            return new

        return self._database.write(write)

    def _keep(self, parcel: Parcel) -> None:
        """Keep a vector that is due."""
        message = parcel.message
        if self._folder is not None and message.kind == "masked":
            path = kept_vector(self._folder, message.study, message.round_id or "", message.sender)
            write_durably(path, parcel.attachment)

    def _study_of(self, study_id: str, site: str) -> LiveStudy:
        with self._lock:
            live = self._live.get(study_id)
        if live is None or site not in live.plan.dids:
            raise NotFoundError(f"there is no study {study_id[:80]}", fix="look at the list of studies")
        return live

    def _running(self, study_id: str) -> LiveStudy:
        with self._lock:
            live = self._live.get(study_id)
        if live is None or live.ended:
            raise ConflictError(f"study {study_id[:80]} is not open here", fix="invite its members first")
        return live

    def _farewell(self, study_id: str, site: str, after: int) -> bytes | None:
        """For a site that still asks about a study which ended before this connector was restarted."""
        row = self.study(study_id)
        if row.state not in FINAL_STUDY_STATES and site in row.plan.dids:
            return None  # it is about to be taken up again
        if site not in row.plan.dids:
            raise NotFoundError(f"there is no study {study_id[:80]}", fix="look at the list of studies")
        ended = LiveStudy(row.plan, self._signer, sequence=after)
        if row.state == StudyState.FINISHED:
            ended.end("finish", {"rounds": len(self.opened_rounds(study_id))})
        else:
            ended.end("abort", {"reason": row.reason or "the study has ended"})
        parcel = ended.next(site, after, 0.0)
        if parcel is None:  # cannot be: the study has just been ended
            raise NotFoundError(f"there is no study {study_id[:80]}", fix="look at the list of studies")
        return parcel

    @staticmethod
    def _state(value: Any) -> State:
        if not isinstance(value, State):
            raise PluginError("the algorithm did not return a state", fix="use an approved version of the algorithm")
        return value
