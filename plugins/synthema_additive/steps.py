"""From an opened sum to the next scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_additive.problem import Problem

Floats = NDArray[np.float64]


def counted(found: Problem, total: Floats) -> dict[str, Any]:
    """What the first round's counts begin with: patients in each cell, a baseline, scores of 0."""
    patients, start = [], 0
    for term in found.terms:
        patients.append(np.clip(total[start : start + term.cells], 0, None).tolist())
        start += term.cells
    baseline, weights, each = found.target.start(total[start:].reshape(found.target.bins, 2))
    return {
        "patients": patients,
        "baseline": baseline.tolist(),
        "weights": weights.tolist(),
        "each": each,
        "scores": [[0.0] * term.cells for term in found.terms],
        "noise": [[0.0] * term.cells for term in found.terms],
    }


def moved(found: Problem, number: int, values: dict[str, Any], total: Floats, sigma: float) -> dict[str, Any]:
    """Baseline and scores after one step, and the variance that noise has brought into each score so far.

    Each leaf moves by ``rate`` times its pull, less the ridge's, over its weight. The weight is raised by what noise
    could add up to over all steps, so that no score holds noise of more than about 1 in standard deviations.
    """
    unit = found.target.most / found.scale
    pulls, noise = total * unit, sigma * unit
    guard = found.rate * math.sqrt(found.steps) * noise
    baseline = np.asarray(values["baseline"])
    start = len(baseline)
    baseline = baseline + found.rate * pulls[:start] / (np.asarray(values["weights"]) + guard)
    scores, variances = [], []
    for position, leaf in enumerate(found.leaves(number)):
        size = int(leaf.max()) + 1
        patients = np.asarray(values["patients"][position])
        score, variance = np.asarray(values["scores"][position]), np.asarray(values["noise"][position])
        people = np.bincount(leaf, weights=patients, minlength=size)
        inside = np.bincount(leaf, weights=patients * score, minlength=size) / np.maximum(people, 1e-9)
        divisor = people * values["each"] + found.ridge + guard
        step = found.rate * (pulls[start : start + size] - found.ridge * inside) / divisor
        score = score + step[leaf]
        shift = float(patients @ score) / max(float(patients.sum()), 1e-9)
        baseline = baseline + shift
        scores.append((score - shift).tolist())
        kept = (1 - found.rate * found.ridge / divisor) ** 2
        variances.append((variance * kept[leaf] + ((found.rate * noise / divisor) ** 2)[leaf]).tolist())
        start += size
    return {"baseline": baseline.tolist(), "scores": scores, "noise": variances}
