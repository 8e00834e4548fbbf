"""The Dataspace Protocol 2025-1 over HTTP, and the pull of artefacts.

Handlers read, check who calls, hand the message to :class:`Dataspace` and
answer. Errors are the protocol's typed ones: 400 for a message that is wrong or
not allowed now, 404 for what is unknown or not the caller's.

Source: Dataspace Protocol 2025-1-err1, catalog/contract.negotiation/transfer.process
binding.https.md.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from synthema.dataspace import Caller, Dataspace
from synthema.dataspace import messages as m
from synthema.dataspace.model import Process
from synthema.dataspace.peer import KEY_HEADER
from synthema.dataspace.transitions import Kind
from synthema.errors import InputError, NotFoundError, SynthemaError
from synthema.web.artefacts import give_artefact
from synthema.web.security import json_response, read_json, status_of

T = TypeVar("T", bound=m.Message)
_ERRORS: Mapping[str, m.ErrorType] = {"negotiation": "ContractNegotiationError", "transfer": "TransferError"}
SMALLEST_COMPRESSED = 1024
_log = logging.getLogger(__name__)


class Callers(Protocol):
    """Finds out who calls: :class:`synthema.web.security.Security`, or a conformance kit's stand-in."""

    def caller(self, request: Request) -> Caller:
        """The registered peer that sent the request; raises :class:`NotFoundError`."""
        ...


def protocol_router(
    dataspace: Dataspace, security: Callers, did_document: Callable[[], Mapping[str, Any]] | None = None
) -> APIRouter:
    """All public addresses of the protocol; ``did_document`` makes what is served at ``/.well-known/did.json``."""
    router = APIRouter()
    _add_well_known(router, dataspace, did_document)
    _Catalogue(dataspace, security).add_to(router)
    _Negotiations(dataspace, security).add_to(router)
    _Transfers(dataspace, security).add_to(router)
    return router


def _add_well_known(
    router: APIRouter, dataspace: Dataspace, did_document: Callable[[], Mapping[str, Any]] | None
) -> None:
    @router.get("/.well-known/dspace-version")
    async def version() -> Response:
        return json_response(m.version_response(dataspace.did))

    if did_document is not None:

        @router.get("/.well-known/did.json")
        async def did() -> Response:
            return json_response(await run_in_threadpool(did_document))


class _Catalogue:
    def __init__(self, dataspace: Dataspace, security: Callers) -> None:
        self._dataspace = dataspace
        self._security = security

    def add_to(self, router: APIRouter) -> None:
        # The next page is read by following its link, with either method.
        router.add_api_route(f"{m.BASE}/catalog/request", self.request, methods=["POST"])
        router.add_api_route(f"{m.BASE}/catalog/request", self.next_page, methods=["GET"])
        router.add_api_route(f"{m.BASE}/catalog/datasets/{{dataset:path}}", self.dataset, methods=["GET"])

    async def request(self, request: Request) -> Response:
        async def answer() -> Response:
            caller = await run_in_threadpool(self._security.caller, request)
            message = m.read(m.CatalogRequestMessage, await read_json(request))
            if message.filter:
                raise InputError("filters are not supported", where="filter", fix="ask without a filter")
            return await run_in_threadpool(self._page, request, caller)

        return await _typed("CatalogError", answer)

    async def next_page(self, request: Request) -> Response:
        async def answer() -> Response:
            caller = await run_in_threadpool(self._security.caller, request)
            return await run_in_threadpool(self._page, request, caller)

        return await _typed("CatalogError", answer)

    async def dataset(self, request: Request, dataset: str) -> Response:
        def answer() -> Response:
            return _compact(request, self._dataspace.offers.dataset(self._security.caller(request), dataset))

        return await _typed("CatalogError", lambda: run_in_threadpool(answer))

    def _page(self, request: Request, caller: Caller) -> Response:
        query = request.query_params.multi_items()
        if len(query) > 1 or any(name != "after" for name, _ in query):
            raise InputError("the query holds more than 'after'", fix="follow the Link of the page before")
        page, following = self._dataspace.offers.page(caller, request.query_params.get("after"))
        links = {} if following is None else {"link": f'<{request.url.path}?after={quote(following)}>; rel="next"'}
        return _compact(request, page, links)


