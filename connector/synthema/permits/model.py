"""What a use rests on: a data permit (EHDS Art. 68) or an agreement concluded in the data space.

Until Chapter IV of the EHDS applies (26 March 2029), a permit here is "EHDS-style":
the same contents and states, issued by whoever authorises the use at the site.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from synthema.canonical import digest
from synthema.errors import ConflictError
from synthema.provenance.model import SYNTHEMA
from synthema.values import Closed

LONGEST_YEARS = 10
"""EHDS Art. 68(12): a permit lasts at most ten years, and is extended once by at most ten."""


class PermitState(StrEnum):
    """Where a permit stands; the values are local names of the Synthema ontology."""

    REQUESTED = "PermitRequested"
    REFUSED = "PermitRefused"
    ISSUED = "PermitIssued"
    SUSPENDED = "PermitSuspended"
    REVOKED = "PermitRevoked"
    EXPIRED = "PermitExpired"

    @property
    def iri(self) -> str:
        """The state as a term of the Synthema ontology."""
        return SYNTHEMA + self.value


OutputClass = Literal["aggregate", "synthetic", "masked", "anonymised"]
"""What a run may give: statistics, synthetic or anonymised records, or masked contributions to a secure sum."""

PermitEvent = Literal["grant", "refuse", "suspend", "resume", "revoke", "expire"]

TRANSITIONS: dict[tuple[PermitState, PermitEvent], PermitState] = {
    (PermitState.REQUESTED, "grant"): PermitState.ISSUED,
    (PermitState.REQUESTED, "refuse"): PermitState.REFUSED,
    (PermitState.ISSUED, "suspend"): PermitState.SUSPENDED,
    (PermitState.ISSUED, "revoke"): PermitState.REVOKED,
    (PermitState.ISSUED, "expire"): PermitState.EXPIRED,
    (PermitState.SUSPENDED, "resume"): PermitState.ISSUED,
    (PermitState.SUSPENDED, "revoke"): PermitState.REVOKED,
    (PermitState.SUSPENDED, "expire"): PermitState.EXPIRED,
}
"""The whole life of a permit; what is not listed cannot happen. Only the clock brings about ``expire``."""


def advance(state: PermitState, event: PermitEvent) -> PermitState:
    """The next state; raises :class:`ConflictError` on a step the table does not know."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        possible = ", ".join(e for (s, e) in TRANSITIONS if s is state and e != "expire") or "nothing any more"
        raise ConflictError(
            f"a permit in state {state} cannot be changed by '{event}'", fix=f"possible now: {possible}"
        ) from None


class DataDescription(Closed):
    """Art. 68(10)(a): which data, in which format, from which sources."""

    datasets: tuple[str, ...] = Field(min_length=1, description="names of the datasets")
    categories: tuple[str, ...] = Field(min_length=1, description="IRIs of Art. 51(1) categories")
    specification: str = Field(min_length=1)
    format: Literal["anonymised", "pseudonymised"]
    justification: str = Field(default="", description="why anonymised data do not suffice (Art. 66(3))")
    sources: tuple[str, ...] = Field(min_length=1, description="dids of the data holders")

    @model_validator(mode="after")
    def _pseudonymised_is_justified(self) -> Self:
        if self.format == "pseudonymised" and not self.justification:
            raise ValueError("pseudonymised data need a justification (EHDS Art. 66(3))")
        return self


class PermitContent(Closed):
    """What a permit says: the points (a) to (h) of EHDS Art. 68(10)."""

    holder: str = Field(min_length=1, description="did of the data user")
    data: DataDescription = Field(description="(a)")
    purpose: str = Field(min_length=1, description="(b) IRI of the purpose, Art. 53(1)")
    opt_out_exception: str | None = Field(
        default=None, description="(c) reason for reading the data of people who opted out, Art. 71(4)"
    )
    principal_investigator: str = Field(min_length=1, description="(d) role account")
    authorised_persons: tuple[str, ...] = Field(default=(), description="(d) role accounts")
    valid_from: date = Field(description="(e)")
    valid_to: date = Field(description="(e) last day")
    tools: tuple[str, ...] = Field(
        default=(), description="(f) names of the plugins the secure processing environment offers; none: any approved"
    )
    outputs: tuple[OutputClass, ...] = Field(
        default=("aggregate", "synthetic", "masked"),
        min_length=1,
        description="what may leave the secure processing environment: non-personal data only (Art. 73(2))",
    )
    fees: str = Field(default="none", description="(g)")
    conditions: tuple[str, ...] = Field(default=(), description="(h)")

    @field_validator("opt_out_exception")
    @classmethod
    def _reason_is_given(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("an exception under EHDS Art. 71(4) needs its reason")
        return value

    @model_validator(mode="after")
    def _duration_is_lawful(self) -> Self:
        if self.valid_to < self.valid_from:
            raise ValueError("the permit ends before it begins")
        if self.valid_to > years_after(self.valid_from, LONGEST_YEARS):
            raise ValueError(f"a permit lasts at most {LONGEST_YEARS} years (EHDS Art. 68(12))")
        return self

    def authorises(self, person: str) -> bool:
        """Whether this role account may work under the permit (Art. 68(10)(d))."""
        return person in self.persons

    @property
    def persons(self) -> tuple[str, ...]:
        """Everybody who may work under the permit, the principal investigator first."""
        return tuple(dict.fromkeys((self.principal_investigator, *self.authorised_persons)))


def years_after(day: date, years: int) -> date:
    """The same day so many years later; 29 February becomes 28 February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


class Permit(Closed):
    """A permit as it stands. ``state`` already counts the clock: what has run out is expired."""

    id: str
    content: PermitContent
    issuer: str = Field(description="did or IRI of who decides: health data access body, or the site before 2029")
    regime: Literal["pre-EHDS", "EHDS"]
    state: PermitState
    applied_at: datetime
    approved_at: datetime | None = None
    valid_to: date
    extended: bool = False
    reason: str | None = None
    decided_at: datetime | None = Field(default=None, description="when it was granted or refused here")
    credential: dict[str, Any] | None = Field(default=None, description="the permit as its issuer signed it")
    status_index: int = Field(default=0, ge=0, description="its bit in the issuer's status lists")

    @property
    def digest(self) -> str:
        """Digest of what the permit says."""
        return digest(self.content.model_dump(mode="json"))

    def is_over(self, at: datetime) -> bool:
        """Whether the last day has passed."""
        return at.date() > self.valid_to

    def has_begun(self, at: datetime) -> bool:
        """Whether the first day has come."""
        return at.date() >= self.content.valid_from


class AgreementState(StrEnum):
    """Where an agreement of the data space stands (Dataspace Protocol; the clock may end it too)."""

    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"
    EXPIRED = "EXPIRED"


class Agreement(Closed):
    """A contract concluded in the data space: who may use which dataset under which policy."""

    id: str
    counterparty: str = Field(min_length=1, description="did of the other party")
    dataset_id: str = Field(min_length=1)
    policy: dict[str, Any] = Field(description="the ODRL agreement as both parties hold it")
    state: AgreementState = AgreementState.FINALIZED
    agreed_at: datetime
    valid_to: datetime | None = None
    reason: str | None = None

    @property
    def policy_digest(self) -> str:
        return digest(self.policy)

    def permit_state(self, at: datetime) -> PermitState:
        """The agreement's state in the words of permits, so that one rule reads both."""
        if self.state is AgreementState.TERMINATED:
            return PermitState.REVOKED
        if self.state is AgreementState.EXPIRED or (self.valid_to is not None and at >= self.valid_to):
            return PermitState.EXPIRED
        return PermitState.ISSUED
