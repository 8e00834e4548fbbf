"""Where partners tell an issuer what became of its certificates: registries with receipts, sites with doubts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.trust import DOUBTS_PATH, RECEIPTS_PATH
from synthema.errors import InputError
from synthema.web.protocol import Callers
from synthema.web.security import json_response, read_json

Take = Callable[[Mapping[str, Any], str], str]


def receipts_router(connector: Connector, callers: Callers) -> APIRouter:
    """Two routes, for registered peers only."""
    router = APIRouter()

    async def taken(request: Request, name: str, take: Take) -> Response:
        caller = await run_in_threadpool(callers.caller, request)
        value = await read_json(request)

        def answer() -> Response:
            document = value.get(name) if isinstance(value, dict) else None
            if not isinstance(document, dict):
                raise InputError(f"'{name}' is missing", fix=f"send the signed {name} as '{name}'")
            return json_response({"kept": take(document, caller.did)})

        return await run_in_threadpool(answer)

    @router.post(RECEIPTS_PATH)
    async def take_receipt(request: Request) -> Response:
        return await taken(request, "receipt", connector.trust.receipts.take)

    @router.post(DOUBTS_PATH)
    async def take_doubt(request: Request) -> Response:
        return await taken(request, "doubt", connector.trust.doubts.take)

    return router
