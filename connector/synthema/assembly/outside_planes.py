"""Attaches the data planes that the settings name, each behind the gate.

A plane of somebody else carries released data only. Whether it may is asked of the policies before it is told to start,
again before it goes on, and whenever the policies change while it flows.
"""

from __future__ import annotations

from collections.abc import Callable

from synthema.assembly.shelf import Shelf
from synthema.config import Settings
from synthema.dataspace import Agreement, Artefact
from synthema.dataspace import store as dataspace_store
from synthema.dataspace.dataplane import (
    ControlPlane,
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartedNotificationMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
    FlowState,
)
from synthema.dataspace.dataplane import store as flow_store
from synthema.dataspace.dataplane.outside import OutsidePlane
from synthema.dataspace.dataplane.watch import Watch
from synthema.errors import InputError, SynthemaError
from synthema.runs.rooms import Rooms

SHORTEST_SECRET = 32


def secret_of(settings: Settings, plane: str) -> str:
    """The secret shared with a data plane, from its file below ``secrets/``."""
    path = settings.home / "secrets" / f"data-plane-{plane}"
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(
            f"the secret shared with the data plane '{plane}' is missing",
            where=str(path),
            fix="write the secret that the data plane holds too into this file, readable by its owner only",
        ) from error
    if len(secret) < SHORTEST_SECRET:
        raise InputError(
            f"the secret shared with the data plane '{plane}' is too short",
            where=str(path),
            fix=f"use at least {SHORTEST_SECRET} random characters, e.g. from: openssl rand -hex 32",
        )
    return secret


class OutsidePlanes:
    """All outside planes of one connector, watched over while data flow."""

    def __init__(self, settings: Settings, rooms: Rooms, shelf: Shelf) -> None:
        """Attach each plane of the settings; raises :class:`InputError` where its secret is missing."""
        self.planes = [
            GatedPlane(OutsidePlane(one.name, one.url, tuple(one.formats), secret_of(settings, one.name)), rooms, shelf)
            for one in settings.data_planes
        ]
        self._watch = Watch(rooms.database, self.look, "outside-planes") if self.planes else None

    def begin(self) -> None:
        """Begin to watch."""
        if self._watch is not None:
            self._watch.start()

    def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.stop()

    def close(self) -> None:
        """Close the connections to the planes."""
        for plane in self.planes:
            plane.close()

    def look(self) -> None:
        """End every flow that is not permitted any more."""
        for plane in self.planes:
            plane.look()


class GatedPlane:
    """An outside plane that starts nothing which the policies do not permit."""

    def __init__(self, plane: OutsidePlane, rooms: Rooms, shelf: Shelf) -> None:
        self._plane = plane
        self._rooms = rooms
        self._shelf = shelf
        self._control: ControlPlane | None = None
        self._policies: dict[str, str] = {}

    consumes = True

    @property
    def profiles(self) -> tuple[str, ...]:
        return self._plane.profiles

    def attach(self, control: ControlPlane) -> None:
        self._control = control
        self._plane.attach(control)

    def close(self) -> None:
        """Close the connections to the plane."""
        self._plane.close()

    def prepare(self, message: DataFlowPrepareMessage) -> DataFlowStatusMessage:
        return self._plane.prepare(message)

    def start(self, message: DataFlowStartMessage) -> DataFlowStatusMessage:
        """Ask the policies, then the plane; it is told which artefact it is about."""
        artefact = self._ask(message.agreement_id, self._shelf.open_artefact)
        about = {"artefact": artefact.digest, "mediaType": artefact.media_type}
        return self._plane.start(message.model_copy(update={"metadata": {**(message.metadata or {}), **about}}))

    def started(self, flow: str, message: DataFlowStartedNotificationMessage) -> None:
        self._plane.started(flow, message)

    def suspend(self, flow: str, message: DataFlowSuspendMessage) -> None:
        self._plane.suspend(flow, message)

    def resume(self, flow: str, message: DataFlowResumeMessage) -> DataFlowStatusMessage:
        """Ask the policies anew, then the plane."""
        self._ask(self._agreement_of(flow).id, self._shelf.reopen_artefact)
        return self._plane.resume(flow, message)

    def terminate(self, flow: str, message: DataFlowTerminateMessage) -> None:
        self._policies.pop(flow, None)
        self._plane.terminate(flow, message)

    def completed(self, flow: str) -> None:
        self._policies.pop(flow, None)
        self._plane.completed(flow)

    def look(self) -> None:
        """End the flows that are not permitted any more; policies that did not change are not asked."""
        with self._rooms.database.read() as connection:
            flowing = flow_store.in_state(connection, self.profiles, FlowState.STARTED)
        for flow in flowing:
            try:
                self._require_permitted(flow)
            except SynthemaError as refusal:
                assert self._control is not None  # noqa: S101 - attached before anything begins
                self._control.flow_errored(flow, refusal.message)

    def _require_permitted(self, flow: str) -> None:
        agreement = self._agreement_of(flow)
        if agreement.role != "provider":
            return
        policies = self._rooms.policies.compiled(agreement.dataset, agreement.id).digest
        if self._policies.get(flow) != policies:
            self._ask(agreement.id, self._shelf.reopen_artefact)
            self._policies[flow] = policies

    def _ask(self, agreement: str, open_: Callable[[Agreement, str], Artefact]) -> Artefact:
        with self._rooms.database.read() as connection:
            found = dataspace_store.agreement(connection, agreement)
        return open_(found, found.dataset.rpartition("/")[2])

    def _agreement_of(self, flow: str) -> Agreement:
        with self._rooms.database.read() as connection:
            subject = dataspace_store.process(connection, "transfer", flow).subject
            return dataspace_store.agreement(connection, subject)
