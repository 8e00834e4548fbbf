"""Operations on clinical reviews: plan, open, take a seat, judge, close, report. Only the close tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.assembly.problems import input_error
from synthema.assembly.reviewing import ReviewOrder, forgoing_bytes
from synthema.certification.review import (
    CONFIDENCE,
    Answer,
    ReviewRecord,
    advise,
    closing_bytes,
    expect,
    opening_bytes,
    seating_bytes,
    stopping_bytes,
)
from synthema.clock import to_text
from synthema.errors import ConflictError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class Design(Input):
    """How many reviewers there are, and how large the sheet is or how closely the AUC is to be known."""

    reviewers: int = Field(ge=1, le=50)
    vignettes: int | None = None
    half_width: float = Field(default=0.1, gt=0, lt=0.5)


@operation("review/advise")
def advise_review(connector: Connector, given: Design) -> dict[str, Any]:
    """Say what a design can tell before any record is opened."""
    found = (
        advise(given.reviewers, given.half_width)
        if given.vignettes is None
        else expect(given.reviewers, given.vignettes)
    )
    return {
        "reviewers": found.reviewers,
        "vignettes": found.vignettes,
        "aucHalfWidth": found.auc_half_width,
        "plausibleHalfWidth": found.plausible_half_width,
        "minutesEach": found.minutes_each,
        "sentences": list(found.sentences()),
    }


class Opening(Input):
    """Whose synthetic rows are reviewed (a run), by how many, on how large a sheet, for how long."""

    run: str
    vignettes: int
    reviewers: int
    days: int = 30


@operation("review/opening")
def review_opening(connector: Connector, given: Opening) -> dict[str, Any]:
    """What is signed to open a review."""
    return {"sign": opening_bytes(given.run, given.vignettes, given.reviewers, given.days).hex()}


class OpenReview(Opening):
    """The review with the signature of the person who opens it."""

    title: str = Field(min_length=3, max_length=200)
    person: str
    signature: str


@operation("review/open")
def open_review(connector: Connector, given: OpenReview) -> dict[str, Any]:
    """Ask the policies, draw real and synthetic vignettes, seal them, and commit to their assignment in the log."""
    order = ReviewOrder(given.run, given.title, given.vignettes, given.reviewers, given.days)
    signature = hexadecimal(given.signature, "signature")
    return review_json(connector, connector.reviewing.open(order, person=given.person, signature=signature))


class OneReview(Input):
    """A review by its id."""

    review: str


@operation("review/seating")
def review_seating(connector: Connector, given: OneReview) -> dict[str, Any]:
    """What a clinician signs to take a seat."""
    return {"sign": seating_bytes(given.review).hex()}


class TakeSeat(OneReview):
    """A clinician with their signature."""

    person: str
    signature: str


@operation("review/join")
def join_review(connector: Connector, given: TakeSeat) -> dict[str, Any]:
    """Take a seat in a review; the code that comes back opens it, and is shown only here."""
    signature = hexadecimal(given.signature, "signature")
    seat, code = connector.reviews.join(given.review, given.person, signature)
    return {"review": seat.review, "seat": seat.number, "code": code}


class SeatCode(Input):
    """The code of a seat."""

    code: str = Field(min_length=8, max_length=100)


@operation("review/next")
def next_vignette(connector: Connector, given: SeatCode) -> dict[str, Any]:
    """The vignette this reviewer is to judge now, with the reasons to choose from; none when all are judged."""
    seat, record = connector.reviews.seat(given.code)
    shown = connector.reviews.next(given.code)
    return {
        "review": seat.review,
        "title": record.plan.title,
        "vignette": None if shown is None else shown.model_dump(mode="json", exclude={"review"}),
        "reasons": [reason.model_dump() for reason in record.plan.reasons],
        "confidence": {str(level): words for level, words in CONFIDENCE.items()},
    }


class GiveAnswer(SeatCode):
    """A reviewer's judgement on the vignette that is shown."""

    vignette: str
    recognised: bool = False
    guess: Literal["real", "synthetic"] | None = None
    confidence: Literal[1, 2, 3] | None = None
    plausible: bool | None = None
    reasons: list[str] = Field(default_factory=list)
    remark: str = ""


@operation("review/answer")
def answer_vignette(connector: Connector, given: GiveAnswer) -> dict[str, Any]:
    """Keep a judgement, durably and once."""
    try:
        answer = Answer.model_validate(given.model_dump(exclude={"code", "vignette"}))
    except ValidationError as error:
        raise input_error(error, "answer", Answer) from error
    return {"answered": connector.reviews.answer(given.code, given.vignette, answer)}


@operation("review/list")
def list_reviews(connector: Connector, given: Nothing) -> dict[str, Any]:
    """All reviews, the newest first, and the runs whose output waits for one."""
    return {
        "reviews": [review_json(connector, record) for record in connector.reviews.all()],
        "waiting": [{"run": run, "since": to_text(since)} for run, since in connector.reviewing.waiting()],
    }


