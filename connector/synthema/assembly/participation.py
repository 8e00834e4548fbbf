"""A site in studies: every invitation and every candidate becomes a governed run of its own.

The hub is told the decision with its reasons. The rounds and the evaluation
then run in the background; nothing but masked sums and signed evidence leaves.
"""

from __future__ import annotations

import base64
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.coming_back import interrupted
from synthema.assembly.disclosing import told_of, told_of_error
from synthema.assembly.requests import contribution_request, evaluation_request, member_of
from synthema.assembly.statements import evidence_statement
from synthema.assembly.trust import Trust
from synthema.canonical import canonical_json, digest, digest_bytes
from synthema.certification import candidate_iri
from synthema.certification.review import ReviewRecord, review_evidence, review_measurements
from synthema.dataspace import PeerClient
from synthema.dpia import Evidence
from synthema.errors import DeniedError, InputError, IntegrityError, NotFoundError, PeerError, SynthemaError
from synthema.federation import (
    Contributed,
    Outcome,
    Participant,
    ParticipationState,
    SiteLimits,
    StudyPlan,
    StudyRecords,
    require_loopback,
)
from synthema.identity import DidResolver
from synthema.ids import new_id
from synthema.runs.execute import JSON, PARQUET, evaluate_rows, read_table
from synthema.runs.governor import Governor
from synthema.runs.measured import evaluation_json, evidence_of
from synthema.runs.model import FINAL_STATES, Grant, RunRequest, RunState
from synthema.runs.release import DecidedAct
from synthema.runs.session import GovernedSession
from synthema.runs.spending import spend_round
from synthema.runs.store import RunRecord
from synthema.runs.waiting import CANDIDATE, lacks_review, rows_of, wait_for_review

MAX_CANDIDATE_BYTES = 512 * 1024 * 1024
SETTLING_SECONDS = 20.0
SECONDS_BETWEEN_CALLS = 1.0
HTTP_SERVER_ERROR = 500
_log = logging.getLogger(__name__)


