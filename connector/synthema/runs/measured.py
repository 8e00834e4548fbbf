"""What was measured in a run, in the forms that the release checks and the reports read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeVar

from synthema.dpia import Evidence, measured
from synthema.policy import Fact
from synthema.runs.model import IN_ROUNDS
from synthema.runs.session import GovernedSession
from synthema.spi.model import Evaluation
from synthema.vocabulary.namespaces import SYN


class Figure(Protocol):
    """A measured figure with its interval, wherever it comes from."""

    @property
    def metric(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


AnyFigure = TypeVar("AnyFigure", bound=Figure)


@dataclass(frozen=True, slots=True)
class Estimated:
    """How an operand of policies is estimated: by the first of these figures that was measured, at its worse end."""

    metrics: tuple[str, ...]
    end: Literal["upper", "lower"]


ESTIMATES: Final[Mapping[str, Estimated]] = MappingProxyType(
    {
        SYN + "membershipAUC": Estimated(("membershipAUC",), "upper"),
        SYN + "singlingOutRisk": Estimated(("singlingOutRisk",), "upper"),
        SYN + "linkabilityRisk": Estimated(("linkabilityRisk",), "upper"),
        SYN + "inferenceRisk": Estimated(("inferenceRisk", "attributeInferenceAdvantage"), "upper"),
        SYN + "utilityScore": Estimated(("utilityScore", "pairSimilarity", "marginalSimilarity"), "lower"),
        SYN + "reviewDiscrimination": Estimated(("reviewDiscrimination",), "upper"),
        SYN + "reviewPlausibleShare": Estimated(("reviewPlausibleShare",), "lower"),
        SYN + "reviewAgreement": Estimated(("reviewAgreement",), "lower"),
    }
)
"""Operand → its estimators. A risk is told by its upper bound and a utility by its lower one, never by the middle."""

_COUNTS: Final = ("minCellCount", "cohortSize", "contributingParties", "isolationLevel")


def evidence_of(
    session: GovernedSession,
    evaluation: Evaluation | None,
    source: str,
    at: datetime,
    *,
    smallest_class: int | None = None,
) -> list[Evidence]:
    """What was measured in a run, as the DPIA's gates read it; ``source`` is the run's IRI.

    ``smallest_class`` is that of the output, where the output is a table with classes of its own.
    """
    prepared, grant = session.prepared, session.grant
    train = prepared.train.height
    smallest = prepared.smallest_class if smallest_class is None else smallest_class
    inside = [
        measured("minCellCount", smallest, train, at, source),
        measured("cohortSize", train + prepared.holdout.height, train, at, source),
        measured("contributingParties", session.request.contributing_parties, train, at, source),
        measured("isolationLevel", session.isolation.level, 1, at, source),
    ]
    if grant.epsilon or session.request.kind not in IN_ROUNDS:  # the loss of exact sums over sites has no bound
        inside.append(measured("privacyLoss", grant.epsilon, 1, at, source))
    metrics = () if evaluation is None else evaluation.metrics
    return inside + [measured(m.id, m.value, m.n, at, source, lower=m.lower, upper=m.upper) for m in metrics]


def estimated_facts(figures: Sequence[AnyFigure], shown_by: Callable[[AnyFigure], str]) -> dict[str, Fact]:
    """What policies may ask of measured figures; what was not measured, or is no finite number, is no fact and denies.

    The evidence of each fact is ``shown_by`` the figure, followed by its name and the end of its interval that counts.
    """
    found: dict[str, Fact] = {}
    for operand, estimate in ESTIMATES.items():
        metric = next((name for name in estimate.metrics if any(each.metric == name for each in figures)), None)
        ends = [_end(each, estimate.end) for each in figures if each.metric == metric]
        if ends and all(isfinite(value) for value, _ in ends):
            worst = (max if estimate.end == "upper" else min)(value for value, _ in ends)
            at = [value for value, _ in ends].index(worst)
            figure = [each for each in figures if each.metric == metric][at]
            found[operand] = Fact(float(worst), f"{shown_by(figure)}/{metric}/{ends[at][1]}")
    return found


def _end(figure: Figure, end: Literal["upper", "lower"]) -> tuple[float, str]:
    """The worse end of a figure's interval, or its value where it has none, with the name of what it is."""
    bound = figure.upper if end == "upper" else figure.lower
    return (figure.value, "value") if bound is None else (bound, end)


def run_facts(evidence: Iterable[Evidence], estimator: str) -> dict[str, Fact]:
    """The figures of one run as facts; ``estimator`` names the plugin that estimated them."""
    figures = list(evidence)
    counted = {
        SYN + each.metric: Fact(int(each.value), each.source)
        for each in figures
        if each.metric in _COUNTS and isfinite(each.value)
    }
    return {**counted, **estimated_facts(figures, lambda each: f"{each.source}#{estimator}")}


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON: figures, series for plots, notes."""
    return {
        "metrics": [
            {
                "id": m.id,
                "value": m.value,
                "n": m.n,
                "lower": m.lower,
                "upper": m.upper,
                "control": m.control,
                "definition": m.definition,
            }
            for m in evaluation.metrics
        ],
        "series": evaluation.series,
        "notes": list(evaluation.notes),
    }
