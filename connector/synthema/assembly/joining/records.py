"""What the log is told of a connector's membership."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.ids import new_id
from synthema.provenance import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity, Value


@dataclass(frozen=True, slots=True)
class MembershipRecords:
    """Writes the steps of one connector's membership."""

    log: ProvenanceLog
    did: str
    clock: Clock

    def write(
        self,
        connection: Connection,
        type_: str,
        label: str,
        authority: str,
        *,
        about: str | None = None,
        **values: Value,
    ) -> None:
        """Write a step that this connector and its authority took, about us or another member."""
        kind, now = type_.lower(), self.clock.now()
        activity = Activity(
            iri=self.log.iri(kind, new_id(kind)),
            type=type_,
            label=label,
            started=now,
            ended=now,
            agents=(Agent(self.did, "Organization"), Agent(authority, "Organization")),
            used=(Entity(about or self.did, ("DataspaceMember",)),),
            attributes=values,
        )
        self.log.append(connection, activity)
