"""Whether a plan stays within what a site's grant allows; asked by the site itself, before anything is loaded."""

from __future__ import annotations

from synthema import canonical
from synthema.errors import DeniedError
from synthema.federation.model import SiteLimits, StudyPlan
from synthema.federation.privacy import MARGIN


def check_plan(plan: StudyPlan, limits: SiteLimits, me: str) -> None:
    """Raise :class:`DeniedError` naming the first point in which the plan goes beyond a site's grant."""
    points = {
        "this site is not a member": me in plan.dids,
        "the plan is not the one the grant names": plan.digest == limits.plan_digest,
        "the algorithm is not the one approved": plan.algorithm.digest == limits.algorithm_digest,
        "the aggregator is not the one approved": plan.aggregator.digest == limits.aggregator_digest,
        f"the plan has more than the {limits.rounds} rounds granted": plan.rounds <= limits.rounds,
        f"the plan spends more than the rho of {limits.rho:g} granted": plan.rho <= limits.rho * (1 + MARGIN),
        "the algorithm's parameters are not those of the grant": limits.parameters_digest
        in (None, canonical.digest(plan.algorithm.parameters)),
        f"the plan cuts numbers at {plan.bound}, the grant at {limits.bound}": plan.bound <= limits.bound,
        f"the plan opens sums of fewer than {limits.minimum_sites} sites": plan.minimum_sites >= limits.minimum_sites,
        f"the plan does not withstand {limits.tolerated_colluders} colluding sites": plan.tolerated_colluders
        >= limits.tolerated_colluders,
        f"one patient changes up to {limits.stability} rows here, the plan's noise is for {plan.stability}": (
            plan.stability >= limits.stability
        ),
    }
    for problem, holds in points.items():
        if not holds:
            fix = "ask the coordinator for a plan within this site's grant"
            if problem.startswith("one patient changes"):
                fix = f"write 'stability: {limits.stability}' into the study file, or refuse small classes"
            raise DeniedError(problem, fix=fix, where=plan.id)
