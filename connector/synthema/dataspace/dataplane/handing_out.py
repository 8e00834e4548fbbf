"""Gives the bytes of artefacts away, a piece at a time, for as long as each piece may go.

Whether an artefact may be had is decided, and logged, before its first byte. Each further piece is asked for anew, so
that a policy, an agreement, a permit or a consent that ended in the midst of a download ends it: the transfer is then
terminated, and the consumer is told why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from synthema.dataspace import records
from synthema.dataspace import store as dataspace
from synthema.dataspace import transitions as t
from synthema.dataspace.dataplane import store
from synthema.dataspace.dataplane.artefacts import flow_named_in, opens
from synthema.dataspace.exchange import Exchange
from synthema.dataspace.model import Agreement, Artefact, Caller, Process
from synthema.dataspace.ports import Artefacts
from synthema.errors import DeniedError, NotFoundError
from synthema.storage import Database


@dataclass(frozen=True, slots=True)
class HandOver:
    """An artefact on its way; ``still`` raises as soon as no further piece of it may go."""

    artefact: Artefact
    still: Callable[[], None]


class HandingOut:
    """The door to artefacts."""

    def __init__(self, database: Database, exchange: Exchange, artefacts: Artefacts) -> None:
        self._database = database
        self._exchange = exchange
        self._artefacts = artefacts

    def open(self, caller: Caller, token: str, artefact_id: str) -> HandOver:
        """An artefact for the consumer of a started transfer.

        Raises :class:`NotFoundError` whatever is wrong with caller, token or transfer, and :class:`DeniedError` with
        the reasons where the policies do not permit it (any more).
        """
        process, agreement, begun = self._database.write(lambda c: self._admit(c, caller, token, artefact_id))
        if begun:
            artefact = self._again(process, agreement, artefact_id)
        else:
            artefact = self._artefacts.open_artefact(agreement, artefact_id)
            self._database.write(lambda connection: self._note(connection, process, artefact_id, artefact))
        return HandOver(artefact, lambda: self._still(caller, token, artefact_id))

    def _still(self, caller: Caller, token: str, artefact_id: str) -> None:
        process, agreement, _ = self._database.write(lambda c: self._admit(c, caller, token, artefact_id))
        self._again(process, agreement, artefact_id)

    def _again(self, process: Process, agreement: Agreement, artefact_id: str) -> Artefact:
        try:
            return self._artefacts.reopen_artefact(agreement, artefact_id)
        except (DeniedError, NotFoundError) as refusal:
            reasons = (refusal.message,)
            self._database.write(lambda connection: self._end(connection, process, reasons))
            raise

    def _end(self, connection: Connection, seen: Process, reasons: tuple[str, ...]) -> None:
        process = dataspace.process(connection, "transfer", seen.id)
        if not process.ended:
            self._exchange.end(connection, process, "denied", reasons)

    def _admit(
        self, connection: Connection, caller: Caller, token: str, artefact_id: str
    ) -> tuple[Process, Agreement, bool]:
        process = dataspace.any_process(connection, flow_named_in(token))
        flow = None if process is None else store.find(connection, process.id)
        good = (
            process is not None
            and flow is not None
            and process.role == "provider"
            and process.peer == caller.did
            and opens(flow.access, token, self._exchange.clock)
        )
        if not good or process is None or flow is None or not self._flows(connection, process):
            raise NotFoundError("there is no such artefact", fix="start a transfer under an agreement first")
        return process, dataspace.agreement(connection, process.subject), artefact_id in flow.handed

    def _flows(self, connection: Connection, process: Process) -> bool:
        """Whether data may flow: started, and no message of ours on its way that stops it.

        Who shows the token has got the start message that we may still wait to
        see acknowledged: that counts as the acknowledgement.
        """
        task = dataspace.sending(connection, process.id)
        if task is None:
            return process.state == "STARTED"
        if store.heading(connection, process) != "STARTED" or task.message != t.TRANSFER_START or task.attempts == 0:
            return False
        started = self._exchange.acknowledged(connection, task, None)
        return started is not None and started.state == "STARTED"

    def _note(self, connection: Connection, process: Process, artefact_id: str, artefact: Artefact) -> None:
        now, log = self._exchange.clock.now(), self._exchange.log
        flow = store.get(connection, process.id)
        store.change(connection, process.id, now, handed=sorted({*flow.handed, artefact_id}))
        log.append(connection, records.moved(log, process, artefact_id, artefact.digest, received=False, at=now))