class _Processes:
    """What negotiations and transfers have in common."""

    kind: Kind

    def __init__(self, dataspace: Dataspace, security: Callers) -> None:
        self._dataspace = dataspace
        self._security = security

    async def state(self, request: Request, pid: str) -> Response:
        def answer() -> Response:
            caller = self._security.caller(request)
            return json_response(m.state_of(self._dataspace.process_seen_by(self.kind, caller, pid)))

        return await _typed(_ERRORS[self.kind], lambda: run_in_threadpool(answer), pids={"provider_pid": pid})

    def _takes(self, router: APIRouter, path: str, model: type[m.Message]) -> None:
        """Take a later message of a process at a path."""

        async def take(request: Request, pid: str) -> Response:
            def act(caller: Caller, message: m.Message) -> tuple[Process, int]:
                key = _key(request)
                return self._dataspace.message_received(self.kind, caller, pid, message, key), 200

            return await self._heard(request, model, act, pid)

        take.__name__ = f"take_{self.kind}_{path.strip('/').replace('/', '_')}"
        router.add_api_route(f"{m.BASE}/{self.kind}s/{{pid}}{path}", take, methods=["POST"])

    def _opens(
        self,
        router: APIRouter,
        path: str,
        model: type[T],
        begin: Callable[[Caller, T, str | None], tuple[Process, bool]],
    ) -> None:
        """Take a first message at a path: 201 for a new process, 200 for a repetition."""

        async def open_(request: Request) -> Response:
            def act(caller: Caller, message: T) -> tuple[Process, int]:
                process, is_new = begin(caller, message, _key(request))
                return process, 201 if is_new else 200

            return await self._heard(request, model, act, "")

        open_.__name__ = f"open_{self.kind}_{path.strip('/')}"
        router.add_api_route(f"{m.BASE}/{self.kind}s{path}", open_, methods=["POST"])

    async def _heard(
        self, request: Request, model: type[T], act: Callable[[Caller, T], tuple[Process, int]], pid: str
    ) -> Response:
        pids = {"provider_pid": pid}

        async def answer() -> Response:
            caller = await run_in_threadpool(self._security.caller, request)
            value = await read_json(request)
            pids.update(_pids_of(value, pid))
            message = m.read(model, value)
            process, status = await run_in_threadpool(act, caller, message)
            return json_response(m.state_of(process), status)

        return await _typed(_ERRORS[self.kind], answer, pids=pids)


class _Negotiations(_Processes):
    kind: Kind = "negotiation"

    def add_to(self, router: APIRouter) -> None:
        self._opens(router, "/request", m.ContractRequestMessage, self._dataspace.contract_request_received)
        self._opens(router, "/offers", m.ContractOfferMessage, self._dataspace.contract_offer_received)
        router.add_api_route(f"{m.BASE}/negotiations/{{pid}}", self.state, methods=["GET"])
        for path, model in (
            ("/request", m.ContractRequestMessage),
            ("/offers", m.ContractOfferMessage),
            ("/agreement", m.ContractAgreementMessage),
            ("/agreement/verification", m.ContractAgreementVerificationMessage),
            ("/events", m.ContractNegotiationEventMessage),
            ("/termination", m.ContractNegotiationTerminationMessage),
        ):
            self._takes(router, path, model)


class _Transfers(_Processes):
    kind: Kind = "transfer"

    def add_to(self, router: APIRouter) -> None:
        self._opens(router, "/request", m.TransferRequestMessage, self._dataspace.transfer_request_received)
        router.add_api_route(f"{m.BASE}/transfers/{{pid}}", self.transfer_state, methods=["GET"])
        for path, model in (
            ("/start", m.TransferStartMessage),
            ("/suspension", m.TransferSuspensionMessage),
            ("/completion", m.TransferCompletionMessage),
            ("/termination", m.TransferTerminationMessage),
        ):
            self._takes(router, path, model)
        router.add_api_route("/artefacts/{artefact:path}", self.artefact, methods=["GET"])

    async def transfer_state(self, request: Request, pid: str) -> Response:
        return await self.state(request, pid)

    async def artefact(self, request: Request, artefact: str) -> Response:
        def answer() -> Response:
            return give_artefact(self._dataspace, self._security.caller(request), request, artefact)

        return await _typed("TransferError", lambda: run_in_threadpool(answer))


def _compact(request: Request, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A part of the catalogue, compressed for callers that say they take it (catalog binding, section on compression).

    Only the catalogue is: it holds no secret that the length of a compressed answer could give away.
    """
    response = json_response(value, headers={**(headers or {}), "vary": "accept-encoding"})
    if len(response.body) > SMALLEST_COMPRESSED and _takes_gzip(request.headers.get("accept-encoding", "")):
        response.body = gzip.compress(response.body, compresslevel=5, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response


def _takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` names gzip, and not with a weight of nothing (RFC 9110, section 12.5.3)."""
    for coding in accepted.lower().replace(" ", "").split(","):
        name, _, weight = coding.partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False


async def _typed(
    type_: m.ErrorType, answer: Callable[[], Awaitable[Response]], pids: Mapping[str, str] | None = None
) -> Response:
    """The answer, or the protocol's typed error for what went wrong."""
    try:
        return await answer()
    except SynthemaError as error:
        status = 404 if isinstance(error, NotFoundError) else min(status_of(error), 503)
        if 400 < status < 500 and status not in (404, 408, 413):
            status = 400  # the protocol knows 400 for whatever is not allowed
        if status >= 500:
            _log.error("a message could not be taken: %s", error.message, exc_info=error)
        reasons = (error.message, error.fix) if status < 500 else ("the connector cannot take this now",)
        return json_response(m.error(type_, error.code, reasons, **dict(pids or {})), status)


def _pids_of(value: Any, pid: str) -> dict[str, str]:
    """The identifiers to name in an error: what the message says, else what the address says."""
    named = value if isinstance(value, dict) else {}
    found = {name: named.get(key) for name, key in (("provider_pid", "providerPid"), ("consumer_pid", "consumerPid"))}
    texts = {name: text[:512] for name, text in found.items() if isinstance(text, str)}
    return {"provider_pid": pid} | texts


def _key(request: Request) -> str | None:
    key = request.headers.get(KEY_HEADER)
    if key is not None and not 1 <= len(key) <= 200:
        raise InputError("the idempotency key has more than 200 characters", fix="send a shorter one")
    return key
