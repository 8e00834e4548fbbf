"""The management interface: every registered operation, and the addresses that describe it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_origin, get_type_hints

from synthema.assembly import OPERATIONS
from synthema.assembly.operations import Operation
from synthema.dataspace.dataplane import DataFlowStatusMessage
from synthema.web.openapi.claims import token_service
from synthema.web.openapi.document import Answer, Described, Parameter, document
from synthema.web.openapi.errors import plain

_WRONG: Final = {400: "the request is wrong", 401: "the token is missing or wrong"}
_REFUSED: Final = _WRONG | {
    403: "a rule says no",
    404: "what was asked about does not exist",
    408: "the body came too slowly",
    409: "the present state does not allow it",
    413: "the body is too large",
    422: "bytes or a plugin are not what they must be",
    502: "another connector did not answer as it must",
    503: "isolation or storage is not there now",
}


def management_document(url: str) -> dict[str, Any]:
    """The OpenAPI document of the management interface."""
    token = "the management token, from secrets/management-token in the connector's home"  # noqa: S105 - not a token
    return document("Synthema: management", url, management_operations(), token)


def management_operations() -> Iterator[Described]:
    """All operations of the management interface."""
    listing = {"type": "array", "items": {"type": "object", "required": ["operation", "summary"]}}
    yield Described("GET", "/management", "Names of all operations", {200: Answer("the list", listing)}, open=True)
    for path, summary in (
        ("/management/openapi", "This description"),
        ("/management/public-openapi", "The description of the public interface"),
    ):
        yield Described("GET", path, summary, {200: Answer("OpenAPI 3.1", {"type": "object"})} | plain(_WRONG))
    yield from token_service()
    yield from _signalling()
    for operation in OPERATIONS.values():
        yield _described(operation)


def _signalling() -> Iterator[Described]:
    base, flow = "/signalling/transfers/{flow}", Parameter("flow")
    refused = plain({400: _WRONG[400], 401: "this is no data plane of ours", 404: "no such flow of this plane"})
    more = plain({status: _REFUSED[status] for status in (408, 409, 413, 503)})
    events = Parameter("event", schema={"enum": ["started", "prepared", "completed", "errored"]})
    yield Described(
        "POST",
        f"{base}/dataflow/{{event}}",
        "A data plane says what became of a flow",
        {200: Answer("it was heard", {"type": "object"})} | refused | more,
        body=DataFlowStatusMessage,
        parameters=(flow, events),
    )
    yield Described(
        "GET",
        f"{base}/agreement",
        "The agreement a flow rests on",
        {200: Answer("the agreement", {"type": "object"})} | refused,
        parameters=(flow,),
    )


def _described(operation: Operation) -> Described:
    result = get_type_hints(operation.run, localns={"Connector": object})["return"]
    shape = {"type": "array", "items": {"type": "object"}} if get_origin(result) is list else {"type": "object"}
    return Described(
        "POST",
        f"/management/{operation.name}",
        operation.summary,
        {200: Answer("what came of it", shape)} | plain(_REFUSED),
        body=operation.input,
    )
