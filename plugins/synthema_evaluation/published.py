"""Do synthetic patients show what publications say of real ones? One effect and its interval for each check.

A check counts where the training rows show the published effect clearly: synthetic rows cannot be asked for what
the cohort itself does not have. It is reproduced where the synthetic effect points the same way and is at
least half as strong, so that an effect blurred away does not pass by its sign alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import erf, log, sqrt
from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.model import Metric
from synthema.spi.published import Check, checks_of
from synthema_evaluation.columns import Floats, Tables
from synthema_evaluation.concepts import Flags, Found
from synthema_evaluation.intervals import Z95, area
from synthema_evaluation.survival import Followed, fit_hazards, followed, known_rows

FEWEST_IN_GROUP = 10
FEWEST_EVENTS = 3
HALF = 0.5
SMALL_COUNT = 5
SCALES = {
    "hazard": "log hazard ratio (of the weakest step between neighbouring groups, or by one standard deviation)",
    "together": "log odds ratio, fewer than five patients told as five",
    "apart": "log odds ratio with its sign turned, fewer than five patients told as five",
    "more_often": "log odds ratio, fewer than five patients told as five",
    "higher": "chance that one of the later group has the higher value, less one half",
    "rise_together": "rank correlation",
    "fall_together": "rank correlation, sign turned",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """How strongly a table shows what was published (above 0: as published), with its standard error."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        """The lower end of the 95 % interval."""
        return self.value - Z95 * self.error

    @property
    def upper(self) -> float:
        """The upper end of the 95 % interval."""
        return self.value + Z95 * self.error


def knowledge_metric(
    tables: Tables, codebook: Codebook, variables: tuple[Variable, ...]
) -> tuple[Metric | None, dict[str, Any]]:
    """The share of published findings that synthetic rows reproduce, and what each table shows of every finding."""
    checks = checks_of(codebook.disease)
    found = Found(codebook, variables)
    lines, chances, kept, held = [], [], [], []
    for check in checks:
        real, other, made = (
            effect_of(check, table, tables.train, found, codebook)
            for table in (tables.train, tables.holdout, tables.synthetic)
        )
        verdict = _verdict(real, made)
        lines.append(_line(check, verdict, real, other, made))
        if real is None or real.lower <= 0:
            continue
        need = HALF * real.value
        kept.append(made is not None and made.value >= need)
        chances.append(0.0 if made is None else _above(made, need))
        if other is not None:
            held.append(other.value >= need)
    if not kept:
        return None, {"disease": codebook.disease, "checks": lines} if lines else {}
    n, share = len(kept), float(np.mean(kept))
    half = Z95 * sqrt(sum(p * (1 - p) for p in chances)) / n
    metric = Metric(
        "knowledgeReproduced",
        share,
        n,
        max(0.0, share - half),
        min(1.0, share + half),
        float(np.mean(held)) if held else None,
        "share of published findings about the disease that synthetic rows show in the published direction and at "
        "least half as strongly as training rows do, among those that training rows show clearly (95 % interval beyond "
        "no effect); findings and sources stand in the series; the interval is that of the synthetic sample alone; n "
        "counts findings; control: held-out rows in place of synthetic ones, which are fewer",
    )
    return metric, {"disease": codebook.disease, "checks": lines}


def _above(effect: Effect, need: float) -> float:
    """The chance that another sample of the same size would reach ``need``."""
    return (1 + erf((effect.value - need) / (effect.error * sqrt(2)))) / 2 if effect.error > 0 else 1.0


def _verdict(real: Effect | None, made: Effect | None) -> tuple[str, str]:
    """The verdict on one finding, and the same in a sentence."""
    if real is None:
        return "not asked: too few training rows, or no such variable", "The real data have too few such patients."
    if real.lower <= 0:
        return "not asked: training rows do not show it clearly", "The real data do not show it clearly."
    if made is None:
        return "lost: too few such synthetic rows", "The real data show it; the synthetic data have too few such rows."
    if made.value >= HALF * real.value:
        return "reproduced", "The real data show it; the synthetic data show it."
    if made.upper < 0:
        return "contradicted", "The real data show it; the synthetic data show the opposite."
    return "weaker", "The real data show it; the synthetic data do not: less than half of it is left."


def _line(check: Check, verdict: tuple[str, str], *effects: Effect | None) -> dict[str, Any]:
    told, says = verdict
    shown = {
        name: None if e is None else [round(e.value, 3), round(e.lower, 3), round(e.upper, 3)]
        for name, e in zip(("real", "heldOut", "synthetic"), effects, strict=True)
    }
    return {"id": check.id, "sentence": check.sentence, "source": check.source, "checked": check.checked,
            "scale": SCALES[check.kind], "verdict": told, "says": says, **shown}  # fmt: skip


def effect_of(
    check: Check, table: pl.DataFrame, train: pl.DataFrame, found: Found, codebook: Codebook
) -> Effect | None:
    """What a table shows of a finding; ``None`` where it has too few patients for it, or no such variable."""
    if check.kind == "hazard":
        outcome = found.outcome(check.outcome)
        if outcome is None:
            return None
        if check.of:
            return _hazard_of_number(check, table, train, found, outcome, codebook)
        return _hazard_of_groups(check, table, found, outcome, codebook)
    if check.kind in ("rise_together", "fall_together"):
        return _rank_correlation(check, table, found)
    if check.kind == "higher":
        return _higher(check, table, found)
    return _odds(check, table, found)


def _grouped(check: Check, table: pl.DataFrame, found: Found) -> list[Flags] | None:
    sides = [found.rows(table, group) for group in check.groups]
    return None if any(side is None for side in sides) else [side[0] for side in sides if side is not None]


def _hazard_of_groups(
    check: Check, table: pl.DataFrame, found: Found, outcome: SurvivalOutcome, codebook: Codebook
) -> Effect | None:
    """The weakest of the steps from each group to the next; groups too small to tell are passed over."""
    groups = _grouped(check, table, found)
    if groups is None:
        return None
    known, sample = known_rows(table, outcome, codebook), followed(table, outcome, codebook)
    large = [rows[known] for rows in groups if _enough(rows[known], sample)]
    if len(large) < 2:
        return None
    steps = []
    for lower, higher in pairwise(large):
        rows = np.nonzero(lower | higher)[0]
        steps.append(_slope(higher[rows].astype(np.float64), sample.pick(rows)))
    return min(steps, key=lambda step: step.value / step.error)


def _enough(rows: Flags, sample: Followed) -> bool:
    return bool(rows.sum() >= FEWEST_IN_GROUP and sample.events[rows].sum() >= FEWEST_EVENTS)


def _hazard_of_number(
    check: Check, table: pl.DataFrame, train: pl.DataFrame, found: Found, outcome: SurvivalOutcome, codebook: Codebook
) -> Effect | None:
    values, yardstick = found.number(table, check.of[0]), found.number(train, check.of[0])
    if values is None or yardstick is None:
        return None
    known = known_rows(table, outcome, codebook)
    rows = np.nonzero(np.isfinite(values[known]))[0]
    sample = followed(table, outcome, codebook).pick(rows)
    spread = float(np.nanstd(yardstick)) if np.isfinite(yardstick).any() else 0.0
    if spread <= 0 or len(rows) < 2 * FEWEST_IN_GROUP or sample.events.sum() < FEWEST_EVENTS:
        return None
    return _slope(check.sign * values[known][rows] / spread, sample)


def _slope(feature: Floats, sample: Followed) -> Effect:
    """The log hazard ratio of one covariate."""
    fitted = fit_hazards((feature - feature.mean())[:, None], sample)
    return Effect(float(fitted.beta[0]), float(fitted.errors[0]))


def _odds(check: Check, table: pl.DataFrame, found: Found) -> Effect | None:
    """The log odds ratio of two things; fewer than five patients in one of the four cells are told as five."""
    first = found.rows(table, {check.of[0]: "present"})
    if check.groups:
        groups = _grouped(check, table, found)
        second = None if groups is None else (groups[1], groups[0] | groups[1])
    else:
        second = found.rows(table, {check.of[1]: "present"})
    if first is None or second is None:
        return None
    known = first[1] & second[1]
    one, two = first[0][known], second[0][known]
    if min(one.sum(), two.sum(), len(one) - one.sum(), len(two) - two.sum()) < FEWEST_IN_GROUP:
        return None
    cells = [max(int(((one == a) & (two == b)).sum()), SMALL_COUNT) for a in (True, False) for b in (True, False)]
    value = log(cells[0] * cells[3] / (cells[1] * cells[2]))
    return Effect(check.sign * value, sqrt(sum(1 / cell for cell in cells)))


def _higher(check: Check, table: pl.DataFrame, found: Found) -> Effect | None:
    values, groups = found.number(table, check.of[0]), _grouped(check, table, found)
    if values is None or groups is None:
        return None
    low, high = (values[rows & np.isfinite(values)] for rows in groups)
    if min(len(low), len(high)) < FEWEST_IN_GROUP:
        return None
    return Effect(area(high, low) - 0.5, sqrt((len(low) + len(high) + 1) / (12 * len(low) * len(high))))


def _rank_correlation(check: Check, table: pl.DataFrame, found: Found) -> Effect | None:
    columns = [found.number(table, name) for name in check.of]
    if columns[0] is None or columns[1] is None:
        return None
    known = np.isfinite(columns[0]) & np.isfinite(columns[1])
    if known.sum() < 2 * FEWEST_IN_GROUP:
        return None
    ranks = [_ranks(column[known]) for column in columns if column is not None]
    if min(float(rank.std()) for rank in ranks) <= 0:
        return None
    return Effect(check.sign * float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 1 / sqrt(int(known.sum()) - 3))


def _ranks(values: Floats) -> Floats:
    """Ranks, those of equal values averaged."""
    ordered = np.sort(values)
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(places / 2, dtype=np.float64)