class HubChannel:
    """A site's way to the hub during rounds: the site calls, it is never called.

    A hub that does not answer is asked again for so many ``seconds``, since it may be on its way back
    and then goes on where it was; one that stays away longer ends the study here.
    """

    def __init__(self, peers: PeerClient, hub: str, seconds: float) -> None:
        self._peers = peers
        self._hub = hub
        self._seconds = seconds
        self._since: float | None = None

    def post(self, study_id: str, data: bytes) -> None:
        """Hand in one parcel; raises :class:`PeerError` with the hub's words when it does not take it."""
        path = f"/federation/studies/{study_id}/answers"
        parcel = {"parcel": base64.b64encode(data).decode()}
        while True:
            try:
                status, answer = self._peers.post(self._hub, path, parcel)
            except PeerError as silence:
                self._wait(silence)
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
            parcel = self._peers.get_bytes(self._hub, path, MAX_CANDIDATE_BYTES)
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

    def __init__(self, governor: Governor, peers: PeerClient, resolver: DidResolver, trust: Trust) -> None:
        self._governor = governor
        self._rooms = governor.rooms
        self._peers = peers
        self._resolver = resolver
        self._trust = trust
        self._evidence: dict[str, dict[str, Any]] = {}
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="participation")

    # rounds ----------------------------------------------------------------------------

    def invited(self, caller: str, plan: StudyPlan) -> dict[str, Any]:
        """Decide an invitation; on permit take part in the background. The answer is what the caller may know."""
        _require_coordinator(plan, caller)
        try:
            require_loopback(self._peers.peer(plan.coordinator).url)
            self._require_permit(plan)
            request = self._governor.pinned(contribution_request(plan, self._rooms.settings.did))
            self._require_codebook(plan, request)
            answer = self._governor.request(request)
        except SynthemaError as error:
            self._note_refusal(plan, error)
            raise DeniedError(self.told(error), fix="ask the site's data protection officer") from error
        if answer.grant is not None:
            self._workers.submit(self._take_part, plan, answer.grant, request)
        return told_of(answer, self._rooms.settings.refusals_tell)

    def _require_permit(self, plan: StudyPlan) -> None:
        """Refuse a study whose data permit is not known here, or is not in force (EHDS Art. 68)."""
        permits, now = self._rooms.permits, self._rooms.clock.now()
        if plan.permit is None:
            return
        if permits.approved_at(plan.permit) is None:
            raise DeniedError(
                "the data permit the study rests on is not known here",
                fix="have the permit taken in first: synthema permit import",
            )
        if (ended := permits.ended(plan.permit, now)) is not None:
            raise DeniedError(f"the study cannot go on: {ended}", fix="ask who issued the permit")

    def _note_refusal(self, plan: StudyPlan, error: SynthemaError) -> None:
        rooms = self._rooms
        records = StudyRecords(rooms.log.iri, rooms.settings.did)
        rooms.log.record(records.refused(plan, f"{error.message}; {error.fix}", rooms.clock.now()))

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
        participant = self._participant(plan.coordinator, request.id, plan)
        try:
            session = self._governor.start(grant, request)
        except SynthemaError as error:
            participant.refuse(plan, error)
            return
        self._carry_on(plan, grant, session, participant.run)

    def _come_back(self, plan: StudyPlan, run: str) -> None:
        """Go on with a participation that a crash interrupted: asked afresh, within the grant and budget it had."""
        participant = self._participant(plan.coordinator, run, plan)
        try:
            require_loopback(self._peers.peer(plan.coordinator).url)
            self._require_permit(plan)
            session = self._governor.resume(run)
        except SynthemaError as error:
            self._fail_unless_ended(run, error.message)
            participant.leave(plan, error)
            return
        except BaseException as fault:
            self._governor.give_up(run, fault)
            raise
        self._carry_on(plan, self._governor.grant(run), session, participant.go_on)

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
            self._fail_unless_ended(session.request.id, reason)
            return
        transcript = {
            "study": outcome.study,
            "rho": outcome.rho,
            "rounds": [
                {"round": r.number, "id": r.round_id, "masked": r.digest, "sigma": r.sigma, "rho": r.rho}
                for r in outcome.rounds
            ],
        }
        self._governor.quarantine(session, {"masked-rounds.json": (JSON, canonical_json(transcript))})
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

    def _participant(self, hub: str, run: str | None = None, plan: StudyPlan | None = None) -> Participant:
        """A site in a study; before each round of a run its policies are asked again, on the facts of that moment.

        So a round is refused once the exclusion list is older than the policies allow, the permit or agreement has
        ended, or a policy was withdrawn.
        """
        rooms = self._rooms

        def still_permitted() -> None:
            if run is not None and plan is not None:
                self._governor.require_still_permitted(run)
                self._require_permit(plan)

        def spend(connection: Connection, left: Contributed) -> None:
            if run is not None:
                spend_round(rooms, connection, run, left.round_id, left.rho)

        return Participant(
            rooms.database, rooms.log, rooms.signer, self._resolver, rooms.clock, rooms.settings.did,
            HubChannel(self._peers, hub, rooms.settings.hub_silence_seconds),
            silence_seconds=rooms.settings.hub_silence_seconds, check=still_permitted, tell=self.told, spend=spend,
            stopping=self._closing.is_set,
        )  # fmt: skip

    def recover(self) -> None:
        """After a restart: fail the runs and participations that cannot go on, and go on with the others."""
        staying = interrupted(self._rooms)
        self._governor.recover(staying)
        self._participant(self._rooms.settings.did).recover({plan.id for plan in staying.values()})
        for run, plan in staying.items():
            self._workers.submit(self._come_back, plan, run)

    # evaluation ------------------------------------------------------------------------

    def evaluate(self, caller: str, plan: StudyPlan, candidate: str) -> dict[str, Any]:
        """Decide whether a candidate may be measured here; on permit measure it in the background."""
        _require_coordinator(plan, caller)
        contribution = self._contribution_of(plan)
        # The very version that was contributed: a newer one would measure a candidate it had no part in.
        version = self._governor.run(contribution).request.dataset
        request = evaluation_request(plan, self._rooms.settings.did, 0).model_copy(update={"dataset": version})
        answer = self._governor.request(request)
        if answer.grant is not None:
            self._workers.submit(self._measure, plan, candidate, answer.grant, request, contribution)
        return told_of(answer, self._rooms.settings.refusals_tell)

    def evidence(self, caller: str, run: str) -> dict[str, Any]:
        """How an evaluation stands, with its evidence when there is any; only for the hub that asked."""
        record = self._governor.run(run)
        if record.request.requester != caller:
            raise NotFoundError("there is no such evaluation", fix="ask with the id the site answered")
        with self._lock:
            evidence, broken = self._evidence.get(run), self._broken.get(run)
        if broken is not None:  # its figures were released, and then no statement could be made of them
            said = self.told(DeniedError(broken, fix="ask the site"))
            return {"state": str(RunState.FAILED), "reason": said, "evidence": None}
        reason = None if record.reason is None else self.told(DeniedError(record.reason, fix="ask the site"))
        return {"state": str(record.state), "reason": reason, "evidence": evidence}

    def _measure(self, plan: StudyPlan, candidate: str, grant: Grant, request: RunRequest, contribution: str) -> None:
        try:
            content = self._peers.get_bytes(
                plan.coordinator, f"/federation/studies/{plan.id}/candidate", MAX_CANDIDATE_BYTES
            )
            if digest_bytes(content) != candidate:
                raise IntegrityError("the candidate is not the one announced", fix="ask the hub to send it again")
            session = self._governor.start(grant, request)
        except SynthemaError as error:
            self._fail_unless_ended(request.id, error.message)
            return
        try:
            self._measure_inside(plan, candidate, content, session, contribution)
        except SynthemaError as error:
            self._break(request.id, error)
        except BaseException as error:
            self._break(request.id, error)
            raise
        finally:
            session.close()

    def _break(self, run: str, error: BaseException) -> None:
        """Give an evaluation up; the hub hears of it even where the run itself had ended well before."""
        self._governor.give_up(run, error)
        with self._lock:
            self._broken[run] = error.message if isinstance(error, SynthemaError) else "an internal fault"

    def measure_reviewed(self, run: str, note: dict[str, Any], review: ReviewRecord) -> str:
        """Measure a candidate once more, clinicians having judged it, and state all figures together.

        ``run`` is the evaluation that waited, ``note`` what it noted. Raises :class:`DeniedError` where the policies
        no longer permit it; the evaluation then waits on.
        """
        plan = StudyPlan.model_validate(note["plan"])
        waiting = self._governor.run(run).request
        request = waiting.model_copy(update={"id": new_id("run")})
        answer = self._governor.request(request)
        if answer.grant is None:
            said = " ".join((*answer.decision.sentences(), *answer.notes))
            raise DeniedError(f"the candidate may not be measured: {said}"[:1500], fix="mend what the sentences name")
        session = self._governor.start(answer.grant, request)
        try:
            content = rows_of(self._governor, run)[1]
            self._measure_inside(plan, note[CANDIDATE], content, session, note["contribution"], review)
        except BaseException as error:
            self._governor.give_up(request.id, error)
            raise
        finally:
            session.close()
        with self._lock:
            made = self._evidence.get(request.id)
            if made is not None:
                self._evidence[run] = made  # the hub asks about the evaluation that waited
        self._fail_unless_ended(run, f"measured again after the clinical review, in {request.id}")
        if made is None:
            return f"The candidate was measured again in {request.id}, and its figures may not leave."
        refusals = " ".join(made["refusals"]) or "nothing stands in its way here"
        return f"The candidate was measured again in {request.id}; the hub gets the signed evidence: {refusals}."

    def _waits_for_review(
        self, plan: StudyPlan, candidate: str, content: bytes, session: GovernedSession, evidence: Sequence[Evidence],
        contribution: str,
    ) -> bool:  # fmt: skip
        """Let an evaluation wait where only the judgement of this site's clinicians is missing."""
        governor, request = self._governor, session.request

        def leaves(figures: Sequence[Evidence]) -> bool:
            acts = governor.desk.of_candidate(session, figures, candidate_iri(candidate), contribution)
            passed = governor.hold(request, "pre-release", figures).conformant
            return passed and all(act.permitted for act in acts)

        if not lacks_review(governor, evidence, leaves):
            return False
        governor.keep_file(request.id, "candidate.parquet", PARQUET, content)
        note = {CANDIDATE: candidate, "plan": plan.model_dump(mode="json"), "contribution": contribution}
        wait_for_review(governor, request, governor.hold(request, "pre-release", evidence), note)
        return True

    def _measure_inside(
        self,
        plan: StudyPlan,
        candidate: str,
        content: bytes,
        session: GovernedSession,
        contribution: str,
        review: ReviewRecord | None = None,
    ) -> None:
        request = session.request
        candidate_rows = read_table(content)
        evaluation = evaluate_rows(session, request.compute.plugin, request.compute.parameters, candidate_rows)
        while session.leave_out_withdrawn():  # measured on somebody who took consent back meanwhile: measure again
            evaluation = evaluate_rows(session, request.compute.plugin, request.compute.parameters, candidate_rows)
        run = self._rooms.log.iri("run", request.id)
        now = self._rooms.clock.now()
        figures = canonical_json(evaluation_json(evaluation))
        self._governor.quarantine(session, {"evaluation.json": (JSON, figures)})
        evidence = evidence_of(session, evaluation, run, now)
        if review is not None:
            evidence += review_evidence(review, self._rooms.log.iri("review", review.plan.id))
        elif self._waits_for_review(plan, candidate, content, session, evidence, contribution):
            return  # the hub hears that clinicians have yet to judge it, and is patient
        inside = evidence_of(session, None, run, now)
        if not self._governor.settle(session, inside, "pre-run", figures=evidence).released:
            return  # the figures stay inside: the run says why, and the hub hears of it when it asks
        gates = self._governor.hold(request, "pre-release", evidence)
        thing = candidate_iri(candidate)
        acts: tuple[DecidedAct, ...] = ()
        if gates.conformant:
            acts = self._governor.decide_on_candidate(session, evidence, thing, contribution)
        released = gates.conformant and all(act.permitted for act in acts)
        self._rooms.dpias.record(gates, evidence, about=thing, released=released)
        statement = evidence_statement(
            self._governor, plan, candidate, session, evaluation, gates, acts, contribution_run=contribution,
            judged=() if review is None else review_measurements(review, self._rooms.log.iri("run", review.plan.run)),
        )  # fmt: skip
        credential = self._trust.evidence.make(statement)
        with self._lock:
            self._evidence[request.id] = {
                "credential": credential,
                "series": evaluation.series,
                "refusals": [act.refusal() for act in acts if not act.permitted],
            }

    def _fail_unless_ended(self, run: str, reason: str) -> None:
        try:
            self._governor.fail(run, reason)
        except SynthemaError:
            return  # it has ended already, and the log says why

    def _contribution_of(self, plan: StudyPlan) -> str:
        """The run by which this site contributed to a study; raises :class:`DeniedError` where it did not.

        The hub may ask in the moment between the last round and the release of that run, so this waits for it.
        """
        member_of(plan, self._rooms.settings.did)
        end = time.monotonic() + SETTLING_SECONDS
        while (found := self._contribution(plan)) is not None and found.state not in FINAL_STATES:
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        if found is None or found.state is not RunState.RELEASED:
            raise DeniedError("this site did not contribute", fix="only sites that contributed measure the candidate")
        return found.id

    def _contribution(self, plan: StudyPlan) -> RunRecord | None:
        for record in self._governor.recent():
            same = record.request.study == plan.id and record.request.plan_digest == plan.digest
            if same and record.request.kind == "federated-algorithm":
                return record
        return None

    def close(self) -> None:
        """Stop taking new work; what runs is ended with the connector, and studies go on at its next start."""
        self._closing.set()
        self._workers.shutdown(wait=False, cancel_futures=True)


def _require_coordinator(plan: StudyPlan, caller: str) -> None:
    if plan.coordinator != caller:
        raise DeniedError("only its coordinator speaks for a study", fix="let the hub named in the plan ask")
