"""The values of the datasets room: what a dataset version is, and what may open it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import Field, field_validator
from sqlalchemy import Connection

from synthema.consent import machine_for
from synthema.datasets.codebook import Codebook
from synthema.datasets.quality import Quality
from synthema.errors import InputError
from synthema.provenance.model import SYNTHEMA
from synthema.values import Closed

ARTICLE_51 = "abcdefghijklmnopq"
"""The letters of EHDS Art. 51(1)."""


class Hdab(Closed):
    """The health data access body in charge, or who decides at the site before 2029."""

    name: str
    url: str


class DatasetMetadata(Closed):
    """What people outside may know of a dataset; goes into the catalogue and the quality label."""

    description: str = Field(min_length=1)
    categories: tuple[str, ...] = Field(min_length=1, description="letters of EHDS Art. 51(1), e.g. l for registries")
    legal_basis: str = Field(description="IRI of DPV's GDPR module, e.g. …/gdpr#A9-2-a")
    purposes: tuple[str, ...] = Field(default=(), description="IRIs of purposes, EHDS Art. 53(1)")
    keywords: tuple[str, ...] = ()
    publisher: str | None = Field(default=None, description="did of the data holder")
    publisher_name: str | None = None
    contact: str | None = Field(default=None, description="mailto: or https: address of an office, not of a person")
    hdab: Hdab | None = None
    provenance: str = Field(default="Entered in routine care and curated by the registry.", min_length=1)
    population: str | None = Field(default=None, description="who is covered, e.g. adults diagnosed since 2010")
    spatial: str | None = Field(default=None, description="IRI of the place, e.g. of the EU country authority list")
    period: tuple[str, str] | None = Field(default=None, description="first and last day covered, ISO 8601")
    publicly_funded: bool = Field(default=True, description="makes the quality label mandatory (EHDS Art. 78(2))")
    update_frequency: str | None = Field(default=None, description="in words, e.g. yearly")
    bias_examination: str | None = Field(default=None, description="what is known of who is missing")
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

    @property
    def category_iris(self) -> tuple[str, ...]:
        """The categories as terms of the Synthema ontology."""
        return tuple(f"{SYNTHEMA}Art51-1-{letter}" for letter in self.categories)


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
