"""Holds evidence against the gates of an assessment. What is missing, stale or odd never passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from synthema.canonical import digest
from synthema.clock import duration, to_text
from synthema.dpia.model import GOOD_OUTCOMES, SIGNS, Dpia, Gate, Phase

_NOISE = 1e-9  # ends of an interval are computed in floating point


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured figure: ``lower`` and ``upper`` bound its interval, ``source`` is the IRI it is recorded under."""

    metric: str
    value: float
    n: int
    measured_at: datetime
    source: str
    lower: float | None = None
    upper: float | None = None


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
        }

    @property
    def digest(self) -> str:
        return digest(self.as_dict())


def check(dpia: Dpia, phase: Phase, evidence: Sequence[Evidence], at: datetime) -> GateReport:
    """Hold evidence against all gates of a phase, and the assessment itself against its outcome and review date.

    Where several figures answer one gate (one for each hospital), each must pass.
    """
    results = list(_standing(dpia, at))
    missing: list[str] = []
    for gate in dpia.gates:
        if gate.phase != phase:
            continue
        if not gate.confirmed_by_site:
            results.append(_failure(gate, f"{gate.sentence()}, but the site has not confirmed this threshold."))
            continue
        figures = [item for item in evidence if item.metric == gate.metric]
        if not figures:
            missing.append(gate.metric)
            results.append(_failure(gate, f"{gate.sentence()}, but it was not measured."))
        results += [_judge(gate, figure, at) for figure in figures]
    return GateReport(
        phase=phase,
        at=at,
        dpia_id=dpia.id,
        dpia_digest=dpia.digest,
        conformant=all(result.passed for result in results),
        results=tuple(results),
        missing=tuple(dict.fromkeys(missing)),
    )


def _standing(dpia: Dpia, at: datetime) -> tuple[GateResult, ...]:
    good = dpia.outcome in GOOD_OUTCOMES and dpia.opinion.favourable
    in_time = at.date() <= dpia.review_due
    opinion = "favourable" if dpia.opinion.favourable else "unfavourable"
    return (
        GateResult(
            "outcome",
            "dpiaOutcome",
            good,
            f"The assessment's outcome is {dpia.outcome}, and the data protection officer's opinion is {opinion}.",
        ),
        GateResult(
            "review",
            "dpiaReviewDue",
            in_time,
            f"The assessment's review is due on {dpia.review_due.isoformat()}"
            + ("." if in_time else ", which has passed (GDPR Art. 35(11))."),
        ),
    )


def _judge(gate: Gate, figure: Evidence, at: datetime) -> GateResult:
    observed = {"value": figure.value, "upper": figure.upper, "lower": figure.lower}[gate.bound]
    problem = _unusable(gate, figure, observed, at)
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


def _unusable(gate: Gate, figure: Evidence, observed: float | None, at: datetime) -> str | None:
    """Why a figure says nothing at this gate, or None when it does."""
    ends = [end for end in (figure.value, figure.lower, figure.upper) if end is not None]
    low = figure.value if figure.lower is None else figure.lower
    high = figure.value if figure.upper is None else figure.upper
    reasons = {
        f"the evidence gives no {gate.bound} end": observed is None,
        "the evidence is not a finite number": not all(isfinite(end) for end in ends),
        "the evidence contradicts itself: the value lies outside its interval": low - _NOISE > figure.value
        or high + _NOISE < figure.value,
        "the evidence comes from the future": figure.measured_at > at,
        f"the evidence is older than {gate.maximum_age}": at - figure.measured_at > duration(gate.maximum_age),
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
