"""The public interface: the Dataspace Protocol 2025-1, federated studies, witnessing, status lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from synthema.assembly.engines.common import CERTIFICATES
from synthema.assembly.flows import COMPUTATIONS
from synthema.assembly.joining.membership import STANDING_PATH
from synthema.assembly.joining.office import CHANGED_PATH
from synthema.assembly.trust import DOUBTS_PATH, RECEIPTS_PATH
from synthema.config import Role
from synthema.dataspace import messages as m
from synthema.dataspace.peer import DIGEST_HEADER, OCTETS, TRANSFER_HEADER
from synthema.provenance.witness import SIZE, TEXT
from synthema.web.openapi.claims import credential_service
from synthema.web.openapi.document import Answer, Described, Parameter, document
from synthema.web.openapi.errors import plain, typed

_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_OCTETS: Final = Answer("the bytes", media_type=OCTETS, headers=(DIGEST_HEADER,))
_TEXT: Final[Mapping[str, Any]] = {"type": "string"}
_UNSEEN: Final = {404: "unknown, or not for this caller: the two are never told apart"}
_ASKED: Final = {400: "the request is wrong"} | _UNSEEN
_BUSY: Final = {503: "the connector cannot take this now"}
_SENT: Final = (
    {400: "the message is wrong, or not allowed now"}
    | _UNSEEN
    | {408: "the body came too slowly", 413: "the body is too large"}
)
_REFUSABLE: Final = _SENT | {
    403: "a rule says no",
    409: "the present state does not allow it",
    422: "bytes are not what a digest, signature or log says",
}
_CONTRADICTED: Final = {422: "the log whose head came with the message contradicts itself"}


def public_document(role: Role, url: str) -> dict[str, Any]:
    """The OpenAPI document of the public interface of a connector of this role."""
    chosen = (each for each in PUBLIC if not each.roles or role in each.roles)
    token = "a fresh single-use token of a registered peer, for this connector as audience"  # noqa: S105 - not a token
    return document("Synthema: public protocol", url, chosen, token)


def _well_known() -> Iterable[Described]:
    version = Answer("versions", {"type": "object", "required": ["protocolVersions"]})
    yield Described("GET", "/.well-known/dspace-version", "Versions of the protocol", {200: version}, open=True)
    identity = Answer("the DID document", {"type": "object", "required": ["id", "verificationMethod"]})
    yield Described("GET", "/.well-known/did.json", "Who this connector is, and its keys", {200: identity}, open=True)


def _catalogue() -> Iterable[Described]:
    request = f"{m.BASE}/catalog/request"
    page = Answer("one page; the next one is named by a Link header", _named("Catalog"))
    after = Parameter("after", "query", _TEXT, required=False)
    errors = typed("CatalogError", _ASKED | _BUSY)
    yield Described("GET", request, "A further page of the catalogue", {200: page} | errors, parameters=(after,))
    yield Described(
        "POST", request, "The catalogue for the caller",
        {200: page} | typed("CatalogError", _SENT | _CONTRADICTED | _BUSY),
        body=m.CatalogRequestMessage, parameters=(after,),
    )  # fmt: skip
    yield Described(
        "GET",
        f"{m.BASE}/catalog/datasets/{{dataset}}",
        "One dataset, as the caller may see it",
        {200: Answer("the dataset", _named("Dataset"))} | errors,
        parameters=(Parameter("dataset"),),
    )


def _health_catalogue() -> Iterable[Described]:
    page = Answer("records in the form asked for", media_type="*/*", headers=("etag", "vary", "link"))
    known = {304: Answer("the reader has it already", media_type=None, headers=("etag",))}
    refused = plain(_ASKED | {406: "there is no such form", 422: "a released package is not what was released"} | _BUSY)
    yield Described(
        "GET", "/catalogue", "A page of HealthDCAT-AP records, for harvesters", {200: page} | known | refused,
        parameters=(Parameter("after", "query", _TEXT, required=False),), open=True,
    )  # fmt: skip
    yield Described(
        "GET", "/id/dataset/{name}", "The HealthDCAT-AP record of one dataset", {200: page} | known | refused,
        parameters=(Parameter("name"),), open=True,
    )  # fmt: skip


def _processes(
    kind: str,
    type_: m.ErrorType,
    state: type[m.Message],
    openings: Mapping[str, type[m.Message]],
    later: Mapping[str, type[m.Message]],
) -> Iterable[Described]:
    base = f"{m.BASE}/{kind}s"
    pid = Parameter("pid")
    errors = typed(type_, _SENT | _CONTRADICTED | _BUSY)
    now = Answer(f"the {kind} as it stands", state)
    for path, model in openings.items():
        new = Answer(f"a new {kind}", state)
        yield Described("POST", base + path, f"Open a {kind}", {200: now, 201: new} | errors, body=model)
    yield Described(
        "GET", f"{base}/{{pid}}", f"How a {kind} stands", {200: now} | typed(type_, _ASKED | _BUSY), parameters=(pid,)
    )
    for path, model in later.items():
        summary = f"{model.__name__} for a {kind}"
        yield Described("POST", f"{base}/{{pid}}{path}", summary, {200: now} | errors, body=model, parameters=(pid,))


def _artefacts() -> Iterable[Described]:
    yield Described(
        "GET",
        "/artefacts/{artefact}",
        "The bytes of an artefact under a started transfer",
        {200: Answer("the bytes", media_type="*/*", headers=(DIGEST_HEADER,))} | typed("TransferError", _ASKED | _BUSY),
        parameters=(Parameter("artefact"), Parameter(TRANSFER_HEADER, "header", _TEXT)),
    )


def _studies() -> Iterable[Described]:
    study, run = Parameter("study"), Parameter("run")
    answered = {200: Answer("what was decided", _OBJECT)} | plain(_REFUSABLE | _BUSY)
    measure = {
        "type": "object",
        "required": ["plan", "candidate"],
        "properties": {"plan": _OBJECT, "candidate": _TEXT},
    }
    at_sites, at_hubs = frozenset({"site"}), frozenset({"hub"})
    yield Described("POST", "/federation/evaluations", "Be asked to measure", answered, body=measure, roles=at_sites)
    yield Described(
        "GET", "/federation/evaluations/{run}", "What was measured", answered, parameters=(run,), roles=at_sites
    )
    digest = Parameter(DIGEST_HEADER, "header", {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
    numbered = Parameter("after", "query", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1})
    refused = plain(_REFUSABLE | _BUSY)
    yield Described(
        "GET", "/federation/studies/{study}/next", "The next parcel for the caller", {200: _OCTETS} | refused,
        parameters=(study, numbered), roles=at_hubs,
    )  # fmt: skip
    parcel = {"type": "string", "format": "binary"}
    taken = Answer("it was taken", {"type": "object", "required": ["taken"]})
    yield Described(
        "POST", "/federation/studies/{study}/answers", "Hand in a parcel", {200: taken} | refused,
        body=parcel, media_type=OCTETS, parameters=(study, digest), roles=at_hubs,
    )  # fmt: skip
    wish = {"type": "object", "required": ["site", "agreement", "authority", "request", "signature"]}
    issued = Answer("the certificate and its authority's, PEM",
                    {"type": "object", "required": ["certificate", "authority"]})  # fmt: skip
    yield Described(
        "POST", CERTIFICATES, "Ask for a certificate of the federation engine", {200: issued} | refused,
        body=wish, roles=at_hubs,
    )  # fmt: skip
    yield Described(
        "GET", "/federation/studies/{study}/candidate", "The candidate of a study", {200: _OCTETS} | refused,
        parameters=(study,), roles=at_hubs,
    )  # fmt: skip


def _computations() -> Iterable[Described]:
    yield Described(
        "GET",
        f"{COMPUTATIONS}/{{transfer}}",
        "How a computation stands that the caller ordered",
        {200: Answer("how it stands, and what it has released", _OBJECT)} | plain(_ASKED | _BUSY),
        parameters=(Parameter("transfer"),),
    )


def _membership() -> Iterable[Described]:
    heard = Answer("it was heard", {"type": "object", "required": ["heard"]})
    yield Described("POST", CHANGED_PATH, "The authority says that something changed", {200: heard} | plain(_UNSEEN))
    yield Described(
        "GET",
        STANDING_PATH,
        "Whether this connector knows the caller",
        {200: Answer("it does", _OBJECT)} | plain(_UNSEEN),
    )


def _partners() -> Iterable[Described]:
    receipt = {"type": "object", "required": ["receipt"], "properties": {"receipt": _OBJECT}}
    kept = Answer("it was kept", {"type": "object", "required": ["kept"]})
    refused = plain(_REFUSABLE | _BUSY)
    yield Described("POST", RECEIPTS_PATH, "Hand in a receipt for a certificate", {200: kept} | refused, body=receipt)
    doubt = {"type": "object", "required": ["doubt"], "properties": {"doubt": _OBJECT}}
    yield Described("POST", DOUBTS_PATH, "Doubt a certificate that rests on you", {200: kept} | refused, body=doubt)
    yield Described(
        "POST", "/withdrawals/notices", "Tell of a withdrawal", {200: Answer("a receipt", _OBJECT)} | refused,
        body=_OBJECT,
    )  # fmt: skip


def _witnessing() -> Iterable[Described]:
    said = {409: "another size than the witness has seen", 422: "the head does not extend the one before"}
    yield Described(
        "POST", "/witness/add-checkpoint", "Have the head of a log cosigned (C2SP tlog-witness)",
        {200: Answer("cosignatures", _TEXT, TEXT)}
        | {400: Answer("not understood", _TEXT, TEXT), 403: Answer("not signed by the log", _TEXT, TEXT)}
        | {404: Answer("an unknown log", _TEXT, TEXT), 409: Answer(said[409], _TEXT, SIZE)}
        | {422: Answer(said[422], _TEXT, TEXT)}
        | plain({408: _SENT[408], 413: _SENT[413]}),
        body=_TEXT, media_type="text/plain", open=True,
    )  # fmt: skip
    yield Described(
        "GET", "/log/checkpoint", "The signed head of this connector's log", {200: Answer("a note", _TEXT, TEXT)},
        open=True,
    )  # fmt: skip
    yield Described(
        "GET", "/status/{purpose}", "A status list of issued certificates",
        {200: Answer("a verifiable credential", _OBJECT)} | plain(_ASKED), parameters=(Parameter("purpose"),),
        open=True,
    )  # fmt: skip


def _named(type_: str) -> dict[str, Any]:
    properties = {"@type": {"const": type_}, "@id": {"type": "string"}}
    return {"type": "object", "required": ["@type", "@id"], "properties": properties}


PUBLIC: Final[tuple[Described, ...]] = (
    *_well_known(),
    *_catalogue(),
    *_health_catalogue(),
    *_processes(
        "negotiation",
        "ContractNegotiationError",
        m.ContractNegotiation,
        {"/request": m.ContractRequestMessage, "/offers": m.ContractOfferMessage},
        {
            "/request": m.ContractRequestMessage,
            "/offers": m.ContractOfferMessage,
            "/agreement": m.ContractAgreementMessage,
            "/agreement/verification": m.ContractAgreementVerificationMessage,
            "/events": m.ContractNegotiationEventMessage,
            "/termination": m.ContractNegotiationTerminationMessage,
        },
    ),
    *_processes(
        "transfer",
        "TransferError",
        m.TransferProcess,
        {"/request": m.TransferRequestMessage},
        {
            "/start": m.TransferStartMessage,
            "/suspension": m.TransferSuspensionMessage,
            "/completion": m.TransferCompletionMessage,
            "/termination": m.TransferTerminationMessage,
        },
    ),
    *_artefacts(),
    *_studies(),
    *_computations(),
    *_membership(),
    *_partners(),
    *_witnessing(),
    *credential_service(),
)
"""Every operation of the public interface, whoever serves it."""
