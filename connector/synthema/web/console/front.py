"""The front of the console: who may come in, what leaves, and the way to each view.

Every address but sign-in and the style sheet needs a session (or, for reading,
the management token as bearer). Every form carries the mark of the browser it
was made for.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.errors import DeniedError, NotFoundError, SynthemaError
from synthema.web.console import pages
from synthema.web.console.desk import Desk
from synthema.web.console.forms import Form, read_form
from synthema.web.console.pages import Answer, Page, Route, Visit
from synthema.web.console.sessions import LONGEST, CookieNames, Sessions, new_name
from synthema.web.console.views import ROUTES
from synthema.web.security import status_of

BASE: Final = "/console"
UPLOADS: Final = (f"{BASE}/registry",)
"""Addresses that take a certified package, and so a larger body."""

MARK: Final = "form_mark"
_SIGN_IN = f"{BASE}/sign-in"
_STATIC: Final = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_SIGNED_OUT = DeniedError("you are not signed in, or your session has ended", fix="sign in, then send it again")
_log = logging.getLogger(__name__)


def console_router(connector: Connector, token: str) -> APIRouter:
    """All addresses of the console, and a way to it from the root."""
    router = APIRouter()
    for name, media_type in _STATIC.items():
        router.add_api_route(f"{BASE}/static/{name}", _static(name, media_type), methods=["GET"])
    for address in ("/", f"{BASE}/"):
        router.add_api_route(address, _to_today, methods=["GET"])
    _Front(connector, token).add_to(router)
    return router


async def _to_today() -> Response:
    return _elsewhere(BASE)


class _Front:
    def __init__(self, connector: Connector, token: str) -> None:
        self._desk = Desk(connector, base=BASE)
        self._sessions = Sessions(token, connector.clock)
        self._cookies = CookieNames.of(connector.settings.management_url)

    def add_to(self, router: APIRouter) -> None:
        """Sign-in and sign-out, then the views, and last an answer for every other address."""
        router.add_api_route(_SIGN_IN, self.ask_for_token, methods=["GET"])
        router.add_api_route(_SIGN_IN, self.sign_in, methods=["POST"])
        router.add_api_route(f"{BASE}/sign-out", self.sign_out, methods=["POST"])
        for route in ROUTES:
            router.add_api_route(BASE + route.path, self._endpoint(route), methods=[route.method])
        router.add_api_route(BASE + "/{rest:path}", self._endpoint(Route("", _nothing)), methods=["GET"])

    # coming in and going out ---------------------------------------------------------------

    async def ask_for_token(self, request: Request) -> Response:
        """The page that asks for the management token."""
        return self._sign_in_page(request, request.query_params.get("next", BASE))

    async def sign_in(self, request: Request) -> Response:
        """Open a session for who knows the management token."""
        try:
            form = await self._form(request, request.cookies.get(self._cookies.visitor))
        except SynthemaError as error:
            return self._sign_in_page(request, BASE, error)
        after = form.text("next")
        name = self._sessions.sign_in(form.text("token").strip())
        if name is None:
            _log.warning("a sign-in to the console was refused")
            wrong = DeniedError("this is not the management token", fix="copy it from the file named below, whole")
            return self._sign_in_page(request, after, wrong)
        answer = _elsewhere(after if _is_ours(after) else BASE)
        answer.delete_cookie(self._cookies.visitor, path=BASE)
        self._set_cookie(answer, self._cookies.session, name, round(LONGEST.total_seconds()))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session. A form without its mark changes nothing."""
        name = request.cookies.get(self._cookies.session)
        try:
            await self._form(request, name)
        except SynthemaError as error:
            return self._problem(request, error)
        self._sessions.sign_out(name)
        answer = _elsewhere(_SIGN_IN)
        answer.delete_cookie(self._cookies.session, path=BASE)
        return answer

    def _sign_in_page(self, request: Request, after: str, error: SynthemaError | None = None) -> Response:
        visitor = request.cookies.get(self._cookies.visitor) or new_name()
        answer = pages.html(
            "sign_in.html",
            403 if error else 200,
            desk=self._desk,
            title="Sign in",
            mark=self._sessions.form_mark(visitor),
            after=after if _is_ours(after) else BASE,
            problem=error,
            here=_SIGN_IN,
            signed_in=False,
        )
        self._set_cookie(answer, self._cookies.visitor, visitor, None)
        return answer

    def _set_cookie(self, answer: Response, name: str, value: str, seconds: int | None) -> None:
        answer.set_cookie(
            name, value, max_age=seconds, path=BASE, secure=self._cookies.secure, httponly=True, samesite="strict"
        )

    # the views -----------------------------------------------------------------------------

    def _endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            name = request.cookies.get(self._cookies.session)
            if not self._sessions.is_open(name) and not self._is_reader(request):
                return self._turn_away(request)
            try:
                form = Form() if route.method == "GET" else await self._form(request, name)
                visit = Visit(dict(request.path_params), dict(request.query_params), form)
                answer = await run_in_threadpool(route.view, self._desk, visit)
                return await run_in_threadpool(self._leave, request, answer)
            except SynthemaError as error:
                return self._problem(request, error)
            except Exception:  # noqa: BLE001 - the outermost edge: what is left is a mistake of ours
                _log.exception("%s %s failed", request.method, request.url.path)
                return self._problem(request, _FaultError("the console made a mistake", fix="see the connector's log"))

        endpoint.__name__ = f"{route.method.lower()}{route.path.replace('/', '_')}"
        return endpoint

    def _is_reader(self, request: Request) -> bool:
        """Whether a program reads with the management token as bearer; programs write through ``/management``."""
        scheme, _, offered = request.headers.get("authorization", "").partition(" ")
        return request.method == "GET" and scheme.lower() == "bearer" and self._sessions.is_token(offered.strip())

    async def _form(self, request: Request, name: str | None) -> Form:
        """The form that was sent; raises :class:`DeniedError` unless it carries this browser's mark."""
        form = read_form(request.headers.get("content-type", ""), await request.body())
        if not self._sessions.is_form_mark(name, form.text(MARK)):
            raise DeniedError("this form was not made for this browser", fix="open the page and send it again")
        return form

    def _turn_away(self, request: Request) -> Response:
        if pages.wants_json(request):
            return pages.twin(_SIGNED_OUT.as_dict(), 401)
        if request.method != "GET":
            return self._sign_in_page(request, BASE, _SIGNED_OUT)
        query = f"?{request.url.query}" if request.url.query else ""
        return _elsewhere(f"{_SIGN_IN}?next={quote(request.url.path + query, safe='')}")

    def _leave(self, request: Request, answer: Answer) -> Response:
        if isinstance(answer, Page):
            if pages.wants_json(request):
                return pages.twin(answer.value, answer.status)
            return pages.html(answer.template, answer.status, **self._around(request, answer.title), value=answer.value,
                              **answer.more)  # fmt: skip
        return pages.download(answer)

    def _problem(self, request: Request, error: SynthemaError) -> Response:
        status = status_of(error)
        if pages.wants_json(request):
            return pages.twin(error.as_dict(), status)
        return pages.html("problem.html", status, **self._around(request, "This did not work"), problem=error)

    def _around(self, request: Request, title: str) -> dict[str, Any]:
        """What every page shows around its own content."""
        name = request.cookies.get(self._cookies.session)
        signed_in = self._sessions.is_open(name)
        mark = self._sessions.form_mark(name) if name and signed_in else ""
        return {"desk": self._desk, "title": title, "here": request.url.path, "mark": mark, "signed_in": signed_in}


class _FaultError(SynthemaError):
    """A mistake of ours, told without its detail."""

    code = "internal"


def _nothing(_desk: Desk, _visit: Visit) -> Answer:
    raise NotFoundError("there is no such page", fix="choose one from the menu")


def _elsewhere(address: str) -> Response:
    return RedirectResponse(address, 303, headers=pages.HEADERS)


def _is_ours(address: str) -> bool:
    """Whether an address leads to a page of this console and nowhere else."""
    inside = address == BASE or address.startswith((f"{BASE}/", f"{BASE}?"))
    return inside and address.isprintable() and "\\" not in address and len(address) <= 2000


def _static(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = (Path(__file__).parent / "static" / name).read_bytes()
    headers = {**pages.HEADERS, "cache-control": "max-age=300"}

    async def static() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    static.__name__ = f"static_{name.replace('.', '_')}"
    return static
