"""The public address at which partners tell of withdrawals; the answer is a signed receipt (GDPR Art. 19)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.web.protocol import Callers
from synthema.web.security import json_response, read_json


def withdrawal_router(connector: Connector, callers: Callers) -> APIRouter:
    """One route, for registered peers only."""
    router = APIRouter()

    @router.post("/withdrawals/notices")
    async def take(request: Request) -> Response:
        caller = await run_in_threadpool(callers.caller, request)
        value = await read_json(request)

        def answer() -> Response:
            return json_response(connector.withdrawals.inbox.take(caller.did, value))

        return await run_in_threadpool(answer)

    return router
