"""The door for data planes, and the door they call back through.

A data plane serves one or more *profiles* (the ``format`` of a transfer). Its contract:

1. ``start`` begins a flow and answers ``STARTED``, with the address to fetch from where the data are pulled; or
   ``STARTING``, and the plane calls :meth:`ControlPlane.flow_started` later. The same flow may be started again after
   a crash: the plane then goes on with it and begins nothing twice. :class:`DeniedError` or :class:`InputError`
   refuse it, and the counterparty is told why; :class:`PeerError` lets the control plane try again.
2. After ``suspend`` and ``terminate`` return, nothing flows and nothing computes for that flow.
3. ``resume`` goes on. With a data address in the message the counterparty keeps the one it has; without, the answer
   carries a new one, and the old one is dead.
4. ``completed`` says that the counterparty has got everything.
5. Signals may come twice; the second changes nothing. They come outside any transaction, so a plane may take its time,
   but signals to stop are owed at once: it must not wait for work under way.
6. A consumer's plane (one that ``consumes``) is told ``prepare`` before the provider is asked, and ``started`` once
   data may be fetched.

``tests/unit/dataplane/contract.py`` holds these sentences as tests; run them against a plane of your own.
"""

from __future__ import annotations

from typing import Protocol

from synthema.dataspace.dataplane.messages import (
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartedNotificationMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
)


class ControlPlane(Protocol):
    """What a data plane may tell its control plane about a flow."""

    def flow_started(self, status: DataFlowStatusMessage) -> None:
        """A flow that was starting has started; raises :class:`ConflictError` where it was not."""
        ...

    def flow_prepared(self, status: DataFlowStatusMessage) -> None:
        """A consumer's flow that was being prepared is ready."""
        ...

    def flow_completed(self, flow: str) -> None:
        """All of it has flowed. Raises :class:`ConflictError` while the counterparty does not know of the start."""
        ...

    def flow_errored(self, flow: str, reason: str) -> None:
        """It cannot go on. The control plane decides what follows: here the transfer ends, with the reason."""
        ...


class DataPlane(Protocol):
    """Moves data, or computes, for the transfers of its profiles."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """The transfer formats that it serves."""
        ...

    @property
    def consumes(self) -> bool:
        """Whether it also has something to do where its connector is the consumer."""
        ...

    def attach(self, control: ControlPlane) -> None:
        """Told once, before anything else, whom to call back."""
        ...

    def prepare(self, message: DataFlowPrepareMessage) -> DataFlowStatusMessage: ...

    def start(self, message: DataFlowStartMessage) -> DataFlowStatusMessage: ...

    def started(self, flow: str, message: DataFlowStartedNotificationMessage) -> None: ...

    def suspend(self, flow: str, message: DataFlowSuspendMessage) -> None: ...

    def resume(self, flow: str, message: DataFlowResumeMessage) -> DataFlowStatusMessage: ...

    def terminate(self, flow: str, message: DataFlowTerminateMessage) -> None: ...

    def completed(self, flow: str) -> None: ...
