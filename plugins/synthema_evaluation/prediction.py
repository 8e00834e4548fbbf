"""Can one learn from synthetic rows what helps real patients: an event by a time, its calibration, and each group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook, SurvivalOutcome, Variable
from synthema.spi.model import Metric
from synthema_evaluation.boosting import Boosted
from synthema_evaluation.columns import Codes, Floats, Tables, bin_count, bin_labels, binned, coarse_levels
from synthema_evaluation.concepts import Found
from synthema_evaluation.intervals import Z95, area
from synthema_evaluation.survival import (
    Concordance,
    Design,
    Followed,
    covariates,
    fit_cox,
    followed,
    horizon,
    kaplan_meier,
    known_rows,
)

RESAMPLES = 200
FEW_RESAMPLES = 60
CALIBRATION_BINS = 5
FEWEST_OF_EACH = 10
SMALL_COUNT = 5
FEWEST_IN_GROUP = 30
FEWEST_EVENTS = 10
POINTS = 60
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Predicted chances for held-out patients, and what became of them."""

    chances: Floats
    labels: Floats

    def area(self, rows: Codes | slice = slice(None)) -> float:
        """Area under the ROC curve."""
        labels, chances = self.labels[rows], self.chances[rows]
        return area(chances[labels > 0], chances[labels == 0])

    def error(self, rows: Codes | slice = slice(None)) -> float:
        """Mean distance of predicted and observed shares in five classes of equal size, weighted by their size."""
        order = np.argsort(self.chances[rows], kind="stable")
        chances, labels = self.chances[rows][order], self.labels[rows][order]
        groups = np.array_split(np.arange(len(order)), CALIBRATION_BINS)
        gaps = [abs(float(chances[g].mean() - labels[g].mean())) * len(g) for g in groups if len(g)]
        return sum(gaps) / max(len(order), 1)


