"""The values of a federated study: its plan, each site's limits, the states, what comes out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from synthema import canonical
from synthema.budget import delta_of
from synthema.config import HOST_NAME
from synthema.datasets.codebook import Codebook
from synthema.errors import ConflictError, InputError
from synthema.federation.privacy import MARGIN
from synthema.ids import require_id
from synthema.spi.model import Plan, State
from synthema.values import Closed

SMALLEST_GROUP = 3
"""Fewest surviving sites of a sum: with two, each could subtract itself and read the other."""

Output = Literal["synthetic", "report"]
"""What a study ends in: synthetic rows with a certificate, or a report of aggregate figures."""


class PluginUse(Closed):
    """A plugin at one exact state of its files, with its parameters."""

    plugin: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    parameters: dict[str, Any] = Field(default_factory=dict)


class PlanMember(Closed):
    """A site that takes part: who, with which dataset, on the strength of which agreement."""

    did: str = Field(pattern=r"^did:\S+$")
    dataset: str
    agreement: str


class CarriedBy(Closed):
    """What carries a study's rounds between machines, and where a site finds it.

    ``authority`` is the fingerprint of the certificate authority of the coordinator's engine: a site that
    decides on the plan decides on it, and trusts no other.
    """

    name: Literal["nvflare"]
    authority: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    host: str = Field(pattern=HOST_NAME)
    port: int = Field(ge=1, le=65_535)


class StudyPlan(Closed):
    """All that is agreed before the first round, the same at every party: its digest stands in every message.

    ``output`` is what the opened sums are made into: synthetic rows, or a report of aggregate figures. ``rho`` is the
    whole zero-concentrated privacy loss for one row of a table; a plan for a report may say 0, and ``epsilon`` and
    ``delta`` too: its sums are exact, and nothing bounds what they tell. ``stability`` is how many rows one patient's
    record can change in the anonymised table (so noise is made ``stability`` times larger). ``codebook`` describes
    the tables after anonymisation. ``bound`` is the largest count a site may report; ``tolerated_colluders`` the
    sites that may side with the coordinator without weakening the privacy of the others.
    """

    id: str
    title: str
    purpose: str = Field(description="IRI or short name of the purpose")
    action: str = Field(description="IRI or short name of the action")
    coordinator: str = Field(pattern=r"^did:\S+$")
    members: tuple[PlanMember, ...]
    fields: tuple[str, ...]
    anonymiser: PluginUse
    algorithm: PluginUse
    aggregator: PluginUse
    evaluators: tuple[PluginUse, ...] = ()
    output: Output = Field(default="synthetic", exclude_if=lambda value: value == "synthetic")
    epsilon: float = Field(ge=0)
    delta: float = Field(ge=0, lt=1)
    rho: float = Field(ge=0)
    rounds: int = Field(ge=1, le=10_000)
    minimum_sites: int = Field(ge=SMALLEST_GROUP)
    tolerated_colluders: int = Field(default=1, ge=0)
    stability: int = Field(default=1, ge=1)
    bound: int = Field(default=2**40, ge=1, le=2**50)
    holdout: float = Field(ge=0, lt=1)
    rows: int = Field(ge=0)
    codebook: Codebook
    codebook_digest: str
    permit: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="IRI of the data permit the whole study rests on, beside the agreements (EHDS Art. 68)",
    )
    engine: CarriedBy | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="what carries the rounds; without it, the connectors' own channel, on one machine",
    )

    @field_validator("id")
    @classmethod
    def _is_a_study(cls, value: str) -> str:
        try:
            return require_id("study", value)
        except InputError as error:
            raise ValueError(error.message) from error

    @model_validator(mode="after")
    def _protects_each_member(self) -> Self:
        dids = [member.did for member in self.members]
        if len(set(dids)) != len(dids) or self.coordinator in dids:
            raise ValueError("members: each site once, and the coordinator is not one of them")
        if self.minimum_sites > len(dids):
            raise ValueError(f"minimum_sites: {self.minimum_sites} of {len(dids)} sites cannot survive")
        if 2 * self.minimum_sites <= len(dids) + self.tolerated_colluders:
            raise ValueError(
                "minimum_sites: two different groups of sites could each open a sum; "
                f"with {len(dids)} sites and {self.tolerated_colluders} colluders it must be above "
                f"{(len(dids) + self.tolerated_colluders) // 2}"
            )
        if self.tolerated_colluders > self.minimum_sites - 2:
            raise ValueError("tolerated_colluders: at least two surviving sites must be honest")
        return self

    @model_validator(mode="after")
    def _protects_each_patient(self) -> Self:
        figures = (self.epsilon, self.delta, self.rho)
        if any(figures) and not all(figures):
            raise ValueError("privacy: give epsilon, delta and rho, or none of them")
        if self.exact and self.output != "report":
            raise ValueError("privacy: only a report can be made of sums without noise, no rows")
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not self.exact and delta_of(self.rho, self.epsilon) > self.delta * (1 + MARGIN):
            raise ValueError("rho: costs more than epsilon and delta allow")
        if self.codebook_digest != self.codebook.digest:
            raise ValueError("codebook_digest: is not the digest of the codebook")
        return self

    @property
    def digest(self) -> str:
        return canonical.digest(self.model_dump(mode="json"))

    @property
    def dids(self) -> tuple[str, ...]:
        """The members' identities in the order of the plan."""
        return tuple(member.did for member in self.members)

    @property
    def uses(self) -> tuple[PluginUse, ...]:
        """All plugins of the study, each once."""
        every = (self.anonymiser, self.algorithm, self.aggregator, *self.evaluators)
        return tuple({use.plugin: use for use in every}.values())

    @property
    def honest_sites(self) -> int:
        """The sites whose noise can be relied on in every opened sum."""
        return self.minimum_sites - self.tolerated_colluders

    @property
    def exact(self) -> bool:
        """Whether the sums carry no noise: no differential privacy is promised, and none is claimed."""
        return self.rho == 0

    def algorithm_plan(self) -> Plan:
        """What the federated algorithm is told.

        An algorithm divides a loss over its rounds, so it is given one to divide where the sums are exact; nobody
        draws noise by it then.
        """
        return Plan(self.codebook, 1.0 if self.exact else self.rho, self.rows, self.algorithm.parameters)


