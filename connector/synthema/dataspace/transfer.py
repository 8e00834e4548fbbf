"""Transfer processes, both parts: what may flow, and what is told the counterparty.

How it flows is the business of data planes (:mod:`synthema.dataspace.dataplane`): the plane of a transfer's format is
asked to start it before the counterparty hears that it has started, and is told of every stop right after the state
has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from synthema.dataspace import messages as m
from synthema.dataspace import store
from synthema.dataspace import transitions as t
from synthema.dataspace.dataplane.planes import Planes
from synthema.dataspace.exchange import Exchange, Send, Wait, new_process
from synthema.dataspace.model import PULL, Agreement, Caller, Process
from synthema.dataspace.ports import Contracts
from synthema.errors import ConflictError, DeniedError, InputError, SynthemaError

_PATHS = {
    t.TRANSFER_START: "start",
    t.TRANSFER_SUSPENSION: "suspension",
    t.TRANSFER_COMPLETION: "completion",
    t.TRANSFER_TERMINATION: "termination",
}


class Transfers:
    """The flow of a transfer. ``callback`` is where we take messages."""

    def __init__(self, exchange: Exchange, planes: Planes, contracts: Contracts, callback: str) -> None:
        self._exchange = exchange
        self._planes = planes
        self._contracts = contracts
        self._callback = callback

    # --- first messages

    def request_received(
        self, connection: Connection, caller: Caller, message: m.TransferRequestMessage, callback: str, key: str | None
    ) -> tuple[Process, bool]:
        """A consumer asks for a transfer under an agreement that it has with us."""
        agreement = store.agreement(connection, message.agreement_id)
        if agreement.role != "provider" or agreement.consumer != caller.did:
            raise store.unknown("agreement")
        self._planes.plane_of(message.format)
        if message.data_address is not None:
            raise InputError("data is not pushed from here", where="dataAddress", fix=f"ask for {PULL}")
        details: dict[str, Any] = {"format": message.format}
        if message.parameters is not None:
            details["parameters"] = message.parameters.value
        process = self._new("provider", caller.did, message.consumer_pid, callback, agreement.id, details)
        return self._exchange.open_received(connection, process, message, key=key)

    def draft(self, agreement: Agreement, base: str, format_: str, parameters: Mapping[str, Any] | None) -> Process:
        """A transfer that the provider of an agreement can be asked for; nothing has happened yet."""
        if agreement.role != "consumer":
            raise ConflictError("this connector provides under that agreement", fix="the consumer asks for transfers")
        details: dict[str, Any] = {"format": format_}
        if parameters is not None:
            details["parameters"] = dict(parameters)
        return self._new("consumer", agreement.provider, None, base, agreement.id, details)

    def request(self, connection: Connection, process: Process) -> Process:
        """Ask the provider for a drafted transfer."""
        parameters = process.details.get("parameters")
        message = m.TransferRequestMessage(
            consumer_pid=process.id,
            agreement_id=process.subject,
            format=process.details["format"],
            callback_address=self._callback,
            parameters=None if parameters is None else m.JsonLiteral(value=dict(parameters)),
        )
        self._exchange.open_sent(connection, process, message)
        return process

    # --- the flow

    def acts(self, process: Process) -> bool:
        return (process.role, process.state) == ("provider", "REQUESTED")

    def next_step(self, process: Process, *, approved: bool) -> Send | Wait | None:
        if not self.acts(process):
            return None
        try:
            return self.start(process)
        except SynthemaError as refusal:
            if refusal.code in ("storage", "peer"):
                raise
            return Send(self.termination(process, "refused", (refusal.message,)))

    def absorb(self, process: Process, message: str, body: Mapping[str, Any]) -> Process:
        if message == t.TRANSFER_START and process.role == "consumer" and "dataAddress" in body:
            return replace(process, details={**process.details, "address": body["dataAddress"]})
        if process.ended:
            kept = {key: value for key, value in process.details.items() if key != "address"}
            return replace(process, details=kept)
        return process

    def entered(self, connection: Connection, process: Process) -> None:
        """Data planes read what follows for them from the state itself."""

    def path(self, process: Process, message: str) -> str:
        if process.peer_pid is None:
            return "/transfers/request"
        return f"/transfers/{m.path_segment(process.peer_pid)}/{_PATHS[message]}"

    # --- the messages

    def start(self, process: Process) -> Send | None:
        """The message that starts or resumes a transfer, with what has to happen along with it.

        A provider's data plane is asked first, which may take its time; None while it is still starting. Raises what
        the plane raises.
        """
        if process.role == "consumer":
            return Send(self.started(process, None))
        agreement = self._agreement_of(process)
        if (ended := self._contracts.why_ended(agreement)) is not None:
            raise DeniedError(ended, fix="conclude a new agreement")
        begun = self._planes.begin(process, agreement)
        return None if begun is None else Send(self.started(process, begun[0]), begun[1])

    def started(self, process: Process, address: m.DataAddress | None) -> m.Message:
        """The message that says data may flow, for a pull with the address to fetch them from."""
        return m.TransferStartMessage(
            provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, data_address=address
        )

    def suspension(self, process: Process, reasons: tuple[str, ...]) -> m.Message:
        """The message that stops the flow for now."""
        return m.TransferSuspensionMessage(
            provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, reason=list(reasons) or None
        )

    def completion(self, process: Process) -> m.Message:
        """The message that says all has been transferred."""
        return m.TransferCompletionMessage(provider_pid=process.provider_pid, consumer_pid=process.consumer_pid)

    def termination(self, process: Process, code: str, reasons: tuple[str, ...]) -> m.Message:
        return m.TransferTerminationMessage(
            provider_pid=process.provider_pid,
            consumer_pid=process.consumer_pid,
            code=code,
            reason=list(reasons) or [code],
        )

    def _agreement_of(self, process: Process) -> Agreement:
        with self._planes.database.read() as connection:
            return store.agreement(connection, process.subject)

    def _new(
        self, role: t.Party, peer: str, peer_pid: str | None, callback: str, agreement: str, details: Mapping[str, Any]
    ) -> Process:
        return new_process("transfer", role, peer, peer_pid, callback, agreement, details, self._exchange.clock)
