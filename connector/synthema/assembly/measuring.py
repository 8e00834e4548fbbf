"""A site judges what a study made, before it leaves: every candidate is measured in a governed run of its own.

The hub is told the decision with its reasons; what it gets is evidence that this site has signed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from synthema.assembly.disclosing import note_refusal, told_of, told_of_error
from synthema.assembly.report_judging import judge_report
from synthema.assembly.requests import evaluation_request, member_of, require_coordinator
from synthema.assembly.statements import evidence_statement
from synthema.assembly.study_permits import permit_in_force
from synthema.assembly.trust import Trust
from synthema.canonical import canonical_json, digest_bytes
from synthema.certification import candidate_iri
from synthema.certification.review import ReviewRecord, review_evidence, review_measurements
from synthema.certification.study_report import LARGEST_REPORT
from synthema.dataspace import PeerClient
from synthema.dpia import Evidence
from synthema.errors import (
    DeniedError,
    IntegrityError,
    NotFoundError,
    SynthemaError,
)
from synthema.federation import (
    StudyPlan,
)
from synthema.ids import new_id
from synthema.runs.execute import evaluate_rows
from synthema.runs.formats import JSON, PARQUET, read_table
from synthema.runs.governor import Governor
from synthema.runs.measured import evaluation_json, evidence_of
from synthema.runs.model import FINAL_STATES, IN_ROUNDS, Grant, RunRequest, RunState
from synthema.runs.release import DecidedAct
from synthema.runs.session import GovernedSession
from synthema.runs.store import RunRecord
from synthema.runs.waiting import CANDIDATE, lacks_review, rows_of, wait_for_review

MAX_CANDIDATE_BYTES = 512 * 1024 * 1024
SETTLING_SECONDS = 20.0


class Measuring:
    """What this site does for the candidates and reports of studies it took part in. Thread-safe."""

    def __init__(self, governor: Governor, peers: PeerClient, trust: Trust) -> None:
        self._governor = governor
        self._rooms = governor.rooms
        self._peers = peers
        self._trust = trust
        self._evidence: dict[str, dict[str, Any]] = {}
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="measuring")

    def evaluate(self, caller: str, plan: StudyPlan, candidate: str) -> dict[str, Any]:
        """Decide whether a candidate may be measured here; on permit measure it in the background.

        The report of a study is looked at and decided on at once: no record is read for it.
        """
        require_coordinator(plan, caller)
        self._require_permit(plan)
        contribution = self._contribution_of(plan)
        if plan.output == "report":
            return self._judge(plan, candidate, contribution)
        # The very version that was contributed: a newer one would measure a candidate it had no part in.
        version = self._governor.run(contribution).request.dataset
        request = evaluation_request(plan, self._rooms.settings.did, 0).model_copy(update={"dataset": version})
        answer = self._governor.request(request)
        if answer.grant is not None:
            self._workers.submit(self._measure, plan, candidate, answer.grant, request, contribution)
        return told_of(answer, self._rooms.settings.refusals_tell)

    def _judge(self, plan: StudyPlan, report: str, contribution: str) -> dict[str, Any]:
        """Decide on the report of a study; the hub fetches what was stated under this site's contribution."""
        try:
            content = self._peers.get_bytes(plan.coordinator, _candidate_path(plan), LARGEST_REPORT)
            made = judge_report(self._governor, self._trust, plan, content, report, contribution)
        except SynthemaError as error:
            note_refusal(self._rooms, plan, error)
            raise DeniedError(self._told(error), fix="ask the site's data protection officer") from error
        with self._lock:
            self._evidence[contribution] = made
        return {"run": contribution, "effect": "permit", "sentences": []}

    def _require_permit(self, plan: StudyPlan) -> None:
        """A permit that was revoked stops what is under way, not only what comes (EHDS Art. 63)."""
        try:
            permit_in_force(self._governor, plan)
        except DeniedError as error:
            note_refusal(self._rooms, plan, error)
            raise DeniedError(self._told(error), fix="ask the site's data protection officer") from error

    def evidence(self, caller: str, run: str) -> dict[str, Any]:
        """How an evaluation stands, with its evidence when there is any; only for the hub that asked."""
        record = self._governor.run(run)
        if record.request.requester != caller:
            raise NotFoundError("there is no such evaluation", fix="ask with the id the site answered")
        with self._lock:
            evidence, broken = self._evidence.get(run), self._broken.get(run)
        if broken is not None:  # its figures were released, and then no statement could be made of them
            said = self._told(DeniedError(broken, fix="ask the site"))
            return {"state": str(RunState.FAILED), "reason": said, "evidence": None}
        reason = None if record.reason is None else self._told(DeniedError(record.reason, fix="ask the site"))
        return {"state": str(record.state), "reason": reason, "evidence": evidence}

    def _measure(self, plan: StudyPlan, candidate: str, grant: Grant, request: RunRequest, contribution: str) -> None:
        try:
            content = self._peers.get_bytes(plan.coordinator, _candidate_path(plan), MAX_CANDIDATE_BYTES)
            if digest_bytes(content) != candidate:
                raise IntegrityError("the candidate is not the one announced", fix="ask the hub to send it again")
            session = self._governor.start(grant, request)
        except SynthemaError as error:
            self._governor.give_up(request.id, error)
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
        self._governor.give_up(run, f"measured again after the clinical review, in {request.id}")
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
        permit_in_force(self._governor, plan)
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
            if same and record.request.kind in IN_ROUNDS:
                return record
        return None

    def _told(self, error: SynthemaError) -> str:
        return told_of_error(error, self._rooms.settings.refusals_tell)

    def close(self) -> None:
        """Stop taking new work; what runs is ended with the connector."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _candidate_path(plan: StudyPlan) -> str:
    return f"/federation/studies/{plan.id}/candidate"
