"""The Decentralized Claims Protocol 1.0.1 over HTTP: credential service, issuer service, secure token service.

Whoever asks proves who it is with a self-issued token; what it may read is in
the access token that comes with it. Anything wrong with either is a 401 that
tells a stranger nothing; the reason stands in our own log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly.claims import CREDENTIAL_SERVICE, Claims, published_schema
from synthema.errors import DeniedError, InputError, NotFoundError
from synthema.identity import tokens
from synthema.identity.dcp import IssuerService, read_scope
from synthema.identity.dcp import messages as m
from synthema.web.bodies import read_json
from synthema.web.problems import TransportError, json_response

Caller = Callable[[str], tokens.Claims]
"""Verifies and spends a self-issued token."""

_FORM = "application/x-www-form-urlencoded"
_log = logging.getLogger(__name__)


def credential_router(claims: Claims) -> APIRouter:
    """The credential service of a holder: presentations for verifiers, deliveries and offers of issuers."""
    router = APIRouter(prefix=CREDENTIAL_SERVICE)

    @router.post("/presentations/query")
    async def query(request: Request) -> Response:
        caller = await _proven(request, claims.caller)
        message = m.read(m.PresentationQuery, await read_json(request))
        if message.presentation_definition is not None:
            raise TransportError(501, "presentation definitions are not supported", fix="ask with scopes")
        try:
            answer = await run_in_threadpool(claims.holder.query, caller, message)
        except DeniedError as error:
            _log.info("an access token was refused: %s", error.message)
            raise _unproven() from error
        return json_response(answer.wire())

    @router.post("/credentials")
    async def deliver(request: Request) -> Response:
        caller = await _proven(request, claims.caller)
        message = m.read(m.CredentialMessage, await read_json(request))
        await run_in_threadpool(claims.holder.delivered, caller, message)
        return Response(status_code=200)

    @router.post("/offers")
    async def offer(request: Request) -> Response:
        caller = await _proven(request, claims.caller)
        message = m.read(m.CredentialOffer, await read_json(request))
        await run_in_threadpool(claims.holder.offered, caller, message)
        return Response(status_code=200)

    return router


def issuer_router(issuer: IssuerService, caller_of: Caller, prefix: str = "") -> APIRouter:
    """The issuer service: what it issues, requests and how far they are."""
    router = APIRouter(prefix=prefix)

    @router.get("/metadata")
    async def metadata() -> Response:
        return json_response(issuer.metadata().wire())

    @router.post("/credentials")
    async def ask(request: Request) -> Response:
        caller = await _proven(request, caller_of)
        message = m.read(m.CredentialRequest, await read_json(request))
        pid = await run_in_threadpool(issuer.requested, caller, message)
        return Response(status_code=201, headers={"location": f"{prefix}/requests/{pid}"})

    @router.get("/requests/{pid}")
    async def status(pid: str, request: Request) -> Response:
        caller = await _proven(request, caller_of)
        found = await run_in_threadpool(issuer.status, caller, pid)
        return json_response(found.wire())

    @router.get("/schemas/{name}")
    async def schema(name: str) -> Response:
        found = published_schema(name)
        if found is None:
            raise NotFoundError("there is no such schema", fix="take its address from a credential or the metadata")
        return json_response(found)

    return router


def token_router(claims: Claims) -> APIRouter:
    """The secure token service, for programs of the house: OAuth 2.0 client credentials (RFC 6749, section 4.4).

    It belongs on the management port: whoever has a client's secret speaks for this connector.
    """
    router = APIRouter()

    @router.post("/token")
    async def token(request: Request) -> Response:
        try:
            form = _form(await request.body(), request.headers.get("content-type", ""))
            if form.get("grant_type") != "client_credentials":
                return _oauth_error(400, "unsupported_grant_type", "ask with grant_type=client_credentials")
            await run_in_threadpool(claims.clients.require, form.get("client_id", ""), form.get("client_secret", ""))
            made = await run_in_threadpool(_minted, claims, form)
        except DeniedError as error:
            return _oauth_error(401, "invalid_client", error.message)
        except InputError as error:
            return _oauth_error(400, "invalid_request", f"{error.message}; {error.fix}")
        return json_response(made, headers={"cache-control": "no-store"})

    return router


def _minted(claims: Claims, form: dict[str, str]) -> dict[str, Any]:
    """A self-issued token as a client of the house asks for it: with an access token, given or for named scopes."""
    audience, given, named = form.get("audience", ""), form.get("token"), form.get("bearer_access_scope")
    if not audience.startswith("did:") or len(audience) > 512:
        raise InputError("the audience is not the DID of a verifier", fix="name it as 'audience'")
    if given is not None and named is not None:
        raise InputError("both 'token' and 'bearer_access_scope' are given", fix="give one of them")
    if given is not None:
        made = claims.sts.answer(audience, given)
    else:
        made = claims.sts.token(audience, None if named is None else [read_scope(text) for text in named.split()])
    return {"access_token": made, "token_type": "Bearer", "expires_in": 120}


async def _proven(request: Request, caller_of: Caller) -> tokens.Claims:
    """Who sent a request, by its self-issued token; a 401 for anybody who cannot show it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise _unproven()
    try:
        return await run_in_threadpool(caller_of, token.strip())
    except DeniedError as error:
        _log.info("a token was refused: %s", error.message)
        raise _unproven() from error


def _unproven() -> TransportError:
    return TransportError(
        401, "there is nothing here for this caller", fix="send a fresh self-issued token for this party as 'Bearer'"
    )


def _form(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a form, each named once."""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InputError("the content type is not that of a form", fix=f"send {_FORM}")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError as error:
        raise InputError("the form cannot be read", fix="send name=value pairs, percent-encoded") from error
    if any(len(values) != 1 for values in fields.values()):
        raise InputError("a field is given twice", fix="give each field once")
    return {name: values[0] for name, values in fields.items()}


def _oauth_error(status: int, error: str, description: str) -> Response:
    return json_response({"error": error, "error_description": description}, status, {"cache-control": "no-store"})
