"""How many reviewers and vignettes a question needs, said before the first record is opened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from synthema.certification.review.distributions import LEVEL, student_quantile
from synthema.certification.review.model import FEWEST_REVIEWERS, FEWEST_VIGNETTES, MOST_VIGNETTES
from synthema.certification.review.statistics import hanley_mcneil, wilson
from synthema.errors import InputError

SHARED: Final = 0.4
"""Assumed correlation of two reviewers' areas, because they judge the same vignettes."""
BETWEEN: Final = 0.03
"""Assumed standard deviation of the true areas of different reviewers."""
MINUTES: Final = 1.5
"""A reviewer's time for one vignette, as a rule of thumb."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What a design can be expected to tell; all half-widths are of 95 % intervals."""

    reviewers: int
    vignettes: int
    auc_half_width: float
    plausible_half_width: float
    minutes_each: int

    def sentences(self) -> tuple[str, ...]:
        """The advice for people, with what it assumes."""
        design = (
            f"{self.vignettes} vignettes, about half of them real, judged by {self.reviewers} reviewers; each needs "
            f"about {self.minutes_each} minutes and may stop and go on."
        )
        assumed = (
            f"Assumed: the reviewers' areas are correlated by {SHARED:g}, their true skill scatters by {BETWEEN:g}, "
            "and two judgements on one vignette are as good as one and a half."
        )
        return (
            design,
            f"Telling apart: if reviewers do no better than chance, expect an AUC of 0.5 ± {self.auc_half_width:.2f}.",
            f"Plausible: a share near 90 % is known to about ± {100 * self.plausible_half_width:.0f} points.",
            assumed,
        )


def expect(reviewers: int, vignettes: int) -> Advice:
    """What a design will tell. Raises :class:`InputError` outside what a review can be."""
    if reviewers < FEWEST_REVIEWERS or not FEWEST_VIGNETTES <= vignettes <= MOST_VIGNETTES:
        raise InputError(
            "this is no design of a review",
            where="reviewers, vignettes",
            fix=f"at least {FEWEST_REVIEWERS} reviewers, and {FEWEST_VIGNETTES} to {MOST_VIGNETTES} vignettes",
        )
    half = vignettes / 2
    effective = half * reviewers / (1 + (reviewers - 1) / 3)
    lower, upper = wilson(0.9, effective)
    return Advice(
        reviewers, vignettes, _half_width(reviewers, half), (upper - lower) / 2, math.ceil(vignettes * MINUTES)
    )


def advise(reviewers: int, half_width: float) -> Advice:
    """The smallest sheet whose AUC is known this closely; raises :class:`InputError` where none is large enough."""
    if reviewers < FEWEST_REVIEWERS:
        raise InputError("one person alone is no review", where="reviewers", fix="ask at least two clinicians")
    for vignettes in range(FEWEST_VIGNETTES, MOST_VIGNETTES + 1, 2):
        if _half_width(reviewers, vignettes / 2) <= half_width:
            return expect(reviewers, vignettes)
    raise InputError(
        f"no sheet of up to {MOST_VIGNETTES} vignettes tells the AUC to ± {half_width:g} with {reviewers} reviewers",
        where="half_width",
        fix="ask more reviewers, or accept a wider interval (0.10 is usual)",
    )


def _half_width(reviewers: int, of_a_kind: float) -> float:
    """As :func:`pooled_auc` would give it: few reviewers who differ know little about reviewers in general."""
    one = hanley_mcneil(0.5, of_a_kind, of_a_kind)
    between, shared = BETWEEN**2 + one * (1 - SHARED), one * SHARED
    spread = between + reviewers * shared
    freedom = spread**2 / (between**2 / (reviewers - 1))
    return student_quantile(0.5 + LEVEL / 2, freedom) * math.sqrt(spread / reviewers)