@operation("review/status")
def review_status(connector: Connector, given: OneReview) -> dict[str, Any]:
    """How far a review is: seats and numbers of answers, nothing of what was answered."""
    return review_json(connector, connector.reviews.review(given.review))


class StopReview(OneReview):
    """A review that is to show nothing more, and why."""

    reason: str = Field(min_length=3, max_length=500)


@operation("review/stopping")
def review_stopping(connector: Connector, given: StopReview) -> dict[str, Any]:
    """What is signed to stop a review."""
    return {"sign": stopping_bytes(given.review, given.reason).hex()}


class SignedStop(StopReview):
    """The stop with the signature of the person who opened the review, or of a data protection officer."""

    person: str
    signature: str


@operation("review/stop")
def stop_review(connector: Connector, given: SignedStop) -> dict[str, Any]:
    """Show nothing more of a review; what was answered counts when it is closed."""
    signature = hexadecimal(given.signature, "signature")
    return review_json(connector, connector.reviews.stop(given.review, given.reason, given.person, signature))


class CloseReview(OneReview):
    """A review and, before everybody is through, the reason why it is closed now."""

    reason: str = Field(default="", max_length=500)


@operation("review/closing")
def review_closing(connector: Connector, given: CloseReview) -> dict[str, Any]:
    """What is signed to close a review."""
    return {"sign": closing_bytes(given.review, given.reason).hex()}


class SignedClose(CloseReview):
    """The close with the signature of the person who opened the review, or of a data protection officer."""

    person: str
    signature: str


@operation("review/close")
def close_review(connector: Connector, given: SignedClose) -> dict[str, Any]:
    """Open the assignment, compute the figures, delete the vignettes, and settle what waited for the review."""
    signature = hexadecimal(given.signature, "signature")
    record, outcome = connector.reviewing.close(
        given.review, person=given.person, signature=signature, reason=given.reason
    )
    return report_json(connector, record) | {"outcome": outcome}


@operation("review/report")
def report_review(connector: Connector, given: OneReview) -> dict[str, Any]:
    """The figures of a closed review beside the machine's checks, with the log entry they rest on."""
    return report_json(connector, connector.reviews.review(given.review))


@operation("review/remarks")
def review_remarks(connector: Connector, given: OneReview) -> list[dict[str, Any]]:
    """What reviewers remarked on synthetic vignettes of a closed review; for people of the site only."""
    return [{"seat": seat, "remark": remark} for seat, remark in connector.reviews.remarks(given.review)]


class Forgo(Input):
    """An output that waits, and why it is given up."""

    run: str
    reason: str = Field(min_length=3, max_length=500)


@operation("review/forgoing")
def review_forgoing(connector: Connector, given: Forgo) -> dict[str, Any]:
    """What a data steward signs to give an output up without a review."""
    return {"sign": forgoing_bytes(given.run, given.reason).hex()}


class SignedForgo(Forgo):
    """The same with the data steward's signature."""

    person: str
    signature: str


@operation("review/forgo")
def forgo_review(connector: Connector, given: SignedForgo) -> dict[str, Any]:
    """Give an output up that waits for a review: it is deleted and never released."""
    signature = hexadecimal(given.signature, "signature")
    connector.reviewing.forgo(given.run, given.reason, person=given.person, signature=signature)
    return {"run": given.run, "state": str(connector.governor.run(given.run).state)}


def review_json(connector: Connector, record: ReviewRecord) -> dict[str, Any]:
    """A review as it stands; nothing in it depends on which vignettes are real."""
    plan = record.plan
    return {
        "review": plan.id,
        "title": plan.title,
        "state": str(record.state),
        "reason": record.reason,
        "run": plan.subject,
        "dataset": plan.dataset,
        "vignettes": plan.vignettes,
        "reviewers": plan.reviewers,
        "opened": to_text(plan.opened_at),
        "openedBy": plan.opened_by,
        "expires": to_text(plan.expires_at),
        "commitment": record.commitment,
        "seats": [
            {"seat": seat.number, "person": seat.person, "answered": answered}
            for seat, answered in connector.reviews.progress(plan.id)
        ],
    }


def report_json(connector: Connector, record: ReviewRecord) -> dict[str, Any]:
    """A closed review: counts and figures only. Raises :class:`ConflictError` for one that is not closed."""
    if record.result is None:
        raise ConflictError(
            "the review is not closed, so there is nothing to report",
            fix="see how far it is: synthema review status; close it: synthema review close",
        )
    return review_json(connector, record) | {
        "result": record.result.as_json(),
        "rules": [rule.model_dump(mode="json") for rule in record.plan.rules],
        "seed": record.seed,
        "logPosition": record.log_position,
        "closed": None if record.closed_at is None else to_text(record.closed_at),
    }
