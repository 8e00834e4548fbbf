"""The coordinator's side: what the state of a study holds, and the step that an opened sum allows.

A state is plain JSON; vectors of weights stand in it as base64 of 32-bit floats, little-endian, so that every party
reads the same numbers.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_learning.problem import COUNTED, FARTHEST, Problem

Floats = NDArray[np.float64]

FORGET, FORGET_SQUARE, TINY = 0.9, 0.99, 1e-8
"""Adam's constants (Kingma and Ba 2015), the second shorter: studies have few rounds."""
FEWEST = 10.0


def packed(vector: Floats) -> str:
    """A vector as text."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def unpacked(text: Any, length: int) -> Floats:
    """The vector behind a text; raises ``ValueError`` when it is not ``length`` finite numbers."""
    try:
        found = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float64)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError("the round's weights cannot be read: refuse the round") from error
    if found.shape != (length,) or not np.isfinite(found).all():
        raise ValueError("the round's weights are not those of the network: refuse the round")
    return np.asarray(np.clip(found, -FARTHEST, FARTHEST))


def first_values(found: Problem, seed: int) -> dict[str, Any]:
    """What the first round begins with."""
    weights, nothing = packed(found.net.first(seed)), packed(np.zeros(found.weights))
    values = {"weights": weights, "average": nothing, "patients": 0.0}
    if found.method == "patients":
        return values | {"moment": nothing, "square": nothing}
    return values | ({"before": weights, "control": nothing} if found.method == "scaffold" else {})


def read_values(found: Problem, values: dict[str, Any]) -> dict[str, Floats]:
    """The vectors a site needs, checked; raises ``ValueError``."""
    names = ("weights", "before", "control") if found.method == "scaffold" else ("weights",)
    return {name: unpacked(values[name], found.weights) for name in names}


def learned(found: Problem, number: int, values: dict[str, Any], total: Floats, sigma: float) -> dict[str, Any]:
    """The weights after one step, and what the next step needs to know."""
    total, noise = total / found.scale, sigma / found.scale
    if found.method == "patients":
        changed = _by_patients(found, number, values, total)
    else:
        changed = _by_sites(found, values, total, noise)
    weights = unpacked(changed["weights"], found.weights)
    late = number - found.steps // 2  # the mean over the second half is steadier than the last weights
    if late > 0:
        before = unpacked(values["average"], found.weights)
        changed["average"] = packed(before + (weights - before) / late)
    if number == found.steps:
        changed["weights"] = changed["average"]
    return {**changed, "sigma": noise, "taken": number}


def _by_patients(found: Problem, number: int, values: dict[str, Any], total: Floats) -> dict[str, Any]:
    """One step of Adam on the mean of the cut gradients."""
    patients = values["patients"] + (float(total[0]) / COUNTED - values["patients"]) / number
    weights = unpacked(values["weights"], found.weights)
    gradient = found.clip * total[1:] / max(patients, FEWEST) + found.decay * weights
    moment = FORGET * unpacked(values["moment"], found.weights) + (1 - FORGET) * gradient
    square = FORGET_SQUARE * unpacked(values["square"], found.weights) + (1 - FORGET_SQUARE) * gradient**2
    size = np.sqrt(square / (1 - FORGET_SQUARE**number))
    weights = weights - found.rate * (moment / (1 - FORGET**number)) / (size + TINY)
    return {
        "weights": packed(np.clip(weights, -FARTHEST, FARTHEST)),
        "moment": packed(moment),
        "square": packed(np.clip(square, 0, 1e30)),
        "patients": patients,
    }


def _by_sites(found: Problem, values: dict[str, Any], total: Floats, noise: float) -> dict[str, Any]:
    """The mean of the sites' updates, each weighted by its patients; the mean of their gradients for scaffold."""
    share = max(float(total[0]), 2 * noise, FEWEST / found.most_patients)
    patients = max(float(total[0]), 0.0) * found.most_patients
    weights = unpacked(values["weights"], found.weights)
    update = found.clip * total[1 : 1 + found.weights] / share - found.decay * found.rate * weights
    changed = {"weights": packed(np.clip(weights + update, -FARTHEST, FARTHEST)), "patients": patients}
    if found.method == "scaffold":
        control = found.clip * total[1 + found.weights :] / share
        changed |= {"before": values["weights"], "control": packed(np.clip(control, -FARTHEST, FARTHEST))}
    return changed
