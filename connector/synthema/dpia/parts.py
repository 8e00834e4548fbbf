"""The words of an assessment's model: texts, names, terms, levels, units and populations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from synthema.clock import duration
from synthema.dpia.terms import require_measure, require_risk, require_term
from synthema.values import Closed
from synthema.vocabulary.namespaces import GDPR

Phase = Literal["pre-run", "in-run", "pre-release", "post-release"]
Operator = Literal["lt", "lteq", "eq", "gteq", "gt"]
Bound = Literal["value", "upper", "lower"]
Direction = Literal["lower is better", "higher is better", "exact"]
Unit = Literal["share", "index", "patients", "records", "parties", "epsilon", "level", "days", "months"]
Population = Literal[
    "cohort",
    "training patients",
    "held-out patients",
    "training and held-out patients",
    "synthetic records",
    "training patients and synthetic records",
    "parties of the run",
    "the run",
    "releases",
]
FearedEvent = Literal["illegitimate access", "unwanted modification", "disappearance", "other"]

PHASES: Final[tuple[Phase, ...]] = ("pre-run", "in-run", "pre-release", "post-release")
SIGNS: Final[dict[Operator, str]] = {"lt": "<", "lteq": "≤", "eq": "=", "gteq": "≥", "gt": ">"}
FITTING: Final[dict[Direction, frozenset[Operator]]] = {
    "lower is better": frozenset({"lt", "lteq", "eq"}),
    "higher is better": frozenset({"gt", "gteq", "eq"}),
    "exact": frozenset({"eq"}),
}
"""Operators that stop what is bad; the others would stop what is good."""
WORSE_END: Final[dict[Direction, Bound]] = {
    "lower is better": "upper",
    "higher is better": "lower",
    "exact": "value",
}
"""The end of an interval that may be judged instead of the value: the worse one."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Outcome(StrEnum):
    """Outcome of an assessment; the values are local names of DPV's GDPR module."""

    MITIGATED = "DPIAOutcomeRisksMitigated"
    ACCEPTABLE = "DPIAOutcomeRisksAcceptable"
    HIGH_RESIDUAL = "DPIAOutcomeHighResidualRisk"
    CONSULTATION = "DPIAOutcomeDPAConsultation"

    @property
    def iri(self) -> str:
        """The outcome as a concept of DPV's GDPR module."""
        return GDPR + self.value

    @property
    def words(self) -> str:
        """The outcome as people say it."""
        return _OUTCOME_WORDS[self]


_OUTCOME_WORDS: Final = {
    Outcome.MITIGATED: "the risks are mitigated",
    Outcome.ACCEPTABLE: "the risks that remain are acceptable",
    Outcome.HIGH_RESIDUAL: "a high risk remains",
    Outcome.CONSULTATION: "the supervisory authority is to be consulted first",
}
GOOD_OUTCOMES: Final = frozenset({Outcome.MITIGATED, Outcome.ACCEPTABLE})
SEVERITIES: Final = {1: "negligible", 2: "limited", 3: "significant", 4: "maximum"}
"""The four levels of severity and of likelihood, as the CNIL method names them."""


def _plain(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("it holds a control character")
    return text


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a set: in order of the alphabet, none twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is named twice")
    return tuple(sorted(names))


Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S"), AfterValidator(_plain)]
"""Something said, by people for people."""
Remark = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_plain)]
"""Something that may be left unsaid."""
Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,79}$")]
Ids = Annotated[tuple[Id, ...], AfterValidator(_unique)]
MetricId = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9]{0,79}$")]
MetricIds = Annotated[tuple[MetricId, ...], AfterValidator(_unique)]
Term = Annotated[str, AfterValidator(require_term)]
RiskTerm = Annotated[str, AfterValidator(require_risk)]
MeasureTerm = Annotated[str, AfterValidator(require_measure)]
Terms = Annotated[tuple[Term, ...], AfterValidator(_unique)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Level(Closed):
    """Severity and likelihood, 1 (negligible) to 4 (maximum), as in the CNIL method."""

    severity: int = Field(ge=1, le=4)
    likelihood: int = Field(ge=1, le=4)

    @property
    def is_high(self) -> bool:
        """High risk to people: both at 3 or more."""
        return self.severity >= 3 and self.likelihood >= 3

    @property
    def words(self) -> str:
        """The level in words."""
        return f"severity {SEVERITIES[self.severity]}, likelihood {SEVERITIES[self.likelihood]}"


class Residual(Level):
    """What is left of a risk once its measures work, and why that is believed."""

    sentence: Text


def spelled(age: str) -> str:
    """A duration in words: ``P1D`` is 1 day."""
    seconds = int(duration(age).total_seconds())
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return listed(parts)


def listed(names: Sequence[str], joined_by: str = "and") -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joined_by} {names[-1]}" if names else "none"
