"""What the parts of a withdrawal share: the rooms they work on, and how an item gets its task and its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.trust import Trust
from synthema.assembly.withdrawal import store
from synthema.assembly.withdrawal.model import AT_REST, ItemState
from synthema.assembly.withdrawal.records import WithdrawalRecords
from synthema.assembly.withdrawal.store import KeptItem
from synthema.clock import Clock
from synthema.config import Settings
from synthema.datasets import DatasetStore
from synthema.dataspace import PeerClient
from synthema.errors import ConflictError
from synthema.identity import DidResolver, Signer
from synthema.obligations import PROPAGATE_WITHDRAWAL, ObligationLedger
from synthema.provenance import LogEntry, ProvenanceLog
from synthema.runs.governor import Governor
from synthema.storage import Database


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms that withdrawals work on."""

    settings: Settings
    database: Database
    log: ProvenanceLog
    clock: Clock
    signer: Signer
    resolver: DidResolver
    peers: PeerClient
    datasets: DatasetStore
    governor: Governor
    obligations: ObligationLedger
    trust: Trust


class Ground:
    """Database steps that every part needs; each takes the caller's transaction."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.records = WithdrawalRecords(rooms.log, rooms.settings.did)

    def now(self) -> datetime:
        """The moment of this step."""
        return self.rooms.clock.now()

    def impose(self, connection: Connection, item: KeptItem, dataset: str) -> None:
        """Make a dated task of the site's own out of an item that has to be done."""
        if item.item.consequence in AT_REST:
            return
        task = self.rooms.obligations.impose(
            connection,
            PROPAGATE_WITHDRAWAL,
            party=self.rooms.settings.did,
            subject=f"{item.item.consequence}: {item.item.label} ({item.id})",
            due=item.item.due,
            articles=item.item.articles,
            dataset=dataset,
        )
        store.set_obligation(connection, item.id, None if task is None else task.id)

    def finish(
        self,
        connection: Connection,
        item: KeptItem,
        outcome: str,
        *,
        state: ItemState = ItemState.DONE,
        entry: LogEntry | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """End an item that the connector itself carried out, with the log entry that shows it."""
        now = self.now()
        shown = entry or self.rooms.log.append(connection, self.records.step(item, outcome, now))
        store.move_item(connection, item, state, now, outcome=outcome, evidence=shown.graph, **(changes or {}))
        if item.obligation is not None:
            with suppress(ConflictError):  # a person has recorded it before
                self.rooms.obligations.kept_by_site(connection, item.obligation, shown.graph)
