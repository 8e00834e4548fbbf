"""Clinical reviews with the governor: real records are opened as in any run, and what waited is settled afterwards.

Opening a review is an act of its own (``syn:review``): it is requested, decided and granted, excluded patients are
left out and the table is minimised before a single vignette is drawn. Once a review is closed, the synthetic rows
are measured again in a governed run, and gates and policies judge them on all figures together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from synthema.canonical import canonical_json
from synthema.certification.review import (
    ReviewPlan,
    ReviewRecord,
    Reviews,
    ReviewState,
    check_rules,
    draw_sheet,
    expect,
    opening_bytes,
    reasons_of,
    review_evidence,
)
from synthema.dpia import Evidence, measured
from synthema.errors import ConflictError, DeniedError, InputError, SynthemaError
from synthema.identity import People
from synthema.ids import new_id
from synthema.runs import store as run_store
from synthema.runs.execute import evaluate_rows
from synthema.runs.formats import JSON, read_table
from synthema.runs.governor import Governor, Verdict
from synthema.runs.measured import evaluation_json, evidence_of
from synthema.runs.model import RunRequest, RunState, Step
from synthema.runs.session import GovernedSession
from synthema.runs.waiting import CANDIDATE, note_of, rows_of
from synthema.spi.model import Table

OPENERS: Final = ("dpo", "data steward", "clinician")
"""Who may open a review; who does is not among the reviewers."""
LONGEST_DAYS: Final = 90


def forgoing_bytes(run: str, reason: str) -> bytes:
    """What is signed to give an output up that waits for a review."""
    statement = "I give this output up without a clinical review."
    return canonical_json({"statement": statement, "run": run, "reason": reason})


@dataclass(frozen=True, slots=True)
class ReviewOrder:
    """What somebody asks for: a review of a run's synthetic rows, its size and its days."""

    subject: str
    title: str
    vignettes: int
    reviewers: int
    days: int


CandidateDoor = Callable[[str, dict[str, Any], ReviewRecord], str]
"""Goes on with a candidate whose run waited, given its note; returns a sentence on what came of it."""


