"""An executable data protection impact assessment (GDPR Art. 35(7)).

A risk is met by measures, a measure shows itself in metrics, a metric is held
against a gate, and a gate stops a run. Prose stays for people; the chain from risk
to gate is what the connector executes. Numeric thresholds have no legal source:
each carries its rationale, and the site confirms it before the assessment can be activated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from synthema.canonical import digest
from synthema.clock import duration
from synthema.dpia.parts import (
    FITTING,
    GOOD_OUTCOMES,
    SIGNS,
    WORSE_END,
    Bound,
    Digest,
    Direction,
    FearedEvent,
    Id,
    Ids,
    Level,
    MeasureTerm,
    MetricId,
    MetricIds,
    Operator,
    Outcome,
    Phase,
    Population,
    Remark,
    Residual,
    RiskTerm,
    Term,
    Terms,
    Text,
    Unit,
)
from synthema.dpia.terms import expand, nearest
from synthema.errors import InputError
from synthema.values import Closed

CORE = "core:"
"""Starts the capability of a measure that the connector itself carries out, e.g. ``core:budget``."""
OLDEST_EVIDENCE = timedelta(days=3653)
PEOPLE = "people"
"""The capability of a measure that people carry out."""


class Roles(Closed):
    """Who wrote, evaluated and validated the assessment: roles and offices, never names of persons."""

    author: Remark = ""
    evaluator: Remark = ""
    validator: Remark = ""


class Processing(Closed):
    """What is assessed (GDPR Art. 35(7)(a)); the section "context" of the CNIL method."""

    description: Text
    responsibilities: Text = Field(description="who is controller, joint controller, processor")
    standards: Text = Field(description="codes of conduct, certifications and standards that apply")
    data: Text = Field(description="which personal data, whose, how many, for how long, who receives them")
    life_cycle: Text = Field(description="what happens to the data from intake to erasure")
    assets: Text = Field(description="the systems the data lie and move on")
    datasets: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="names of the datasets covered; * is all of the connector's"
    )
    actions: Terms = Field(min_length=1, description="actions covered, e.g. syn:synthesise")
    purposes: Terms = Field(min_length=1)
    data_categories: Terms = Field(min_length=1)
    legal_bases: Terms = Field(min_length=1)

    @field_validator("datasets")
    @classmethod
    def _no_dataset_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("a dataset is named twice")
        if any(not name.strip() or not name.isprintable() or " " in name for name in names):
            raise ValueError("a dataset's name has no blanks and no control characters")
        return tuple(sorted(names))


class Principles(Closed):
    """Necessity and proportionality (GDPR Art. 35(7)(b)); the section "fundamental principles" of the CNIL method."""

    necessity: Text
    proportionality: Text
    purposes: Text = Field(description="specified, explicit and legitimate (GDPR Art. 5(1)(b))")
    lawfulness: Text = Field(description="the legal basis (GDPR Art. 6 and 9)")
    minimisation: Text = Field(description="adequate, relevant, limited (GDPR Art. 5(1)(c))")
    accuracy: Text = Field(description="accurate and up to date (GDPR Art. 5(1)(d))")
    storage: Text = Field(description="how long data are kept (GDPR Art. 5(1)(e))")
    information: Text = Field(description="how people are told (GDPR Art. 12 to 14)")
    consent: Text = Field(description="how consent is obtained and withdrawn (GDPR Art. 7)")
    access: Text = Field(description="access and portability (GDPR Art. 15 and 20)")
    rectification: Text = Field(description="rectification and erasure (GDPR Art. 16 and 17)")
    objection: Text = Field(description="restriction and objection (GDPR Art. 18 and 21)")
    processors: Text = Field(description="contracts with processors (GDPR Art. 28)")
    transfers: Text = Field(description="transfers out of the Union (GDPR Chapter V)")


class Views(Closed):
    """The views of the persons or their representatives (GDPR Art. 35(9)), or why they were not sought."""

    sought: bool
    text: Text
    with_whom: Remark = Field(default="", description="an organisation or group, never names of persons")
    on: date | None = None


class Risk(Closed):
    """A way in which people can come to harm (GDPR Art. 35(7)(c))."""

    id: Id
    type: RiskTerm = Field(description="kind of risk: DPV's risk module, or ours where DPV has none")
    feared_event: FearedEvent = "other"
    sentence: Text
    impacts: Remark = Field(default="", description="what it would do to people")
    sources: Remark = Field(default="", description="who or what would bring it about")
    threats: Remark = Field(default="", description="how it could happen")
    affects: Terms = Field(default=(), description="actions of the processing it comes with; all when none is named")
    before: Level
    measures: Ids = Field(min_length=1)
    residual: Residual


class Measure(Closed):
    """What is done against risks (GDPR Art. 35(7)(d)): technical or organisational, by a plugin, the core or people.

    A measure that a plugin carries out names it; ``plugin_digest`` are the very files that
    were assessed, filled in when the assessment is handed to a connector.
    """

    id: Id
    type: MeasureTerm = Field(description="kind of measure (DPV)")
    kind: Literal["technical", "organisational"] = "technical"
    sentence: Text
    capability: str = Field(
        pattern=r"^(people|core:[a-z-]+|[a-z][a-z_]*)$",
        description="a plugin's capability such as anonymise, core:<room>, or people",
    )
    plugin: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{0,79}$", description="the plugin that does it")
    plugin_digest: Digest | None = None
    metrics: MetricIds = Field(default=(), description="figures in which it shows whether the measure works")

    @model_validator(mode="after")
    def _somebody_does_it(self) -> Self:
        by_plugin = self.capability != PEOPLE and not self.capability.startswith(CORE)
        if by_plugin and self.plugin is None:
            raise ValueError(f"'{self.capability}' is a capability of plugins: say which 'plugin' does it")
        if not by_plugin and self.plugin is not None:
            raise ValueError(f"'{self.capability}' is nothing a plugin does: leave 'plugin' out, or name a capability")
        if self.plugin_digest is not None and self.plugin is None:
            raise ValueError("a digest of a plugin belongs to a plugin")
        return self


class MetricDefinition(Closed):
    """A figure: what it says, how it is estimated, on whom, with which confidence and in which unit."""

    id: MetricId
    definition: Term = Field(default="", description="term that defines it; of the Synthema ontology if left out")
    sentence: Text
    estimator: Text
    population: Population
    unit: Unit
    direction: Direction
    confidence: float | None = Field(default=None, gt=0, lt=1, description="level of its interval, e.g. 0.95")

    @model_validator(mode="before")
    @classmethod
    def _has_a_definition(cls, value: object) -> object:
        if isinstance(value, dict) and "definition" not in value and isinstance(value.get("id"), str):
            return value | {"definition": f"syn:{value['id']}"}
        return value


class Gate(Closed):
    """A bound that stops a run: the metric, what it is held against, when, and how old the evidence may be.

    ``bound`` says which end of the interval counts: an attack's success is judged by its upper end.
    A post-release gate is a standing duty: each release is measured again before ``maximum_age`` has passed.
    ``on_missing`` is "note" for a figure that not every run can afford, such as an attack that runs the generator
    many times: what is measured must pass, and where nothing is measured the verdict says so.
    """

    id: Id
    metric: MetricId
    operator: Operator
    threshold: float = Field(allow_inf_nan=False)
    bound: Bound = "value"
    phase: Phase
    evidence: Term = Field(description="kind of evidence, e.g. syn:EvaluationReport")
    maximum_age: str = Field(description="xsd:dayTimeDuration, e.g. P1D")
    minimum_n: int = Field(default=1, ge=1, le=10**9, description="fewest records the figure may rest on")
    on_missing: Literal["deny", "note"] = Field(
        default="deny",
        description="deny: what was not measured stops; note: it passes and the verdict says so (pre-release only)",
    )
    rationale: Text
    confirmed_by_site: bool = Field(default=False, description="false: to be confirmed by a data protection officer")

    @field_validator("maximum_age")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        try:
            found = duration(value)
        except InputError as error:
            raise ValueError(f"{error.message}: {error.fix}") from error
        except OverflowError as error:
            raise ValueError("it is too long") from error
        if not timedelta(0) < found <= OLDEST_EVIDENCE:
            raise ValueError("evidence may be at most ten years old, and more than none: write e.g. P365D")
        return value

    @model_validator(mode="after")
    def _only_a_release_may_lack_a_figure(self) -> Self:
        if self.on_missing == "note" and self.phase != "pre-release":
            raise ValueError("on_missing: note is for a pre-release gate; all others need their figure")
        return self

    def sentence(self) -> str:
        """The gate in words."""
        end = {"value": "", "upper": "the upper end of ", "lower": "the lower end of "}[self.bound]
        return f"{end}{self.metric} must be {SIGNS[self.operator]} {self.threshold:g} ({self.phase})"


class PlannedAction(Closed):
    """An item of the action plan. Past its day without being done, nothing more is decided in favour."""

    id: Id
    sentence: Text
    responsible: Text = Field(description="a role, never a person's name")
    due: date
    measure: Id | None = Field(default=None, description="the measure it brings about or improves")


class Trigger(Closed):
    """A change of the risk that calls for a review before the date (GDPR Art. 35(11))."""

    id: Id
    sentence: Text


class Opinion(Closed):
    """The data protection officer's advice (GDPR Art. 35(2))."""

    given_on: date
    favourable: bool
    text: Text
    role: Text = "data protection officer"


