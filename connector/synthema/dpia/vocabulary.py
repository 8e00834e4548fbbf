"""How the model of an assessment is said in RDF: one class and one property for each part and field.

DPV and its GDPR and risk modules are used where they have the term, Dublin Core for titles and
descriptions, and ``ontologies/dpia.ttl`` for the rest. Sets are several statements; lists
carry ``syn:position``; every node has an IRI.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel

from synthema.dpia import model
from synthema.dpia.parts import Level, Residual
from synthema.dpia.terms import RISK
from synthema.provenance.model import RDF_TYPE
from synthema.vocabulary.namespaces import DPV, GDPR, SYN

DCT: Final = "http://purl.org/dc/terms/"
POSITION: Final = SYN + "position"

Kind = Literal["value", "date", "outcome", "term", "terms", "names", "type", "reference", "references", "part", "parts"]


@dataclass(frozen=True, slots=True)
class Said:
    """How one field is said: its property, the form of its values, and the model or collection they belong to."""

    predicate: str
    kind: Kind = "value"
    of: str = ""  # references: the collection of the assessment that holds what is named


@dataclass(frozen=True, slots=True)
class Shape:
    """How one model is said: its class, and its fields."""

    rdf_class: str
    fields: MappingProxyType[str, Said]


def _shape(rdf_class: str, **fields: Said) -> Shape:
    return Shape(rdf_class, MappingProxyType(fields))


def _texts(*names: str, about: str = "") -> dict[str, Said]:
    """Fields whose property is named like them in our ontology, after the word for what they are about."""
    return {name: Said(SYN + _camel(f"{about}_{name}".lstrip("_"))) for name in names}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_IDENTIFIER: Final = Said(DCT + "identifier")
_SENTENCE: Final = Said(DCT + "description")

SHAPES: Final[MappingProxyType[type[BaseModel], Shape]] = MappingProxyType(
    {
        model.Dpia: _shape(
            DPV + "DPIA",
            id=_IDENTIFIER,
            version=Said(SYN + "version"),
            title=Said(DCT + "title"),
            language=Said(DCT + "language"),
            roles=Said(SYN + "roles", "part"),
            processing=Said(DPV + "hasProcess", "part"),
            principles=Said(SYN + "principles", "part"),
            views=Said(SYN + "viewsOfPersons", "part"),
            risks=Said(DPV + "hasRisk", "parts"),
            measures=Said(DPV + "hasTechnicalOrganisationalMeasure", "parts"),
            metrics=Said(SYN + "metric", "parts"),
            gates=Said(SYN + "gate", "parts"),
            plan=Said(SYN + "plannedAction", "parts"),
            outcome=Said(DPV + "hasOutcome", "outcome"),
            consultation=Said(SYN + "priorConsultation", "part"),
            review_due=Said(SYN + "reviewDueOn", "date"),
            triggers=Said(SYN + "reviewTrigger", "parts"),
            opinion=Said(SYN + "officerOpinion", "part"),
            notes=Said(SYN + "note", "parts"),
        ),
        model.Roles: _shape(SYN + "AssessmentRoles", **_texts("author", "evaluator", "validator")),
        model.Processing: _shape(
            DPV + "Process",
            description=_SENTENCE,
            **_texts("responsibilities", "standards", "data", "life_cycle", "assets", about="processing"),
            datasets=Said(SYN + "coversDataset", "names"),
            actions=Said(SYN + "coversAction", "terms"),
            purposes=Said(DPV + "hasPurpose", "terms"),
            data_categories=Said(DPV + "hasPersonalData", "terms"),
            legal_bases=Said(DPV + "hasLegalBasis", "terms"),
        ),
        model.Principles: _shape(SYN + "Principles", **_texts(*model.Principles.model_fields, about="principle")),
        model.Views: _shape(
            SYN + "ViewsOfPersons",
            sought=Said(SYN + "sought"),
            text=_SENTENCE,
            with_whom=Said(SYN + "withWhom"),
            on=Said(DCT + "date", "date"),
        ),
        model.Risk: _shape(
            DPV + "Risk",
            id=_IDENTIFIER,
            type=Said(RDF_TYPE, "type"),
            feared_event=Said(SYN + "fearedEvent"),
            sentence=_SENTENCE,
            **_texts("impacts", "sources", "threats", about="risk"),
            affects=Said(SYN + "affectsAction", "terms"),
            before=Said(SYN + "levelBefore", "part"),
            measures=Said(DPV + "isMitigatedByMeasure", "references", "measures"),
            residual=Said(DPV + "hasResidualRisk", "part"),
        ),
        Level: _shape(SYN + "LevelOfRisk", severity=Said(SYN + "severity"), likelihood=Said(SYN + "likelihood")),
        Residual: _shape(
            DPV + "ResidualRisk",
            severity=Said(SYN + "severity"),
            likelihood=Said(SYN + "likelihood"),
            sentence=_SENTENCE,
        ),
        model.Measure: _shape(
            SYN + "Measure",
            id=_IDENTIFIER,
            type=Said(RDF_TYPE, "type"),
            kind=Said(SYN + "measureKind"),
            sentence=_SENTENCE,
            **_texts("capability", "plugin", about="measure"),
            plugin_digest=Said(SYN + "measureFiles"),
            metrics=Said(SYN + "shownInMetric", "references", "metrics"),
        ),
        model.MetricDefinition: _shape(
            SYN + "Metric",
            id=_IDENTIFIER,
            definition=Said(SYN + "metricDefinition", "term"),
            sentence=_SENTENCE,
            **_texts("estimator", "population", "unit", "direction", "confidence", about="metric"),
        ),
        model.Gate: _shape(
            SYN + "Gate",
            id=_IDENTIFIER,
            metric=Said(SYN + "gateMetric", "reference", "metrics"),
            evidence=Said(SYN + "gateEvidence", "term"),
            **_texts("operator", "threshold", "bound", "phase", "maximum_age", "minimum_n", "on_missing", about="gate"),
            **_texts("rationale", about="gate"),
            confirmed_by_site=Said(SYN + "confirmedBySite"),
        ),
        model.PlannedAction: _shape(
            SYN + "PlannedAction",
            id=_IDENTIFIER,
            sentence=_SENTENCE,
            responsible=Said(SYN + "responsible"),
            due=Said(SYN + "dueOn", "date"),
            measure=Said(SYN + "bringsAbout", "reference", "measures"),
        ),
        model.Trigger: _shape(SYN + "ReviewTrigger", id=_IDENTIFIER, sentence=_SENTENCE),
        model.Opinion: _shape(
            SYN + "OfficerOpinion",
            given_on=Said(DCT + "date", "date"),
            favourable=Said(SYN + "favourable"),
            text=_SENTENCE,
            role=Said(SYN + "role"),
        ),
        model.PriorConsultation: _shape(
            SYN + "PriorConsultation",
            reference=Said(DCT + "source"),
            submitted_on=Said(DCT + "dateSubmitted", "date"),
            answered_on=Said(DCT + "issued", "date"),
            permits=Said(SYN + "permits"),
            advice=_SENTENCE,
        ),
        model.Note: _shape(SYN + "AssessmentNote", about=Said(DCT + "subject"), text=_SENTENCE),
    }
)
"""How each model is said. A test asserts that no field of the model is left out."""

_LEVELS: Final = {1: "Low", 2: "Moderate", 3: "High", 4: "VeryHigh"}


def severity_concept(level: int) -> str:
    """DPV's concept nearest to a level of severity of the CNIL method."""
    return f"{RISK}{_LEVELS[level]}Severity"


def likelihood_concept(level: int) -> str:
    """DPV's concept nearest to a level of likelihood of the CNIL method."""
    return f"{RISK}{_LEVELS[level]}Likelihood"


def recommendation(*, go_on: bool) -> str:
    """What the assessment recommends, as DPV says it."""
    return GDPR + ("DPIARecommendsProcessingContinue" if go_on else "DPIARecommendsProcessingNotContinue")


def risk_status(*, high: bool) -> str:
    """Whether the processing is risky before any measure, as DPV says it."""
    return GDPR + ("DPIAIndicatesHighRisk" if high else "DPIAIndicatesLowRisk")
