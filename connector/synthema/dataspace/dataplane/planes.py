"""The data planes of one connector, and what their flows are told.

A transfer's state is the truth; what a plane was told follows it. Beginning and going on are asked of the plane first
and then told the counterparty, because only the plane knows the address. Stopping is the other way round: the state
changes in one transaction, after which nothing more is given away, and the plane hears of it at once (``signaller``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.dataspace.dataplane import messages as s
from synthema.dataspace.dataplane import records, store
from synthema.dataspace.dataplane.messages import FlowState
from synthema.dataspace.dataplane.port import ControlPlane, DataPlane
from synthema.dataspace.messages import DataAddress
from synthema.dataspace.model import Agreement, Process
from synthema.dataspace.ports import Log
from synthema.errors import DeniedError, InputError, PeerError
from synthema.storage import Database

CONTEXT = "https://w3id.org/synthema/ns#dataspace"
"""``dataspaceContext`` of the messages: a connector is in one data space."""

Also = Callable[[Connection], None]


class Planes:
    """Finds the plane of a transfer and asks it; keeps what each flow was told."""

    def __init__(self, database: Database, log: Log, clock: Clock, did: str, planes: Iterable[DataPlane]) -> None:
        self.database = database
        self.log = log
        self.clock = clock
        self._did = did
        self._control: ControlPlane | None = None
        self._all = tuple(planes)
        self._by_profile: dict[str, DataPlane] = {}
        for plane in self._all:
            for profile in plane.profiles:
                if profile in self._by_profile:
                    raise InputError(
                        f"two data planes serve the format {profile}", fix="let one plane serve each format"
                    )
                self._by_profile[profile] = plane

    @property
    def profiles(self) -> tuple[str, ...]:
        """The formats that some plane serves."""
        return tuple(sorted(self._by_profile))

    def attach(self, control: ControlPlane) -> None:
        """Tell every plane whom to call back."""
        self._control = control
        for plane in self._all:
            plane.attach(control)

    def plane_of(self, profile: str) -> DataPlane:
        """The plane of a format; raises :class:`InputError`."""
        try:
            return self._by_profile[profile]
        except KeyError:
            raise InputError(
                f"the format is not one of {', '.join(self.profiles)}", fix="use a format of the catalogue"
            ) from None

    # beginning and going on: the plane first, then the counterparty -----------------------

    def begin(self, process: Process, agreement: Agreement) -> tuple[DataAddress | None, Also] | None:
        """Let a provider's flow begin, or go on; None while the plane is still starting it.

        Returns the address for the counterparty, and what is to be kept in the transaction that tells it. May take
        its time. What the plane raises is raised here.
        """
        plane = self.plane_of(process.details["format"])
        flow = self._flow_of(process)
        if flow.state is FlowState.SUSPENDED:
            status = plane.resume(flow.id, s.DataFlowResumeMessage())
        elif flow.state is FlowState.STARTING:
            return None
        else:
            status = plane.start(s.DataFlowStartMessage.model_validate(self._about(process, agreement)))
        if status.state is FlowState.STARTING:
            self.database.write(lambda c: self.reached(c, flow.id, FlowState.STARTING))
            return None
        if status.state is not FlowState.STARTED:
            raise PeerError(
                f"the data plane of {flow.profile} answered {status.state}: {status.error or 'it gave no reason'}",
                fix="look at the data plane's own log",
            )
        return status.data_address, lambda connection: self.reached(connection, flow.id, FlowState.STARTED)

    def prepare(self, process: Process, agreement: Agreement) -> None:
        """Let a consumer's plane get ready, if one of this connector serves the format."""
        plane = self._by_profile.get(process.details["format"])
        if plane is None or not plane.consumes:
            return
        flow = self._flow_of(process)
        status = plane.prepare(s.DataFlowPrepareMessage.model_validate(self._about(process, agreement)))
        self.database.write(lambda c: self.reached(c, flow.id, status.state, status.error))

    def reached(self, connection: Connection, identifier: str, state: FlowState, reason: str | None = None) -> None:
        """Keep that a flow came into a state, with its entry in the log; the same state again is no news."""
        flow = store.get(connection, identifier)
        if s.follow(flow.state, state) is flow.state:
            return
        now = self.clock.now()
        store.change(connection, identifier, now, state=str(state), problem=None, attempts=0, due=now)
        self.log.append(connection, records.flow_step(self.log, flow, state, reason, now))

    # what follows from the transfer's state ------------------------------------------------

    def tell(self, flow: store.Flow, process: Process, wanted: FlowState) -> None:
        """Bring a flow to the state of its transfer: tell the plane, then keep that it was told."""
        plane, reason = self.plane_of(flow.profile), "; ".join(process.reasons) or None
        match wanted:
            case FlowState.TERMINATED:
                plane.terminate(flow.id, s.DataFlowTerminateMessage(reason=reason))
            case FlowState.SUSPENDED:
                plane.suspend(flow.id, s.DataFlowSuspendMessage(reason=reason))
            case FlowState.COMPLETED:
                plane.completed(flow.id)
            case FlowState.STARTED if flow.state is FlowState.SUSPENDED:
                if not self._went_on(plane, flow, process):
                    return
            case FlowState.STARTED:
                plane.started(flow.id, s.DataFlowStartedNotificationMessage(data_address=_known_address(process)))
        self.database.write(lambda connection: self.reached(connection, flow.id, wanted, reason))

    def _went_on(self, plane: DataPlane, flow: store.Flow, process: Process) -> bool:
        """Let a flow go on that the counterparty resumed; what is not permitted any more ends the transfer instead."""
        try:
            # The counterparty knows no other address than the one it has.
            plane.resume(flow.id, s.DataFlowResumeMessage(data_address=_known_address(process)))
        except DeniedError as refusal:
            assert self._control is not None  # noqa: S101 - attached before anything begins
            self._control.flow_errored(flow.id, refusal.message)
            return False
        return True

    def _flow_of(self, process: Process) -> store.Flow:
        now = self.clock.now()
        profile = str(process.details["format"])
        return self.database.write(lambda c: store.open_flow(c, process.id, profile, now))

    def _about(self, process: Process, agreement: Agreement) -> dict[str, Any]:
        parameters = process.details.get("parameters")
        return {
            "participantId": self._did,
            "counterPartyId": process.peer,
            "dataspaceContext": CONTEXT,
            "dataFlowId": process.id,
            "agreementId": agreement.id,
            "datasetId": agreement.dataset,
            "profile": process.details["format"],
            "claims": {"sub": process.peer},
            "metadata": {} if parameters is None else {"parameters": dict(parameters)},
        }


def _known_address(process: Process) -> DataAddress:
    known = process.details.get("address")
    return DataAddress(endpoint_type=CONTEXT) if known is None else DataAddress.model_validate(known)
