"""Which of a site's runs in studies can go on after its connector was stopped or killed."""

from __future__ import annotations

from sqlalchemy import Connection

from synthema.budget.model import ReservationState
from synthema.budget.store import find_reservation
from synthema.federation import StudyPlan
from synthema.federation.store import finished_participations, unfinished_participations
from synthema.runs import store
from synthema.runs.model import IN_ROUNDS, RunState
from synthema.runs.rooms import Rooms


def interrupted(rooms: Rooms) -> dict[str, StudyPlan]:
    """The runs, with their plans, in which this site was taking part in rounds, and that no later step has ended.

    A run whose grant has not begun is not among them: it fails, as others do. Whether one may go on is decided afresh
    when it does. A run of exact sums has reserved no budget, since nothing bounds what they tell; which rounds this
    site has begun stands with its participation, and none is begun twice.
    """
    with rooms.database.read() as connection:
        plans = {plan.id: plan for plan in unfinished_participations(connection)}
        return _under_way(connection, plans)


def unsettled(rooms: Rooms) -> dict[str, StudyPlan]:
    """The runs, with their plans, whose rounds are over, and that were not yet settled by what came of them."""
    with rooms.database.read() as connection:
        plans = {plan.id: plan for plan in finished_participations(connection)}
        return _under_way(connection, plans)


def _under_way(connection: Connection, plans: dict[str, StudyPlan]) -> dict[str, StudyPlan]:
    found = {}
    for record in store.unfinished(connection):
        plan = plans.get(record.request.study or "")
        ours = record.request.kind in IN_ROUNDS and plan is not None and plan.digest == record.request.plan_digest
        if ours and plan is not None and record.state is RunState.RUNNING and _pays_by_the_round(connection, record):
            found[record.id] = plan
    return found


def _pays_by_the_round(connection: Connection, record: store.RunRecord) -> bool:
    """Whether what is left of a run's budget waits for its rounds, or it needs none."""
    if record.reservation is None:
        return record.request.epsilon == 0
    return find_reservation(connection, record.reservation).state is ReservationState.OPEN
