"""Where a consumer looks how a computation it ordered stands, and what it has released."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.flows import COMPUTATIONS
from synthema.web.protocol import Callers
from synthema.web.security import json_response


def computations_router(connector: Connector, callers: Callers) -> APIRouter:
    """One address for each computation; it answers nobody but the party that ordered it."""
    router = APIRouter(prefix=COMPUTATIONS)

    @router.get("/{transfer}")
    async def show(transfer: str, request: Request) -> Response:
        def answer() -> Response:
            return json_response(connector.flows.computing.shown_to(callers.caller(request).did, transfer))

        return await run_in_threadpool(answer)

    return router
