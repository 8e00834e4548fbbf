"""A site in studies: every invitation becomes a governed run of its own.

The hub is told the decision with its reasons. The rounds then run in the background; nothing but masked
sums leaves. What is made of them comes back to be judged: :mod:`synthema.assembly.measuring`.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.coming_back import interrupted, unsettled
from synthema.assembly.disclosing import note_refusal, told_of, told_of_error
from synthema.assembly.engines import SiteEngine
from synthema.assembly.report_judging import TRANSCRIPT, of_cohort
from synthema.assembly.requests import contribution_request, require_coordinator
from synthema.assembly.study_permits import require_permit
from synthema.canonical import canonical_json, digest
from synthema.dataspace import PeerClient
from synthema.errors import (
    ConflictError,
    DeniedError,
    InputError,
    PeerError,
    SynthemaError,
)
from synthema.federation import (
    Channel,
    Contributed,
    Outcome,
    Participant,
    ParticipationState,
    Passage,
    SiteLimits,
    StudyPlan,
)
from synthema.identity import DidResolver
from synthema.runs.formats import JSON
from synthema.runs.governor import Governor
from synthema.runs.measured import evidence_of
from synthema.runs.model import FINAL_STATES, Grant, RunRequest
from synthema.runs.session import GovernedSession
from synthema.runs.spending import spend_round

SECONDS_BETWEEN_CALLS = 1.0
HTTP_SERVER_ERROR = 500
_log = logging.getLogger(__name__)


class HubChannel:
    """A site's way to the hub during rounds: the site calls, it is never called.

    A hub that does not answer is asked again for so many ``seconds``, since it may be on its way back
    and then goes on where it was; one that stays away longer ends the study here.
    """

    def __init__(self, peers: PeerClient, hub: str, seconds: float, passage: Passage) -> None:
        """``passage`` bounds how large parcels are, and how much of them is under way from this site at once."""
        self._peers = peers
        self._hub = hub
        self._seconds = seconds
        self._passage = passage
        self._since: float | None = None

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel; raises :class:`PeerError` with the hub's words when it does not take it."""
        path = f"/federation/studies/{study_id}/answers"
        while True:
            try:
                with self._passage.hold(len(data)):
                    status, answer = self._peers.post_octets(self._hub, path, data)
            except PeerError as silence:
                self._wait(silence)
                continue
            except ConflictError as full:  # too much is under way from this site already
                self._wait(PeerError(full.message, fix=full.fix))
                continue
            if status < HTTP_SERVER_ERROR:
                break
            self._wait(PeerError(f"{self._hub} answered {status}", fix="ask its operator"))
        self._since = None
        if status >= 400:
            said = answer.get("message", "") if isinstance(answer, dict) else ""
            raise PeerError(f"{self._hub} answered {status}: {said or 'nothing readable'}", fix="ask its operator")

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The next parcel; None when there is none yet."""
        path = f"/federation/studies/{study_id}/next?after={after}"
        try:
            parcel = self._peers.get_octets(self._hub, path, self._passage.largest)
        except PeerError as silence:
            self._wait(silence)
            return None
        self._since = None
        return parcel or None

    def _wait(self, silence: PeerError) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since >= self._seconds:
            raise silence
        time.sleep(SECONDS_BETWEEN_CALLS)


class RoundSession:
    """The sandbox session as the rounds see it: the table is added here and never passes through them."""

    def __init__(self, session: GovernedSession) -> None:
        self._session = session

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call a hook; a contribution gets the prepared training rows."""
        if hook == "federated_contribute":
            self._session.leave_out_withdrawn()  # what was sent in earlier rounds stays; from here on they are out
            prepared = self._session.prepared
            if arguments["codebook"] != prepared.codebook:
                raise DeniedError(
                    "the plan's codebook is not the one this site's anonymised table has",
                    fix="ask the hub for a plan made with the codebook of the catalogue",
                )
            arguments["table"] = prepared.train
        return self._session.call(plugin, hook, **arguments)


