"""What this connector knows of its data flows: one row for each transfer that a data plane serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, String, Table, Text, and_, insert, or_, select, update

from synthema.dataspace.dataplane.messages import ENDED, FlowState
from synthema.dataspace.model import Process
from synthema.dataspace.store import processes, tasks
from synthema.errors import NotFoundError
from synthema.storage import CanonicalJson, UtcDateTime, metadata

flows = Table(
    "dataspace_flows",
    metadata,
    Column("id", String, primary_key=True),  # that of the transfer
    Column("profile", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("access", CanonicalJson),  # of the token that opens artefacts: its digest and its end
    Column("handed", CanonicalJson, nullable=False),  # the artefacts whose hand-over has begun
    Column("problem", Text),
    Column("attempts", Integer, nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Column("changed", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Flow:
    """A data flow as its plane was last told, or told us. ``problem`` says why a signal has not got through yet."""

    id: str
    profile: str
    state: FlowState
    access: Mapping[str, Any] | None
    handed: Sequence[str]
    problem: str | None
    attempts: int
    due: datetime
    changed: datetime


def open_flow(connection: Connection, identifier: str, profile: str, now: datetime) -> Flow:
    """The flow of a transfer, made on first use."""
    known = find(connection, identifier)
    if known is not None:
        return known
    flow = Flow(identifier, profile, FlowState.INITIALIZED, None, (), None, 0, now, now)
    values = {name: getattr(flow, name) for name in flows.c.keys()}  # noqa: SIM118 - a table's columns, not a mapping
    connection.execute(insert(flows).values(values | {"handed": []}))
    return flow


def find(connection: Connection, identifier: str) -> Flow | None:
    """The flow of a transfer, if a data plane serves it."""
    row = connection.execute(select(flows).where(flows.c.id == identifier)).mappings().one_or_none()
    return None if row is None else _flow(row)


def get(connection: Connection, identifier: str) -> Flow:
    """The flow of a transfer; raises :class:`NotFoundError`."""
    flow = find(connection, identifier)
    if flow is None:
        raise NotFoundError("there is no such data flow", fix="name the transfer as the control plane named it")
    return flow


def change(connection: Connection, identifier: str, now: datetime, **values: Any) -> None:
    """Keep what changed of a flow."""
    connection.execute(update(flows).where(flows.c.id == identifier).values(changed=now, **values))


def unsettled(connection: Connection, now: datetime) -> list[Flow]:
    """The flows that may have to be told something: their transfer stands, or is about to stand, elsewhere."""
    on_its_way = select(tasks.c.number).where(tasks.c.process == flows.c.id, tasks.c.what == "send").exists()
    elsewhere = and_(processes.c.state != "REQUESTED", processes.c.state != flows.c.state)
    rows = connection.execute(
        select(flows)
        .join(processes, processes.c.id == flows.c.id)
        .where(flows.c.state.not_in(ENDED), flows.c.due <= now, or_(elsewhere, on_its_way))
        .order_by(flows.c.due)
    ).mappings()
    return [_flow(row) for row in rows]


def in_state(connection: Connection, profiles: Sequence[str], state: FlowState) -> list[str]:
    """The flows of some profiles that are in a state."""
    chosen = select(flows.c.id).where(flows.c.profile.in_(profiles), flows.c.state == str(state))
    return list(connection.execute(chosen).scalars())


def heading(connection: Connection, process: Process) -> str | None:
    """The state a transfer is in once every message of ours that is on its way has been acknowledged."""
    on_its_way = select(tasks.c.message).where(tasks.c.process == process.id, tasks.c.what == "send")
    state = process.state
    for message in connection.execute(on_its_way.order_by(tasks.c.number)).scalars():
        state = process.machine.table.get((state, message, process.role), state)
    return state


def _flow(row: Any) -> Flow:
    return Flow(**dict(row) | {"state": FlowState(row["state"]), "handed": tuple(row["handed"])})
