"""The messages of the Decentralized Claims Protocol 1.0.1, read strictly and written as its schemas want them.

They are plain JSON: the protocol defines them by JSON Schema and lets every
party choose whether to read them as JSON-LD. Members that the protocol does not
define are not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from synthema.errors import InputError

CONTEXT: Final = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
PROFILE: Final = "vc20-bssl/jwt"
"""VC Data Model 2.0, Bitstring Status List, enveloped in JOSE ("Profiles of the Decentralized Claims Protocol")."""

Text = Annotated[str, Field(min_length=1, max_length=1024)]
Status = Literal["RECEIVED", "REJECTED", "ISSUED"]


class Part(BaseModel):
    """Base of what messages are made of."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Message(Part):
    """Base of messages: a context, a type, and what the type brings."""

    context: list[str] = Field(default=[CONTEXT], alias="@context", max_length=32)

    @field_validator("context")
    @classmethod
    def _names_the_protocol(cls, value: list[str]) -> list[str]:
        if CONTEXT not in value:
            raise ValueError(f"must name {CONTEXT}")
        return value

    def wire(self) -> dict[str, Any]:
        """The message as JSON."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


class PresentationQuery(Message):
    """What a verifier asks a credential service for: scopes, or a presentation definition, never both."""

    type: Literal["PresentationQueryMessage"] = "PresentationQueryMessage"
    scope: list[Text] | None = Field(default=None, max_length=100)
    presentation_definition: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> PresentationQuery:
        if self.scope is not None and self.presentation_definition is not None:
            raise ValueError("has both 'scope' and 'presentationDefinition'; ask in one of the two ways")
        if not self.scope and not self.presentation_definition:
            raise ValueError("asks for nothing; name at least one scope")
        return self


class PresentationResponse(Message):
    """The presentations a credential service answers with; possibly none."""

    type: Literal["PresentationResponseMessage"] = "PresentationResponseMessage"
    presentation: list[str | dict[str, Any]] = Field(max_length=100)


class CredentialContainer(Part):
    """One issued credential: a JSON Web Token, or the JSON text of a credential with its proof inside."""

    credential_type: Text
    payload: str = Field(min_length=1, max_length=256 * 1024)
    format: Text


class CredentialMessage(Message):
    """What an issuer writes into a holder's credential service: credentials, or a refusal."""

    type: Literal["CredentialMessage"] = "CredentialMessage"
    issuer_pid: Text
    holder_pid: Text
    status: Literal["ISSUED", "REJECTED"]
    credentials: list[CredentialContainer] = Field(default=[], max_length=100)
    rejection_reason: str | None = Field(default=None, max_length=4096)

    @model_validator(mode="after")
    def _brings_what_it_says(self) -> CredentialMessage:
        if (self.status == "ISSUED") != bool(self.credentials):
            raise ValueError("brings credentials exactly when its status is ISSUED")
        return self


class CredentialObject(Part):
    """A credential that an issuer can give, or offers."""

    type: Literal["CredentialObject"] = "CredentialObject"
    id: Text
    credential_type: Text | None = None
    credential_schema: Text | None = None
    offer_reason: str | None = Field(default=None, max_length=1024)
    binding_methods: list[Text] | None = None
    profile: Text | None = None
    issuance_policy: dict[str, Any] | None = None


class CredentialOffer(Message):
    """An issuer tells a holder which credentials it may ask for."""

    type: Literal["CredentialOfferMessage"] = "CredentialOfferMessage"
    issuer: Text
    credentials: list[CredentialObject] = Field(min_length=1, max_length=100)


class CredentialReference(Part):
    """One of the credentials in an issuer's metadata, by its id."""

    id: Text


class CredentialRequest(Message):
    """A holder asks an issuer for credentials."""

    type: Literal["CredentialRequestMessage"] = "CredentialRequestMessage"
    holder_pid: Text
    credentials: list[CredentialReference] = Field(min_length=1, max_length=100)


class CredentialStatus(Message):
    """How far a request is."""

    type: Literal["CredentialStatus"] = "CredentialStatus"
    issuer_pid: Text
    holder_pid: Text
    status: Status


class IssuerMetadata(Message):
    """Who an issuer is and which credentials it gives."""

    type: Literal["IssuerMetadata"] = "IssuerMetadata"
    issuer: Text
    credentials_supported: list[CredentialObject] = Field(max_length=100)


MessageT = TypeVar("MessageT", bound=Message)


def read(model: type[MessageT], value: Any) -> MessageT:
    """The message in a JSON value; raises :class:`InputError` naming the first member that is wrong."""
    if not isinstance(value, dict) or not {"@context", "type"} <= value.keys():
        raise InputError(
            "this is no message of the protocol",
            fix=f"send a JSON object with '@context' and the type {model.model_fields['type'].default}",
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{where}: {reason}",
            where=where[:200],
            fix=f"send a {model.model_fields['type'].default} as the Decentralized Claims Protocol 1.0.1 defines it",
        ) from error


def supported(ids_and_types: Iterable[tuple[str, str]], schema_url: str) -> list[CredentialObject]:
    """The entries of an issuer's metadata, each with the address of its schema below ``schema_url``."""
    return [
        CredentialObject(
            id=identifier,
            credential_type=type_,
            credential_schema=f"{schema_url}/{type_}.json",
            offer_reason="issue",
            binding_methods=["did:web"],
            profile=PROFILE,
        )
        for identifier, type_ in ids_and_types
    ]
