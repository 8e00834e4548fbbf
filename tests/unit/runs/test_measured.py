"""What policies may ask of measured figures: the worse end of each, and nothing where nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import pytest

from synthema.runs.measured import estimated_facts
from synthema.vocabulary.namespaces import SYN


@dataclass(frozen=True)
class Figure:
    """A measured figure."""

    metric: str
    value: float
    lower: float | None = None
    upper: float | None = None


def facts(*figures: Figure) -> dict[str, tuple[object, str | None]]:
    found = estimated_facts(figures, lambda figure: "urn:run#evaluation")
    return {operand.removeprefix(SYN): (fact.value, fact.evidence) for operand, fact in found.items()}


def test_a_risk_is_told_by_its_upper_bound_and_a_utility_by_its_lower_one() -> None:
    assert facts(Figure("membershipAUC", 0.5, 0.45, 0.62), Figure("pairSimilarity", 0.9, 0.85, 0.95)) == {
        "membershipAUC": (0.62, "urn:run#evaluation/membershipAUC/upper"),
        "utilityScore": (0.85, "urn:run#evaluation/pairSimilarity/lower"),
    }


def test_a_figure_without_an_interval_is_told_by_its_value() -> None:
    assert facts(Figure("singlingOutRisk", 0.1)) == {
        "singlingOutRisk": (0.1, "urn:run#evaluation/singlingOutRisk/value")
    }


def test_the_estimator_of_another_name_is_named() -> None:
    found = facts(Figure("attributeInferenceAdvantage", 0.02, -0.03, 0.07))
    assert found == {"inferenceRisk": (0.07, "urn:run#evaluation/attributeInferenceAdvantage/upper")}
    better = facts(Figure("attributeInferenceAdvantage", 0.02, -0.03, 0.07), Figure("inferenceRisk", 0.01, 0.0, 0.03))
    assert better == {"inferenceRisk": (0.03, "urn:run#evaluation/inferenceRisk/upper")}


def test_of_several_figures_the_worst_counts() -> None:
    found = facts(Figure("membershipAUC", 0.5, 0.4, 0.6), Figure("membershipAUC", 0.55, 0.5, 0.58))
    assert found["membershipAUC"][0] == 0.6
    found = facts(Figure("marginalSimilarity", 0.9, 0.8, 1.0), Figure("marginalSimilarity", 0.85, 0.84, 0.9))
    assert found["utilityScore"][0] == 0.8


@pytest.mark.parametrize("odd", [nan, inf, -inf])
def test_what_is_no_finite_number_is_no_fact(odd: float) -> None:
    assert facts(Figure("membershipAUC", 0.5, 0.4, odd), Figure("membershipAUC", 0.5, 0.4, 0.6)) == {}
    assert facts(Figure("linkabilityRisk", odd)) == {}


def test_what_was_not_measured_is_no_fact() -> None:
    assert facts() == {}
    assert facts(Figure("ruleViolations", 0.0)) == {}
