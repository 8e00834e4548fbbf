"""The steps of an evaluation in their order: what each is called, what it measures, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthema.datasets.codebook import Codebook, Variable
from synthema.spi.model import Metric
from synthema_evaluation import (
    attacks,
    criteria,
    effects,
    fidelity,
    membership,
    prediction,
    published,
    table_checks,
    utility,
)
from synthema_evaluation.columns import Tables


@dataclass(frozen=True, slots=True)
class Job:
    """What every step is given."""

    tables: Tables
    codebook: Codebook
    variables: tuple[Variable, ...]
    random: np.random.Generator


Found = tuple[list[Metric | None], dict[str, Any]]


def _marginals(job: Job) -> Found:
    metric, series = utility.marginal_similarity(job.tables, job.variables, job.random)
    return [metric], {"marginals": series}


def _survival(job: Job) -> Found:
    metrics, curves = utility.survival_metrics(job.tables, job.codebook, job.codebook.outcomes, job.random)
    median = effects.median_metric(job.tables, job.codebook, job.random)
    competing, incidence = effects.competing_metric(job.tables, job.codebook, job.random)
    return [*metrics, median, competing, effects.log_rank_metric(job.tables, job.codebook)], {
        "survival": curves,
        "incidence": incidence,
    }


def _ranking(job: Job) -> Found:
    return [
        metric
        for outcome in job.codebook.outcomes[:1]
        for metric in utility.concordance_metrics(job.tables, job.codebook, job.variables, outcome, job.random)
    ], {}


def _membership(job: Job) -> Found:
    metrics, series = membership.membership_metrics(job.tables, job.variables, job.random)
    return [*metrics], {"attacks": {"membership": series}}


def _criteria(job: Job) -> Found:
    singling, singled = attacks.singling_out_metric(job.tables, job.variables, job.random)
    linking, linked = criteria.linkability_metric(job.tables, job.variables, job.random)
    inferring, inferred = criteria.inference_metric(job.tables, job.variables, job.random)
    return [singling, linking, inferring], {
        "attacks": {"singlingOut": singled, "linkability": linked, "inference": inferred}
    }


def _disclosure(job: Job) -> Found:
    attribute, each = attacks.attribute_metric(job.tables, job.variables)
    return [
        attribute,
        criteria.identity_metric(job.tables, job.variables),
        attacks.copied_metric(job.tables, job.variables),
    ], {"attacks": {"attributeInference": each}}


def _nearest(job: Job) -> Found:
    return [
        attacks.nearest_ratio_metric(job.tables, job.variables, job.random),
        attacks.nearest_share_metric(job.tables, job.variables, job.random),
    ], {}


def _structure(job: Job) -> Found:
    metrics, series = fidelity.structure_metrics(job.tables, job.variables, job.random)
    rare, lost = fidelity.rare_metric(job.tables, job.variables)
    return [*metrics, rare], {**series, "rareCategories": lost}


def _apart(job: Job) -> Found:
    return [fidelity.classifier_metric(job.tables, job.variables, job.random)], {}


def _hazards(job: Job) -> Found:
    metrics, series = effects.hazard_metrics(job.tables, job.codebook, job.variables)
    return [*metrics], {"hazards": series}


def _prediction(job: Job) -> Found:
    metrics, series = prediction.prediction_metrics(job.tables, job.codebook, job.variables, job.random)
    return [*metrics], {"calibration": series}


def _groups(job: Job) -> Found:
    metrics, series = prediction.group_metrics(job.tables, job.codebook, job.variables, job.random)
    return [*metrics], {"groups": series}


def _rules(job: Job) -> Found:
    rules, each = table_checks.rule_metric(job.tables, job.codebook)
    return [rules, table_checks.smallest_class_metric(job.tables, job.codebook)], {"rules": each}


def _published(job: Job) -> Found:
    metric, series = published.knowledge_metric(job.tables, job.codebook, job.variables)
    return [metric], {"knowledge": series}


STEPS: tuple[tuple[str, Callable[[Job], Found]], ...] = (
    ("shares of single variables", _marginals),
    ("survival curves, medians and competing risks", _survival),
    ("ranking of held-out patients", _ranking),
    ("membership inference", _membership),
    ("singling out, linking and inferring", _criteria),
    ("disclosure of values and identities", _disclosure),
    ("nearest records, for comparison", _nearest),
    ("clinical rules and smallest class", _rules),
    ("published knowledge about the disease", _published),
    ("pairs, correlations and rare categories", _structure),
    ("telling synthetic from real rows", _apart),
    ("hazard ratios", _hazards),
    ("prediction and calibration", _prediction),
    ("groups of patients", _groups),
)
"""What is told as progress, and the step."""

_OUTCOME = "that needs a survival outcome with events in all three tables"
_TWO = "that needs two variables or more"
_SHADOWS = "no shadow runs were asked for (parameter shadows)"
NEEDS: dict[str, str] = {
    "survivalDistance": _OUTCOME,
    "restrictedMeanDifference": _OUTCOME,
    "medianDifference": _OUTCOME,
    "logRankP": _OUTCOME,
    "competingRisksDistance": "that needs two outcomes in the codebook, and ten patients at risk",
    "concordanceSynthetic": _OUTCOME,
    "concordanceReal": _OUTCOME,
    "concordanceGap": _OUTCOME,
    "membershipAUC": "that needs more rows",
    "membershipTPR": "that needs more rows",
    "membershipTPRStrict": "that needs more rows",
    "outlierMembershipAUC": "a tenth of the rows must hold ten training and ten held-out patients",
    "shadowMembershipAUC": _SHADOWS,
    "shadowMembershipTPR": _SHADOWS,
    "shadowMembershipTPRStrict": _SHADOWS,
    "canaryAUC": _SHADOWS,
    "singlingOutRisk": "no description fits exactly one synthetic row",
    "linkabilityRisk": "that needs four variables or more",
    "inferenceRisk": "that needs a sensitive variable or an event, and one to infer it from",
    "attributeInferenceAdvantage": "that needs a sensitive variable or an event, and quasi-identifiers",
    "identityDisclosureRisk": "that needs quasi-identifiers, and a sensitive variable or an event",
    "copiedRowShare": "that needs more rows",
    "nearestRecordRatio": "that needs more rows",
    "nearestRecordShare": "that needs more rows",
    "pairSimilarity": _TWO,
    "correlationDifference": _TWO,
    "clinicalSyntheticFidelity": _TWO,
    "genomicSyntheticFidelity": "that needs two variables about genes",
    "genomicCorrelationDifference": "that needs two variables about genes",
    "knowledgeReproduced": "no published finding kept for this disease is clear in the training rows",
    "rareCategoryRetention": "no category is rare (five training rows or more, less than 5 % of them)",
    "hazardRatioCorrelation": "that needs a survival outcome with ten events, and two covariates",
    "hazardRatioOverlap": "that needs a survival outcome with ten events, and two covariates",
    "aucSynthetic": "that needs ten patients with and ten without the event by its median time, in each table",
    "aucReal": "that needs ten patients with and ten without the event by its median time, in each table",
    "aucGap": "that needs ten patients with and ten without the event by its median time, in each table",
    "calibrationError": "that needs ten patients with and ten without the event by its median time, in each table",
    "groupConcordanceGap": "that needs a sex, age, site or the like with 30 held-out patients and 10 events in a group",
    "groupSurvivalDistance": "that needs a sex, age, site or the like with 30 training rows in a group",
}
"""Figure that may be missing → why, as the end of a sentence; a note says so whenever one is."""