def prediction_metrics(
    tables: Tables, codebook: Codebook, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[list[Metric], dict[str, Any]]:
    """AUC and calibration on held-out patients of a learner trained on synthetic, and on real rows."""
    used = covariates(codebook, variables)
    if not codebook.outcomes or not used:
        return [], {}
    outcome = codebook.outcomes[0]
    time = _middle_event(followed(tables.train, outcome, codebook))
    sides = [_labelled(t, outcome, codebook, used, time) for t in (tables.train, tables.holdout, tables.synthetic)]
    if any(min(labels.sum(), len(labels) - labels.sum()) < FEWEST_OF_EACH for _, labels in sides):
        return [], {}
    sizes = [bin_count(v) for v in used]
    (held_codes, held_labels) = sides[1]
    real, synthetic = (
        _Predicted(Boosted(codes, sizes, labels).probability(held_codes), held_labels)
        for codes, labels in (sides[0], sides[2])
    )
    n = len(held_labels)
    draws = np.array(
        [
            (synthetic.area(rows), real.area(rows), synthetic.error(rows))
            for rows in (random.integers(0, n, size=n) for _ in range(RESAMPLES))
        ]
    )
    half = Z95 * np.append(draws.std(axis=0, ddof=1), (draws[:, 1] - draws[:, 0]).std(ddof=1))
    what = (
        f"area under the ROC curve on held-out real patients of boosted trees that predict '{outcome.name}' by "
        f"{time:g} {outcome.unit}, those censored before left out, learned from"
    )
    metrics = [
        _figure("aucSynthetic", synthetic.area(), n, half[0], None, f"{what} synthetic rows", 0.0),
        _figure("aucReal", real.area(), n, half[1], None, f"{what} the real training rows", 0.0),
        _figure("aucGap", real.area() - synthetic.area(), n, half[3], 0.0,
                "aucReal minus aucSynthetic: what is lost by learning from synthetic rows", -1.0),
        _figure("calibrationError", synthetic.error(), n, half[2], real.error(),
                "mean distance between predicted and observed shares in five classes of held-out patients, of the "
                "learner of aucSynthetic; control: the learner of aucReal", 0.0),
    ]  # fmt: skip
    series = {"outcome": outcome.name, "by": round(time, 2), "unit": outcome.unit}
    return metrics, {**series, "synthetic": _calibration(synthetic), "real": _calibration(real)}


def _figure(
    name: str, value: float, n: int, half: float, control: float | None, definition: str, least: float
) -> Metric:
    return Metric(name, value, n, max(least, value - float(half)), min(1.0, value + float(half)), control, definition)


def _middle_event(sample: Followed) -> float:
    """The median time of the events: a moment by which some have had theirs, and some are still followed."""
    return float(np.median(sample.times[sample.events])) if sample.events.any() else 0.0


def _labelled(
    table: pl.DataFrame, outcome: SurvivalOutcome, codebook: Codebook, used: tuple[Variable, ...], time: float
) -> tuple[Codes, Floats]:
    """Codes and labels of the rows whose fate by a time is known."""
    sample = followed(table, outcome, codebook)
    known = table.filter(pl.Series(known_rows(table, outcome, codebook)))
    happened = sample.events & (sample.times <= time)
    told = happened | (sample.times > time)
    codes = np.stack([binned(known, v) for v in used], axis=1)
    return codes[told], happened[told].astype(np.float64)


def _calibration(predicted: _Predicted) -> list[dict[str, float | None]]:
    order = np.argsort(predicted.chances, kind="stable")
    return [
        {"predicted": round(float(predicted.chances[g].mean()), 3), "observed": _told(predicted.labels[g])}
        for g in np.array_split(order, CALIBRATION_BINS)
        if len(g) >= FEWEST_OF_EACH
    ]


def _told(labels: Floats) -> float | None:
    """The share with the event, unless fewer than five have had it, or have not."""
    return round(float(labels.mean()), 3) if min(labels.sum(), len(labels) - labels.sum()) >= SMALL_COUNT else None


def group_metrics(
    tables: Tables, codebook: Codebook, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[list[Metric], dict[str, Any]]:
    """The group (of a sex, an age, a centre, or another quasi-identifier) that is served worst, and a line for each."""
    used = covariates(codebook, variables)
    if not codebook.outcomes or not used:
        return [], {}
    outcome = codebook.outcomes[0]
    risks = [_risks(source, tables.holdout, used, outcome, codebook) for source in (tables.train, tables.synthetic)]
    held = followed(tables.holdout, outcome, codebook)
    known = known_rows(tables.holdout, outcome, codebook)
    gaps: list[Metric] = []
    distances: list[Metric] = []
    series: dict[str, Any] = {}
    for label, masks in _groups(tables, _grouping(codebook, variables)):
        told: dict[str, Any] = {}
        rows = np.nonzero(masks[1][known])[0]
        if len(rows) >= FEWEST_IN_GROUP and held.events[rows].sum() >= FEWEST_EVENTS and risks[0] is not None:
            gaps.append(_group_gap(label, [r[rows] for r in risks if r is not None], held.pick(rows), random))
            told |= {"concordanceGap": round(gaps[-1].value, 4), "heldOut": len(rows)}
        found = _group_distance(label, tables, masks, outcome, codebook, random)
        if found:
            distances.append(found)
            told |= {"survivalDistance": round(found.value, 4), "training": found.n}
        if told:
            series[label] = told
    return [max(each, key=lambda m: m.value) for each in (gaps, distances) if each], series


def _grouping(codebook: Codebook, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Quasi-identifiers and sites, and sex and age whatever their role."""
    found = Found(codebook, variables)
    always = [found.variable(name) for name in ("sex", "age")]
    return tuple(v for v in variables if v.role in ("quasi-identifier", "site") or v in always)


def _groups(tables: Tables, variables: tuple[Variable, ...]) -> Iterator[tuple[str, list[Flags]]]:
    """Every group with its rows in each of the tables; numbers are cut at the codebook's bands, else in five levels."""
    for variable in variables:
        three = (tables.train, tables.holdout, tables.synthetic)
        if variable.type == "category":
            codes, names = [binned(t, variable) for t in three], bin_labels(variable)
        elif variable.bands:
            banded = variable.model_copy(update={"edges": variable.bands})
            codes, names = [binned(t, banded) for t in three], bin_labels(banded)
        else:
            levels = coarse_levels(binned(tables.train, variable), bin_count(variable))
            codes = [levels[binned(t, variable)] for t in three]
            names = [f"level {i + 1}" for i in range(int(levels.max()))] + ["missing"]
        for code, name in enumerate(names):
            yield f"{variable.label}: {name}", [each == code for each in codes]


def _risks(
    source: pl.DataFrame, target: pl.DataFrame, used: tuple[Variable, ...], outcome: SurvivalOutcome, codebook: Codebook
) -> Floats | None:
    sample = followed(source, outcome, codebook)
    if not sample.events.any():
        return None
    known = source.filter(pl.Series(known_rows(source, outcome, codebook)))
    design = Design(known, used)
    beta = fit_cox(design.matrix(known), sample)
    return np.asarray(design.matrix(target.filter(pl.Series(known_rows(target, outcome, codebook)))) @ beta)


def _group_gap(label: str, risks: list[Floats], held: Followed, random: np.random.Generator) -> Metric:
    ranked = [Concordance(risk, held) for risk in risks]
    n = len(held.times)

    def gap(weights: Floats | None = None) -> float:
        return ranked[0].value(weights) - ranked[-1].value(weights) if len(ranked) > 1 else 0.0

    draws = [
        gap(np.bincount(random.integers(0, n, size=n), minlength=n).astype(np.float64)) for _ in range(FEW_RESAMPLES)
    ]
    return _figure(
        "groupConcordanceGap", gap(), n, Z95 * float(np.std(draws, ddof=1)), 0.0,
        f"largest concordanceGap within one group of held-out patients, here '{label}', over the groups of "
        "sex, age, sites and other quasi-identifiers with 30 patients and 10 events; the largest of many scatters "
        "upwards, so read the interval", -1.0,
    )  # fmt: skip


def _group_distance(
    label: str,
    tables: Tables,
    masks: list[Flags],
    outcome: SurvivalOutcome,
    codebook: Codebook,
    random: np.random.Generator,
) -> Metric | None:
    three = (tables.train, tables.holdout, tables.synthetic)
    real, held, synthetic = (
        followed(t.filter(pl.Series(m)), outcome, codebook) for t, m in zip(three, masks, strict=True)
    )
    end = horizon(real)
    if min(len(real.times), len(synthetic.times)) < FEWEST_IN_GROUP or end <= 0:
        return None
    grid = np.linspace(0.0, end, POINTS)

    def distance(first: Followed, second: Followed) -> float:
        return float(np.abs(kaplan_meier(first, grid) - kaplan_meier(second, grid)).mean())

    def again(sample: Followed) -> Followed:
        return sample.pick(random.integers(0, len(sample.times), size=len(sample.times)))

    draws = [distance(again(real), again(synthetic)) for _ in range(FEW_RESAMPLES // 2)]
    control = distance(real, held) if len(held.times) >= FEWEST_OF_EACH else None
    return _figure(
        "groupSurvivalDistance", distance(real, synthetic), len(real.times), Z95 * float(np.std(draws, ddof=1)),
        control, f"largest survivalDistance within one group, here '{label}', over the groups of sex, age, sites "
        "and other quasi-identifiers with 30 training and 30 synthetic rows; control: training against held-out rows "
        "of that group", 0.0,
    )  # fmt: skip
