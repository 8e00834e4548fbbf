"""What the provenance log keeps of data flows: each change of their state, and who brought it about."""

from __future__ import annotations

from datetime import datetime

from synthema.dataspace.dataplane.messages import FlowState
from synthema.dataspace.dataplane.store import Flow
from synthema.dataspace.ports import Log
from synthema.ids import new_id
from synthema.provenance.model import Activity, Entity, Iri, Value


def flow_step(log: Log, flow: Flow, after: FlowState, reason: str | None, at: datetime) -> Activity:
    """A data flow came into another state."""
    attributes: dict[str, Value | Iri] = {
        "transferFormat": flow.profile,
        "stateBefore": str(flow.state),
        "stateAfter": str(after),
    }
    if reason:
        attributes["reason"] = reason[:2000]
    return Activity(
        iri=log.iri("activity", new_id("activity")),
        type="DataFlowStep",
        label=f"data flow {flow.state} → {after}",
        started=at,
        ended=at,
        used=(Entity(log.iri("transfer", flow.id), types=("TransferProcess",)),),
        attributes=attributes,
    )
