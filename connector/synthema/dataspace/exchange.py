"""Moves processes from state to state: by messages received, and by messages sent and acknowledged.

One rule for both protocols. A state changes in one transaction together with
its log entry, the note of the message, and the work that follows from it. Our
own message changes our state only when the counterparty has acknowledged it.

Two things can come out of order, since a counterparty may act on our message
before we have read its acknowledgement:

* its next message proves that it got ours: it counts as the acknowledgement;
* a message of its own that crosses ours is turned away for the moment if we
  provide, and accepted if we consume. So both sides settle on the same order.
  Only where the order makes no difference to the end is it accepted by both.

A message of ours is *in the air* from its first attempt until its outcome is
known. It is not taken back while it is: what we say next waits behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection

from synthema.canonical import digest
from synthema.clock import Clock
from synthema.dataspace import records, store
from synthema.dataspace.messages import Message, reason_texts
from synthema.dataspace.model import Caller, Process
from synthema.dataspace.ports import Log
from synthema.dataspace.transitions import Kind, Party, other
from synthema.errors import ConflictError, InputError, PeerError
from synthema.ids import new_id

APPROVED = "approved"


@dataclass(frozen=True)
class Send:
    """The next step is to send a message; ``also`` happens in the transaction that queues it."""

    message: Message
    also: Callable[[Connection], None] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The next step is a person's."""

    reason: str


class Flow(Protocol):
    """What is particular to one of the two protocols."""

    def acts(self, process: Process) -> bool:
        """Whether we do anything of our own accord in this state."""
        ...

    def next_step(self, process: Process, *, approved: bool) -> Send | Wait | None:
        """What we do of our own accord in this state; may be slow, changes nothing."""
        ...

    def absorb(self, process: Process, message: str, body: Mapping[str, Any]) -> Process:
        """The process with what a message, ours or theirs, adds to its details."""
        ...

    def entered(self, connection: Connection, process: Process) -> None:
        """A new state is reached; within the transaction that reaches it."""
        ...

    def path(self, process: Process, message: str) -> str:
        """Where the counterparty takes this message, below its callback address."""
        ...

    def termination(self, process: Process, code: str, reasons: tuple[str, ...]) -> Message:
        """The message that ends the process."""
        ...


