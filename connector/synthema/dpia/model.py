"""An executable data protection impact assessment (GDPR Art. 35(7)).

A risk is met by measures, a measure shows itself in metrics, a metric is held
against a gate, and a gate stops a run. Prose stays for people; the chain from risk
to gate is what the connector executes. Numeric thresholds have no legal source:
each carries its rationale, and the site confirms it before the assessment can be activated.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from synthema.canonical import digest
from synthema.clock import duration
from synthema.errors import InputError
from synthema.values import Closed

EU_GDPR = "https://w3id.org/dpv/legal/eu/gdpr#"

Phase = Literal["pre-run", "in-run", "pre-release", "post-release"]
Operator = Literal["lt", "lteq", "eq", "gteq", "gt"]
Bound = Literal["value", "upper", "lower"]

SIGNS: dict[Operator, str] = {"lt": "<", "lteq": "≤", "eq": "=", "gteq": "≥", "gt": ">"}


class Outcome(StrEnum):
    """Outcome of an assessment; the values are local names of DPV's GDPR module."""

    MITIGATED = "DPIAOutcomeRisksMitigated"
    ACCEPTABLE = "DPIAOutcomeRisksAcceptable"
    HIGH_RESIDUAL = "DPIAOutcomeHighResidualRisk"
    CONSULTATION = "DPIAOutcomeDPAConsultation"

    @property
    def iri(self) -> str:
        """The outcome as a concept of DPV's GDPR module."""
        return EU_GDPR + self.value


GOOD_OUTCOMES = frozenset({Outcome.MITIGATED, Outcome.ACCEPTABLE})


class Level(Closed):
    """Severity and likelihood, 1 (negligible) to 4 (maximum), as in the CNIL method."""

    severity: int = Field(ge=1, le=4)
    likelihood: int = Field(ge=1, le=4)

    @property
    def is_high(self) -> bool:
        """High risk to people: both at 3 or more."""
        return self.severity >= 3 and self.likelihood >= 3


class Residual(Level):
    """What is left of a risk once its measures work, and why that is believed."""

    sentence: str = Field(min_length=1)


class Risk(Closed):
    """A way in which people can come to harm."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    type: str = Field(description="IRI of the kind of risk (DPV risk module)")
    sentence: str = Field(min_length=1)
    before: Level
    measures: tuple[str, ...] = Field(min_length=1)
    residual: Residual


class Measure(Closed):
    """What is done against risks: a technical or organisational measure."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    type: str = Field(description="IRI of the kind of measure (DPV)")
    sentence: str = Field(min_length=1)
    capability: str | None = Field(default=None, description="kind of plugin or core part that does it")
    metrics: tuple[str, ...] = Field(default=(), description="figures in which it shows whether the measure works")


class MetricDefinition(Closed):
    """A figure: what it says, how it is estimated, on whom, with which confidence."""

    id: str = Field(pattern=r"^[a-z][A-Za-z0-9]*$", description="local name in the Synthema ontology")
    sentence: str = Field(min_length=1)
    estimator: str = Field(min_length=1)
    population: str = Field(min_length=1)
    confidence: float | None = Field(default=None, gt=0, lt=1)


class Gate(Closed):
    """A bound that stops a run: the metric, what it is held against, when, and how old the evidence may be.

    ``bound`` says which end of the interval counts: an attack's success is judged by its upper end.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    metric: str
    operator: Operator
    threshold: float = Field(allow_inf_nan=False)
    bound: Bound = "value"
    phase: Phase
    evidence: str = Field(min_length=1, description="kind of evidence, e.g. syn:EvaluationReport")
    maximum_age: str = Field(description="xsd:dayTimeDuration, e.g. P1D")
    minimum_n: int = Field(default=1, ge=1, description="fewest records the figure may rest on")
    on_missing: Literal["deny"] = "deny"
    rationale: str = Field(min_length=1)
    confirmed_by_site: bool = False

    @field_validator("maximum_age")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        try:
            duration(value)
        except InputError as error:
            raise ValueError(f"{error.message}: {error.fix}") from error
        return value

    def sentence(self) -> str:
        """The gate in words."""
        end = {"value": "", "upper": "the upper end of ", "lower": "the lower end of "}[self.bound]
        return f"{end}{self.metric} must be {SIGNS[self.operator]} {self.threshold:g} ({self.phase})"


class Opinion(Closed):
    """The data protection officer's advice (GDPR Art. 35(2))."""

    given_on: date
    favourable: bool
    text: str = Field(min_length=1)