class PriorConsultation(Closed):
    """What the supervisory authority answered (GDPR Art. 36)."""

    reference: Text = Field(description="the authority and its file number")
    submitted_on: date
    answered_on: date
    permits: bool = Field(description="whether the processing may begin according to the answer")
    advice: Text

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.answered_on < self.submitted_on:
            raise ValueError("the authority's answer is older than the question")
        return self


class Note(Closed):
    """Something kept from elsewhere that has no place of its own in the assessment."""

    about: Text
    text: Text


class Dpia(Closed):
    """One version of an impact assessment, complete from risk to gate."""

    id: Id
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,39}$")
    title: Text
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")
    roles: Roles = Roles()
    processing: Processing
    principles: Principles
    views: Views
    risks: tuple[Risk, ...] = Field(min_length=1)
    measures: tuple[Measure, ...] = Field(min_length=1)
    metrics: tuple[MetricDefinition, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = Field(min_length=1)
    plan: tuple[PlannedAction, ...] = ()
    outcome: Outcome
    consultation: PriorConsultation | None = None
    review_due: date = Field(description="GDPR Art. 35(11)")
    triggers: tuple[Trigger, ...] = ()
    opinion: Opinion
    notes: tuple[Note, ...] = ()

    @model_validator(mode="after")
    def _chain_is_whole(self) -> Self:
        for kind in ("risks", "measures", "metrics", "gates", "plan", "triggers"):
            _require_unique(kind, [item.id for item in getattr(self, kind)])
        measures = {measure.id: measure for measure in self.measures}
        metrics = {metric.id: metric for metric in self.metrics}
        gated = {gate.metric for gate in self.gates}
        for n, measure in enumerate(self.measures):
            _require_known(measure.metrics, metrics, f"measure '{measure.id}'", "metric", "measures", n, "metrics")
        for n, gate in enumerate(self.gates):
            _require_known([gate.metric], metrics, f"gate '{gate.id}'", "metric", "gates", n, "metric")
            _require_fitting(gate, metrics[gate.metric], n)
        for n, metric in enumerate(self.metrics):
            if metric.id not in gated:
                raise fault(f"metric '{metric.id}' is measured but never gated: add a gate for it", "metrics", n)
        self._risks_are_met(measures)
        for n, planned in enumerate(self.plan):
            named = [planned.measure] if planned.measure else []
            _require_known(named, measures, f"plan '{planned.id}'", "measure", "plan", n, "measure")
        phases = {gate.phase for gate in self.gates}
        for needed in ("pre-run", "pre-release"):
            if needed not in phases:
                raise fault(f"there is no {needed} gate, so nothing would be checked then", "gates")
        return self

    def _risks_are_met(self, measures: dict[str, Measure]) -> None:
        for n, risk in enumerate(self.risks):
            name = f"risk '{risk.id}'"
            _require_known(risk.measures, measures, name, "measure", "risks", n, "measures")
            _require_known(risk.affects, set(self.processing.actions), name, "action", "risks", n, "affects")
            if not any(measures[chosen].metrics for chosen in risk.measures):
                raise fault(f"{name} has no measure that a metric shows, so nothing can stop a run on it", "risks", n)

    @model_validator(mode="after")
    def _outcome_fits(self) -> Self:
        high = [risk.id for risk in self.risks if risk.residual.is_high]
        if high and self.outcome in GOOD_OUTCOMES:
            raise fault(
                f"outcome {self.outcome} contradicts the high residual risk of '{high[0]}': set it to "
                f"{Outcome.CONSULTATION} and consult the supervisory authority (GDPR Art. 36(1))",
                "outcome",
            )
        for n, risk in enumerate(self.risks):
            if risk.residual.severity > risk.before.severity or risk.residual.likelihood > risk.before.likelihood:
                raise fault(f"risk '{risk.id}' is greater after its measures than before them", "risks", n, "residual")
        if self.consultation is not None and self.outcome is not Outcome.CONSULTATION:
            raise fault(
                f"an answer of the supervisory authority belongs to the outcome {Outcome.CONSULTATION}", "consultation"
            )
        return self

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))

    @property
    def standing_outcome(self) -> Outcome:
        """The outcome as it counts: after a consultation that lets the processing begin, risks are acceptable."""
        answered = self.consultation is not None and self.consultation.permits
        return Outcome.ACCEPTABLE if self.outcome is Outcome.CONSULTATION and answered else self.outcome

    def unconfirmed(self) -> tuple[str, ...]:
        """Gates whose threshold the site has not confirmed yet."""
        return tuple(gate.id for gate in self.gates if not gate.confirmed_by_site)

    def plugins(self) -> tuple[str, ...]:
        """The plugins that carry measures out, each once."""
        return tuple(sorted({measure.plugin for measure in self.measures if measure.plugin is not None}))

    def covers(self, dataset_id: str, action: str | None = None) -> bool:
        """Whether a dataset, and an action on it (short name or IRI), is part of what was assessed.

        One assessment may address a set of similar operations (GDPR Art. 35(1)).
        """
        covered = "*" in self.processing.datasets or dataset_id in self.processing.datasets
        return covered and (action is None or expand(action) in {expand(name) for name in self.processing.actions})

    def gate(self, gate_id: str) -> Gate:
        """The gate of this id; raises :class:`InputError` naming those there are."""
        for gate in self.gates:
            if gate.id == gate_id:
                return gate
        names = [gate.id for gate in self.gates]
        near = nearest(gate_id, names, otherwise="use one of those there are")
        raise InputError(f"the assessment has no gate '{gate_id}'", fix=f"{near}: {', '.join(names)}")

    def metric(self, metric_id: str) -> MetricDefinition:
        """The definition of a metric that is known to be there."""
        return next(metric for metric in self.metrics if metric.id == metric_id)


