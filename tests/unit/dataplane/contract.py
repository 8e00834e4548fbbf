"""What every data plane keeps to (see ``synthema.dataspace.dataplane.port``): subclass this, and give it a plane.

``plane`` is the plane under test, ``order`` a start message it accepts, and ``flowing`` tells whether anything can flow
for that flow now, as its consumer would see it.
"""

from __future__ import annotations

from abc import abstractmethod

import pytest

from synthema.dataspace.dataplane import (
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
    DataPlane,
    FlowState,
)

FLOW = "transfer-000000000000000000000000000000a1"


def order(profile: str, flow: str = FLOW, **changes: object) -> DataFlowStartMessage:
    """A start message with everything the specification asks for."""
    values = {
        "participantId": "did:web:hospital.example",
        "counterPartyId": "did:web:hub.example",
        "dataspaceContext": "urn:test",
        "dataFlowId": flow,
        "agreementId": "http://hospital.example/id/agreement/1",
        "datasetId": "http://hospital.example/id/dataset/aml",
        "profile": profile,
        "claims": {"sub": "did:web:hub.example"},
    }
    return DataFlowStartMessage.model_validate(values | changes)


class DataPlaneContract:
    """The contract as tests."""

    @pytest.fixture
    @abstractmethod
    def plane(self) -> DataPlane: ...

    @abstractmethod
    def flowing(self, plane: DataPlane, status: DataFlowStatusMessage) -> bool:
        """Whether anything can flow at the address of a status."""

    def test_it_serves_some_format(self, plane: DataPlane) -> None:
        assert plane.profiles

    def test_a_consumer_gets_ready(self, plane: DataPlane) -> None:
        asked = order(plane.profiles[0]).model_dump(by_alias=True, exclude={"data_address", "message_id"})
        status = plane.prepare(DataFlowPrepareMessage.model_validate(asked))
        assert (status.data_flow_id, status.state) == (FLOW, FlowState.PREPARED)

    def test_a_start_begins_the_flow(self, plane: DataPlane) -> None:
        status = plane.start(order(plane.profiles[0]))
        assert (status.data_flow_id, status.state) == (FLOW, FlowState.STARTED)
        assert self.flowing(plane, status)

    def test_started_again_it_goes_on(self, plane: DataPlane) -> None:
        plane.start(order(plane.profiles[0]))
        status = plane.start(order(plane.profiles[0]))
        assert status.state is FlowState.STARTED
        assert self.flowing(plane, status)

    @pytest.mark.parametrize("twice", [False, True])
    def test_after_termination_nothing_flows(self, plane: DataPlane, *, twice: bool) -> None:
        status = plane.start(order(plane.profiles[0]))
        for _ in range(1 + twice):
            plane.terminate(FLOW, DataFlowTerminateMessage(reason="enough"))
        assert not self.flowing(plane, status)

    def test_after_completion_nothing_flows(self, plane: DataPlane) -> None:
        status = plane.start(order(plane.profiles[0]))
        plane.completed(FLOW)
        plane.completed(FLOW)
        assert not self.flowing(plane, status)

    def test_a_resumed_flow_flows_at_a_new_address_only(self, plane: DataPlane) -> None:
        before = plane.start(order(plane.profiles[0]))
        plane.suspend(FLOW, DataFlowSuspendMessage(reason="for now"))
        after = plane.resume(FLOW, DataFlowResumeMessage())
        assert after.state is FlowState.STARTED
        assert self.flowing(plane, after)
        if before.data_address is not None:
            assert after.data_address != before.data_address
            assert not self.flowing(plane, before)

    def test_resumed_at_the_address_known_it_keeps_it(self, plane: DataPlane) -> None:
        before = plane.start(order(plane.profiles[0]))
        plane.suspend(FLOW, DataFlowSuspendMessage())
        plane.resume(FLOW, DataFlowResumeMessage(data_address=before.data_address))
        if before.data_address is not None:
            assert self.flowing(plane, before)

    def test_signals_about_unknown_flows_do_no_harm(self, plane: DataPlane) -> None:
        unknown = "transfer-000000000000000000000000000000ff"
        plane.terminate(unknown, DataFlowTerminateMessage())
        plane.suspend(unknown, DataFlowSuspendMessage())
        plane.completed(unknown)
