"""The values of a run: what is asked, what is granted, and the states it walks through."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from synthema.canonical import canonical_json, digest
from synthema.errors import ConflictError
from synthema.values import Closed
from synthema.vocabulary.namespaces import ODRL, SYN

OutputClass = Literal["synthetic", "aggregate", "masked", "anonymised"]
ComputeKind = Literal["generator", "federated-algorithm", "evaluator", "analysis", "federated-analysis", "anonymiser"]


OUTPUTS: dict[ComputeKind, OutputClass] = {
    "generator": "synthetic",
    "federated-algorithm": "masked",
    "evaluator": "aggregate",
    "analysis": "aggregate",
    "federated-analysis": "aggregate",
    "anonymiser": "anonymised",
}
"""What each kind of run gives. It follows from the kind; a request cannot call rows an aggregate.

Masked vectors leave both kinds of federated run. What is made of their sum differs, and policies see it: figures on
groups of patients, or (by the act of making synthetic data) rows.
"""

ACTIONS: dict[ComputeKind, tuple[str, ...]] = {
    "generator": (SYN + "synthesise",),
    "federated-algorithm": (SYN + "synthesise", SYN + "contributeUpdate", SYN + "trainModel"),
    "evaluator": (SYN + "evaluateModel", SYN + "review"),
    "analysis": (SYN + "analyse", SYN + "queryAggregate"),
    "federated-analysis": (SYN + "analyse", SYN + "queryAggregate", SYN + "trainModel"),
    "anonymiser": (ODRL + "anonymize",),
}
"""The acts each kind of run is, as IRIs: policies are asked about the true act."""


IN_ROUNDS: frozenset[ComputeKind] = frozenset({"federated-algorithm", "federated-analysis"})
"""The kinds of run that take part in a study's rounds: what leaves them is masked."""


class Step(Closed):
    """One plugin of the chain with its parameters."""

    plugin: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class RunRequest(Closed):
    """Who wants what, for which purpose, on which dataset, through which chain of plugins.

    ``epsilon`` and ``delta`` are the differential privacy the run asks to spend, for
    one patient's record; a run that spends none says 0. ``holdout`` is the
    share of patients the algorithm never sees, kept as control for the privacy attacks.
    """

    id: str
    requester: str = Field(description="did of the party that asks")
    person: str | None = Field(default=None, description="role account of the person behind it")
    dataset: str = Field(description="identifier of the dataset version")
    purpose: str = Field(description="IRI or short name of the purpose (EHDS Art. 53, DPV)")
    action: str = Field(description="IRI or short name of the action, e.g. synthesise")
    anonymise: Step
    compute: Step
    kind: ComputeKind
    aggregate: Step | None = None
    evaluate: Step | None = Field(default=None, description="the evaluator that measures the output in quarantine")
    output: OutputClass
    epsilon: float = Field(default=0.0, ge=0)
    delta: float = Field(default=0.0, ge=0, lt=1)
    contributing_parties: int = Field(default=1, ge=1)
    holdout: float = Field(default=0.2, ge=0, lt=1)
    rows: int = Field(default=0, ge=0, description="synthetic rows to make; 0 when none are made here")
    rounds: int = Field(default=0, ge=0, description="rounds of secure sums the study plan takes; 0 outside a study")
    agreement: str | None = Field(default=None, description="the agreement or permit the request rests on")
    study: str | None = None
    plan_digest: str | None = Field(default=None, description="digest of the study plan agreed between the parties")

    @model_validator(mode="after")
    def _output_is_what_comes_out(self) -> Self:
        if self.output != OUTPUTS[self.kind]:
            raise ValueError(f"what a run of the kind '{self.kind}' gives is {OUTPUTS[self.kind]}, not {self.output}")
        return self

    @model_validator(mode="after")
    def _alone_is_one(self) -> Self:
        if self.kind in ("generator", "analysis", "anonymiser") and self.contributing_parties != 1:
            raise ValueError(f"a run of the kind '{self.kind}' has one contributing party: this site")
        return self

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))

    @property
    def chain(self) -> tuple[tuple[str, Step, str], ...]:
        """The steps in order: field, step, and the kind its plugin must serve as."""
        steps = {
            "anonymise": (self.anonymise, "anonymiser"),
            "compute": (self.compute, self.kind),
            "aggregate": (self.aggregate, "aggregator"),
            "evaluate": (self.evaluate, "evaluator"),
        }
        return tuple((field, step, kind) for field, (step, kind) in steps.items() if step is not None)


class RunState(StrEnum):
    """Where a run stands. Only :data:`TRANSITIONS` says how it may move."""

    REQUESTED = "requested"
    DENIED = "denied"
    GRANTED = "granted"
    RUNNING = "running"
    QUARANTINED = "quarantined"
    AWAITING = "awaiting review"
    RELEASED = "released"
    STOPPED = "stopped"
    FAILED = "failed"


TRANSITIONS: dict[tuple[RunState, str], RunState] = {
    (RunState.REQUESTED, "deny"): RunState.DENIED,
    (RunState.REQUESTED, "grant"): RunState.GRANTED,
    (RunState.GRANTED, "start"): RunState.RUNNING,
    (RunState.GRANTED, "fail"): RunState.FAILED,
    (RunState.RUNNING, "quarantine"): RunState.QUARANTINED,
    (RunState.RUNNING, "fail"): RunState.FAILED,
    (RunState.QUARANTINED, "release"): RunState.RELEASED,
    (RunState.QUARANTINED, "stop"): RunState.STOPPED,
    (RunState.QUARANTINED, "fail"): RunState.FAILED,
    (RunState.QUARANTINED, "await"): RunState.AWAITING,
    (RunState.AWAITING, "release"): RunState.RELEASED,
    (RunState.AWAITING, "stop"): RunState.STOPPED,
    (RunState.AWAITING, "fail"): RunState.FAILED,
}
"""The whole life of a run; what is not listed cannot happen."""

FINAL_STATES = frozenset({RunState.DENIED, RunState.RELEASED, RunState.STOPPED, RunState.FAILED})


def advance(state: RunState, event: str) -> RunState:
    """The next state; raises :class:`ConflictError` on a step the table does not know."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise ConflictError(
            f"a run that is {state} cannot {event}", fix="look at the run's state and its entries in the log"
        ) from None


class Grant(Closed):
    """A signed, single-use, expiring capability: the only thing that opens patient data.

    It names digests, not names: another dataset version, a changed plugin file, or a
    changed parameter is another grant. ``rho`` is the zero-concentrated
    privacy loss reserved for it.
    """

    id: str
    run: str
    request_digest: str
    decision_digest: str
    dataset: str
    dataset_digest: str
    plugin_digests: dict[str, str]
    requester: str
    epsilon: float
    delta: float
    rho: float
    minimum_isolation: int
    minimum_cohort: int
    minimum_parties: int
    dpia_digest: str
    not_before: datetime
    expires_at: datetime
    signature: str = Field(default="", description="Ed25519 by the connector's grant key, hexadecimal")

    def signed_bytes(self) -> bytes:
        """What the signature covers: everything but itself."""
        return canonical_json(self.model_dump(mode="json", exclude={"signature"}))


class Artefact(Closed):
    """A file a run made: named by the digest of its bytes, never by a path."""

    digest: str
    name: str
    media_type: str
    bytes: int
