"""What a reader sees of the finished model: shapes as data for plots, the weight of each term, the concordance."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from synthema.spi.axes import MISSING
from synthema.spi.model import Evaluation, Json, Metric
from synthema.spi.ranking import concordance
from synthema_additive.cells import Term
from synthema_additive.problem import Problem

FEWEST = 10
Z = 1.959963984540054


def report(found: Problem, values: dict[str, Any], fewest: int) -> Evaluation:
    """All figures of a finished model; a cell with fewer than ``fewest`` patients shows no score."""
    everyone = max(0, round(float(np.median([sum(patients) for patients in values["patients"]]))))
    sigma = float(values["count_sigma"])
    notes = [_what(found), _protection(sigma, fewest)]
    if everyone < max(fewest, 4 * sigma):
        why = "No shape is shown: there are too few patients, or noise hides how many there are."
        return Evaluation((), {"patients": None}, notes=(*notes, why))
    metrics: list[Metric] = []
    shapes: dict[str, Json] = {}
    for term, patients, score, noise in zip(
        found.terms, values["patients"], values["scores"], values["noise"], strict=True
    ):
        shapes[term.variable.name] = shape(term, np.array(patients), np.array(score), np.sqrt(noise), fewest)
        weight = float(np.dot(patients, np.abs(score)) / max(sum(patients), 1e-9))
        metrics.append(Metric("termImportance", weight, everyone, definition=f"{term.variable.name}: mean |score|"))
    if "ranking" in values:
        table = np.asarray(values["ranking"], dtype=np.float64)
        ranking = concordance(table, found.target.bins, float(values["ranking_sigma"]))
        if ranking is None:
            notes.append("No concordance is given: too few patients are held out, or noise hides it.")
        else:
            said = f"{found.target.words}, patients held out"
            metrics.append(
                Metric("concordance", ranking.value, ranking.patients, ranking.lower, ranking.upper, definition=said)
            )
    baseline = [
        {"label": label, "value": float(value)}
        for label, value in zip(found.target.baseline_labels, values["baseline"], strict=True)
    ]
    series: dict[str, Json] = {"shapes": shapes, "baseline": baseline, "patients": everyone, "steps": found.steps}
    return Evaluation(tuple(metrics), series, notes=tuple(notes))


def shape(term: Term, patients: Any, score: Any, noise: Any, fewest: int) -> Json:
    """One curve or row of bars: ``score`` added to the log odds or log hazard, ``band`` what noise leaves open (95 %).

    ``from`` and ``to`` bound a number's bin; a category and *not recorded* have a label only.
    """
    ends = [*pairwise(term.edges), (None, None)] if term.edges else [(None, None)] * term.cells
    kind = "bars" if term.variable.type == "category" else "steps"
    cells: list[Json] = []
    for index, label in enumerate((*term.labels, MISSING)):
        shown = bool(patients[index] >= fewest)
        low, high = ends[index]
        half = Z * float(noise[index])
        cells.append(
            {
                "label": label, "from": low, "to": high,
                "patients": round(float(patients[index])) if shown else None,
                "score": float(score[index]) if shown else None,
                "band": [float(score[index]) - half, float(score[index]) + half] if shown else None,
            }
        )  # fmt: skip
    return {"label": term.variable.label, "unit": term.variable.unit, "drawn": kind, "cells": cells}


def _what(found: Problem) -> str:
    return (
        f"An additive model of {found.target.words}: a patient's log value is the baseline plus one score for each "
        f"variable. Read each shape by itself; a score of 0.7 doubles the odds or hazard, one of −0.7 halves it."
    )


def _protection(sigma: float, fewest: int) -> str:
    hidden = f"Cells with fewer than {fewest} patients show no score."
    if sigma == 0:
        return f"{hidden} The sums hold no noise: they are protected by the secure sum alone."
    return f"{hidden} Bands hold the noise, not how patients vary; where a band is wide, do not read the shape."
