"""The base of what travels signed: closed JSON values, read strictly, and the frame of a verifiable credential.

Sources: VC Data Model 2.0, Data Integrity EdDSA Cryptosuites 1.0, Bitstring Status List 1.0 (W3C 2025).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from synthema.canonical import canonical_json
from synthema.errors import InputError

NAMESPACE: Final = "https://w3id.org/synthema/ns#"
CONTEXTS: Final = ("https://www.w3.org/ns/credentials/v2", {"@vocab": NAMESPACE})
"""VC 2.0, then our terms inline: nobody has to fetch a context of ours."""

CERTIFICATE_TYPE: Final = "SyntheticDataCertificate"
EVIDENCE_TYPE: Final = "SyntheticDataEvidence"
SCHEMA_ID: Final = "https://w3id.org/synthema/schemas/certificate/1"
MAX_VALIDITY_MONTHS: Final = 24

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Iri = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[^\s<>\"{}|^`\\]+$")]
Did = Annotated[str, Field(max_length=500, pattern=r"^did:[a-z0-9]+:[^\s#]+$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,119}$")]
FileRole = Literal["dataset", "codebook", "plan", "readme", "crate", "record", "evidence", "proof"]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Regime = Literal["pre-EHDS", "EHDS"]
Assurance = Literal["proven", "tested", "declared"]


DocumentType = TypeVar("DocumentType", bound="Document")


def read_document(kind: type[DocumentType], value: Any) -> DocumentType:
    """Read a JSON value strictly; raises :class:`InputError` naming the field."""
    try:
        return kind.model_validate_json(canonical_json(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or kind.__name__
        raise InputError(
            f"{place}: {first['msg']}", where=kind.__name__, fix=f"correct '{place}', or ask for the document again"
        ) from error


class Document(BaseModel):
    """Base of values that travel: never changed, no unknown fields, no coercion, finite numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def as_json(self) -> dict[str, Any]:
        """The JSON value, with camelCase names; times in ISO 8601, UTC."""
        return self.model_dump(mode="json", by_alias=True)


class SchemaReference(Document):
    """The JSON Schema a certificate follows."""

    id: Literal["https://w3id.org/synthema/schemas/certificate/1"] = SCHEMA_ID
    type: Literal["JsonSchema"] = "JsonSchema"


class StatusEntry(Document):
    """Where the bit of revocation or suspension lies (Bitstring Status List 1.0 §2.1)."""

    id: Iri
    type: Literal["BitstringStatusListEntry"] = "BitstringStatusListEntry"
    status_purpose: Literal["revocation", "suspension"]
    status_list_index: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    status_list_credential: Iri


class Proof(Document):
    """A Data Integrity proof ``eddsa-jcs-2022``."""

    context: list[Any] = Field(alias="@context")
    type: Literal["DataIntegrityProof"]
    cryptosuite: Literal["eddsa-jcs-2022"]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    verification_method: Annotated[str, Field(max_length=600, pattern=r"^did:[^\s#]+#[^\s#]+$")]
    proof_purpose: Literal["assertionMethod"]
    proof_value: Annotated[str, Field(max_length=128, pattern=r"^z[1-9A-HJ-NP-Za-km-z]+$")]


def require_kind(context: list[Any], types: tuple[str, ...], expected: str) -> None:
    """Raise :class:`ValueError` unless contexts and types are those of a credential of ours."""
    if context != list(CONTEXTS):
        raise ValueError("@context must be VC 2.0 and the Synthema terms")
    if types != ("VerifiableCredential", expected):
        raise ValueError(f"type must be VerifiableCredential and {expected}")
