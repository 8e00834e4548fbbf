"""The notice people were shown: what ISO/IEC TS 27560 asks of a consent record and is the same for everybody.

A record names the version of its notice; together they are the whole record. So a
registry describes its form once, and each person's record stays small.
"""

from __future__ import annotations

from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from synthema.consent.model import full_basis, machine_for
from synthema.errors import InputError
from synthema.values import Closed, first_problem, fix_for_unknown


class Party(Closed):
    """A party as people find it: an office, never a person by name."""

    identifier: str = Field(min_length=1, description="did or IRI")
    name: str = Field(min_length=1)
    address: str = Field(min_length=1, description="postal address")
    contact: str = Field(pattern=r"^(mailto:|https://|tel:)\S+$", description="mailto:, tel: or https: of an office")


class ConsentNotice(Closed):
    """One version of a consent notice and form (fields of ISO/IEC TS 27560; GDPR Art. 7, 13 and 14).

    ``purposes`` and ``personal_data`` are IRIs; ``jurisdictions`` are two-letter countries;
    ``retention_days`` None means as long as the registry lasts, which ``retention`` says in words.
    """

    dataset: str = Field(min_length=1, description="name of the dataset the form is for")
    version: str = Field(min_length=1, description="as records name it, e.g. 2.1")
    notice: str = Field(pattern=r"^(https?|urn|did):\S+$", description="IRI of the notice people were shown")
    language: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47, e.g. it")
    title: str = Field(min_length=1)
    purposes: tuple[str, ...] = Field(min_length=1, description="IRIs")
    legal_basis: str
    personal_data: tuple[str, ...] = Field(min_length=1, description="IRIs of categories of personal data")
    data_source: str = Field(min_length=1, description="where the data come from, in words")
    controller: Party
    data_protection_officer: str = Field(pattern=r"^(mailto:|https://|tel:)\S+$")
    recipients: tuple[str, ...] = Field(min_length=1, description="IRIs or names of kinds of recipients")
    storage_location: str = Field(min_length=1, description="country or place")
    retention: str = Field(min_length=1, description="in words")
    retention_days: int | None = Field(default=None, gt=0)
    jurisdictions: tuple[str, ...] = Field(min_length=1)
    withdrawal_method: str = Field(pattern=r"^(mailto:|https://|tel:)\S+$", description="where consent is taken back")
    complaint: str = Field(pattern=r"^(mailto:|https://|tel:)\S+$", description="the supervisory authority")
    third_country_transfer: str | None = Field(default=None, description="safeguards, where there is a transfer")
    automated_decisions: bool = False

    @field_validator("purposes", "personal_data")
    @classmethod
    def _are_iris(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for iri in value:
            if ":" not in iri or any(character.isspace() for character in iri):
                raise ValueError(f"'{iri[:60]}' is not an IRI")
        return value

    @field_validator("jurisdictions")
    @classmethod
    def _are_countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for country in value:
            if len(country) != 2 or not country.isalpha() or not country.isupper():
                raise ValueError(f"'{country[:20]}' is not a country of two letters (ISO 3166-1), e.g. IT")
        return value

    @model_validator(mode="after")
    def _basis_is_consent(self) -> Self:
        if machine_for(self.legal_basis) != "consent":
            raise ValueError("a consent notice is for data that rest on consent (GDPR 6(1)(a), 9(2)(a))")
        return self

    @property
    def basis(self) -> str:
        """The legal basis as an IRI."""
        return full_basis(self.legal_basis)


def read_notice(text: str, where: str) -> ConsentNotice:
    """A notice from its YAML text; raises :class:`InputError` naming the field."""
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError("this is not YAML", where=f"{where}{line}", fix="mend that line") from error
    try:
        return ConsentNotice.model_validate(value)
    except ValidationError as error:
        problem = first_problem(error)
        field = ".".join(str(part) for part in problem["loc"]) or "the notice"
        unknown = problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1
        fix = fix_for_unknown(field, ConsentNotice) if unknown else "give this field as ISO/IEC TS 27560 asks for it"
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{field}: {message}", where=where, fix=fix) from error
