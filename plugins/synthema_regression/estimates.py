"""The figures of a finished fit: coefficients in the data's own units, ratios, 95 % intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from synthema.spi.model import Evaluation, Metric
from synthema_regression.covariates import Floats
from synthema_regression.models import Logistic, Model, Poisson
from synthema_regression.newton import covariance, estimable, step, too_long, unpacked
from synthema_regression.problem import Problem

Z = 1.959963984540054
FEWEST = 10


def report(found: Problem, values: dict[str, Any], fewest: int) -> Evaluation:
    """Coefficients with intervals that hold sampling and noise; none where the data do not decide them."""
    model = found.model
    summed = unpacked(model, np.asarray(values["total"], dtype=np.float64), float(values["sigma"]), found.scale)
    count = max(0, round(summed.patients))
    notes = [_what(model), _protection(summed.gradient_sigma, summed.patients_sigma)]
    if count < fewest or not estimable(model, summed):
        why = "No coefficient is given: there are too few patients, a covariate follows from others, or noise hides it."
        return Evaluation((), {"patients": count if count >= fewest else None}, notes=(*notes, why))
    moved = step(summed)
    if too_long(model, moved):
        why = "No coefficient is given: the last step was so long that the fit has not settled. Plan more steps."
        return Evaluation((), {"patients": count}, notes=(*notes, why))
    at = np.asarray(values["at"], dtype=np.float64)
    beta, spread = in_own_units(model, at + moved, covariance(summed, moved))
    errors = np.sqrt(np.diag(spread))
    metrics: list[Metric] = []
    for number in range(model.nuisance, model.dimension):
        value, half = float(beta[number]), Z * float(errors[number])
        words = model.names[number]
        metrics.append(Metric("coefficient", value, count, value - half, value + half, definition=words))
        if words != "intercept":
            ends = (_exp(value - half), _exp(value + half))
            metrics.append(Metric(model.ratio, _exp(value), count, *ends, definition=words))
    series: dict[str, Any] = {"steps": int(values["taken"]), "settled": bool(values["settled"]), "patients": count}
    series["standardErrors"] = {model.names[i]: float(errors[i]) for i in range(model.nuisance, model.dimension)}
    return Evaluation(tuple(metrics), series, notes=tuple(notes))


def in_own_units(model: Model, beta: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """From covariates between −1 and 1 back to the codebook's units: a linear map of estimate and covariance."""
    size, first = model.dimension, model.dimension - len(model.covariates.terms)
    change = np.eye(size)
    for offset, term in enumerate(model.covariates.terms):
        change[first + offset, first + offset] = 1 / term.half
        if first:
            change[:first, first + offset] = -term.middle / term.half
    shift = np.zeros(size)
    if isinstance(model, Poisson) and model.exposure is not None:
        shift[0] = -math.log(model.exposure.maximum or 1.0)
    return change @ beta + shift, change @ spread @ change.T


def _exp(value: float) -> float:
    return math.exp(min(max(value, -700.0), 700.0))


def _what(model: Model) -> str:
    if isinstance(model, Logistic):
        return f"Logistic regression of {model.outcome.name} = {model.positive}; incomplete rows are left out."
    name = {
        "poisson": "Poisson",
        "cox": "Cox (each site a stratum, ties by Breslow)",
        "piecewise": "Piecewise exponential",
    }
    return f"{name[model.kind]} regression; patients with a missing value of the model's variables are left out."


def _protection(noise: float, patients: float) -> str:
    if patients == 0:
        return "The sums hold no noise: they are protected by the secure sum alone."
    return f"The last gradient holds noise with a standard deviation of {noise:.3g}; the intervals include it."
