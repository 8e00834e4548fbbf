"""Public addresses of federated studies: a site is asked to measure; a hub is polled and answered.

To take part, a site is ordered by a transfer of the format ``Synthema-Compute`` (Dataspace Protocol), not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.engines.common import CERTIFICATES
from synthema.assembly.permitting import published_status
from synthema.assembly.plans import read_plan
from synthema.errors import InputError
from synthema.federation import Passage
from synthema.web.octets import octets_response, parcel_of
from synthema.web.protocol import Callers
from synthema.web.security import json_response, read_json

POLL_SECONDS = 5.0
ROOM_SECONDS = 10.0
"""How long a parcel waits for room before its site is told to come again."""


def federation_router(connector: Connector, callers: Callers) -> APIRouter:
    """Routes under ``/federation``; which of them answer depends on the connector's role."""
    router = APIRouter(prefix="/federation")
    if connector.settings.role == "site":
        _add_site_routes(router, connector, callers)
    if connector.settings.role == "hub":
        _add_hub_routes(router, connector, callers)
    return router


def _add_site_routes(router: APIRouter, connector: Connector, callers: Callers) -> None:
    site = connector.measuring

    @router.post("/evaluations")
    async def evaluate(request: Request) -> Response:
        caller = await run_in_threadpool(callers.caller, request)
        value = await read_json(request)

        def answer() -> dict[str, Any]:
            candidate = value.get("candidate") if isinstance(value, dict) else None
            if not isinstance(candidate, str):
                raise InputError("the candidate's digest is missing", fix="send 'plan' and 'candidate'")
            return site.evaluate(caller.did, read_plan(value), candidate)

        return json_response(await run_in_threadpool(answer))

    @router.get("/evaluations/{run}")
    async def evidence(run: str, request: Request) -> Response:
        def answer() -> dict[str, Any]:
            return site.evidence(callers.caller(request).did, run)

        return json_response(await run_in_threadpool(answer))


def _add_hub_routes(router: APIRouter, connector: Connector, callers: Callers) -> None:
    coordinator, passage = connector.coordinator, Passage(wait_seconds=ROOM_SECONDS)

    @router.get("/studies/{study}/next")
    async def next_parcel(study: str, request: Request) -> Response:
        def answer() -> Response:
            caller = callers.caller(request)
            parcel = coordinator.next(study, caller.did, _number(request.query_params, "after"), POLL_SECONDS)
            return octets_response(parcel or b"")

        return await run_in_threadpool(answer)

    @router.post("/studies/{study}/answers")
    async def take(study: str, request: Request) -> Response:
        caller = await run_in_threadpool(callers.caller, request)
        async with parcel_of(request, passage) as parcel:
            await run_in_threadpool(coordinator.handle, study, caller.did, parcel)
        return json_response({"taken": True})

    @router.post(CERTIFICATES.removeprefix("/federation"))
    async def certificate(request: Request) -> Response:
        caller = await run_in_threadpool(callers.caller, request)
        wish = await read_json(request)

        def issue() -> Response:
            return json_response(connector.conductor.engine.certificate(caller.did, wish))

        return await run_in_threadpool(issue)

    @router.get("/studies/{study}/candidate")
    async def candidate(study: str, request: Request) -> Response:
        def answer() -> Response:
            return octets_response(connector.conductor.candidate(study, callers.caller(request).did))

        return await run_in_threadpool(answer)


def witness_router(connector: Connector) -> APIRouter:
    """Where peers have the heads of their logs cosigned (C2SP tlog-witness), and where our own head is shown.

    Neither asks who calls: a head is believed for its signature, and only those
    of registered peers are cosigned.
    """
    router = APIRouter()

    @router.post("/witness/add-checkpoint")
    async def add(request: Request) -> Response:
        answer = await run_in_threadpool(connector.witness.add_checkpoint, await request.body())
        return Response(answer.body, answer.status, headers={"content-type": answer.media_type})

    @router.get("/log/checkpoint")
    async def checkpoint() -> Response:
        note = await run_in_threadpool(connector.log.cosigned_checkpoint)
        return Response(note, media_type="text/plain; charset=utf-8", headers={"cache-control": "no-store"})

    return router


def status_router(connector: Connector) -> APIRouter:
    """Status lists of issued certificates: public, so that anyone who holds a certificate can look."""
    router = APIRouter()

    @router.get("/status/{purpose}")
    async def status(purpose: str) -> Response:
        return json_response(await run_in_threadpool(published_status, connector, purpose))

    return router


def _number(query: Mapping[str, str], field: str) -> int:
    text = query.get(field, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InputError(f"'{field}' is not a whole number from 0", fix=f"send ?{field}=<number>")
    return int(text)
