"""An additive model that can be read: one shape for each variable, learned over several sites from histogram sums.

The log odds (or log hazard) of a patient is a baseline plus one score for each variable; the score depends on the
variable's cell alone, so the whole model is a few curves and bars that a clinician can look at. It is learned as an
explainable boosting machine is: in each round, sites add up how patients in each cell pull at the scores, observed
less expected, and the coordinator moves all scores a little. Sites send sums, never rows, and the sum over sites is
bit for bit that of one table with all patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Aggregate, Contribution, Evaluation, Plan, State, Table
from synthema_additive.problem import Problem, checked_scores, problem
from synthema_additive.shapes import FEWEST, report
from synthema_additive.steps import counted, moved

__all__ = ["federated_absorb", "federated_contribute", "federated_open", "federated_report"]


@hookimpl
def federated_open(plan: Plan) -> State:
    """The state that asks for the first counts; raises ``ValueError`` for a model the codebook does not allow."""
    if not plan.rho > 0:
        raise ValueError("the plan grants no privacy loss: give rho greater than 0")
    found = problem(plan.codebook, plan.parameters)
    values = {"asked": plan.parameters, "codebook": plan.codebook.model_dump(mode="json"), "rho": plan.rho}
    nothing = {"baseline": [0.0] * len(found.target.baseline_labels), "scores": [[0.0] * t.cells for t in found.terms]}
    return _asking(found, 1, values | nothing)


def _asking(found: Problem, number: int, values: dict[str, Any]) -> State:
    if number > found.rounds:
        return State(number, 0, 0.0, 0.0, finished=True, values=values)
    rho = found.rho_of(number, values["rho"])
    return State(number, found.length(number), rho, found.sensitivity(number), finished=False, values=values)


@hookimpl
def federated_contribute(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's sums of the round, without noise.

    A state comes from the coordinator, so nothing in it is believed: the site sets the model up anew from its own
    codebook, and refuses a round that hides how much a row can change it. For any scores, a row's part is bounded.
    """
    found = problem(codebook, state.values["asked"])
    if state.finished or not 1 <= state.round <= found.rounds or found.length(state.round) != state.length:
        raise ValueError("the round was made for another codebook: agree on one codebook and start the study again")
    if state.sensitivity < found.sensitivity(state.round) * (1 - 1e-9):
        raise ValueError("the round announces less than what one row can change: refuse the round")
    baseline, scores = checked_scores(found, state.values)
    return Contribution(found.add_up(state.round, table, baseline, scores))


@hookimpl
def federated_absorb(state: State, total: Aggregate) -> State:
    """The state after a round's sum."""
    if state.finished:
        raise ValueError("the study is finished: no further sum can be absorbed")
    if total.total.shape != (state.length,):
        raise ValueError(f"the sum has {total.total.shape} entries, the round asked for {state.length}")
    found = problem(Codebook.model_validate(state.values["codebook"]), state.values["asked"])
    summed, sigma = total.total.astype(np.float64), float(total.sigma)
    phase = found.phase(state.round)
    if phase == "counts":
        changed = counted(found, summed) | {"count_sigma": sigma}
    elif phase == "step":
        changed = moved(found, state.round, state.values, summed, sigma)
    else:
        changed = {"ranking": total.total.tolist(), "ranking_sigma": sigma}
    return _asking(found, state.round + 1, {**state.values, **changed})


@hookimpl
def federated_report(state: State, plan: Plan) -> Evaluation:
    """Shapes, their weight, and how well the model ranks patients it was not shown; spends nothing more."""
    if not state.finished:
        raise ValueError("the model is not finished: open its rounds first")
    fewest = int(plan.parameters.get("fewest", FEWEST))
    return report(problem(plan.codebook, plan.parameters), state.values, fewest)
