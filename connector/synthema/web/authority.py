"""Serves an authority: what everybody may read, what members ask, and management on a port of its own."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import home_lock
from synthema.assembly.joining import admission, standing
from synthema.assembly.joining.acts import perform
from synthema.assembly.joining.authority import Authority
from synthema.assembly.joining.issuance import issuer_service
from synthema.assembly.setup import MANAGEMENT_TOKEN
from synthema.config import Settings
from synthema.errors import DeniedError, InputError
from synthema.web.claims import issuer_router
from synthema.web.listening import server
from synthema.web.logs import install_logs
from synthema.web.security import install_guards, json_response, nothing_here, read_json
from synthema.web.server import listening_address, serve_both


def serve_authority(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises :class:`InputError` as a connector does."""
    public = listening_address(settings.public_url, settings.public_listen)
    management = listening_address(settings.management_url, settings.management_listen)
    install_logs()
    with home_lock(settings.home):
        authority = Authority.open(settings)
        try:
            token = (settings.home / MANAGEMENT_TOKEN).read_text(encoding="utf-8").strip()
            serve_both(
                server(authority_app(authority), *public), server(authority_management(authority, token), *management)
            )
        finally:
            authority.close()


def authority_app(authority: Authority) -> FastAPI:
    """The application on the public port."""
    app = FastAPI(title=authority.office.settings.name, docs_url=None, redoc_url=None, openapi_url=None)
    install_guards(app)
    _add_public(app, authority)
    _add_for_members(app, authority)
    app.include_router(issuer_router(issuer_service(authority.office), authority.office.caller))
    return app


def _add_public(app: FastAPI, authority: Authority) -> None:
    @app.get("/.well-known/did.json")
    async def document() -> Response:
        return json_response(await run_in_threadpool(authority.did_document))

    @app.get("/authority")
    async def describe() -> Response:
        return json_response(authority.describe(), headers={"cache-control": "no-store"})

    @app.get("/status/{purpose}")
    async def status(purpose: str) -> Response:
        return json_response(await run_in_threadpool(authority.status_list, purpose))


def _add_for_members(app: FastAPI, authority: Authority) -> None:
    office = authority.office

    @app.post("/authority/join")
    async def join(request: Request) -> Response:
        given = await _object(request)

        def admit() -> dict[str, Any]:
            own = admission.admit(office, _token(request), _text(given, "invitation"), _text(given, "code"))
            return {"credentials": own, "members": authority.signed_members()}

        return json_response(await run_in_threadpool(admit))

    @app.post("/authority/leave")
    async def leave(request: Request) -> Response:
        given = await _object(request)
        return await _answered(lambda: standing.depart(office, _token(request), str(given.get("reason") or "")[:500]))

    @app.post("/authority/proposals")
    async def propose(request: Request) -> Response:
        given = await _object(request)
        return await _answered(lambda: {"proposal": admission.propose(office, _token(request), given)})

    @app.get("/authority/standing")
    async def see(request: Request) -> Response:
        return await _answered(lambda: standing.of_caller(office, _token(request)))

    @app.get("/authority/members")
    async def follow(request: Request) -> Response:
        return await _answered(lambda: authority.for_member(_token(request)))


def authority_management(authority: Authority, token: str) -> FastAPI:
    """The application on the management port: one POST address for each act."""
    app = FastAPI(title="management", docs_url=None, redoc_url=None, openapi_url=None)
    install_guards(app)

    @app.post("/management/{noun}/{verb}")
    async def call(noun: str, verb: str, request: Request) -> Response:
        offered = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token or not hmac.compare_digest(offered.encode(), token.encode()):
            raise DeniedError(
                "the management interface needs its token", fix="send the token from secrets/management-token"
            )
        value = await read_json(request)
        return json_response(await run_in_threadpool(perform, authority, f"{noun}/{verb}", value))

    return app


async def _answered(work: Callable[[], dict[str, Any]]) -> Response:
    """The answer to a member; who cannot prove to be one learns nothing."""

    def quietly() -> dict[str, Any]:
        try:
            return work()
        except DeniedError as error:
            raise nothing_here() from error

    return json_response(await run_in_threadpool(quietly))


async def _object(request: Request) -> dict[str, Any]:
    value = await read_json(request)
    if not isinstance(value, dict):
        raise InputError("the body is not a JSON object", fix="send an object")
    return value


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise nothing_here()
    return token.strip()


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise InputError(f"'{name}' is missing", fix="send 'invitation' and 'code' as the invitation names them")
    return value