def fault(sentence: str, *place: str | int) -> PydanticCustomError:
    """A fault of the whole, at the place of the document where it is mended."""
    return PydanticCustomError("chain", "{sentence}", {"sentence": sentence, "place": place})


def _require_unique(kind: str, ids: list[str]) -> None:
    for n, name in enumerate(ids):
        if name in ids[:n]:
            raise fault(f"{kind}: '{name}' is defined twice", kind, n)


def _require_known(names: Iterable[str], known: Iterable[str], where: str, what: str, *place: str | int) -> None:
    for name in names:
        if name not in known:
            near = nearest(name, known, otherwise="define it, or leave it out")
            raise fault(f"{where} names the {what} '{name}', which is not there: {near}", *place)


def _require_fitting(gate: Gate, metric: MetricDefinition, position: int) -> None:
    """A gate has to stop what is bad of its metric, judged by the value or by the worse end of its interval."""
    fitting = FITTING[metric.direction]
    if gate.operator not in fitting:
        raise fault(
            f"gate '{gate.id}' would stop what is good: of {metric.id}, {metric.direction}; "
            f"use {' or '.join(sorted(fitting))}",
            "gates", position, "operator",
        )  # fmt: skip
    if gate.bound not in ("value", WORSE_END[metric.direction]):
        raise fault(
            f"gate '{gate.id}' judges {metric.id} by the better end of its interval; "
            f"use '{WORSE_END[metric.direction]}' or 'value'",
            "gates", position, "bound",
        )  # fmt: skip


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


def pin_plugins(dpia: Dpia, digests: dict[str, str]) -> Dpia:
    """The assessment with the digests of the plugins' present files, where they are known and none is given."""
    measures = [
        measure.model_copy(update={"plugin_digest": digests[measure.plugin]})
        if measure.plugin in digests and measure.plugin_digest is None
        else measure
        for measure in dpia.measures
    ]
    return Dpia.model_validate(dpia.model_dump() | {"measures": [measure.model_dump() for measure in measures]})
