"""The values of the datasets room: what a dataset version is, and what may open it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection

from synthema.consent import machine_for
from synthema.datasets.codebook import Codebook
from synthema.datasets.personal_data import require_personal_data
from synthema.datasets.quality import Quality
from synthema.errors import InputError
from synthema.provenance.model import SYNTHEMA
from synthema.values import Closed
from synthema.vocabulary import load_vocabulary

ARTICLE_51 = "abcdefghijklmnopq"
"""The letters of EHDS Art. 51(1)."""

Age = Annotated[int, Field(ge=0, le=130)]
_WEB = r"^https?://[^\s<>\"{}|^`\\]+$"
_ADDRESS = r"^(https?://|mailto:[^\s@]+@)[^\s<>\"{}|^`\\]+$"
_CODE = r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$"


class Hdab(Closed):
    """The health data access body in charge, or who decides at the site before 2029."""

    name: str = Field(min_length=1)
    url: str = Field(pattern=_ADDRESS, description="where it is reached: an https: or mailto: address")


class Sample(Closed):
    """A synthetic sample of a dataset that people may look at before they apply for access."""

    title: str = Field(min_length=1)
    url: str = Field(pattern=_WEB, description="where the sample is had")
    media_type: str = Field(default="text/csv", pattern=r"^[a-z]+/[A-Za-z0-9.+-]+$")


class CatalogueFacts(Closed):
    """What a catalogue says of a dataset and no decision rests on: may be stated later, and corrected."""

    keywords: tuple[str, ...] = ()
    purposes: tuple[str, ...] = Field(default=(), description="purposes of EHDS Art. 53(1), by name or IRI")
    publisher: str | None = Field(default=None, description="did of the data holder")
    publisher_name: str | None = None
    publisher_type: str | None = Field(
        default=None, pattern=r"^[a-z]+(-[a-z]+)*$", description="code of the Commission's list of publisher types"
    )
    contact: str | None = Field(
        default=None, pattern=_ADDRESS, description="mailto: or https: address of an office, not of a person"
    )
    hdab: Hdab | None = None
    provenance: str | None = Field(default=None, min_length=1, description="how and why the data were collected")
    population: str | None = Field(default=None, description="who is covered, e.g. adults diagnosed since 2010")
    typical_ages: tuple[Age, Age] | None = Field(default=None, description="youngest and oldest usual age in years")
    spatial: str | None = Field(
        default=None, pattern=_WEB, description="IRI of the place, e.g. of the EU country authority list"
    )
    period: tuple[str, str] | None = Field(default=None, description="first and last day covered, ISO 8601")
    retention: tuple[str | None, str | None] | None = Field(
        default=None, description="first and last day the data can be asked for; null for an open end"
    )
    personal_data: tuple[str, ...] = Field(default=(), description="kinds of personal data by DPV's names, e.g. Age")
    health_themes: tuple[str, ...] = Field(default=(), description="codes of the Commission's list of health themes")
    dataset_type: str | None = Field(
        default=None, pattern=_CODE, description="code of the EU's list of dataset types, e.g. STATISTICAL"
    )
    update_frequency: str | None = Field(default=None, description="in words, e.g. yearly")
    bias_examination: str | None = Field(default=None, description="what is known of who is missing")
    sample: Sample | None = Field(default=None, description="a synthetic sample people may look at")
    listed: Literal["partners", "public"] = Field(
        default="partners", description="who may read the record: partners who may see an offer, or everybody"
    )

    @field_validator("personal_data")
    @classmethod
    def _kinds_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            require_personal_data(name)
        return value

    @field_validator("health_themes")
    @classmethod
    def _themes_are_codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            if not re.fullmatch(_CODE, code):
                raise ValueError(f"'{code[:40]}' is not written like a code: use capitals, e.g. RARE_DISEASES")
        return value

    @field_validator("purposes")
    @classmethod
    def _purposes_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(load_vocabulary().purposes.resolve(name) for name in value)
        except InputError as error:
            raise ValueError(f"{error.message}: {error.fix}") from error

    @field_validator("period", "retention")
    @classmethod
    def _days_follow(cls, value: tuple[str | None, str | None] | None) -> tuple[str | None, str | None] | None:
        first, last = (None if day is None else _day(day) for day in value or (None, None))
        if value is not None and first is None and last is None:
            raise ValueError("a period needs at least one day")
        if first is not None and last is not None and first > last:
            raise ValueError(f"{first} is after {last}")
        return value


class DatasetMetadata(CatalogueFacts):
    """What people outside may know of a dataset; goes into the catalogue and the quality label.

    The fields of this class stand for as long as the version does: decisions rest on them.
    """

    description: str = Field(min_length=1)
    categories: tuple[str, ...] = Field(min_length=1, description="letters of EHDS Art. 51(1), e.g. l for registries")
    legal_basis: str = Field(description="IRI of DPV's GDPR module, e.g. …/gdpr#A9-2-a")
    access: Literal["public", "restricted", "non-public"] = Field(
        default="non-public", description="level of access in HealthDCAT-AP; only simulated records may be public"
    )
    publicly_funded: bool = Field(default=True, description="makes the quality label mandatory (EHDS Art. 78(2))")
    ethics_approval: str | None = Field(
        default=None, min_length=1, description="reference of an ethics committee's approval; none means not approved"
    )
    simulated: bool = Field(default=False, description="true for records of nobody; always said so")

    @field_validator("categories")
    @classmethod
    def _letters_exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for letter in value:
            if len(letter) != 1 or letter not in ARTICLE_51:
                raise ValueError(f"'{letter[:40]}' is not a letter of EHDS Art. 51(1) (a to q)")
        return value

    @field_validator("legal_basis")
    @classmethod
    def _basis_is_known(cls, value: str) -> str:
        try:
            machine_for(value)
        except InputError as error:
            raise ValueError(f"{error.message}: {error.fix}") from error
        return value

    @model_validator(mode="after")
    def _patients_are_never_public(self) -> Self:
        if self.access == "public" and not self.simulated:
            raise ValueError("access: rows of patients never leave a connector, so their dataset cannot be public")
        return self

    @property
    def category_iris(self) -> tuple[str, ...]:
        """The categories as terms of the Synthema ontology."""
        return tuple(f"{SYNTHEMA}Art51-1-{letter}" for letter in self.categories)

    def described(self, facts: CatalogueFacts) -> Self:
        """The same with the facts that ``facts`` states; what it does not state stays."""
        stated = {name: getattr(facts, name) for name in facts.model_fields_set}
        return type(self).model_validate(self.model_dump() | stated)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is not a day such as 2026-11-21") from error


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """One unchangeable version of a dataset.

    ``name`` stays the same over all versions: consents, impact assessments, permits and
    privacy budgets are kept for the name, since all versions are about the same people.
    ``id`` and ``digest`` belong to this version alone.
    """

    id: str
    name: str
    version: int
    title: str
    digest: str
    rows: int
    codebook: Codebook
    metadata: DatasetMetadata
    quality: Quality
    added_at: datetime
    erased_at: datetime | None = None
    described_at: datetime | None = None

    @property
    def modified(self) -> datetime:
        """When the version was last described, or else added."""
        return self.described_at or self.added_at

    @property
    def codebook_digest(self) -> str:
        return self.codebook.digest

    @property
    def legal_basis(self) -> str:
        return self.metadata.legal_basis


class ReadAuthorisation(Protocol):
    """What a caller shows to have a table opened: the runs room's grant has this form."""

    @property
    def id(self) -> str: ...
    @property
    def dataset(self) -> str: ...


class Guard(Protocol):
    """The port that decides whether an authorisation opens a dataset; the runs room registers it."""

    def admit(self, connection: Connection, authorisation: object, dataset_digest: str) -> None:
        """Return if this authorisation opens the dataset of this digest, now; raise otherwise.

        What admitting changes is kept in the caller's transaction, together with the log entry of the opening.
        """
        ...
