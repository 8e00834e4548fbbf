"""The credentials that say what a party is in a data space, and what must stand in each.

A kind is a credential type and the shape of its subject. Who may say so is a
matter of the settings: each trusted issuer is trusted for named kinds only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthema.errors import InputError

MEMBERSHIP: Final = "MembershipCredential"
ROLE: Final = "DataspaceRoleCredential"
ACCESS_BODY: Final = "HealthDataAccessBodyCredential"
PERMIT_HOLDER: Final = "PermitHolderCredential"

Did = Annotated[str, Field(pattern=r"^did:[a-z0-9]+:\S+$", max_length=512)]


class Subject(BaseModel):
    """What every subject has: the party it speaks of. Further members are not read, and do no harm."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    id: Did


class Membership(Subject):
    """``id`` is a member of the data space that ``memberOf`` names."""

    member_of: str = Field(alias="memberOf", min_length=1, max_length=512)


class DataspaceRole(Subject):
    """``id`` acts in the data space as what ``role`` says."""

    role: Literal["site", "hub", "registry", "researcher"]


class AccessBodyMandate(Subject):
    """``id`` is a health data access body, designated under EHDS Article 55 in ``memberState`` (two letters)."""

    member_state: str = Field(alias="memberState", pattern=r"^[A-Z]{2}$")


class PermitHolding(Subject):
    """``id`` holds the data permit ``permit`` (EHDS Article 68) until the end of ``permitEnds``."""

    permit: str = Field(min_length=1, max_length=512)
    permit_ends: Annotated[date, Field(strict=False)] = Field(alias="permitEnds")


Shape = type[Subject]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credential: its type, what it says in words, and the shape of its subject."""

    type: str
    words: str
    shape: Shape

    @property
    def schema_name(self) -> str:
        """The last part of the address of its JSON Schema."""
        return f"{self.type}.json"

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of its subject."""
        return self.shape.model_json_schema(by_alias=True)

    def read(self, subject: Mapping[str, Any]) -> Subject:
        """The subject, checked; raises :class:`InputError` naming the first member that is wrong."""
        try:
            return self.shape.model_validate(dict(subject))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"credentialSubject.{field}: {first['msg']}",
                fix=f"ask the issuer for a {self.type} whose subject says this",
            ) from error


KINDS: Final[Mapping[str, Kind]] = {
    kind.type: kind
    for kind in (
        Kind(MEMBERSHIP, "is a member of the data space", Membership),
        Kind(ROLE, "acts in the data space in a role", DataspaceRole),
        Kind(ACCESS_BODY, "is a health data access body", AccessBodyMandate),
        Kind(PERMIT_HOLDER, "holds a data permit", PermitHolding),
    )
}
"""The kinds this connector can read and issue, by credential type."""


def kind_of(type_: str) -> Kind:
    """The kind of this type; raises :class:`InputError` for one that nobody here can read."""
    try:
        return KINDS[type_]
    except KeyError:
        raise InputError(
            f"'{type_[:80]}' is no kind of credential that is known here", fix=f"use one of: {', '.join(KINDS)}"
        ) from None
