"""Public addresses of a member: the authority says that something changed, and partners ask whether we know them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly.joining.membership import STANDING_PATH, Membership
from synthema.assembly.joining.office import CHANGED_PATH
from synthema.errors import SynthemaError
from synthema.web.protocol import Callers
from synthema.web.security import json_response, nothing_here


def joining_router(membership: Membership, callers: Callers) -> APIRouter:
    """Two routes; a stranger finds nothing at either."""
    router = APIRouter()

    @router.post(CHANGED_PATH)
    async def changed(request: Request) -> Response:
        def hear() -> Response:
            token = request.headers.get("authorization", "").partition(" ")[2].strip()
            try:
                membership.heard(token)
            except SynthemaError as error:
                raise nothing_here() from error
            return json_response({"heard": True})

        return await run_in_threadpool(hear)

    @router.get(STANDING_PATH)
    async def standing(request: Request) -> Response:
        return json_response(await run_in_threadpool(lambda: membership.standing_of(callers.caller(request).did)))

    return router
