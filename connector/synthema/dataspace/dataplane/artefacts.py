"""``HttpData-PULL``: released artefacts, fetched over HTTP with a token that is good for one transfer.

The token is a random secret. It opens artefacts only for the consumer of the agreement (who proves itself with its own
identity token), only while the transfer is started, and only for a quarter of an hour; what is kept of it is a digest.
Suspension closes the door, termination and completion also burn the token.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import Any, Final

from synthema.canonical import digest
from synthema.clock import Clock, from_text, to_text
from synthema.dataspace.dataplane import messages as s
from synthema.dataspace.dataplane import store
from synthema.dataspace.dataplane.messages import FlowState
from synthema.dataspace.dataplane.port import ControlPlane
from synthema.dataspace.messages import DataAddress, EndpointProperty
from synthema.dataspace.model import NS, PULL
from synthema.storage import Database

ACCESS_FOR: Final = timedelta(minutes=15)
ENDPOINT_TYPE: Final = NS + "HttpPull"
TOKEN: Final = "authorization"  # noqa: S105 - the name of a property, not a secret
AUTHENTICATION: Final = "synthema-transfer"


class ArtefactPlane:
    """The built-in plane for artefacts. ``address`` is where they are pulled from."""

    profiles = (PULL,)
    consumes = False

    def __init__(self, database: Database, clock: Clock, address: str) -> None:
        self._database = database
        self._clock = clock
        self._address = address

    def attach(self, control: ControlPlane) -> None:
        """Nothing happens here that the control plane does not bring about."""

    def prepare(self, message: s.DataFlowPrepareMessage) -> s.DataFlowStatusMessage:
        """A consumer needs nothing to be ready to pull."""
        return s.DataFlowStatusMessage(data_flow_id=message.data_flow_id, state=FlowState.PREPARED)

    def start(self, message: s.DataFlowStartMessage) -> s.DataFlowStatusMessage:
        """Make the token; started again, the former one is dead."""
        return self._with_new_token(message.data_flow_id)

    def started(self, flow: str, message: s.DataFlowStartedNotificationMessage) -> None:
        """The consumer fetches when it wants to."""

    def suspend(self, flow: str, message: s.DataFlowSuspendMessage) -> None:
        """The door is closed by the transfer's state; the consumer keeps its token for the time after."""

    def resume(self, flow: str, message: s.DataFlowResumeMessage) -> s.DataFlowStatusMessage:
        """Open the door again: for the token the consumer has, or for a new one."""
        if message.data_address is not None:
            return s.DataFlowStatusMessage(data_flow_id=flow, state=FlowState.STARTED)
        return self._with_new_token(flow)

    def terminate(self, flow: str, message: s.DataFlowTerminateMessage) -> None:
        """Burn the token."""
        self._keep(flow, None)

    def completed(self, flow: str) -> None:
        """Burn the token."""
        self._keep(flow, None)

    def _with_new_token(self, flow: str) -> s.DataFlowStatusMessage:
        token = f"{flow}.{secrets.token_urlsafe(32)}"
        self._keep(flow, {"digest": digest(token), "until": to_text(self._clock.now() + ACCESS_FOR)})
        address = DataAddress(
            endpoint_type=ENDPOINT_TYPE,
            endpoint=self._address,
            endpoint_properties=[
                EndpointProperty(name=TOKEN, value=token),
                EndpointProperty(name="authType", value=AUTHENTICATION),
            ],
        )
        return s.DataFlowStatusMessage(data_flow_id=flow, state=FlowState.STARTED, data_address=address)

    def _keep(self, flow: str, access: dict[str, str] | None) -> None:
        now = self._clock.now()
        self._database.write(lambda connection: store.change(connection, flow, now, access=access))


def flow_named_in(token: str) -> str:
    """The transfer that a token says it is for."""
    return token.partition(".")[0]


def opens(access: Any, token: str, clock: Clock) -> bool:
    """Whether a token is the one that was handed out, and still good."""
    known = access or {"digest": "", "until": to_text(clock.now())}
    return hmac.compare_digest(str(known["digest"]), digest(token)) and clock.now() < from_text(str(known["until"]))
