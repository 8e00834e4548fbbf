"""The values of a clinical review: what it is about, what a reviewer is shown and answers, what comes of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from synthema.errors import ConflictError
from synthema.values import Closed

FEWEST_VIGNETTES: Final = 20
MOST_VIGNETTES: Final = 400
FEWEST_OF_A_KIND: Final = 8
"""With fewer judged vignettes of a kind there are no figures: they would be chance, and near single patients."""
FEWEST_REVIEWERS: Final = 2
SMALL: Final = 5
"""Counts of real patients below this are told as "fewer than 5"."""

REVIEW_EVIDENCE: Final = "ClinicalReview"
"""Kind of the evidence a review gives: a local name of the Synthema ontology."""

CONFIDENCE: Final = {1: "I am guessing", 2: "I am fairly sure", 3: "I am sure"}


class ReviewState(StrEnum):
    """Where a review stands. A stopped one shows nothing any more; what was answered still counts."""

    OPEN = "open"
    STOPPED = "stopped"
    CLOSED = "closed"


TRANSITIONS: Final[dict[tuple[ReviewState, str], ReviewState]] = {
    (ReviewState.OPEN, "stop"): ReviewState.STOPPED,
    (ReviewState.OPEN, "close"): ReviewState.CLOSED,
    (ReviewState.STOPPED, "close"): ReviewState.CLOSED,
}


def advance(state: ReviewState, event: str) -> ReviewState:
    """The next state; raises :class:`ConflictError` on a step that cannot be."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise ConflictError(
            f"a review that is {state} cannot {event}", fix="see where it stands: synthema review status"
        ) from None


class Reason(Closed):
    """A coded reason for "implausible", made from the dictionary of the disease."""

    code: str
    words: str


class RuleFinding(Closed):
    """How often a rule of the dictionary is broken; ``real`` is None where it is fewer than five."""

    rule: str
    sentence: str
    source: str = ""
    synthetic: int
    synthetic_rows: int
    real: int | None
    real_rows: int


class ReviewPlan(Closed):
    """What is fixed when a review opens. ``barred`` are the accounts that may not review: who made the data."""

    id: str
    title: str
    subject: str = Field(description="the run that made, or measured, the synthetic rows")
    candidate: str = Field(description="digest of the synthetic rows")
    dataset: str = Field(description="name of the dataset the real vignettes come from")
    dataset_version: str
    run: str = Field(description="the permitted run that opened the real records for this review")
    vignettes: int = Field(ge=FEWEST_VIGNETTES, le=MOST_VIGNETTES)
    reviewers: int = Field(ge=FEWEST_REVIEWERS, le=50)
    opened_by: str
    barred: tuple[str, ...] = ()
    reasons: tuple[Reason, ...]
    rules: tuple[RuleFinding, ...] = ()
    opened_at: datetime
    expires_at: datetime


class Answer(Closed):
    """What a reviewer says of one vignette. Who recognises a patient says only that: it is then left out for all."""

    recognised: bool = False
    guess: Literal["real", "synthetic"] | None = None
    confidence: Literal[1, 2, 3] | None = None
    plausible: bool | None = None
    reasons: tuple[str, ...] = Field(default=(), max_length=20)
    remark: str = Field(default="", max_length=1000, description="kept sealed inside the site; never with a name")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        judged = (self.guess, self.confidence, self.plausible)
        if self.recognised:
            if any(value is not None for value in judged) or self.reasons or self.remark:
                raise ValueError("who recognises a patient says nothing more about them")
        elif any(value is None for value in judged):
            raise ValueError("say all three: real or synthetic, how sure you are, and plausible or not")
        elif self.plausible and self.reasons:
            raise ValueError("reasons belong to 'implausible'")
        elif self.plausible is False and not self.reasons:
            raise ValueError("give at least one reason why it is implausible")
        if len(set(self.reasons)) != len(self.reasons):
            raise ValueError("a reason is given twice")
        return self


class Seat(Closed):
    """A reviewer's place in a review, as a number from 1; who sits there is told by nothing a reviewer sees."""

    review: str
    number: int
    person: str


class Shown(Closed):
    """All that is ever served of a vignette before the review is closed."""

    review: str
    name: str
    number: int = Field(description="the how-manieth of this reviewer's vignettes, from 1")
    of: int
    sentences: tuple[str, ...]


class ReviewFigure(Closed):
    """One figure of a closed review with its 95 % interval; ``control`` is the same figure of the real vignettes."""

    metric: str
    value: float
    lower: float
    upper: float
    n: int
    control: float | None = None
    definition: str


class ReviewerFigures(Closed):
    """What one reviewer's answers say."""

    seat: int
    auc: float
    auc_lower: float
    auc_upper: float
    right_guesses: float
    plausible_synthetic: float
    plausible_real: float


class ReasonCount(Closed):
    """How often a reason was given; ``real`` is None where it is fewer than five."""

    code: str
    words: str
    synthetic: int
    real: int | None


class ReviewResult(Closed):
    """What came of a review: counts and figures, no vignette and no remark."""

    reviewers: int
    left_out_reviewers: int = Field(description="who answered fewer than half of the vignettes")
    synthetic: int = Field(description="synthetic vignettes that count")
    real: int = Field(description="real vignettes that count")
    recognised: int | None = Field(description="vignettes in which a patient was recognised; None: fewer than five")
    figures: tuple[ReviewFigure, ...]
    each: tuple[ReviewerFigures, ...] = ()
    reasons: tuple[ReasonCount, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        return self.model_dump(mode="json")


def at_least_small(count: int) -> int | None:
    """A count of real patients, or None where it is positive and fewer than five."""
    return None if 0 < count < SMALL else count
