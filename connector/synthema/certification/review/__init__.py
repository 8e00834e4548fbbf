"""Expert clinical review: clinicians judge real and synthetic vignettes without knowing which is which."""

from synthema.certification.review.blinding import assignment, check_opening, commitment
from synthema.certification.review.design import Advice, advise, expect
from synthema.certification.review.evidence import review_evidence, review_measurements
from synthema.certification.review.figures import result_of
from synthema.certification.review.model import (
    CONFIDENCE,
    FEWEST_REVIEWERS,
    FEWEST_VIGNETTES,
    Answer,
    Reason,
    ReviewPlan,
    ReviewResult,
    ReviewState,
    RuleFinding,
    Seat,
    Shown,
)
from synthema.certification.review.plausibility import check_rules
from synthema.certification.review.room import (
    REVIEWER_ROLE,
    Reviews,
    closing_bytes,
    opening_bytes,
    seating_bytes,
    stopping_bytes,
)
from synthema.certification.review.store import ReviewRecord
from synthema.certification.review.vignettes import draw_sheet, reasons_of

__all__ = [
    "CONFIDENCE",
    "FEWEST_REVIEWERS",
    "FEWEST_VIGNETTES",
    "REVIEWER_ROLE",
    "Advice",
    "Answer",
    "Reason",
    "ReviewPlan",
    "ReviewRecord",
    "ReviewResult",
    "ReviewState",
    "Reviews",
    "RuleFinding",
    "Seat",
    "Shown",
    "advise",
    "assignment",
    "check_opening",
    "check_rules",
    "closing_bytes",
    "commitment",
    "draw_sheet",
    "expect",
    "opening_bytes",
    "reasons_of",
    "result_of",
    "review_evidence",
    "review_measurements",
    "seating_bytes",
    "stopping_bytes",
]