class Processing(Closed):
    """What is assessed (GDPR Art. 35(7)(a)) and why it is necessary and proportionate (35(7)(b))."""

    description: str = Field(min_length=1)
    datasets: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="names of the datasets covered; * is all of the connector's"
    )
    actions: tuple[str, ...] = Field(min_length=1, description="actions covered, e.g. syn:synthesise")
    purposes: tuple[str, ...] = Field(min_length=1)
    data_categories: tuple[str, ...] = Field(min_length=1)
    legal_bases: tuple[str, ...] = Field(min_length=1)
    necessity: str = Field(min_length=1)
    views_of_data_subjects: str = Field(min_length=1, description="GDPR Art. 35(9), or why they were not sought")


class Dpia(Closed):
    """One version of an impact assessment, complete from risk to gate."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str
    title: str = Field(min_length=1)
    processing: Processing
    risks: tuple[Risk, ...] = Field(min_length=1)
    measures: tuple[Measure, ...] = Field(min_length=1)
    metrics: tuple[MetricDefinition, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = Field(min_length=1)
    outcome: Outcome
    review_due: date = Field(description="GDPR Art. 35(11)")
    opinion: Opinion

    @model_validator(mode="after")
    def _chain_is_whole(self) -> Self:
        for kind in ("risks", "measures", "metrics", "gates"):
            ids = [item.id for item in getattr(self, kind)]
            for name in ids:
                if ids.count(name) > 1:
                    raise ValueError(f"{kind}: '{name}' is defined twice")
        measures = {measure.id: measure for measure in self.measures}
        metrics = {metric.id for metric in self.metrics}
        gated = {gate.metric for gate in self.gates}
        for measure in self.measures:
            _require_known(measure.metrics, metrics, f"measure '{measure.id}'", "metric")
        _require_known([gate.metric for gate in self.gates], metrics, "a gate", "metric")
        _require_known(sorted(metrics), gated, "the assessment measures but never gates it:", "gate for metric")
        for risk in self.risks:
            _require_known(risk.measures, set(measures), f"risk '{risk.id}'", "measure")
            if not any(measures[name].metrics for name in risk.measures):
                raise ValueError(
                    f"risk '{risk.id}' has no measure that a metric shows, so nothing can stop a run on it"
                )
        phases = {gate.phase for gate in self.gates}
        for needed in ("pre-run", "pre-release"):
            if needed not in phases:
                raise ValueError(f"there is no {needed} gate, so nothing would be checked then")
        return self

    @model_validator(mode="after")
    def _outcome_fits(self) -> Self:
        high = [risk.id for risk in self.risks if risk.residual.is_high]
        if high and self.outcome in GOOD_OUTCOMES:
            raise ValueError(
                f"outcome {self.outcome} contradicts the high residual risk of '{high[0]}' (GDPR Art. 36(1))"
            )
        return self

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))

    def unconfirmed(self) -> tuple[str, ...]:
        """Gates whose threshold the site has not confirmed yet."""
        return tuple(gate.id for gate in self.gates if not gate.confirmed_by_site)

    def covers(self, dataset_id: str, action: str | None = None) -> bool:
        """Whether a dataset, and an action on it (short name such as ``syn:synthesise``), is part of what was assessed.

        One assessment may address a set of similar operations (GDPR Art. 35(1)).
        """
        covered = "*" in self.processing.datasets or dataset_id in self.processing.datasets
        return covered and (action is None or action in self.processing.actions)

    def gate(self, gate_id: str) -> Gate:
        """The gate of this id; raises :class:`InputError` naming those there are."""
        for gate in self.gates:
            if gate.id == gate_id:
                return gate
        raise InputError(
            f"the assessment has no gate '{gate_id}'", fix=f"use one of: {', '.join(gate.id for gate in self.gates)}"
        )


def _require_known(names: tuple[str, ...] | list[str], known: set[str], where: str, what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where} names the {what} '{name}', which is not there")


def confirm_gates(dpia: Dpia, *gate_ids: str, thresholds: dict[str, float] | None = None) -> Dpia:
    """The assessment with these gates (all when none is named) confirmed, and thresholds the site chose instead.

    A site's officer does this before signing; the shipped example confirms nothing.
    """
    chosen = set(gate_ids) or {gate.id for gate in dpia.gates}
    other = thresholds or {}
    for name in chosen | set(other):
        dpia.gate(name)
    gates = [
        gate.model_copy(
            update={
                "confirmed_by_site": gate.confirmed_by_site or gate.id in chosen,
                "threshold": other.get(gate.id, gate.threshold),
            }
        )
        for gate in dpia.gates
    ]
    return Dpia.model_validate(dpia.model_dump() | {"gates": [gate.model_dump() for gate in gates]})
