"""A closed review as evidence: figures for the gates of an assessment and for a site's signed statement."""

from __future__ import annotations

from typing import Final

from synthema.canonical import digest
from synthema.certification.model import Measurement, PluginReference
from synthema.certification.review.model import CONFIDENCE
from synthema.certification.review.store import ReviewRecord
from synthema.dpia import Evidence, measured
from synthema.errors import ConflictError

PROTOCOL: Final = {
    "version": "1",
    "questions": ["real or synthetic", list(CONFIDENCE.values()), "plausible or implausible", "reasons"],
    "design": "every reviewer sees every vignette in an order of their own; about half are synthetic; the assignment "
    "is committed to by digest before the first answer and opened at the end",
}
"""What every reviewer is asked, and how. Its digest stands where a plugin's digest would."""


def review_evidence(record: ReviewRecord, source: str) -> list[Evidence]:
    """The figures of a closed review as gates read them; ``source`` is the IRI of the review."""
    closed_at = record.closed_at
    if record.result is None or closed_at is None:
        raise ConflictError("this review is not closed, so it says nothing yet", fix="close it first")
    return [
        measured(f.metric, f.value, f.n, closed_at, source, lower=f.lower, upper=f.upper) for f in record.result.figures
    ]


def review_measurements(record: ReviewRecord, run: str) -> tuple[Measurement, ...]:
    """The figures of a closed review for a site's statement; each points to the log entry that closed the review.

    ``run`` is the IRI of the run that opened the real records, which that entry names.
    """
    if record.result is None:
        raise ConflictError("this review is not closed, so it says nothing yet", fix="close it first")
    people = PluginReference(name="clinicians", version=str(PROTOCOL["version"]), digest=digest(PROTOCOL))
    return tuple(
        Measurement(
            metric=figure.metric,
            value=figure.value,
            n=figure.n,
            lower=figure.lower,
            upper=figure.upper,
            control=figure.control,
            definition=figure.definition,
            evaluator=people,
            run=run,
            log_position=record.log_position,
        )
        for figure in record.result.figures
    )
