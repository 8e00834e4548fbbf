"""What was measured in a run, in the forms that the release checks and the reports read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from synthema.dpia import Evidence
from synthema.runs.session import GovernedSession
from synthema.spi.model import Evaluation


def evidence_of(session: GovernedSession, evaluation: Evaluation | None, source: str, at: datetime) -> list[Evidence]:
    """What was measured in a run, as the DPIA's gates read it; ``source`` is the run's IRI."""
    train = session.prepared.train.height

    def measured(metric: str, value: float, n: int, *bounds: float | None) -> Evidence:
        lower, upper = bounds or (None, None)
        return Evidence(metric, value, n, at, source, lower, upper)

    inside = [
        measured("minCellCount", session.prepared.smallest_class, train),
        measured("cohortSize", train + session.prepared.holdout.height, train),
        measured("contributingParties", session.request.contributing_parties, train),
    ]
    metrics = () if evaluation is None else evaluation.metrics
    return inside + [measured(m.id, m.value, m.n, m.lower, m.upper) for m in metrics]


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