class Reviewing:
    """Opens and closes the clinical reviews of one site."""

    def __init__(self, governor: Governor, reviews: Reviews, people: People, candidates: CandidateDoor) -> None:
        self.reviews = reviews
        self._governor = governor
        self._people = people
        self._candidates = candidates

    @classmethod
    def make(cls, governor: Governor, people: People, candidates: CandidateDoor) -> Self:
        """The reviews of a connector, told of every withdrawal of consent in its own transaction."""
        rooms = governor.rooms
        folder = rooms.settings.home / "reviews"
        reviews = Reviews(rooms.database, rooms.log, rooms.clock, rooms.signer, people, folder)
        rooms.consents.on_withdrawal(reviews.withdrawn)
        return cls(governor, reviews, people, candidates)

    # opening -----------------------------------------------------------------------------------

    def open(self, order: ReviewOrder, *, person: str, signature: bytes) -> ReviewRecord:
        """Draw vignettes of a run's synthetic rows and of real patients, seal them, and commit to their assignment.

        Signed over :func:`opening_bytes`. Raises :class:`DeniedError` with the decision's sentences
        where the policies do not permit it.
        """
        expect(order.reviewers, order.vignettes)
        if not 1 <= order.days <= LONGEST_DAYS:
            raise InputError("a review has an end", where="days", fix=f"give 1 to {LONGEST_DAYS} days")
        signed = opening_bytes(order.subject, order.vignettes, order.reviewers, order.days)
        opener = self._people.verify(person, signed, signature)
        if not any(opener.has(role) for role in OPENERS):
            raise DeniedError("this account may not open a review", fix=f"ask somebody who is {' or '.join(OPENERS)}")
        made = self._governor.run(order.subject).request
        request = _evaluation_of(made, "review", opener.id)
        barred = tuple(sorted({opener.id, made.person or opener.id}))
        candidate, content = rows_of(self._governor, order.subject)
        session = self._permitted(request)
        try:
            rows = read_table(content)
            plan, sheet = self._draw(session, order, candidate, rows, barred)
            while session.leave_out_withdrawn():  # somebody took consent back meanwhile: draw without them
                plan, sheet = self._draw(session, order, candidate, rows, barred)
            self._settle_opening(session, plan)
            return self.reviews.open(plan, sheet)
        except BaseException as error:
            self._governor.give_up(request.id, error)
            raise
        finally:
            session.close()

    def _draw(
        self, session: GovernedSession, order: ReviewOrder, candidate: str, synthetic: Table, barred: tuple[str, ...]
    ) -> tuple[ReviewPlan, Sequence[Sequence[str]]]:
        real, codebook = session.prepared.train, session.prepared.codebook
        if tuple(synthetic.columns) != tuple(codebook.names()):
            raise ConflictError(
                "the synthetic rows have other variables than the minimised table of now",
                fix="review rows that were made from the present version of the dataset",
            )
        now, identifier = self._governor.rooms.clock.now(), new_id("review")
        version = self._governor.rooms.datasets.version(session.grant.dataset)
        plan = ReviewPlan(
            id=identifier,
            title=order.title,
            subject=order.subject,
            candidate=candidate,
            dataset=version.name,
            dataset_version=version.id,
            run=session.request.id,
            vignettes=order.vignettes,
            reviewers=order.reviewers,
            opened_by=session.request.person or "",
            barred=barred,
            reasons=reasons_of(codebook),
            rules=check_rules(synthetic, real, codebook),
            opened_at=now,
            expires_at=now + timedelta(days=order.days),
        )
        return plan, draw_sheet(real, synthetic, codebook, self.reviews.seed(identifier), order.vignettes)

    def _settle_opening(self, session: GovernedSession, plan: ReviewPlan) -> None:
        """The run that opened the records ends here: only the size of the sheet comes out of it."""
        sheet = {"review": plan.id, "vignettes": plan.vignettes, "candidate": plan.candidate}
        self._governor.quarantine(session, {"review-sheet.json": (JSON, canonical_json(sheet))})
        source = self._governor.rooms.log.iri("run", session.request.id)
        evidence = evidence_of(session, None, source, self._governor.rooms.clock.now())
        verdict = self._governor.settle(session, evidence, "pre-run")
        if not verdict.released:
            raise DeniedError(
                f"the review may not begin: {' '.join(verdict.sentences())}"[:1500], fix="mend what the sentences name"
            )

    def _permitted(self, request: RunRequest) -> GovernedSession:
        answer = self._governor.request(request)
        if answer.grant is None:
            said = " ".join((*answer.decision.sentences(), *answer.notes))
            raise DeniedError(
                f"the records may not be opened for this: {said}"[:1500], fix="mend what the sentences name"
            )
        return self._governor.start(answer.grant, request)

    # closing -----------------------------------------------------------------------------------

    def close(self, review: str, *, person: str, signature: bytes, reason: str = "") -> tuple[ReviewRecord, str]:
        """Close a review, and settle what waited for it; returns it with a sentence on what came of that.

        What cannot be settled now waits on: closing a closed review again settles it then.
        """
        record = self.reviews.close(review, person, signature, reason=reason)
        try:
            return record, self.conclude(record)
        except SynthemaError as refusal:
            said = f"The review is closed, but what waited for it is not settled: {refusal.message}."
            return record, f"{said} To change it: {refusal.fix}; then close the review again."

    def conclude(self, record: ReviewRecord) -> str:
        """Settle what waited for a closed review. Doing it again after a crash goes on where it stopped."""
        if record.state is not ReviewState.CLOSED:
            raise ConflictError("this review is not closed yet", fix="close it first: synthema review close")
        run = self._governor.run(record.plan.subject)
        if run.state is RunState.AWAITING:
            note = note_of(run)
            if CANDIDATE not in note:
                verdict = self._settle(run.request, self.evidence(record))
                state = "released" if verdict.released else "withheld"
                return f"The output that waited is {state}: {' '.join(verdict.sentences())}"
            return self._candidates(run.id, note, record)
        if run.state is RunState.RELEASED:
            self._note_on_release(record, self.evidence(record))
        return "Nothing waits for this review any more; its figures are on record."

    def evidence(self, record: ReviewRecord) -> list[Evidence]:
        """The figures of a closed review as gates read them."""
        return review_evidence(record, self._governor.rooms.log.iri("review", record.plan.id))

    def _settle(self, made: RunRequest, review: list[Evidence]) -> Verdict:
        """Measure the output of a waiting run again, in a run of its own, and judge it on all figures."""
        governor, rooms = self._governor, self._governor.rooms
        request = _evaluation_of(made, "evaluateModel", made.person)
        session = self._permitted(request)
        try:
            rows = read_table(rows_of(governor, made.id)[1])
            evaluation = evaluate_rows(session, request.compute.plugin, request.compute.parameters, rows)
            while session.leave_out_withdrawn():
                evaluation = evaluate_rows(session, request.compute.plugin, request.compute.parameters, rows)
            governor.quarantine(session, {"evaluation.json": (JSON, canonical_json(evaluation_json(evaluation)))})
            now, source = rooms.clock.now(), rooms.log.iri("run", request.id)
            fresh = evidence_of(session, evaluation, source, now)
            governor.settle(session, evidence_of(session, None, source, now), "pre-run", figures=fresh)
            spent = measured("privacyLoss", made.epsilon, 1, now, rooms.log.iri("run", made.id))
            figures = [spent, *(item for item in fresh if item.metric != "privacyLoss"), *review]
            return governor.settle(session.speaking_for(governor.grant(made.id), made), figures, "pre-release")
        except BaseException as error:
            governor.give_up(request.id, error)
            raise
        finally:
            session.close()

    def _note_on_release(self, record: ReviewRecord, evidence: list[Evidence]) -> None:
        """Keep the figures for the post-release gates that ask for them, if any does."""
        governor, rooms = self._governor, self._governor.rooms
        request = governor.run(record.plan.subject).request
        names = {item.metric for item in evidence}
        report = governor.hold(request, "post-release", evidence)
        judged = tuple(result for result in report.results if result.metric in names)
        if judged:
            rooms.dpias.record(report, evidence, about=rooms.log.iri("run", record.plan.subject))

    def waiting(self) -> list[tuple[str, datetime]]:
        """The runs whose output waits for a review, each with the moment since when."""
        with self._governor.rooms.database.read() as connection:
            return [(record.id, record.changed_at) for record in run_store.awaiting(connection)]

    def forgo(self, run: str, reason: str, *, person: str, signature: bytes) -> None:
        """Give an output up that waits, without a review: it is deleted, and the log says on whose word."""
        by = self._people.verify(person, forgoing_bytes(run, reason), signature)
        if not any(by.has(role) for role in ("dpo", "data steward")):
            raise DeniedError("this account may not give outputs up", fix="ask a data steward")
        note_of(self._governor.run(run))
        self._governor.fail(run, f"given up without a review by {person}: {reason}")


def _evaluation_of(made: RunRequest, action: str, person: str | None) -> RunRequest:
    """The request to look at the output of a run beside the real records: nothing is made, and nothing is spent."""
    evaluator: Step | None = made.compute if made.kind == "evaluator" else made.evaluate
    if evaluator is None:
        raise InputError("this run names no evaluator", where="run", fix="name a run that made synthetic rows")
    return made.model_copy(
        update={
            "id": new_id("run"),
            "action": action,
            "person": person,
            "compute": evaluator,
            "kind": "evaluator",
            "evaluate": None,
            "aggregate": None,
            "output": "aggregate",
            "epsilon": 0.0,
            "delta": 0.0,
            "rows": 0,
            "rounds": 0,
        }
    )
