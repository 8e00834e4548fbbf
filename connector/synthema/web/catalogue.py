"""The health catalogue over HTTP, for harvesters: pages of records, and each record at the dataset's own address.

What is public is had without a token; with one, a partner reads what the Dataspace Protocol's catalogue shows it. The
form is negotiated, and an unchanged page is answered with 304. Only ``If-None-Match`` is heeded: a record that leaves a
page leaves no date behind, so an answer by date could hide that it is gone.
Sources: RFC 9110 §8.8, §12.5, §13; RFC 8288; Hydra Core; EHDS Art. 77.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.assembly import Connector
from synthema.assembly.health_catalogue import HealthCatalogue
from synthema.canonical import digest_bytes
from synthema.dataspace import Caller
from synthema.dataspace.health import MEDIA_TYPES, Page, best_media_type, catalogue_page, serialised
from synthema.web.problems import TransportError
from synthema.web.protocol import Callers

PATH: Final = "/catalogue"
DATASET: Final = "/id/dataset/{name}"


def catalogue_router(connector: Connector, security: Callers) -> APIRouter:
    """The catalogue's addresses."""
    router = APIRouter()
    pages = _Pages(connector, security)

    @router.get(PATH)
    async def page(request: Request) -> Response:
        return await run_in_threadpool(pages.page, request)

    @router.get(DATASET)
    async def dataset(request: Request, name: str) -> Response:
        return await run_in_threadpool(pages.dataset, request, name)

    return router


class _Pages:
    """Answers readers."""

    def __init__(self, connector: Connector, security: Callers) -> None:
        self._settings = connector.settings
        self._catalogue = HealthCatalogue.of(connector)
        self._iri_of = connector.shelf.iri_of
        self._caller = _optional_caller(security)

    def page(self, request: Request) -> Response:
        media_type = _media_type(request)
        after = request.query_params.get("after")
        caller = self._caller(request)
        page = self._catalogue.page(caller, after)
        first, following = self._address(None), None if page.after is None else self._address(page.after)
        value = catalogue_page(
            page,
            catalogue=f"{self._settings.public_url}/id/catalogue/main",
            title=self._settings.name,
            publisher=self._settings.did,
            address=self._address(after),
            first=first,
            following=following,
        )
        return _answer(request, value, media_type, caller, page.modified, _links(first, following))

    def dataset(self, request: Request, name: str) -> Response:
        media_type = _media_type(request)
        caller = self._caller(request)
        found = self._catalogue.record(caller, self._iri_of(name))
        page = Page((found,), None)
        return _answer(request, found.record, media_type, caller, page.modified, _links(self._address(None), None))

    def _address(self, after: str | None) -> str:
        base = f"{self._settings.public_url}{PATH}"
        return base if after is None else f"{base}?after={quote(after, safe='')}"


def _optional_caller(security: Callers) -> Callable[[Request], Caller | None]:
    """Nobody where no token is shown; a token that is shown must be good."""

    def caller(request: Request) -> Caller | None:
        return security.caller(request) if "authorization" in request.headers else None

    return caller


def _media_type(request: Request) -> str:
    chosen = best_media_type(request.headers.get("accept"))
    if chosen is None:
        raise TransportError(406, "the catalogue has none of these forms", fix=f"ask for {', '.join(MEDIA_TYPES)}")
    return chosen


def _links(first: str, following: str | None) -> str:
    links = [f'<{first}>; rel="first"', *([] if following is None else [f'<{following}>; rel="next"'])]
    return ", ".join(links)


def _answer(
    request: Request,
    value: Mapping[str, Any],
    media_type: str,
    caller: Caller | None,
    modified: datetime | None,
    links: str,
) -> Response:
    body = serialised(value, media_type)
    tag = f'"{digest_bytes(body).removeprefix("sha256:")[:32]}"'
    headers = {
        "etag": tag,
        "vary": "Accept, Authorization",
        "cache-control": "no-cache" if caller is None else "private, no-cache",
        "link": links,
    }
    if modified is not None:
        headers["last-modified"] = format_datetime(modified.replace(microsecond=0), usegmt=True)
    if _is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def _is_known(known: str | None, tag: str) -> bool:
    """Whether the reader has this very form already (weak comparison, RFC 9110 §13.1.2)."""
    if known is None:
        return False
    return known.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in known.split(",")}