class SiteLimits(Closed):
    """What one site's grant allows in one study; enforced at the site, whatever the coordinator says.

    ``parameters_digest`` is that of the algorithm's parameters, ``bound`` the largest number that a
    vector may hold before noise (larger ones are cut). ``lowest_sigma`` is the least standard
    deviation of the honest sites' noise in any opened sum; ``rho`` the most that all rounds together may cost.
    """

    plan_digest: str
    algorithm_digest: str
    aggregator_digest: str
    rounds: int = Field(ge=1)
    rho: float = Field(ge=0)
    minimum_sites: int = Field(default=SMALLEST_GROUP, ge=SMALLEST_GROUP)
    tolerated_colluders: int = Field(default=1, ge=0)
    stability: int = Field(default=1, ge=1)
    parameters_digest: str | None = None
    bound: int = Field(default=2**50, ge=1)
    lowest_sigma: float = Field(default=0.0, ge=0)

    @classmethod
    def of_plan(cls, plan: StudyPlan) -> SiteLimits:
        """Limits that allow exactly what the plan says; a grant narrows them."""
        return cls(
            plan_digest=plan.digest,
            algorithm_digest=plan.algorithm.digest,
            aggregator_digest=plan.aggregator.digest,
            rounds=plan.rounds,
            rho=plan.rho,
            minimum_sites=plan.minimum_sites,
            tolerated_colluders=plan.tolerated_colluders,
            stability=plan.stability,
            parameters_digest=canonical.digest(plan.algorithm.parameters),
            bound=plan.bound,
        )


class StudyState(StrEnum):
    """Where a study stands at its coordinator."""

    PLANNED = "planned"
    INVITING = "inviting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class ParticipationState(StrEnum):
    """Where a study stands at one site."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    RUNNING = "running"
    FINISHED = "finished"
    REFUSED = "refused"
    FAILED = "failed"


STUDY_TRANSITIONS: dict[tuple[StudyState, str, str], StudyState] = {
    (StudyState.PLANNED, "invite", "coordinator"): StudyState.INVITING,
    (StudyState.INVITING, "accept", "site"): StudyState.INVITING,
    (StudyState.INVITING, "start", "coordinator"): StudyState.RUNNING,
    (StudyState.INVITING, "abort", "coordinator"): StudyState.FAILED,
    (StudyState.INVITING, "refuse", "site"): StudyState.FAILED,
    (StudyState.RUNNING, "open", "coordinator"): StudyState.RUNNING,
    (StudyState.RUNNING, "finish", "coordinator"): StudyState.FINISHED,
    (StudyState.RUNNING, "abort", "coordinator"): StudyState.FAILED,
    (StudyState.RUNNING, "accept", "site"): StudyState.RUNNING,
    (StudyState.RUNNING, "refuse", "site"): StudyState.FAILED,
    (StudyState.PLANNED, "abort", "coordinator"): StudyState.FAILED,
}
"""The life of a study at the coordinator: (state, message, role) → state; what is not listed cannot happen.

