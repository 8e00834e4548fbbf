"""Transfer processes, both parts: pulling artefacts, and computations that come to the data.

``HttpData-PULL``: the start message names an address and an access token. The
token is a random secret bound to this transfer: it opens artefacts only for the
consumer of the agreement (who proves itself with its own identity token), only
while the transfer is started, and only for an hour.

``Synthema-Compute``: nothing but parameters travels; the registered port takes
the computation on in the very transaction that queues the start message.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from synthema.canonical import digest
from synthema.clock import from_text, to_text
from synthema.dataspace import messages as m
from synthema.dataspace import records, store
from synthema.dataspace import transitions as t
from synthema.dataspace.exchange import Exchange, Send, Wait, new_process
from synthema.dataspace.model import COMPUTE, NS, PULL, Agreement, Artefact, Caller, Process
from synthema.dataspace.ports import Artefacts, Compute
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.storage import Database

ACCESS_FOR = timedelta(hours=1)
ENDPOINT_TYPE = NS + "HttpPull"
TOKEN = "authorization"  # noqa: S105 - the name of a property, not a secret

_PATHS = {
    t.TRANSFER_START: "start",
    t.TRANSFER_SUSPENSION: "suspension",
    t.TRANSFER_COMPLETION: "completion",
    t.TRANSFER_TERMINATION: "termination",
}


class Transfers:
    """The flow of a transfer. ``callback`` is where we take messages, ``artefacts_url`` where artefacts are pulled."""

    def __init__(
        self,
        exchange: Exchange,
        artefacts: Artefacts,
        compute: Compute | None,
        callback: str,
        artefacts_url: str,
    ) -> None:
        self._exchange = exchange
        self._artefacts = artefacts
        self._compute = compute
        self._callback = callback
        self._artefacts_url = artefacts_url

    # --- first messages

    def request_received(
        self, connection: Connection, caller: Caller, message: m.TransferRequestMessage, callback: str, key: str | None
    ) -> tuple[Process, bool]:
        """A consumer asks for a transfer under an agreement that it has with us."""
        agreement = store.agreement(connection, message.agreement_id)
        if agreement.role != "provider" or agreement.consumer != caller.did:
            raise store.unknown("agreement")
        formats = {PULL} | ({COMPUTE} if self._compute is not None else set())
        if message.format not in formats:
            raise InputError(
                f"the format is not one of {', '.join(sorted(formats))}", fix="use a format of the catalogue"
            )
        if message.data_address is not None:
            raise InputError("data is not pushed from here", where="dataAddress", fix=f"ask for {PULL}")
        details: dict[str, Any] = {"format": message.format}
        if message.parameters is not None:
            details["parameters"] = message.parameters.value
        process = self._new("provider", caller.did, message.consumer_pid, callback, agreement.id, details)
        return self._exchange.open_received(connection, process, message, key=key)

    def request(
        self,
        connection: Connection,
        agreement: Agreement,
        base: str,
        format_: str,
        parameters: Mapping[str, Any] | None,
    ) -> Process:
        """Ask the provider of an agreement for a transfer."""
        if agreement.role != "consumer":
            raise ConflictError("this connector provides under that agreement", fix="the consumer asks for transfers")
        details: dict[str, Any] = {"format": format_}
        if parameters is not None:
            details["parameters"] = dict(parameters)
        process = self._new("consumer", agreement.provider, None, base, agreement.id, details)
        literal = None if parameters is None else m.JsonLiteral(value=dict(parameters))
        message = m.TransferRequestMessage(
            consumer_pid=process.id,
            agreement_id=agreement.id,
            format=format_,
            callback_address=self._callback,
            parameters=literal,
        )
        self._exchange.open_sent(connection, process, message)
        return process

    # --- the flow

    def acts(self, process: Process) -> bool:
        return (process.role, process.state) == ("provider", "REQUESTED")

    def next_step(self, process: Process, *, approved: bool) -> Send | Wait | None:
        return self.start(process) if self.acts(process) else None

    def absorb(self, process: Process, message: str, body: Mapping[str, Any]) -> Process:
        if message == t.TRANSFER_START and process.role == "consumer" and "dataAddress" in body:
            return replace(process, details={**process.details, "address": body["dataAddress"]})
        if process.ended:
            kept = {key: value for key, value in process.details.items() if key not in ("address", "access")}
            return replace(process, details=kept)
        return process

    def entered(self, connection: Connection, process: Process) -> None:
        """Everything that follows from a state follows from steps and from requests for artefacts."""

    def path(self, process: Process, message: str) -> str:
        if process.peer_pid is None:
            return "/transfers/request"
        return f"/transfers/{m.path_segment(process.peer_pid)}/{_PATHS[message]}"

    # --- the messages

    def start(self, process: Process) -> Send:
        """The message that starts or resumes a transfer, with what has to happen along with it."""
        message = m.TransferStartMessage(provider_pid=process.provider_pid, consumer_pid=process.consumer_pid)
        if process.role == "consumer":
            return Send(message)
        if process.details["format"] == COMPUTE:
            return Send(message, partial(self._take_on, process) if process.state == "REQUESTED" else None)
        token = f"{process.id}.{secrets.token_urlsafe(32)}"
        address = m.DataAddress(
            endpoint_type=ENDPOINT_TYPE,
            endpoint=self._artefacts_url,
            endpoint_properties=[
                m.EndpointProperty(name=TOKEN, value=token),
                m.EndpointProperty(name="authType", value="synthema-transfer"),
            ],
        )
        return Send(message.model_copy(update={"data_address": address}), partial(self._remember, process.id, token))

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

    # --- handing out

    def open_artefact(self, database: Database, caller: Caller, token: str, artefact_id: str) -> Artefact:
        """An artefact for the consumer of a started transfer; else :class:`NotFoundError`, whatever is wrong."""
        process = database.write(lambda connection: self._admit(connection, caller, token))
        with database.read() as connection:
            agreement = store.agreement(connection, process.subject)
        artefact = self._artefacts.open_artefact(agreement, artefact_id)
        log, now = self._exchange.log, self._exchange.clock.now()
        activity = records.moved(log, process, artefact_id, artefact.digest, received=False, at=now)
        database.write(lambda connection: log.append(connection, activity))
        return artefact

    def _admit(self, connection: Connection, caller: Caller, token: str) -> Process:
        process = store.process(connection, "transfer", token.partition(".")[0])
        access = process.details.get("access") or {"digest": "", "until": to_text(process.created)}
        good = (
            process.role == "provider"
            and process.peer == caller.did
            and hmac.compare_digest(str(access["digest"]), digest(token))
            and self._exchange.clock.now() < from_text(access["until"])
        )
        if not good or not self._flows(connection, process):
            raise NotFoundError("there is no such artefact", fix="start a transfer under an agreement first")
        return process

    def _flows(self, connection: Connection, process: Process) -> bool:
        """Whether data may flow: started, and no message of ours on its way that stops it.

        Who shows the token has got the start message that we may still wait to
        see acknowledged: that counts as the acknowledgement.
        """
        task = store.sending(connection, process.id)
        if task is None:
            return process.state == "STARTED"
        if task.message != t.TRANSFER_START or task.attempts == 0:
            return False
        started = self._exchange.acknowledged(connection, task, None)
        return started is not None and started.state == "STARTED"

    def _remember(self, process_id: str, token: str, connection: Connection) -> None:
        process = store.process(connection, "transfer", process_id)
        access = {"digest": digest(token), "until": to_text(self._exchange.clock.now() + ACCESS_FOR)}
        store.save_process(connection, replace(process, details={**process.details, "access": access}))

    def _take_on(self, process: Process, connection: Connection) -> None:
        if self._compute is None:
            raise ConflictError("this connector takes no computations", fix=f"ask for {PULL}")
        agreement = store.agreement(connection, process.subject)
        self._compute.start_compute(connection, process, agreement, process.details.get("parameters", {}))

    def _new(
        self, role: t.Party, peer: str, peer_pid: str | None, callback: str, agreement: str, details: Mapping[str, Any]
    ) -> Process:
        return new_process("transfer", role, peer, peer_pid, callback, agreement, details, self._exchange.clock)
