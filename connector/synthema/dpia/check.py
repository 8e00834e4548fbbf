"""Holds evidence against the gates of an assessment. What is stale or odd never passes.

Nor does what is missing, but for a gate that the assessment lets go unmeasured (``on_missing: note``): then the
verdict says that it was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import Any

from synthema.canonical import digest
from synthema.clock import duration, to_text
from synthema.dpia.figures import EVALUATION_CONFIDENCE, FIGURES
from synthema.dpia.model import Dpia, Gate, MetricDefinition
from synthema.dpia.parts import GOOD_OUTCOMES, SIGNS, Phase, Population, Unit, spelled
from synthema.dpia.terms import expand

_NOISE = 1e-9  # ends of an interval are computed in floating point


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured figure: ``lower`` and ``upper`` bound its interval, ``source`` is the IRI it is recorded under.

    ``unit``, ``population``, ``kind`` (IRI of the kind of evidence) and the ``confidence`` of the
    interval are what the figure itself claims; unsaid means unknown, and unknown never passes.
    """

    metric: str
    value: float
    n: int
    measured_at: datetime
    source: str
    lower: float | None = None
    upper: float | None = None
    unit: Unit | None = None
    population: Population | None = None
    kind: str | None = None
    confidence: float | None = None


def measured(
    metric: str,
    value: float,
    n: int,
    measured_at: datetime,
    source: str,
    *,
    lower: float | None = None,
    upper: float | None = None,
) -> Evidence:
    """A figure the connector measures by itself, with all that is known of it (:data:`FIGURES`).

    A figure that is not known there says neither unit nor population, and so passes no gate.
    """
    known = FIGURES.get(metric)
    if known is None:
        return Evidence(metric, value, n, measured_at, source, lower, upper)
    confidence = None if lower is None and upper is None else EVALUATION_CONFIDENCE
    return Evidence(
        metric, value, n, measured_at, source, lower, upper, known.unit, known.population, known.evidence, confidence
    )