A site's refusal ends a study only where too few sites are left; a site that accepts late takes part from the next
round on.
"""

PARTICIPATION_TRANSITIONS: dict[tuple[ParticipationState, str, str], ParticipationState] = {
    (ParticipationState.OFFERED, "accept", "site"): ParticipationState.ACCEPTED,
    (ParticipationState.OFFERED, "refuse", "site"): ParticipationState.REFUSED,
    (ParticipationState.ACCEPTED, "round", "coordinator"): ParticipationState.RUNNING,
    (ParticipationState.ACCEPTED, "refuse", "site"): ParticipationState.REFUSED,
    (ParticipationState.ACCEPTED, "abort", "coordinator"): ParticipationState.FAILED,
    (ParticipationState.ACCEPTED, "abort", "site"): ParticipationState.FAILED,
    (ParticipationState.RUNNING, "round", "coordinator"): ParticipationState.RUNNING,
    (ParticipationState.RUNNING, "contribute", "site"): ParticipationState.RUNNING,
    (ParticipationState.RUNNING, "answer", "site"): ParticipationState.RUNNING,
    (ParticipationState.RUNNING, "left", "coordinator"): ParticipationState.RUNNING,
    (ParticipationState.ACCEPTED, "finish", "coordinator"): ParticipationState.FINISHED,
    (ParticipationState.RUNNING, "finish", "coordinator"): ParticipationState.FINISHED,
    (ParticipationState.RUNNING, "refuse", "site"): ParticipationState.REFUSED,
    (ParticipationState.RUNNING, "abort", "coordinator"): ParticipationState.FAILED,
    (ParticipationState.RUNNING, "abort", "site"): ParticipationState.FAILED,
}
"""The life of a study at a site: (state, message, role) → state; what is not listed cannot happen.

``left`` says that the site was too late for a round; it stays with the study and is asked again at the next one.
"""

FINAL_STUDY_STATES = frozenset({StudyState.FINISHED, StudyState.FAILED})
FINAL_PARTICIPATION_STATES = frozenset(
    {ParticipationState.FINISHED, ParticipationState.REFUSED, ParticipationState.FAILED}
)


def advance_study(state: StudyState, message: str, role: str) -> StudyState:
    """The study's next state; raises :class:`ConflictError` on a step the table does not know."""
    if (state, message, role) not in STUDY_TRANSITIONS:
        raise ConflictError(f"a study that is {state} knows no '{message}' by the {role}", fix="look at the study")
    return STUDY_TRANSITIONS[state, message, role]


def advance_participation(state: ParticipationState, message: str, role: str) -> ParticipationState:
    """The participation's next state; raises :class:`ConflictError` on a step the table does not know."""
    if (state, message, role) not in PARTICIPATION_TRANSITIONS:
        raise ConflictError(
            f"a participation that is {state} knows no '{message}' by the {role}", fix="look at the study"
        )
    return PARTICIPATION_TRANSITIONS[state, message, role]


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One opened round as the coordinator saw it.

    ``sigma`` is the standard deviation of all noise in the sum; ``transcript`` the
    digest over every message received in the round, ``total_digest`` that of the opened sum.
    """

    number: int
    round_id: str
    survivors: tuple[str, ...]
    dropped: tuple[str, ...]
    rho: float
    sigma: float
    total_digest: str
    transcript: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A finished study: the algorithm's last state and what it rests on."""

    study: str
    plan_digest: str
    state: State
    rounds: tuple[RoundRecord, ...]
    rho: float

    @property
    def transcript(self) -> str:
        """One digest over all rounds."""
        return canonical.digest([dataclasses.asdict(record) for record in self.rounds])


@dataclass(frozen=True, slots=True)
class Contributed:
    """One round as a site saw it: the digest of the masked vector that left, its own noise, the cost."""

    number: int
    round_id: str
    digest: str
    sigma: float
    rho: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a site's participation ended."""

    study: str
    state: ParticipationState
    reason: str | None
    rounds: tuple[Contributed, ...]
    rho: float


def state_to_json(state: State) -> dict[str, Any]:
    """An algorithm's state as it travels and is stored."""
    return dataclasses.asdict(state)


def state_from_json(value: Any) -> State:
    """Read what :func:`state_to_json` wrote; raises :class:`InputError` on anything else."""
    names = {field.name: field for field in dataclasses.fields(State)}
    if not isinstance(value, dict) or set(value) != set(names):
        raise InputError("this is not an algorithm's state", fix="send the state as the algorithm returned it")
    numbers = ("round", "length", "rho", "sensitivity")
    right = all(isinstance(value[name], int | float) and not isinstance(value[name], bool) for name in numbers)
    whole = right and all(value[name] == int(value[name]) for name in ("round", "length"))
    if not (whole and isinstance(value["finished"], bool) and isinstance(value["values"], dict)):
        raise InputError("a field of the algorithm's state has another type", fix="send whole and finite numbers")
    return State(
        round=int(value["round"]),
        length=int(value["length"]),
        rho=float(value["rho"]),
        sensitivity=float(value["sensitivity"]),
        finished=value["finished"],
        values=value["values"],
    )
