"""A data plane of somebody else, attached over HTTP (Data Plane Signaling 1.0-RC3, "Data Plane Endpoint").

It is registered by the settings of this connector, never from outside. Each side proves itself to the other with one
secret that both hold; the plane calls back at the management address (``synthema.web.signalling``).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import httpx

from synthema.canonical import canonical_json, parse_json_strictly
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
    Signal,
    read_signal,
)
from synthema.dataspace.dataplane.port import ControlPlane
from synthema.dataspace.messages import Part, path_segment
from synthema.errors import DeniedError, InputError, PeerError

MAX_ANSWER_BYTES: Final = 256 * 1024
_TIMEOUT: Final = httpx.Timeout(connect=3.0, read=10.0, write=10.0, pool=3.0)
A = TypeVar("A", bound=Part)


class OutsidePlane:
    """Speaks to one data plane. All methods raise :class:`PeerError` when it does not answer as it must."""

    def __init__(self, name: str, url: str, profiles: tuple[str, ...], secret: str) -> None:
        self.name = name
        self.profiles = profiles
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        # trust_env=False: a proxy variable must not carry the secret elsewhere.
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False)

    consumes = True

    def attach(self, control: ControlPlane) -> None:
        """It calls back over HTTP."""

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def prepare(self, message: DataFlowPrepareMessage) -> DataFlowStatusMessage:
        return self._asked(DataFlowStatusMessage, "prepare", message)

    def start(self, message: DataFlowStartMessage) -> DataFlowStatusMessage:
        """Start a flow, or go on with one that it has started before a crash of ours.

        The specification lets no flow start twice and tells an address only with a start or a resumption, so a flow
        that is there already is suspended and resumed.
        """
        known = self._status(message.data_flow_id)
        if known is None:
            return self._asked(DataFlowStatusMessage, "start", message)
        if known.state is FlowState.STARTED:
            self.suspend(message.data_flow_id, DataFlowSuspendMessage(reason="the control plane was interrupted"))
            return self.resume(message.data_flow_id, DataFlowResumeMessage())
        if known.state is FlowState.SUSPENDED:
            return self.resume(message.data_flow_id, DataFlowResumeMessage())
        return DataFlowStatusMessage(data_flow_id=message.data_flow_id, state=known.state)

    def started(self, flow: str, message: DataFlowStartedNotificationMessage) -> None:
        self._told(flow, "started", message)

    def suspend(self, flow: str, message: DataFlowSuspendMessage) -> None:
        self._told(flow, "suspend", message)

    def resume(self, flow: str, message: DataFlowResumeMessage) -> DataFlowStatusMessage:
        return self._asked(DataFlowStatusMessage, f"{path_segment(flow)}/resume", message)

    def terminate(self, flow: str, message: DataFlowTerminateMessage) -> None:
        self._told(flow, "terminate", message)

    def completed(self, flow: str) -> None:
        self._told(flow, "completed", None)

    def _status(self, flow: str) -> DataFlowStatusResponseMessage | None:
        """How a flow stands; None where the plane does not know it."""
        status, value = self._call("GET", f"{path_segment(flow)}/status", None)
        if status == 404:
            return None
        self._require_success(status, value)
        return self._read(DataFlowStatusResponseMessage, value)

    def _asked(self, model: type[A], path: str, message: Signal) -> A:
        status, value = self._call("POST", path, message)
        self._require_success(status, value)
        return self._read(model, value)

    def _told(self, flow: str, verb: str, message: Signal | None) -> None:
        status, value = self._call("POST", f"{path_segment(flow)}/{verb}", message)
        if status != 404 or verb == "started":  # a flow it does not know flows no more
            self._require_success(status, value)

    def _call(self, method: str, path: str, message: Signal | None) -> tuple[int, Any]:
        body = None if message is None else canonical_json(message.wire())
        try:
            with self._http.stream(
                method, f"{self._url}/dataflows/{path}", content=body, headers=self._headers
            ) as response:
                read = b""
                for chunk in response.iter_raw():
                    read += chunk
                    if len(read) > MAX_ANSWER_BYTES:
                        raise self._odd("it sent too much")
                return response.status_code, parse_json_strictly(read) if read.strip() else None
        except httpx.HTTPError as error:
            raise self._odd(f"it does not answer ({type(error).__name__})") from error
        except InputError as error:
            raise self._odd(f"its answer is not acceptable JSON ({error.message})") from error

    def _require_success(self, status: int, value: Any) -> None:
        said = value.get("error") if isinstance(value, dict) else None
        told = f": {said[:300]}" if isinstance(said, str) and said else ""
        if 400 <= status < 500:
            raise DeniedError(f"the data plane '{self.name}' refuses ({status}){told}", fix="see its log")
        if not 200 <= status < 300:
            raise self._odd(f"it answered {status}{told}")

    def _read(self, model: type[A], value: Any) -> A:
        try:
            return read_signal(model, value)
        except InputError as error:
            raise self._odd(f"its answer is wrong: {error.message}") from error

    def _odd(self, what: str) -> PeerError:
        return PeerError(
            f"the data plane '{self.name}' is not of use now: {what}",
            fix="check that it runs and speaks Data Plane Signaling 1.0; it is asked again by itself",
            where=self._url,
        )
