"""Which of a site's runs in studies can go on after its connector was stopped or killed."""

from __future__ import annotations

from synthema.budget.model import ReservationState
from synthema.budget.store import find_reservation
from synthema.federation import StudyPlan
from synthema.federation.store import unfinished_participations
from synthema.runs import store
from synthema.runs.model import IN_ROUNDS, RunState
from synthema.runs.rooms import Rooms


def interrupted(rooms: Rooms) -> dict[str, StudyPlan]:
    """The runs, with their plans, in which this site was taking part and that no later step has ended.

    A run whose grant has not begun is not among them, nor one whose rounds are over: these fail, as others do.
    Whether one may go on is decided afresh when it does.
    """
    with rooms.database.read() as connection:
        plans = {plan.id: plan for plan in unfinished_participations(connection)}
        runs = [
            record
            for record in store.unfinished(connection)
            if record.state is RunState.RUNNING
            and record.reservation is not None
            and find_reservation(connection, record.reservation).state is ReservationState.OPEN
        ]
    found = {}
    for record in runs:
        plan = plans.get(record.request.study or "")
        ours = record.request.kind in IN_ROUNDS and plan is not None and plan.digest == record.request.plan_digest
        if ours and plan is not None:
            found[record.id] = plan
    return found
