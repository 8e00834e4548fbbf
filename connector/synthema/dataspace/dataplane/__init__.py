"""Data planes: what moves the bytes of a transfer, or computes for it, while the control plane says what may flow.

Start with :mod:`port` (the contract) and :mod:`messages` (Data Plane Signaling 1.0); :mod:`artefacts` and
:mod:`handing_out` are the built-in plane for released artefacts, :mod:`outside` attaches one over HTTP.
"""

from synthema.dataspace.dataplane.artefacts import ArtefactPlane
from synthema.dataspace.dataplane.handing_out import HandOver
from synthema.dataspace.dataplane.messages import (
    DataFlowPrepareMessage,
    DataFlowResumeMessage,
    DataFlowStartedNotificationMessage,
    DataFlowStartMessage,
    DataFlowStatusMessage,
    DataFlowStatusResponseMessage,
    DataFlowSuspendMessage,
    DataFlowTerminateMessage,
    FlowState,
)
from synthema.dataspace.dataplane.planes import Planes
from synthema.dataspace.dataplane.port import ControlPlane, DataPlane
from synthema.dataspace.dataplane.signaller import Signaller

__all__ = [
    "ArtefactPlane",
    "ControlPlane",
    "DataFlowPrepareMessage",
    "DataFlowResumeMessage",
    "DataFlowStartMessage",
    "DataFlowStartedNotificationMessage",
    "DataFlowStatusMessage",
    "DataFlowStatusResponseMessage",
    "DataFlowSuspendMessage",
    "DataFlowTerminateMessage",
    "DataPlane",
    "FlowState",
    "HandOver",
    "Planes",
    "Signaller",
]
