"""The messages of the Dataspace Protocol 2025-1 as strict values.

A message is read and written as plain JSON, never through JSON-LD expansion:
the specification allows it, and a processor that drops a term silently would
change a contract. Keys that we do not know are ignored at message level, where
the schemas leave them open; inside a policy they are refused (``policy_text``).

Source: JSON Schemas of Dataspace Protocol 2025-1-err1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from synthema.dataspace import policy_text
from synthema.dataspace.model import PARAMETERS, Process
from synthema.errors import InputError

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
VERSION = "2025-1"
BASE = "/dsp"

_FROM_OUTSIDE: Mapping[str, bool] = {"outside": True}

Json = Any
Pid = Annotated[str, Field(min_length=1, max_length=512)]
Address = Annotated[str, Field(min_length=1, max_length=2048)]
Reasons = Annotated[list[Any], Field(min_length=1, max_length=100)]
M = TypeVar("M", bound="Message")


def _naming_the_protocol(context: list[str]) -> list[str]:
    if CONTEXT not in context:
        raise ValueError(f"must hold {CONTEXT}")
    return context


Context = Annotated[list[str], Field(max_length=16), AfterValidator(_naming_the_protocol)]
OfferText = Annotated[dict[str, Any], AfterValidator(policy_text.checked_offer)]
AgreementText = Annotated[dict[str, Any], AfterValidator(policy_text.checked_agreement)]


class Part(BaseModel):
    """A piece of a message: strict types, immutable, unknown keys ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, value: Any, info: ValidationInfo) -> Any:
        """What others send says what it is; what it leaves open it leaves out, since the schemas know no null."""
        if info.context == _FROM_OUTSIDE and isinstance(value, dict):
            if "@type" not in value:
                raise ValueError("@type is missing")
            for name, field in cls.model_fields.items():
                if value.get(field.alias or name, "") is None:
                    raise ValueError(f"{field.alias or name} is null")
        return value

    def wire(self) -> dict[str, Json]:
        """The JSON object as it is sent."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Message(Part):
    """What all messages share."""

    context: Context = Field(default=[CONTEXT], alias="@context")
    type: str = Field(default="", alias="@type")

    @property
    def name(self) -> str:
        """The name under which the transition tables know the message."""
        return self.type


class Both(Message):
    """A message about a process that both parties know."""

    provider_pid: Pid = Field(alias="providerPid")
    consumer_pid: Pid = Field(alias="consumerPid")


class Explained(Both):
    """A message that may say why."""

    code: str | None = Field(default=None, max_length=200)
    reason: Reasons | None = None

    def reasons(self) -> tuple[str, ...]:
        """The reasons as short texts, for people and for the log."""
        return tuple(_as_text(item) for item in self.reason or ([self.code] if self.code else []))


class CatalogRequestMessage(Message):
    """A consumer asks for the catalogue."""

    type: Literal["CatalogRequestMessage"] = Field(default="CatalogRequestMessage", alias="@type")
    filter: list[Any] | None = None


class DatasetRequestMessage(Message):
    """A consumer asks for one dataset (the HTTPS binding uses GET instead)."""

    type: Literal["DatasetRequestMessage"] = Field(default="DatasetRequestMessage", alias="@type")
    dataset: Pid


class ContractRequestMessage(Message):
    """A consumer opens a negotiation (with ``callbackAddress``) or makes a counter-offer (with ``providerPid``)."""

    type: Literal["ContractRequestMessage"] = Field(default="ContractRequestMessage", alias="@type")
    consumer_pid: Pid = Field(alias="consumerPid")
    provider_pid: Pid | None = Field(default=None, alias="providerPid")
    offer: OfferText
    callback_address: Address | None = Field(default=None, alias="callbackAddress")

    @model_validator(mode="after")
    def _opens_or_continues(self) -> ContractRequestMessage:
        if (self.callback_address is None) == (self.provider_pid is None):
            raise ValueError("give exactly one of callbackAddress (to open) and providerPid (to continue)")
        return self


class ContractOfferMessage(Message):
    """A provider opens a negotiation (with ``callbackAddress``) or answers a request (with ``consumerPid``)."""

    type: Literal["ContractOfferMessage"] = Field(default="ContractOfferMessage", alias="@type")
    provider_pid: Pid = Field(alias="providerPid")
    consumer_pid: Pid | None = Field(default=None, alias="consumerPid")
    offer: OfferText
    callback_address: Address | None = Field(default=None, alias="callbackAddress")

    @model_validator(mode="after")
    def _opens_or_continues(self) -> ContractOfferMessage:
        if (self.callback_address is None) == (self.consumer_pid is None):
            raise ValueError("give exactly one of callbackAddress (to open) and consumerPid (to continue)")
        if "target" not in self.offer:
            raise ValueError("offer.target is missing")
        return self


class ContractAgreementMessage(Both):
    """A provider sends the agreement."""

    type: Literal["ContractAgreementMessage"] = Field(default="ContractAgreementMessage", alias="@type")
    agreement: AgreementText


class ContractAgreementVerificationMessage(Both):
    """A consumer confirms that it has checked the agreement."""

    type: Literal["ContractAgreementVerificationMessage"] = Field(
        default="ContractAgreementVerificationMessage", alias="@type"
    )


class ContractNegotiationEventMessage(Both):
    """A consumer accepts an offer, or a provider finalises the agreement."""

    type: Literal["ContractNegotiationEventMessage"] = Field(default="ContractNegotiationEventMessage", alias="@type")
    event_type: Literal["ACCEPTED", "FINALIZED"] = Field(alias="eventType")

    @property
    def name(self) -> str:
        return f"{self.type}:{self.event_type}"


class ContractNegotiationTerminationMessage(Explained):
    """Either party ends a negotiation."""

    type: Literal["ContractNegotiationTerminationMessage"] = Field(
        default="ContractNegotiationTerminationMessage", alias="@type"
    )


class EndpointProperty(Part):
    """A named text in a data address."""

    type: Literal["EndpointProperty"] = Field(default="EndpointProperty", alias="@type")
    name: Annotated[str, Field(max_length=512)]
    value: Annotated[str, Field(max_length=65536)]


class DataAddress(Part):
    """Where data can be fetched (pull) or has to be sent (push)."""

    type: Literal["DataAddress"] = Field(default="DataAddress", alias="@type")
    endpoint_type: Address = Field(alias="endpointType")
    endpoint: Address | None = None
    endpoint_properties: Annotated[list[EndpointProperty], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, alias="endpointProperties"
    )

    def property(self, name: str) -> str | None:
        """The value of the first property with this name."""
        return next((item.value for item in self.endpoint_properties or () if item.name == name), None)


class JsonLiteral(Part):
    """Any JSON value as a JSON-LD 1.1 literal, so that a JSON-LD processor keeps it whole."""

    type: Literal["@json"] = Field(default="@json", alias="@type")
    value: dict[str, Any] = Field(alias="@value")


class TransferRequestMessage(Message):
    """A consumer asks for data, or for a computation, under an agreement."""

    type: Literal["TransferRequestMessage"] = Field(default="TransferRequestMessage", alias="@type")
    consumer_pid: Pid = Field(alias="consumerPid")
    agreement_id: Pid = Field(alias="agreementId")
    format: Annotated[str, Field(min_length=1, max_length=200)]
    callback_address: Address = Field(alias="callbackAddress")
    data_address: DataAddress | None = Field(default=None, alias="dataAddress")
    parameters: JsonLiteral | None = Field(default=None, alias=PARAMETERS)


class TransferStartMessage(Both):
    """Data may flow; for a pull it says from where and with which token."""

    type: Literal["TransferStartMessage"] = Field(default="TransferStartMessage", alias="@type")
    data_address: DataAddress | None = Field(default=None, alias="dataAddress")


class TransferSuspensionMessage(Explained):
    """Data must not flow for now."""

    type: Literal["TransferSuspensionMessage"] = Field(default="TransferSuspensionMessage", alias="@type")


class TransferCompletionMessage(Both):
    """All data has flowed."""

    type: Literal["TransferCompletionMessage"] = Field(default="TransferCompletionMessage", alias="@type")


class TransferTerminationMessage(Explained):
    """Either party ends a transfer."""

    type: Literal["TransferTerminationMessage"] = Field(default="TransferTerminationMessage", alias="@type")


class ContractNegotiation(Both):
    """The answer that tells the state of a negotiation."""

    type: Literal["ContractNegotiation"] = Field(default="ContractNegotiation", alias="@type")
    state: Literal["REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED"]


class TransferProcess(Both):
    """The answer that tells the state of a transfer."""

    type: Literal["TransferProcess"] = Field(default="TransferProcess", alias="@type")
    state: Literal["REQUESTED", "STARTED", "SUSPENDED", "COMPLETED", "TERMINATED"]


def read(model: type[M], value: Json) -> M:
    """A message from parsed JSON; raises :class:`InputError` naming the first field that is wrong."""
    if not isinstance(value, dict):
        raise InputError("the message is not a JSON object", fix="send one JSON object")
    for key in ("@context", "@type"):
        if key not in value:
            raise InputError(f"{key} is missing", where=key, fix="send the message as the protocol's schema says")
    try:
        return model.model_validate(value, context=_FROM_OUTSIDE)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise InputError(
            f"{field}: {first['msg']}", where=field, fix="send the message as the protocol's schema says"
        ) from error


def state_of(process: Process) -> dict[str, Json]:
    """The answer to a message or a question about a process: ContractNegotiation or TransferProcess."""
    return {
        "@context": [CONTEXT],
        "@type": "ContractNegotiation" if process.kind == "negotiation" else "TransferProcess",
        "providerPid": process.provider_pid,
        "consumerPid": process.consumer_pid,
        "state": process.state,
    }


def version_response(public_did: str) -> dict[str, Json]:
    """The answer at ``/.well-known/dspace-version``."""
    return {
        "protocolVersions": [
            {"version": VERSION, "path": BASE, "binding": "HTTPS", "identifierType": "did:web", "serviceId": public_did}
        ]
    }


ErrorType = Literal["CatalogError", "ContractNegotiationError", "TransferError"]


def error(
    type_: ErrorType, code: str, reasons: tuple[str, ...], *, provider_pid: str = "", consumer_pid: str = ""
) -> dict[str, Json]:
    """A typed error; those of processes name both identifiers as far as they are known."""
    body: dict[str, Json] = {"@context": [CONTEXT], "@type": type_, "code": code, "reason": list(reasons)}
    return body if type_ == "CatalogError" else body | {"providerPid": provider_pid, "consumerPid": consumer_pid}


def reason_texts(reasons: object) -> tuple[str, ...]:
    """A peer's ``reason`` array as short printable texts."""
    return tuple(_as_text(item) for item in reasons[:100]) if isinstance(reasons, list) else ()


def path_segment(identifier: str) -> str:
    """A counterparty's identifier as one segment of a path: it cannot climb or end the path."""
    quoted = quote(identifier, safe=":@!$&'()*+,;=")
    return {".": "%2E", "..": "%2E%2E"}.get(quoted, quoted)


def _as_text(item: object) -> str:
    value = item.get("@value", item) if isinstance(item, Mapping) else item
    text = value if isinstance(value, str) else repr(value)
    return "".join(character if character.isprintable() else " " for character in text[:1000])