class Participation:
    """What this site does for studies of hubs it knows."""

    def __init__(self, governor: Governor, peers: PeerClient, resolver: DidResolver) -> None:
        self._governor = governor
        self.engine = SiteEngine(governor.rooms, peers)
        self._rooms = governor.rooms
        self._peers = peers
        self._resolver = resolver
        self._passage = Passage()
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="participation")

    def invited(self, caller: str, plan: StudyPlan) -> dict[str, Any]:
        """Decide an invitation; on permit take part in the background. The answer is what the caller may know."""
        require_coordinator(plan, caller)
        try:
            self.engine.require(plan)
            request = self._governor.pinned(contribution_request(plan, self._rooms.settings.did))
            require_permit(self._governor, plan, request)
            self._require_codebook(plan, request)
            answer = self._governor.request(request)
            if answer.grant is not None:
                self._connect(plan, request.id)
        except SynthemaError as error:
            note_refusal(self._rooms, plan, error)
            raise DeniedError(self.told(error), fix="ask the site's data protection officer") from error
        if answer.grant is not None:
            self._workers.submit(self._take_part, plan, answer.grant, request)
        return told_of(answer, self._rooms.settings.refusals_tell)

    def _connect(self, plan: StudyPlan, run: str) -> None:
        """Be connected to the engine that carries the rounds; where that fails, nothing of the grant is spent."""
        try:
            self.engine.connect(plan)
        except BaseException as error:
            self._governor.give_up(run, error)
            raise

    def told(self, error: SynthemaError) -> str:
        """What a coordinator may know of an error that ended this site's part."""
        return told_of_error(error, self._rooms.settings.refusals_tell)

    def _require_codebook(self, plan: StudyPlan, request: RunRequest) -> None:
        """Refuse a plan made for other tables before anything is granted or spent; needs no data."""
        rooms = self._rooms
        codebook = rooms.datasets.version(request.dataset).codebook
        plugin = rooms.plugins.require(request.anonymise.plugin)
        with (
            tempfile.TemporaryDirectory(dir=rooms.settings.home) as folder,
            rooms.sandbox.open_session([plugin], Path(folder)) as session,
        ):
            expected = session.call(
                plugin.name, "anonymised_codebook", codebook=codebook, parameters=request.anonymise.parameters
            )
        if expected != plan.codebook:
            raise InputError(
                "the plan's codebook is not the one this site's anonymised table has",
                fix="make the plan with the codebook whose digest stands in this site's catalogue",
            )

    def _take_part(self, plan: StudyPlan, grant: Grant, request: RunRequest) -> None:
        """Take part in the rounds; before each, this site's policies are asked again, on the facts of that moment."""
        permitted = self._asking(plan, request.id)
        with self._channel(plan, request.id, permitted) as channel:
            participant = self._participant(channel, permitted, request.id)
            try:
                session = self._governor.start(grant, request)
            except SynthemaError as error:
                participant.refuse(plan, error)
                return
            self._carry_on(plan, grant, session, participant.run)

    def _come_back(self, plan: StudyPlan, run: str) -> None:
        """Go on with a participation that a crash interrupted: asked afresh, within the grant and budget it had."""
        permitted = self._asking(plan, run)
        try:
            self.engine.require(plan)
            self._still_under_permit(plan, run)
            self.engine.connect(plan)
            session = self._governor.resume(run)
        except SynthemaError as error:
            self._governor.give_up(run, error)
            self._participant(self._own_channel(plan.coordinator)).leave(plan, error)
            return
        except BaseException as fault:
            self._governor.give_up(run, fault)
            raise
        with self._channel(plan, run, permitted) as channel:
            participant = self._participant(channel, permitted, run)
            self._carry_on(plan, self._governor.grant(run), session, participant.go_on)

    def _settle_late(self, plan: StudyPlan, run: str) -> None:
        """Settle a run whose rounds were over when a crash interrupted it: nothing more leaves, and it counts anew."""
        try:
            self._still_under_permit(plan, run)
            session = self._governor.resume(run)
        except SynthemaError as error:
            self._governor.give_up(run, error)
            return
        except BaseException as fault:
            self._governor.give_up(run, fault)
            raise
        kept = self._participant(self._own_channel(plan.coordinator)).outcome(plan.id)
        self._carry_on(plan, self._governor.grant(run), session, lambda *_: kept)

    def _asking(self, plan: StudyPlan, run: str) -> Callable[[], None]:
        """What asks whether a run may go on, and raises the error that ends it.

        A round is thus refused once the exclusion list is older than the policies allow, the permit or agreement has
        ended, or a policy was withdrawn.
        """

        def still_permitted() -> None:
            self._governor.require_still_permitted(run)
            self._still_under_permit(plan, run)

        return still_permitted

    def _still_under_permit(self, plan: StudyPlan, run: str) -> None:
        record = self._governor.run(run)
        require_permit(self._governor, plan, record.request, record)

    def _own_channel(self, hub: str) -> HubChannel:
        return HubChannel(self._peers, hub, self._rooms.settings.hub_silence_seconds, self._passage)

    def _channel(self, plan: StudyPlan, run: str, permitted: Callable[[], None]) -> AbstractContextManager[Channel]:
        """What carries the rounds of a study, for as long as this lasts."""
        if plan.engine is None:
            return nullcontext(self._own_channel(plan.coordinator))

        def ended() -> None:
            record = self._governor.run(run)
            if record.state in FINAL_STATES:
                raise DeniedError(record.reason or f"the run is {record.state}", fix="see the run")

        return self.engine.carrying(plan, permitted, ended)

    def _carry_on(
        self,
        plan: StudyPlan,
        grant: Grant,
        session: GovernedSession,
        rounds: Callable[[StudyPlan, RoundSession, SiteLimits], Outcome],
    ) -> None:
        """Take part in the rounds to their end, and settle the run by how they ended."""
        try:
            limits = self._limits(plan, grant, session)
            self._settle(session, rounds(plan, RoundSession(session), limits))
        except BaseException as error:
            if self._closing.is_set():
                return  # the run is taken up again at the next start
            if not isinstance(error, SynthemaError):
                _log.exception("a part in a study broke")
            self._governor.give_up(session.request.id, error)
            raise
        finally:
            session.close()

    def _settle(self, session: GovernedSession, outcome: Outcome) -> None:
        if outcome.state is not ParticipationState.FINISHED:
            reason = outcome.reason or "the study did not finish"
            self._governor.give_up(session.request.id, reason)
            return
        transcript = {
            "study": outcome.study,
            **of_cohort(session),
            "rho": outcome.rho,
            "rounds": [
                {"round": r.number, "id": r.round_id, "masked": r.digest, "sigma": r.sigma, "rho": r.rho}
                for r in outcome.rounds
            ],
        }
        self._governor.quarantine(session, {TRANSCRIPT: (JSON, canonical_json(transcript))})
        run = self._rooms.log.iri("run", session.request.id)
        self._governor.settle(session, evidence_of(session, None, run, self._rooms.clock.now()), "pre-run")

    def _limits(self, plan: StudyPlan, grant: Grant, session: GovernedSession) -> SiteLimits:
        return SiteLimits(
            plan_digest=session.request.plan_digest or "",
            algorithm_digest=grant.plugin_digests[plan.algorithm.plugin],
            aggregator_digest=grant.plugin_digests[plan.aggregator.plugin],
            rounds=plan.rounds,
            rho=grant.rho,
            minimum_sites=grant.minimum_parties,
            tolerated_colluders=self._rooms.settings.tolerated_colluders,
            stability=session.prepared.stability,
            parameters_digest=digest(session.request.compute.parameters),
            bound=plan.bound,
        )

    def _participant(
        self, channel: Channel, check: Callable[[], None] = lambda: None, run: str | None = None
    ) -> Participant:
        rooms = self._rooms

        def spend(connection: Connection, left: Contributed) -> None:
            if run is not None:
                spend_round(rooms, connection, run, left.round_id, left.rho)

        return Participant(
            rooms.database, rooms.log, rooms.signer, self._resolver, rooms.clock, rooms.settings.did, channel,
            silence_seconds=rooms.settings.hub_silence_seconds, check=check, tell=self.told, spend=spend,
            stopping=self._closing.is_set,
        )  # fmt: skip

    def recover(self) -> None:
        """After a restart: fail the runs and participations that cannot go on, and go on with the others."""
        staying, over = interrupted(self._rooms), unsettled(self._rooms)
        self._governor.recover({**staying, **over})
        self._participant(self._own_channel(self._rooms.settings.did)).recover({plan.id for plan in staying.values()})
        for work, found in ((self._come_back, staying), (self._settle_late, over)):
            for run, plan in found.items():
                self._workers.submit(work, plan, run)

    def close(self) -> None:
        """Stop taking new work; what runs is ended with the connector, and studies go on at its next start."""
        self._closing.set()
        self.engine.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
