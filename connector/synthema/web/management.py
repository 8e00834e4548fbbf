"""The management interface: one POST address for each operation, inside the house only.

Every call carries the management token (a random secret in the connector's
home, readable by its owner). The same operations serve the command line.
"""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import OPERATIONS, Connector, find_operation
from synthema.canonical import canonical_json
from synthema.errors import DeniedError
from synthema.web.console import UPLOADS, console_router
from synthema.web.security import install_guards, read_json

MAX_MANAGEMENT_BYTES = 128 * 1024 * 1024  # a site's CSV file travels in the body


def management_app(connector: Connector, token: str) -> FastAPI:
    """The application on the management port."""
    app = FastAPI(title=f"{connector.settings.name}: management", docs_url=None, redoc_url=None, openapi_url=None)
    install_guards(app, larger=dict.fromkeys(("/management/", *UPLOADS), MAX_MANAGEMENT_BYTES))
    app.include_router(console_router(connector, token))

    @app.get("/management")
    async def describe() -> list[dict[str, str]]:
        return [{"operation": o.name, "summary": o.summary} for o in OPERATIONS.values()]

    @app.post("/management/{noun}/{verb}")
    async def call(noun: str, verb: str, request: Request) -> Response:
        _authorise(request, token)
        operation = find_operation(f"{noun}/{verb}")
        value: Any = await read_json(request)
        result = await run_in_threadpool(operation.call, connector, value)
        return Response(canonical_json(result), media_type="application/json")

    return app


def _authorise(request: Request, token: str) -> None:
    offered = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(offered.encode(), token.encode()):
        raise DeniedError(
            "the management interface needs its token",
            fix="send the token from secrets/management-token in the connector's home",
        )