class Exchange:
    """The one place where a process changes its state."""

    def __init__(self, log: Log, clock: Clock, did: str, *, guarded: bool = False) -> None:
        # With a guard every state is a step, so that the guard sees them all.
        self._guarded = guarded
        self.log = log
        self.clock = clock
        self.did = did
        self.flows: dict[Kind, Flow] = {}

    # --- the counterparty speaks

    def open_received(
        self, connection: Connection, process: Process, message: Message, *, key: str | None
    ) -> tuple[Process, bool]:
        """Begin a process with a peer's first message; False when it had begun before (a repetition)."""
        assert process.peer_pid is not None  # noqa: S101 - a first message names its sender's identifier
        known = store.process_of_peer(connection, process.kind, process.role, process.peer, process.peer_pid)
        if known is not None:
            return known, False
        if key is not None and store.received_before(connection, process.peer, key) is not None:
            raise _key_reused()
        state = process.machine.advance(None, message.name, other(process.role))
        store.add_process(connection, replace(process, state=state))
        return self._move(connection, process, state, message.name, message.wire(), sender=process.peer, key=key), True

    def receive(
        self, connection: Connection, kind: Kind, caller: Caller, identifier: str, message: Message, *, key: str | None
    ) -> Process:
        """Apply a message of the counterparty to a process; a repetition changes nothing.

        Raises :class:`NotFoundError` when the process is not the caller's and
        :class:`ConflictError` when the message is not allowed now.
        """
        process = self.of_caller(connection, kind, caller, identifier)
        body = message.wire()
        if key is not None and (before := store.received_before(connection, caller.did, key)) is not None:
            if (before.process, before.message, before.digest) != (process.id, message.name, digest(body)):
                raise _key_reused()
            return process
        process = _with_peer_pid(process, body)
        process = self._settled(connection, process, message.name)
        if process.state is None:  # who names our identifier has our first message: it is not unknown to them
            raise ConflictError("our first message to you is still on its way", fix="send yours again in a moment")
        sender = other(process.role)
        state = process.machine.advance(process.state, message.name, sender)
        return self._move(connection, process, state, message.name, body, sender=process.peer, key=key)

    def of_caller(self, connection: Connection, kind: Kind, caller: Caller, identifier: str) -> Process:
        """A process if the caller is its counterparty; else :class:`NotFoundError`, as if it did not exist."""
        process = store.process(connection, kind, identifier)
        if process.peer != caller.did:
            raise store.unknown(kind)
        return process

    # --- we speak

    def open_sent(self, connection: Connection, process: Process, message: Message) -> None:
        """Begin a process with our first message; it gets its state when the peer acknowledges it."""
        process.machine.advance(None, message.name, process.role)
        store.add_process(connection, process)
        self._queue(connection, process, message)

    def send(self, connection: Connection, process: Process, message: Message) -> None:
        """Queue a message of ours; it replaces what nobody has tried to send yet.

        Raises :class:`ConflictError` when we may not send it in the present state, or
        while another is on its way; only the end of a process waits for that one's outcome.
        """
        process.machine.advance(process.state, message.name, process.role)
        before = store.sending(connection, process.id)
        if before is not None and before.in_the_air:
            if _ends(message.name) and not store.waits_to_end(connection, process.id):
                self._queue(connection, process, message)
                return
            raise ConflictError("a message of ours is on its way", fix="try again when it has been answered")
        store.drop_tasks(connection, process.id)
        if process.pending:
            store.save_process(connection, replace(process, pending=False, reasons=()))
        self._queue(connection, process, message)

    def acknowledged(self, connection: Connection, task: store.Task, answer: Any) -> Process | None:
        """The counterparty took our message: now our state changes too (unless it has moved on meanwhile)."""
        waited = store.finish(connection, task.number)
        process = store.any_process(connection, task.process)
        if process is None or task.message is None or task.key is None:
            return process
        if not waited and store.was_sent(connection, process.peer, task.key):
            return process
        if not process.machine.allows(process.state, task.message, process.role):
            return process
        if process.peer_pid is None:
            process = replace(process, peer_pid=_pid_in(answer, process))
        state = process.machine.advance(process.state, task.message, process.role)
        return self._move(connection, process, state, task.message, task.body, sender=self.did, key=task.key)

    def hold(self, connection: Connection, process: Process, reason: str) -> None:
        """Wait for a person."""
        now = self.clock.now()
        store.save_process(connection, replace(process, pending=True, reasons=(reason,), changed=now))
        self.log.append(connection, records.held(self.log, process, reason, now))

    def approve(self, connection: Connection, process: Process, person: str) -> None:
        """Let a held process go on; ``person`` is the IRI of the role account that says so."""
        if not process.pending:
            raise ConflictError(f"this {process.kind} does not wait for anybody", fix="look at its present state")
        now = self.clock.now()
        store.save_process(connection, replace(process, pending=False, reasons=(), changed=now))
        store.add_task(connection, process.id, "step", now, message=APPROVED)
        self.log.append(connection, records.approved(self.log, process, person, now))

    def give_up(self, connection: Connection, process: Process, reasons: tuple[str, ...]) -> None:
        """End a process on our side alone, because the counterparty cannot be told."""
        store.drop_tasks(connection, process.id)
        if process.ended:
            return
        body = {"reason": list(reasons)}
        self._move(connection, process, "TERMINATED", "(none: gave up)", body, sender=self.did, key=None)

    def end(self, connection: Connection, process: Process, code: str, reasons: tuple[str, ...]) -> None:
        """End a process: tell the counterparty, or give up where it does not know of it yet."""
        if process.state is None:
            self.give_up(connection, process, reasons)
        else:
            self.send(connection, process, self.flows[process.kind].termination(process, code, reasons))

    # --- inside

    def _move(
        self,
        connection: Connection,
        process: Process,
        state: str,
        message: str,
        body: Mapping[str, Any],
        *,
        sender: str,
        key: str | None,
    ) -> Process:
        flow, now = self.flows[process.kind], self.clock.now()
        cleared = replace(process, state=state, changed=now, pending=False, reasons=reason_texts(body.get("reason")))
        after = flow.absorb(cleared, message, body)
        store.save_process(connection, after)
        message_digest = digest(dict(body))
        direction: Any = "out" if sender == self.did else "in"
        store.keep_message(connection, after, direction, message, message_digest, key, now)
        self.log.append(
            connection,
            records.step(
                self.log,
                process.state,
                after,
                message=message,
                message_digest=message_digest,
                sender=sender,
                at=now,
            ),
        )
        self._replan(connection, after)
        flow.entered(connection, after)
        return after

    def _replan(self, connection: Connection, process: Process) -> None:
        """Forget work that the new state has overtaken, and queue the step that follows from it."""
        for number, message in store.waiting(connection, process.id):
            if message is None or not process.machine.allows(process.state, message, process.role):
                store.finish(connection, number)
        if not process.ended and (self._guarded or self.flows[process.kind].acts(process)):
            store.add_task(connection, process.id, "step", self.clock.now())

    def _queue(self, connection: Connection, process: Process, message: Message) -> None:
        path = process.callback + self.flows[process.kind].path(process, message.name)
        store.add_task(
            connection,
            process.id,
            "send",
            self.clock.now(),
            message=message.name,
            path=path,
            body=message.wire(),
            key=new_id("message"),
        )

    def _settled(self, connection: Connection, process: Process, incoming: str) -> Process:
        """The process after what the incoming message proves about our message on its way."""
        task = store.sending(connection, process.id)
        if task is None or task.message is None or task.attempts == 0:
            return process
        sender: Party = other(process.role)
        # Without a state our first message is on its way: then only what follows it can be meant.
        if process.state is not None and process.machine.allows(process.state, incoming, sender):
            if task.in_the_air and process.role == "provider" and not _same_end(process, task.message, incoming):
                raise ConflictError("a message of ours is on its way to you", fix="send yours again in a moment")
            return process
        after = process.machine.table.get((process.state, task.message, process.role))
        if after is None or not process.machine.allows(after, incoming, sender):
            return process
        if process.state is None:
            store.save_process(connection, process)
        return self.acknowledged(connection, task, None) or process


