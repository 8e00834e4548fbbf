"""How answers and errors leave: JSON in canonical form, errors as code, sentence and fix.

On the addresses of the Dataspace Protocol an error has the protocol's own typed
form; everywhere else it is ``{"code", "message", "fix"}``. No error repeats
what an exception of ours said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from synthema.canonical import canonical_json
from synthema.dataspace import messages as m
from synthema.errors import DeniedError, InputError, NotFoundError, SynthemaError

_STATUS: Final[Mapping[str, int]] = {
    "input": 400,
    "policy-load": 400,
    "denied": 403,
    "not-found": 404,
    "conflict": 409,
    "integrity": 422,
    "plugin": 422,
    "peer": 502,
    "isolation": 503,
    "storage": 503,
}
_TYPED: Final[Mapping[str, m.ErrorType]] = {
    f"{m.BASE}/catalog/": "CatalogError",
    f"{m.BASE}/negotiations/": "ContractNegotiationError",
    f"{m.BASE}/transfers/": "TransferError",
    "/artefacts/": "TransferError",
}
_log = logging.getLogger(__name__)


class TransportError(InputError):
    """The request itself is out of bounds, whatever it asks for; ``status`` says how."""

    def __init__(self, status: int, message: str, *, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.status = status


class TokenError(DeniedError):
    """Nobody is let in without the right token (RFC 9110, 15.5.2)."""

    status = 401


def status_of(error: SynthemaError) -> int:
    """The HTTP status that fits an error."""
    return error.status if isinstance(error, TransportError | TokenError) else _STATUS.get(error.code, 500)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in canonical form."""
    return Response(canonical_json(value), status, headers=dict(headers or {}), media_type="application/json")


def problem(
    path: str, error: SynthemaError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as the address at ``path`` says it: typed on the protocol's addresses, plain elsewhere."""
    status = status_of(error) if status is None else status
    challenge = {"www-authenticate": "Bearer"} if status == 401 else {}
    return json_response(problem_body(path, error), status, challenge | dict(headers or {}))


def problem_body(path: str, error: SynthemaError) -> dict[str, Any]:
    """The JSON of :func:`problem`."""
    type_ = next((type_ for prefix, type_ in _TYPED.items() if path.startswith(prefix)), None)
    return error.as_dict() if type_ is None else m.error(type_, error.code, (error.message, error.fix))


def install_problems(app: FastAPI) -> None:
    """Let every error of an application leave in its form."""

    @app.exception_handler(SynthemaError)
    async def on_purpose(request: Request, error: SynthemaError) -> Response:
        return problem(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(request: Request, error: RequestValidationError) -> Response:
        first: Mapping[str, Any] = next(iter(_errors(error)), {})
        field = ".".join(str(part) for part in first.get("loc", ()))
        wrong = InputError(f"{field}: {first.get('msg', 'not valid')}", fix="correct this parameter")
        return problem(request.url.path, wrong)

    @app.exception_handler(StarletteHTTPException)
    async def by_the_framework(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return problem(request.url.path, NotFoundError("there is nothing here", fix="check the address"))
        wrong = _FrameworkError(str(error.detail), fix="check the address and the method")
        headers = {"allow": ", ".join(_allowed(app, request))} if error.status_code == 405 else error.headers
        return problem(request.url.path, wrong, error.status_code, headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    @app.exception_handler(Exception)
    async def by_mistake(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(request.url.path, _MistakeError("the connector made a mistake", fix="see its log"), 500)


class _FrameworkError(SynthemaError):
    """What HTTP itself does not allow, such as a method."""

    code = "http"


class _MistakeError(SynthemaError):
    """A mistake of ours, told without its detail."""

    code = "internal"


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods of an address. The framework would name those of one route only, where several share the address.

    An address that is written out (``…/request``) is not the one with a name in its place (``…/{pid}``).
    """
    found = [
        (len(each.param_convertors), method)
        for route in app.router.routes
        for each in _single_routes(route)
        if each.path_regex.match(request.scope["path"])
        for method in each.methods or ()
    ]
    fewest = min((names for names, _ in found), default=0)
    return sorted(method for names, method in found if names == fewest)


def _single_routes(route: Any) -> Iterable[Any]:
    """The routes of an included router, or the one route this is."""
    if hasattr(route, "effective_route_contexts"):
        return tuple(route.effective_route_contexts())
    return (route,) if hasattr(route, "path_regex") else ()


def _errors(error: RequestValidationError) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = error.errors()
    return found
