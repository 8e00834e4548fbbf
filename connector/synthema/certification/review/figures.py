"""From answers to figures. Only whole answers of reviewers who went through count; small numbers give no figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from synthema.certification.review.model import (
    FEWEST_OF_A_KIND,
    FEWEST_REVIEWERS,
    Answer,
    Reason,
    ReasonCount,
    ReviewerFigures,
    ReviewFigure,
    ReviewResult,
    at_least_small,
)
from synthema.certification.review.statistics import (
    Estimate,
    agreement,
    clustered_share,
    difference,
    pooled_auc,
    scores_of,
    single_auc,
)

Answers = Mapping[int, Mapping[int, Answer]]
"""Seat → place of the sheet → answer."""

_DEFINITIONS: Final = {
    "reviewDiscrimination": "mean area under the curve with which clinicians tell synthetic from real vignettes, by "
    "guess and confidence; 0.5 is chance. Interval: Obuchowski and Rockette's model with Hillis' degrees of freedom "
    "(2014), covariance of DeLong et al. (1988); one reviewer: DeLong",
    "reviewPlausibleShare": "share of judgements that call a synthetic vignette plausible; control: real vignettes. "
    "Interval: Wilson (1927) with the effective number of judgements (Kish 1965; Dean and Pagano 2015)",
    "reviewPlausibleGap": "share of plausible among real less that among synthetic vignettes "
    "(Newcombe 1998, method 10)",
    "reviewAgreement": "agreement on plausible or not beyond chance: Cohen's kappa for two reviewers (variance: "
    "Fleiss, Cohen and Everitt 1969), Fleiss' kappa for more (variance: Gwet 2014)",
    "reviewGuessAgreement": "agreement on real or synthetic beyond chance, estimated as reviewAgreement; near 0 where "
    "reviewers can only guess",
}


def result_of(answers: Answers, synthetic: tuple[bool, ...], reasons: tuple[Reason, ...]) -> ReviewResult:
    """What a review amounts to. ``synthetic`` says of each place of the sheet whether it was synthetic.

    A reviewer counts who answered at least half of the vignettes; a vignette counts that all of them
    answered and in which nobody recognised a patient.
    """
    counted = {seat: given for seat, given in answers.items() if 2 * len(given) >= len(synthetic)}
    recognised = {place for given in answers.values() for place, answer in given.items() if answer.recognised}
    places = [
        place
        for place in range(len(synthetic))
        if counted and place not in recognised and all(place in given for given in counted.values())
    ]
    kinds = np.array([synthetic[place] for place in places], dtype=bool)
    common = {
        "reviewers": len(counted),
        "left_out_reviewers": len(answers) - len(counted),
        "synthetic": int(kinds.sum()),
        "real": int((~kinds).sum()),
        "recognised": at_least_small(len(recognised)),
    }
    if len(counted) < FEWEST_REVIEWERS or min(common["synthetic"] or 0, common["real"] or 0) < FEWEST_OF_A_KIND:
        note = (
            f"There are no figures: they need {FEWEST_REVIEWERS} reviewers who went through, and {FEWEST_OF_A_KIND} "
            "vignettes of each kind that all of them judged."
        )
        return ReviewResult.model_validate(common | {"figures": (), "notes": (note,)})
    seats = sorted(counted)
    table = [[counted[seat][place] for seat in seats] for place in places]
    figures, notes = _figures(table, kinds)
    found = {
        "figures": figures,
        "each": tuple(_one(seat, [row[i] for row in table], kinds) for i, seat in enumerate(seats)),
        "reasons": _reasons(table, kinds, reasons),
        "notes": notes,
    }
    return ReviewResult.model_validate(common | found)


def _figures(table: list[list[Answer]], kinds: np.ndarray) -> tuple[tuple[ReviewFigure, ...], tuple[str, ...]]:
    plausible = np.array([[int(bool(a.plausible)) for a in row] for row in table])
    guesses = np.array([[int(a.guess == "synthetic") for a in row] for row in table])
    of_synthetic, _ = clustered_share(plausible[kinds])
    of_real, _ = clustered_share(plausible[~kinds])
    figures = [
        _figure("reviewDiscrimination", pooled_auc(_scores(table), kinds)),
        _figure("reviewPlausibleShare", of_synthetic, control=of_real.value),
        _figure("reviewPlausibleGap", difference(of_real, of_synthetic)),
    ]
    notes = []
    for metric, ratings, said in (
        ("reviewAgreement", plausible, "plausible or all implausible"),
        ("reviewGuessAgreement", guesses, "real or all synthetic"),
    ):
        found = agreement(ratings)
        if found is None:
            notes.append(f"'{metric}' is not defined: all judgements were {said}.")
        else:
            figures.append(_figure(metric, found))
    return tuple(figures), tuple(notes)


def _figure(metric: str, found: Estimate, *, control: float | None = None) -> ReviewFigure:
    return ReviewFigure(
        metric=metric, value=found.value, lower=found.lower, upper=found.upper, n=found.n, control=control,
        definition=_DEFINITIONS[metric],
    )  # fmt: skip


def _one(seat: int, column: list[Answer], kinds: np.ndarray) -> ReviewerFigures:
    auc = single_auc(_scores([[answer] for answer in column]), kinds)
    plausible = np.array([bool(answer.plausible) for answer in column])
    right = np.array([answer.guess == "synthetic" for answer in column]) == kinds
    return ReviewerFigures(
        seat=seat, auc=auc.value, auc_lower=auc.lower, auc_upper=auc.upper, right_guesses=float(right.mean()),
        plausible_synthetic=float(plausible[kinds].mean()), plausible_real=float(plausible[~kinds].mean()),
    )  # fmt: skip


def _scores(table: list[list[Answer]]) -> np.ndarray:
    guesses = [[answer.guess == "synthetic" for answer in row] for row in table]
    return scores_of(guesses, [[answer.confidence or 1 for answer in row] for row in table])


def _reasons(table: list[list[Answer]], kinds: np.ndarray, reasons: tuple[Reason, ...]) -> tuple[ReasonCount, ...]:
    """How often each reason was given, in the order of the list; those never given are left out."""
    found = []
    for reason in reasons:
        times = [sum(reason.code in answer.reasons for answer in row) for row in table]
        synthetic = sum(n for n, kind in zip(times, kinds, strict=True) if kind)
        real = sum(times) - synthetic
        if synthetic or real:
            found.append(
                ReasonCount(code=reason.code, words=reason.words, synthetic=synthetic, real=at_least_small(real))
            )
    return tuple(found)
