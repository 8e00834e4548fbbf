"""When a run's privacy budget counts as spent: at its start, or for a study's rounds one by one.

A run of this site alone is spent when it starts, whatever becomes of it. A site's part in a study is spent
round by round, each in the transaction that notes that its answer may leave; so what no round spent is
free again when the run ends, and after a crash what was spent is known to the last round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from synthema.runs import store
from synthema.runs.model import IN_ROUNDS, Grant, RunRequest, RunState
from synthema.runs.store import RunRecord

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms


def set_aside(rooms: Rooms, connection: Connection, request: RunRequest, grant: Grant) -> str | None:
    """Reserve what a grant allows; returns the reservation, or None where nothing is lost."""
    if grant.rho == 0:
        return None
    name = rooms.datasets.version(request.dataset).name
    account = rooms.budget.account_for(connection, name, request.agreement, request.requester)
    return rooms.budget.reserve(connection, account, grant.rho, request.id).id


def begin(rooms: Rooms, connection: Connection, run: str) -> None:
    """A run starts: what was set aside is spent, or opened for its rounds."""
    record = store.find(connection, run)
    if record.reservation is not None:
        step = rooms.budget.open_parts if record.request.kind in IN_ROUNDS else rooms.budget.spend
        step(connection, record.reservation)


def spend_round(rooms: Rooms, connection: Connection, run: str, round_id: str, rho: float) -> None:
    """Count one round of a study, before its answer leaves; raises :class:`DeniedError` where too little is left."""
    record = store.find(connection, run)
    if record.reservation is not None:
        rooms.budget.spend_part(connection, record.reservation, round_id, rho)


def end(rooms: Rooms, connection: Connection, record: RunRecord, *, crashed: bool = False) -> None:
    """A run ends, in whatever way: free what no round spent, and all of it where the run never started.

    What was set aside for a run that a crash kept from starting counts as spent, unless it is spent by rounds:
    then it is known that none was sent.
    """
    if record.reservation is None:
        return
    if record.state is not RunState.GRANTED:
        rooms.budget.free_rest(connection, record.reservation, "the run ended; no round spent this")
    elif crashed and record.request.kind not in IN_ROUNDS:
        rooms.budget.spend(connection, record.reservation)
    else:
        rooms.budget.cancel(connection, record.reservation)
