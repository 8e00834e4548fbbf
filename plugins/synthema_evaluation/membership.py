"""Was this patient in the training rows? One synthetic table is seen; held-out patients are the control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Variable
from synthema.spi.model import Metric
from synthema_evaluation.columns import Floats, Space, Tables, nearest
from synthema_evaluation.intervals import area, around, wilson

MILLE, PER_CENT = 0.001, 0.01
EXPOSED = 0.1
FEWEST_EXPOSED = 10
ATTACK = (
    "a density-ratio attack: distance to the nearest held-out reference row over distance to the nearest synthetic "
    "row, members are training rows (after van Breugel et al. 2023)"
)


@dataclass(frozen=True, slots=True)
class Scores:
    """An attack's score for each training row, each held-out row, and for held-out rows playing members.

    ``members_apart`` and ``others_apart`` say how far each lies from the nearest other real row.
    """

    members: Floats
    others: Floats
    played: Floats
    members_apart: Floats
    others_apart: Floats


def membership_metrics(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[list[Metric], dict[str, Any]]:
    """AUC; true positives at one per cent and one per mille of false positives; AUC for those who stand apart."""
    if min(len(tables.train), len(tables.holdout)) < 4 or tables.synthetic.height == 0:
        return [], {}
    ratio, distance = _membership_scores(tables, variables, random)
    control = area(ratio.played, ratio.others[len(ratio.played) :])
    metrics = [
        auc_metric(
            "membershipAUC", ratio.members, ratio.others, control, random,
            f"area under the ROC curve of {ATTACK}; control: one half of the held-out rows against the other",
        ),
        tpr_metric(
            "membershipTPR", ratio.members, ratio.others, PER_CENT, random,
            "share of training rows that the same attack recognises when at most one per cent of held-out rows are "
            "wrongly recognised (Carlini et al. 2022); control: the share of held-out rows recognised",
        ),
        tpr_metric(
            "membershipTPRStrict", ratio.members, ratio.others, MILLE, random,
            "the same share when at most one per mille of held-out rows are wrongly recognised: with fewer than a "
            "thousand of them, none; control: the share of held-out rows recognised",
        ),
    ]  # fmt: skip
    exposed = _exposed(ratio, random)
    series = {
        "densityRatioAUC": round(metrics[0].value, 4),
        "distanceAUC": round(area(distance.members, distance.others), 4),
        "roc": {"density ratio": roc(ratio.members, ratio.others), "distance": roc(distance.members, distance.others)},
    }
    return metrics + ([exposed] if exposed else []), series


def auc_metric(
    name: str, members: Floats, others: Floats, control: float, random: np.random.Generator, definition: str
) -> Metric:
    """The area under an attack's ROC curve with its bootstrap interval."""
    auc = area(members, others)
    lower, upper = around(auc, lambda g: area(_again(members, g), _again(others, g)), random, (0.0, 1.0))
    return Metric(name, auc, len(members) + len(others), lower, upper, control, definition)


def tpr_metric(
    name: str, members: Floats, others: Floats, allowed: float, random: np.random.Generator, definition: str
) -> Metric:
    """The share of members recognised at an allowed share of false positives.

    The interval is the wider of Wilson's and the bootstrap's: the limit itself rests on few held-out rows.
    """
    found, wrongly = recognised(members, others, allowed)
    low, high = wilson(found * len(members), len(members))
    lower, upper = around(
        found, lambda g: recognised(_again(members, g), _again(others, g), allowed)[0], random, (0.0, 1.0)
    )
    return Metric(name, found, len(members), min(low, lower), max(high, upper), wrongly, definition)


def roc(members: Floats, others: Floats) -> dict[str, list[float]]:
    """True against false positives at even steps of a logarithmic scale, from one per mille."""
    allowed = np.geomspace(MILLE, 1.0, 31)
    return {
        "falsePositives": [round(float(share), 5) for share in allowed],
        "truePositives": [round(recognised(members, others, float(share))[0], 4) for share in allowed],
    }


def _exposed(scores: Scores, random: np.random.Generator) -> Metric | None:
    """The attack on the tenth of real rows that stand furthest apart: averages hide what is done to these."""
    limit = float(np.quantile(np.concatenate([scores.members_apart, scores.others_apart]), 1 - EXPOSED))
    members, others = scores.members[scores.members_apart >= limit], scores.others[scores.others_apart >= limit]
    if min(len(members), len(others)) < FEWEST_EXPOSED:
        return None
    return auc_metric(
        "outlierMembershipAUC", members, others, 0.5, random,
        "membershipAUC among the tenth of real patients whose nearest fellow patient is furthest away; control: chance",
    )  # fmt: skip


def recognised(members: Floats, others: Floats, allowed: float) -> tuple[float, float]:
    """Shares of members and of others above the score that at most an allowed share of the others exceed."""
    if allowed >= 1.0:
        return 1.0, 1.0
    limit = float(np.quantile(others, 1 - allowed, method="higher"))
    return float((members > limit).mean()), float((others > limit).mean())


def _again(scores: Floats, generator: np.random.Generator) -> Floats:
    return scores[generator.integers(0, len(scores), size=len(scores))]


def _membership_scores(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[Scores, Scores]:
    """Scores by density ratio and by distance alone.

    Held-out rows are cut in two halves; each row is scored against one half as reference
    that it is not part of, so members and non-members are treated alike.
    """
    space = Space(variables, pl.concat([tables.train, tables.holdout], how="vertical_relaxed"))
    train, held, synthetic = (space.vectors(t) for t in (tables.train, tables.holdout, tables.synthetic))
    half = len(held) // 2
    order = random.permutation(len(held))
    first, second = held[order[:half]], held[order[half : 2 * half]]
    turn = random.permutation(len(train))
    near, far = train[turn[: len(train) // 2]], train[turn[len(train) // 2 :]]

    def ratio(points: Floats, reference: Floats) -> tuple[Floats, Floats]:
        to_synthetic = nearest(points, synthetic, 1)[0][:, 0]
        to_reference = nearest(points, reference, 1)[0][:, 0]
        return np.log(to_reference + 1e-3) - np.log(to_synthetic + 1e-3), -to_synthetic

    # each row scored: near, far (members), second, first (others), in this order below too
    pairs = [ratio(near, first), ratio(far, second), ratio(second, first), ratio(first, second)]
    everyone = np.concatenate([train, held])
    apart = [nearest(points, everyone, 2)[0][:, -1] for points in (near, far, second, first)]
    kinds = []
    for kind in (0, 1):
        members = np.concatenate([pairs[0][kind], pairs[1][kind]])
        others = np.concatenate([pairs[2][kind], pairs[3][kind]])
        kinds.append(Scores(members, others, pairs[2][kind], np.concatenate(apart[:2]), np.concatenate(apart[2:])))
    return kinds[0], kinds[1]
