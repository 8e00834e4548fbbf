"""What a study asks for: the model, its scale, and how rounds share the privacy loss, from codebook and parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from synthema.datasets.codebook import Codebook
from synthema.spi.columns import variable_of
from synthema.spi.sums import scale_for
from synthema_regression.covariates import covariates_of
from synthema_regression.cox import Cox
from synthema_regression.models import Logistic, Model, Piecewise, Poisson, Time

MOST_PATIENTS = 2**14
MOST_ALLOWED = 2**24
STEPS = 12
LARGEST_RISK = 5.0
SPREAD = 20.0
LAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Problem:
    """A model with the integers it is summed in."""

    model: Model
    scale: int
    most_patients: int
    steps: int

    @property
    def sensitivity(self) -> float:
        """L2 change of a round's vector of integers when one row comes or goes."""
        return self.model.sensitivity(self.scale)

    def rho_of(self, step: int, rho: float) -> float:
        """The loss of one round: half for the last, which the estimate rests on; the rest in equal parts."""
        if self.steps == 1:
            return rho
        return rho * LAST_SHARE if step == self.steps else rho * (1 - LAST_SHARE) / (self.steps - 1)


def problem(codebook: Codebook, asked: dict[str, Any]) -> Problem:
    """Read a study's parameters; raises ``ValueError`` naming what does not fit the codebook."""
    most = int(asked.get("most_patients", MOST_PATIENTS))
    steps = int(asked.get("steps", STEPS))
    if not 1 <= steps <= 100:
        raise ValueError("'steps' must lie between 1 and 100")
    return Problem(_model(codebook, asked, most), scale_for(most, MOST_ALLOWED), most, steps)


def _model(codebook: Codebook, asked: dict[str, Any], most_patients: int) -> Model:
    names = [str(name) for name in asked.get("covariates", ())]
    covariates = covariates_of(codebook, names, inner=asked.get("range") == "inner")
    kind, outcome = str(asked.get("model")), str(asked.get("outcome"))
    used = {variable.name for variable in covariates.variables}
    if kind == "logistic":
        _keep_apart(used, outcome)
        return Logistic(covariates, variable_of(codebook, outcome), str(asked.get("positive")))
    if kind == "poisson":
        exposure = variable_of(codebook, str(asked["exposure"])) if asked.get("exposure") else None
        _keep_apart(used, outcome)
        return Poisson(covariates, variable_of(codebook, outcome), exposure, _positive(asked, "largest_count"))
    time = _time(codebook, outcome, asked)
    _keep_apart(used, time.time.name, time.event.name)
    if kind == "cox":
        return Cox(covariates, time, _positive(asked, "spread") or SPREAD, most_patients)
    if kind == "piecewise":
        return Piecewise(covariates, time, _positive(asked, "largest_risk") or LARGEST_RISK)
    raise ValueError("'model' is one of logistic, poisson, cox, piecewise")


def _time(codebook: Codebook, name: str, asked: dict[str, Any]) -> Time:
    for outcome in codebook.outcomes:
        if outcome.name == name:
            time, event = codebook.variable(outcome.time), codebook.variable(outcome.event)
            if time.type == "category" or event.type != "category":
                break
            ends = (time.minimum or 0.0, time.maximum or 0.0)
            inner = [float(edge) for edge in asked.get("time_edges", time.edges) if ends[0] < edge < ends[1]]
            if sorted(set(inner)) != inner:
                raise ValueError("'time_edges' must rise")
            return Time(time, event, outcome.event_value, (ends[0], *inner, ends[1]))
    raise ValueError("'outcome' of a survival model is the name of one of the codebook's outcomes")


def _keep_apart(covariates: set[str], *outcome: str) -> None:
    if covariates & set(outcome):
        raise ValueError("the outcome cannot be a covariate of itself")


def _positive(asked: dict[str, Any], name: str) -> float | None:
    value = asked.get(name)
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ValueError(f"'{name}' must be greater than 0")
    return None if value is None else float(value)