@dataclass(frozen=True, slots=True)
class GateResult:
    """How one figure stood at one gate."""

    gate: str
    metric: str
    passed: bool
    sentence: str
    threshold: float | None = None
    observed: float | None = None
    n: int | None = None
    source: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one phase at one time. ``conformant`` is DPV's DPIAConformant; anything else denies."""

    phase: Phase
    at: datetime
    dpia_id: str
    dpia_digest: str
    conformant: bool
    results: tuple[GateResult, ...]
    missing: tuple[str, ...]
    beside: tuple[str, ...] = ()
    """Digests of the other assessments whose gates count too."""

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each result."""
        return tuple(result.sentence for result in self.results)

    def failures(self) -> tuple[str, ...]:
        """The sentences of what did not pass."""
        return tuple(result.sentence for result in self.results if not result.passed)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "phase": self.phase,
            "at": to_text(self.at),
            "dpia": self.dpia_id,
            "dpiaDigest": self.dpia_digest,
            "conformant": self.conformant,
            "results": [result.as_dict() for result in self.results],
            "missing": list(self.missing),
            **({"beside": list(self.beside)} if self.beside else {}),
        }

    @property
    def digest(self) -> str:
        return digest(self.as_dict())


def check(
    dpia: Dpia,
    phase: Phase,
    evidence: Sequence[Evidence],
    at: datetime,
    standing: Sequence[GateResult] = (),
) -> GateReport:
    """Hold evidence against all gates of a phase, and the assessment itself against its outcome and review date.

    Where several figures answer one gate (one for each hospital), each must pass. ``standing`` are
    results about the assessment itself that are found elsewhere, such as a measure that is not in place.
    """
    results = [*_standing(dpia, at), *standing]
    missing: list[str] = []
    for gate in dpia.gates:
        if gate.phase == phase:
            found = judge_gate(dpia, gate, evidence, at)
            results += found
            unmeasured = all(item.metric != gate.metric for item in evidence)
            if unmeasured and gate.confirmed_by_site and gate.on_missing == "deny":
                missing.append(gate.metric)
    return GateReport(
        phase=phase,
        at=at,
        dpia_id=dpia.id,
        dpia_digest=dpia.digest,
        conformant=all(result.passed for result in results),
        results=tuple(results),
        missing=tuple(dict.fromkeys(missing)),
    )


def joined(reports: Sequence[tuple[GateReport, str]]) -> GateReport:
    """The reports of all assessments that cover one act, as one: conformant where each of them is.

    It bears the name of the last; with each report comes what is said beside its sentences, nothing where it is alone.
    """
    last = reports[-1][0]
    if len(reports) == 1:
        return last
    return GateReport(
        phase=last.phase,
        at=last.at,
        dpia_id=last.dpia_id,
        dpia_digest=last.dpia_digest,
        conformant=all(report.conformant for report, _ in reports),
        results=tuple(
            replace(result, gate=f"{report.dpia_id}: {result.gate}", sentence=result.sentence + beside)
            for report, beside in reports
            for result in report.results
        ),
        missing=tuple(dict.fromkeys(name for report, _ in reports for name in report.missing)),
        beside=tuple(report.dpia_digest for report, _ in reports[:-1]),
    )


def judge_gate(dpia: Dpia, gate: Gate, evidence: Sequence[Evidence], at: datetime) -> list[GateResult]:
    """How every figure that answers a gate stands at it; where none does, one failure (or a note, if that suffices)."""
    if not gate.confirmed_by_site:
        return [_failure(gate, f"{gate.sentence()}, but the site has not confirmed this threshold.")]
    figures = [item for item in evidence if item.metric == gate.metric]
    if not figures and gate.on_missing == "note":
        said = f"{gate.sentence()} where it is measured; it was not, and the assessment does not ask for it always."
        return [GateResult(gate.id, gate.metric, passed=True, sentence=said, threshold=gate.threshold)]
    if not figures:
        return [_failure(gate, f"{gate.sentence()}, but it was not measured.")]
    return [_judge(gate, dpia.metric(gate.metric), figure, at) for figure in figures]


def _standing(dpia: Dpia, at: datetime) -> tuple[GateResult, ...]:
    good = dpia.standing_outcome in GOOD_OUTCOMES and dpia.opinion.favourable
    in_time = at.date() <= dpia.review_due
    opinion = "favourable" if dpia.opinion.favourable else "unfavourable"
    return (
        GateResult(
            "outcome",
            "dpiaOutcome",
            good,
            f"The assessment's outcome is that {dpia.standing_outcome.words}, and the data protection officer's "
            f"opinion is {opinion}" + ("." if good else " (GDPR Art. 35(2), 36(1))."),
        ),
        GateResult(
            "review",
            "dpiaReviewDue",
            in_time,
            f"The assessment's review is due on {dpia.review_due.isoformat()}"
            + ("." if in_time else ", which has passed (GDPR Art. 35(11))."),
        ),
    )


def _judge(gate: Gate, metric: MetricDefinition, figure: Evidence, at: datetime) -> GateResult:
    observed = {"value": figure.value, "upper": figure.upper, "lower": figure.lower}[gate.bound]
    problem = _unusable(gate, metric, figure, observed, at)
    if problem is not None or observed is None:
        shown = observed if observed is not None and isfinite(observed) else None
        return GateResult(
            gate.id,
            gate.metric,
            passed=False,
            sentence=f"{gate.sentence()}, but {problem}.",
            threshold=gate.threshold,
            observed=shown,
            n=figure.n,
            source=figure.source,
        )
    passed = _holds(observed, gate)
    verdict = "passes" if passed else "does not pass"
    return GateResult(
        gate.id,
        gate.metric,
        passed=passed,
        sentence=f"{gate.sentence()}; measured {observed:.4g} on {figure.n} records: {verdict}.",
        threshold=gate.threshold,
        observed=observed,
        n=figure.n,
        source=figure.source,
    )


def _unusable(
    gate: Gate, metric: MetricDefinition, figure: Evidence, observed: float | None, at: datetime
) -> str | None:
    """Why a figure says nothing at this gate, or None when it does."""
    ends = [end for end in (figure.value, figure.lower, figure.upper) if end is not None]
    if not all(isfinite(end) for end in ends):
        return "the evidence is not a finite number"
    return _misunderstood(gate, metric, figure) or _too_weak(gate, figure, observed, at)


def _misunderstood(gate: Gate, metric: MetricDefinition, figure: Evidence) -> str | None:
    """Why a figure is not the one the gate asks for."""
    sure, needed = figure.confidence or 0.0, metric.confidence or 0.0
    reasons = {
        f"the evidence is in {figure.unit or 'no unit'}, and the metric in {metric.unit}": figure.unit != metric.unit,
        f"the evidence is about {figure.population or 'nobody that it names'}, and the metric about "
        f"{metric.population}": figure.population != metric.population,
        f"the evidence is of the kind {figure.kind or 'unknown'}, not {gate.evidence}": figure.kind is None
        or expand(figure.kind) != expand(gate.evidence),
        f"the interval is given with {sure:.0%} confidence, not {needed:.0%}": gate.bound != "value"
        and not needed <= sure < 1,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _too_weak(gate: Gate, figure: Evidence, observed: float | None, at: datetime) -> str | None:
    """Why the right figure does not suffice: no interval, contradictory, too old, or on too few."""
    low = figure.value if figure.lower is None else figure.lower
    high = figure.value if figure.upper is None else figure.upper
    reasons = {
        f"the evidence gives no {gate.bound} end": observed is None,
        "the evidence contradicts itself: the value lies outside its interval": low - _NOISE > figure.value
        or high + _NOISE < figure.value,
        "the evidence comes from the future": figure.measured_at > at,
        f"the evidence is older than {spelled(gate.maximum_age)}": at - figure.measured_at > duration(gate.maximum_age),
        f"the evidence rests on {figure.n} records, fewer than {gate.minimum_n}": figure.n < gate.minimum_n,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _holds(observed: float, gate: Gate) -> bool:
    match gate.operator:
        case "lt":
            return observed < gate.threshold
        case "lteq":
            return observed <= gate.threshold
        case "eq":
            return observed == gate.threshold
        case "gteq":
            return observed >= gate.threshold
        case "gt":
            return observed > gate.threshold


def _failure(gate: Gate, sentence: str) -> GateResult:
    return GateResult(gate.id, gate.metric, passed=False, sentence=sentence, threshold=gate.threshold)


def describe(dpia: Dpia) -> tuple[str, ...]:
    """The chain from each risk to its gates, one sentence for each gate."""
    measures = {measure.id: measure for measure in dpia.measures}
    return tuple(
        f"Against '{risk.id}': {measures[name].sentence.rstrip('.')} – shown by {metric} – "
        f"{gate.metric} {SIGNS[gate.operator]} {gate.threshold:g} ({gate.phase})."
        for risk in dpia.risks
        for name in risk.measures
        for metric in measures[name].metrics
        for gate in dpia.gates
        if gate.metric == metric
    )
