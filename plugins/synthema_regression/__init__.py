"""Regression over several sites by Newton steps: sites send gradients and Hessians, never rows.

Each round, a site adds up how its patients would move the coefficients (the gradient) and how surely (the Hessian);
the coordinator sees the sums over all sites and takes one Newton step. Logistic, Poisson and Cox models, and a
piecewise exponential model for survival under noise. Without noise the coefficients are those of a fit to all rows in
one table (Cox: stratified by site); with the noise of a study's privacy plan, the intervals include it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Aggregate, Contribution, Evaluation, Plan, State, Table
from synthema.spi.sums import check_size
from synthema_regression.estimates import FEWEST, report
from synthema_regression.newton import settled, step, unpacked
from synthema_regression.problem import Problem, problem

__all__ = ["federated_absorb", "federated_contribute", "federated_open", "federated_report"]

FARTHEST = 1e4


@hookimpl
def federated_open(plan: Plan) -> State:
    """The state that asks for the first step; raises ``ValueError`` for a model the codebook does not allow."""
    if not plan.rho > 0:
        raise ValueError("the plan grants no privacy loss: give rho greater than 0")
    found = problem(plan.codebook, plan.parameters)
    values = {"asked": plan.parameters, "codebook": plan.codebook.model_dump(mode="json"), "rho": plan.rho}
    return _asking(found, 1, {**values, "beta": found.model.start})


def _asking(found: Problem, number: int, values: dict[str, Any]) -> State:
    rho = found.rho_of(number, values["rho"])
    return State(number, found.model.length, rho, found.sensitivity, finished=False, values=values)


@hookimpl
def federated_contribute(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's gradient and Hessian, without noise.

    A state comes from the coordinator, so nothing in it is believed: the site sets the model up anew from its own
    codebook, and refuses a round that hides how much a row can change it. For any coefficients at all, a row's part
    stays within its bound.
    """
    found = problem(codebook, state.values["asked"])
    if found.model.length != state.length:
        raise ValueError("the round was made for another codebook: agree on one codebook and start the study again")
    if state.sensitivity < found.sensitivity * (1 - 1e-9):
        raise ValueError("the round announces less than what one row can change: refuse the round")
    check_size(table.height, found.most_patients)
    beta = [float(value) for value in state.values["beta"]]
    if len(beta) != found.model.dimension or not all(math.isfinite(value) for value in beta):
        raise ValueError("the round's coefficients are not those of the model: refuse the round")
    return Contribution(found.model.add_up(table, np.clip(beta, -FARTHEST, FARTHEST), found.scale))


@hookimpl
def federated_absorb(state: State, total: Aggregate) -> State:
    """The state after one Newton step: finished when the coefficients have settled, or all steps are taken."""
    if state.finished:
        raise ValueError("the study is finished: no further sum can be absorbed")
    if total.total.shape != (state.length,):
        raise ValueError(f"the sum has {total.total.shape} entries, the round asked for {state.length}")
    found = problem(Codebook.model_validate(state.values["codebook"]), state.values["asked"])
    summed = unpacked(found.model, total.total.astype(np.float64), float(total.sigma), found.scale)
    moved = step(summed)
    done = settled(found.model, moved)
    values = dict(state.values) | {
        "at": state.values["beta"],
        "beta": [float(value) for value in np.asarray(state.values["beta"]) + moved],
        "total": total.total.tolist(),
        "sigma": float(total.sigma),
        "taken": state.round,
        "settled": done,
    }
    if done or state.round >= found.steps:
        return State(state.round + 1, 0, 0.0, 0.0, finished=True, values=values)
    return _asking(found, state.round + 1, values)


@hookimpl
def federated_report(state: State, plan: Plan) -> Evaluation:
    """Coefficients, ratios and intervals of the finished fit; post-processing, so it spends nothing more."""
    if not state.finished:
        raise ValueError("the fit is not finished: open its rounds first")
    fewest = int(plan.parameters.get("fewest", FEWEST))
    return report(problem(plan.codebook, plan.parameters), state.values, fewest)
