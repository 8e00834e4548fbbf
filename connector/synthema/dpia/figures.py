"""The figures a connector measures by itself: in which unit, on whom, and what shows them.

A gate passes only evidence that says all three as the assessment's metric does, so
that a share is never read as a count, nor a figure about synthetic rows as one about patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from synthema.dpia.parts import Direction, Population, Unit
from synthema.vocabulary.namespaces import SYN


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known of a figure before it is measured: unit, population, kind of evidence, which way is better."""

    unit: Unit
    population: Population
    evidence: str
    direction: Direction


def _evaluated(unit: Unit, population: Population, *, lower: bool) -> Figure:
    direction: Direction = "lower is better" if lower else "higher is better"
    return Figure(unit, population, SYN + "EvaluationReport", direction)


_ATTACKED: Final[Population] = "training and held-out patients"
_COMPARED: Final[Population] = "training patients and synthetic records"

CLINICAL_REVIEW: Final = SYN + "ClinicalReview"
"""Kind of the evidence that people give and no plugin can: figures of this kind are waited for."""


def _judged(unit: Unit, *, lower: bool) -> Figure:
    return Figure(unit, _COMPARED, CLINICAL_REVIEW, "lower is better" if lower else "higher is better")


def _anonymised(unit: Unit, *, lower: bool) -> Figure:
    return Figure(unit, "cohort", SYN + "AnonymisationReport", "lower is better" if lower else "higher is better")


FIGURES: Final = MappingProxyType(
    {
        "cohortSize": Figure("patients", "cohort", SYN + "CohortCount", "higher is better"),
        "contributingParties": Figure("parties", "parties of the run", SYN + "StudyPlan", "higher is better"),
        "minCellCount": Figure("patients", "training patients", SYN + "AnonymisationReport", "higher is better"),
        "uniqueShare": _anonymised("share", lower=True),
        "prosecutorRisk": _anonymised("share", lower=True),
        "averageRisk": _anonymised("share", lower=True),
        "journalistRisk": _anonymised("share", lower=True),
        "marketerRisk": _anonymised("share", lower=True),
        "atRisk": _anonymised("share", lower=True),
        "presence": _anonymised("share", lower=True),
        "diversity": _anonymised("index", lower=False),
        "entropyDiversity": _anonymised("index", lower=False),
        "closeness": _anonymised("share", lower=True),
        "informationLoss": _anonymised("share", lower=True),
        "marginalUtility": _anonymised("share", lower=False),
        "pairUtility": _anonymised("share", lower=False),
        "isolationLevel": Figure("level", "the run", SYN + "IsolationReport", "higher is better"),
        "privacyLoss": Figure("epsilon", "the run", SYN + "Grant", "lower is better"),
        "membershipAUC": _evaluated("index", _ATTACKED, lower=True),
        "membershipTPR": _evaluated("share", "training patients", lower=True),
        "attributeInferenceAdvantage": _evaluated("share", _ATTACKED, lower=True),
        "singlingOutRisk": _evaluated("share", _ATTACKED, lower=True),
        "copiedRowShare": _evaluated("share", _ATTACKED, lower=True),
        "smallestClass": _evaluated("patients", _ATTACKED, lower=False),
        "marginalSimilarity": _evaluated("index", _COMPARED, lower=False),
        "pairSimilarity": _evaluated("index", _COMPARED, lower=False),
        "survivalDistance": _evaluated("share", _COMPARED, lower=True),
        "restrictedMeanDifference": _evaluated("share", _COMPARED, lower=True),
        "nearestRecordRatio": _evaluated("index", _COMPARED, lower=False),
        "concordanceSynthetic": _evaluated("index", "held-out patients", lower=False),
        "concordanceReal": _evaluated("index", "held-out patients", lower=False),
        "concordanceGap": _evaluated("index", "held-out patients", lower=True),
        "membershipTPRStrict": _evaluated("share", "training patients", lower=True),
        "outlierMembershipAUC": _evaluated("index", _ATTACKED, lower=True),
        "shadowMembershipAUC": _evaluated("index", _ATTACKED, lower=True),
        "shadowMembershipTPR": _evaluated("share", _ATTACKED, lower=True),
        "shadowMembershipTPRStrict": _evaluated("share", _ATTACKED, lower=True),
        "canaryAUC": _evaluated("index", _ATTACKED, lower=True),
        "linkabilityRisk": _evaluated("share", _ATTACKED, lower=True),
        "inferenceRisk": _evaluated("share", _ATTACKED, lower=True),
        "identityDisclosureRisk": _evaluated("share", "training patients", lower=True),
        "nearestRecordShare": _evaluated("share", _COMPARED, lower=True),
        "correlationDifference": _evaluated("index", _COMPARED, lower=True),
        "rareCategoryRetention": _evaluated("share", _COMPARED, lower=False),
        "classifierAUC": _evaluated("index", _COMPARED, lower=True),
        "clinicalSyntheticFidelity": _evaluated("index", _COMPARED, lower=False),
        "genomicSyntheticFidelity": _evaluated("index", _COMPARED, lower=False),
        "genomicCorrelationDifference": _evaluated("index", _COMPARED, lower=True),
        "knowledgeReproduced": _evaluated("share", _COMPARED, lower=False),
        "medianDifference": _evaluated("share", _COMPARED, lower=True),
        "competingRisksDistance": _evaluated("share", _COMPARED, lower=True),
        "hazardRatioCorrelation": _evaluated("index", _COMPARED, lower=False),
        "hazardRatioOverlap": _evaluated("index", _COMPARED, lower=False),
        "logRankP": _evaluated("index", _COMPARED, lower=False),
        "aucSynthetic": _evaluated("index", "held-out patients", lower=False),
        "aucReal": _evaluated("index", "held-out patients", lower=False),
        "aucGap": _evaluated("index", "held-out patients", lower=True),
        "calibrationError": _evaluated("index", "held-out patients", lower=True),
        "groupConcordanceGap": _evaluated("index", "held-out patients", lower=True),
        "groupSurvivalDistance": _evaluated("share", _COMPARED, lower=True),
        "ruleViolations": _evaluated("share", "synthetic records", lower=True),
        "reviewDiscrimination": _judged("index", lower=True),
        "reviewPlausibleShare": _judged("share", lower=False),
        "reviewPlausibleGap": _judged("share", lower=True),
        "reviewAgreement": _judged("index", lower=False),
    }
)
"""Figure id → what it is; the evaluator's README says how each is estimated."""

EVALUATION_CONFIDENCE: Final = 0.95
"""Level of the intervals that evaluators give (:class:`synthema.spi.model.Metric`)."""
