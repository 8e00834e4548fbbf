"""The management interface: one POST address for each operation, inside the house only.

Every call carries the management token (a random secret in the connector's
home, readable by its owner). The same operations serve the command line.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import OPERATIONS, Connector, find_operation
from synthema.config import Settings
from synthema.web.claims import token_router
from synthema.web.console import UPLOADS, console_router
from synthema.web.envelope import LOOPBACK
from synthema.web.openapi import management_document, public_document
from synthema.web.problems import TokenError
from synthema.web.security import install_guards, json_response, read_json
from synthema.web.signalling import signalling_router

MAX_MANAGEMENT_BYTES = 128 * 1024 * 1024  # a site's CSV file travels in the body


def management_app(connector: Connector, token: str) -> FastAPI:
    """The application on the management port."""
    settings = connector.settings
    app = FastAPI(title=f"{settings.name}: management", docs_url=None, redoc_url=None, openapi_url=None)
    install_guards(
        app, larger=dict.fromkeys(("/management/", *UPLOADS), MAX_MANAGEMENT_BYTES), hosts=_hosts_of(settings)
    )
    app.include_router(console_router(connector, token))
    app.include_router(token_router(connector.claims))
    app.include_router(signalling_router(connector))

    @app.get("/management")
    async def describe() -> Response:
        return json_response([{"operation": o.name, "summary": o.summary} for o in OPERATIONS.values()])

    @app.get("/management/openapi")
    async def management_openapi(request: Request) -> Response:
        _authorise(request, token)
        return json_response(management_document(settings.management_url))

    @app.get("/management/public-openapi")
    async def public_openapi(request: Request) -> Response:
        _authorise(request, token)
        return json_response(public_document(settings.role, settings.public_url))

    @app.post("/management/{noun}/{verb}")
    async def call(noun: str, verb: str, request: Request) -> Response:
        _authorise(request, token)
        operation = find_operation(f"{noun}/{verb}")
        value: Any = await read_json(request)
        return json_response(await run_in_threadpool(operation.call, connector, value))

    return app


def _authorise(request: Request, token: str) -> None:
    scheme, _, offered = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or not hmac.compare_digest(offered.strip().encode(), token.encode()):
        raise TokenError(
            "the management interface needs its token",
            fix="send the token from secrets/management-token in the connector's home",
        )


def _hosts_of(settings: Settings) -> frozenset[str]:
    """The names under which a browser or a program may ask for this interface."""
    listen = (settings.management_listen or "").rpartition(":")[0]
    return LOOPBACK | {host for host in (urlsplit(settings.management_url).hostname, listen.lower()) if host}