def new_process(
    kind: Kind,
    role: Party,
    peer: str,
    peer_pid: str | None,
    callback: str,
    subject: str,
    details: Mapping[str, Any],
    clock: Clock,
) -> Process:
    """A process that has no state yet, under a fresh identifier."""
    now = clock.now()
    return Process(
        id=new_id(kind),
        kind=kind,
        role=role,
        peer=peer,
        peer_pid=peer_pid,
        callback=callback,
        state=None,
        subject=subject,
        details=dict(details),
        pending=False,
        reasons=(),
        created=now,
        changed=now,
    )


def _same_end(process: Process, ours: str, theirs: str) -> bool:
    """Whether two messages that cross end the process in the same way, whichever comes first."""
    machine, sender = process.machine, other(process.role)
    end = machine.table[process.state, theirs, sender]
    after_ours = machine.table.get((process.state, ours, process.role))
    return end in machine.final and end in (after_ours, machine.table.get((after_ours, theirs, sender)))


def _ends(message: str) -> bool:
    return "Termination" in message


def _with_peer_pid(process: Process, body: Mapping[str, Any]) -> Process:
    """The process with the peer's identifier from its message; both identifiers must be the right ones."""
    names = ("providerPid", "consumerPid") if process.role == "provider" else ("consumerPid", "providerPid")
    ours, theirs = body.get(names[0], process.id), body.get(names[1])
    if ours != process.id or (process.peer_pid is not None and theirs != process.peer_pid):
        raise InputError("providerPid or consumerPid is not of this process", fix="name both as they were given")
    return process if process.peer_pid is not None else replace(process, peer_pid=theirs)


def _pid_in(answer: Any, process: Process) -> str:
    """The counterparty's identifier in its answer to our first message."""
    name = "providerPid" if process.role == "consumer" else "consumerPid"
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise PeerError(f"the peer's answer to our first message names no {name}", fix="check the peer's version")
    return value


def _key_reused() -> ConflictError:
    return ConflictError("this idempotency key was used for another message", fix="use a fresh key for each message")
