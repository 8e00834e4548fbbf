"""Where data planes outside call back (Data Plane Signaling 1.0-RC3, "Control Plane Endpoint").

Inside the house, at the management address below ``/signalling``. A plane proves itself with the secret it shares with
this connector, and speaks of the flows of its own formats only; all others are unknown to it.
"""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.outside_planes import secret_of
from synthema.dataspace.dataplane import DataFlowStatusMessage, FlowState
from synthema.dataspace.dataplane.messages import read_signal
from synthema.errors import InputError, NotFoundError
from synthema.web.problems import TokenError
from synthema.web.security import json_response, read_json

BASE = "/signalling"


def signalling_router(connector: Connector) -> APIRouter:
    """The routes that data planes call."""
    router = APIRouter(prefix=f"{BASE}/transfers")
    desk = _Desk(connector)

    @router.post("/{flow}/dataflow/{event}")
    async def hear(flow: str, event: str, request: Request) -> Response:
        served = desk.formats(request)
        status = read_signal(DataFlowStatusMessage, await read_json(request))
        await run_in_threadpool(desk.heard, flow, event, status, served)
        return json_response({})

    @router.get("/{flow}/agreement")
    async def agreement(flow: str, request: Request) -> Response:
        served = desk.formats(request)
        return json_response(await run_in_threadpool(desk.agreement, flow, served))

    return router


class _Desk:
    """Hears data planes, each about its own flows."""

    def __init__(self, connector: Connector) -> None:
        self._dataspace = connector.dataspace
        self._served = {
            secret_of(connector.settings, plane.name): frozenset(plane.formats)
            for plane in connector.settings.data_planes
        }

    def formats(self, request: Request) -> frozenset[str]:
        """The formats of the plane that calls; raises :class:`TokenError`."""
        offered = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        for secret, served in self._served.items():
            if hmac.compare_digest(offered, secret.encode()):
                return served
        raise TokenError("this address is for data planes", fix="send the secret shared with this connector")

    def heard(self, flow: str, event: str, status: DataFlowStatusMessage, served: frozenset[str]) -> None:
        """Take note of what a plane says about one of its flows."""
        self._require_own(flow, served)
        if status.data_flow_id != flow:
            raise InputError("dataFlowId is not the one of the address", where="dataFlowId", fix="name the same flow")
        match event, status.state:
            case "started", FlowState.STARTED:
                self._dataspace.flow_started(status)
            case "prepared", FlowState.PREPARED:
                self._dataspace.flow_prepared(status)
            case "completed", _:
                self._dataspace.flow_completed(flow)
            case "errored", _:
                self._dataspace.flow_errored(flow, status.error or "its data plane gave no reason")
            case _:
                raise InputError("this is no event of a flow in this state", fix="see Data Plane Signaling 1.0")

    def agreement(self, flow: str, served: frozenset[str]) -> dict[str, Any]:
        """The agreement a flow rests on, in wire form."""
        self._require_own(flow, served)
        return dict(self._dataspace.agreement(self._dataspace.process("transfer", flow).subject).policy)

    def _require_own(self, flow: str, served: frozenset[str]) -> None:
        if self._dataspace.process("transfer", flow).details["format"] not in served:
            raise NotFoundError("there is no such data flow", fix="name the transfer as the control plane named it")
