"""Statistics for clinicians from sums: no row leaves a site, and no sum of fewer than three sites is opened.

One round asks every site for one vector: patients in each cell of the codebook's bins, sums and sums of squares of
numbers, patients who leave in each bin of time by group and cause. Everything shown is computed from the total of
these vectors: counts with small ones left out, means, variances, quartiles, contingency tables, Kaplan–Meier curves,
the log-rank test, and the incidence of competing risks. Without noise the figures are those of one table that holds
all patients; with the noise of a study's privacy plan, the intervals include it.
"""

from __future__ import annotations

import numpy as np

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Aggregate, Contribution, Evaluation, Plan, State, Table
from synthema_statistics.blocks import design
from synthema_statistics.figures import report

__all__ = ["federated_absorb", "federated_contribute", "federated_open", "federated_report"]

FEWEST = 10


@hookimpl
def federated_open(plan: Plan) -> State:
    """The state that asks for the only round; raises ``ValueError`` for what the codebook does not allow."""
    if not plan.rho > 0:
        raise ValueError("the plan grants no privacy loss: give rho greater than 0")
    made = design(plan.codebook, plan.parameters)
    return State(1, made.length, plan.rho, made.sensitivity, finished=False, values={"asked": plan.parameters})


@hookimpl
def federated_contribute(state: State, table: Table, codebook: Codebook) -> Contribution:
    """The site's sums, without noise.

    A state comes from the coordinator, so nothing in it is believed: the site designs the round anew from its own
    codebook, and refuses one that hides how much a row can change it.
    """
    made = design(codebook, state.values["asked"])
    if made.length != state.length:
        raise ValueError("the round was made for another codebook: agree on one codebook and start the study again")
    if state.sensitivity < made.sensitivity * (1 - 1e-9):
        raise ValueError("the round announces less than what one row can change: refuse the round")
    return Contribution(made.add_up(table))


@hookimpl
def federated_absorb(state: State, total: Aggregate) -> State:
    """The finished state: what was asked, and the opened sum."""
    if state.finished:
        raise ValueError("the study is finished: no further sum can be absorbed")
    if total.total.shape != (state.length,):
        raise ValueError(f"the sum has {total.total.shape} entries, the round asked for {state.length}")
    found = {"total": total.total.tolist(), "sigma": float(total.sigma), "contributors": total.contributors}
    return State(state.round + 1, 0, 0.0, 0.0, finished=True, values={**state.values, **found})


@hookimpl
def federated_report(state: State, plan: Plan) -> Evaluation:
    """What may be shown of the opened sums; post-processing, so it spends nothing more."""
    if not state.finished:
        raise ValueError("the study is not finished: open its round first")
    total = np.asarray(state.values["total"], dtype=np.float64)
    fewest = int(plan.parameters.get("fewest", FEWEST))
    return report(design(plan.codebook, plan.parameters), total, float(state.values["sigma"]), fewest)
