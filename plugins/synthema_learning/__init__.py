"""Deep learning over several sites by rounds of sums: survival, small images, and rows from an autoencoder.

Sites send sums of gradients, or how far they came by themselves (FedAvg, FedProx, SCAFFOLD), cut to a bound and made
whole numbers; the core adds noise and the secure sum shows the total only. By patients (the default), the sum over
sites is that of one table with all patients, and the privacy is each patient's; by sites, a whole update can change
with one patient, and privacy costs accordingly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Aggregate, Contribution, Evaluation, Generated, Plan, State, Table
from synthema_learning.problem import Problem, problem
from synthema_learning.results import figures, rows
from synthema_learning.state import first_values, learned, read_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 10

__all__ = ["federated_absorb", "federated_contribute", "federated_open", "federated_report", "federated_sample"]


@hookimpl
def federated_open(plan: Plan) -> State:
    """The state that asks for the first round; raises ``ValueError`` for a network the codebook does not allow."""
    if not plan.rho > 0:
        raise ValueError("the plan grants no privacy loss: give rho greater than 0")
    found = problem(plan.codebook, plan.parameters)
    values = {"asked": plan.parameters, "codebook": plan.codebook.model_dump(mode="json"), "rho": plan.rho}
    return _asking(found, 1, values | first_values(found, int(plan.parameters.get("seed", 0))))


def _asking(found: Problem, number: int, values: dict[str, Any]) -> State:
    if number > found.rounds:
        return State(number, 0, 0.0, 0.0, finished=True, values=values)
    rho = found.rho_of(number, values["rho"])
    return State(number, found.length(number), rho, found.sensitivity(number), finished=False, values=values)


@hookimpl
def federated_contribute(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's vector of the round, without noise.

    A state comes from the coordinator, so nothing in it is believed: the site sets the network up anew from its own
    codebook, and refuses a round that hides how much a row can change it. For any weights, a row's part is bounded.
    """
    found = problem(codebook, state.values["asked"])
    if state.finished or not 1 <= state.round <= found.rounds or found.length(state.round) != state.length:
        raise ValueError("the round was made for another codebook: agree on one codebook and start the study again")
    if state.sensitivity < found.sensitivity(state.round) * (1 - 1e-9):
        raise ValueError("the round announces less than what one row can change: refuse the round")
    return Contribution(found.add_up(state.round, table, read_values(found, state.values)))


@hookimpl
def federated_absorb(state: State, total: Aggregate) -> State:
    """The state after a round's sum."""
    if state.finished:
        raise ValueError("the study is finished: no further sum can be absorbed")
    if total.total.shape != (state.length,):
        raise ValueError(f"the sum has {total.total.shape} entries, the round asked for {state.length}")
    found = problem(Codebook.model_validate(state.values["codebook"]), state.values["asked"])
    if state.round > found.steps:
        changed: dict[str, Any] = {"judged": total.total.tolist(), "judged_sigma": float(total.sigma)}
    else:
        summed: NDArray[np.float64] = total.total.astype("float64")
        changed = learned(found, state.round, state.values, summed, float(total.sigma))
    return _asking(found, state.round + 1, {**state.values, **changed})


@hookimpl
def federated_report(state: State, plan: Plan) -> Evaluation:
    """How good the network is on patients it was not shown, and its weights under noise; spends nothing more."""
    return figures(_finished(state, plan), state.values, int(plan.parameters.get("fewest", FEWEST)))


@hookimpl
def federated_sample(state: State, plan: Plan) -> Generated:
    """``plan.rows`` synthetic rows of a finished autoencoder; the loss was spent in the rounds."""
    return Generated(rows(_finished(state, plan), state.values, plan.codebook, plan.rows), epsilon=0.0, delta=0.0)


def _finished(state: State, plan: Plan) -> Problem:
    if not state.finished:
        raise ValueError("the study is not finished: open its rounds first")
    return problem(plan.codebook, plan.parameters)
