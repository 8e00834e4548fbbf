"""The public address at which registries hand in receipts for certificates that were issued here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.trust import RECEIPTS_PATH
from synthema.errors import InputError
from synthema.web.protocol import Callers
from synthema.web.security import json_response, read_json


def receipts_router(connector: Connector, callers: Callers) -> APIRouter:
    """One route, for registered peers only."""
    router = APIRouter()

    @router.post(RECEIPTS_PATH)
    async def take(request: Request) -> Response:
        value = await read_json(request)

        def answer() -> Response:
            caller = callers.caller(request)
            receipt = value.get("receipt") if isinstance(value, dict) else None
            if not isinstance(receipt, dict):
                raise InputError("'receipt' is missing", fix="send the signed receipt as 'receipt'")
            return json_response({"kept": connector.trust.receipts.take(receipt, caller.did)})

        return await run_in_threadpool(answer)

    return router
