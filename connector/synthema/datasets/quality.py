"""The quality gate of a dataset: completeness, units, clinical rules (EHDS Art. 78(3)(b))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.datasets.rules import broken
from synthema.errors import InputError

SPARSE = 0.5
"""Below this share of recorded values a column earns a warning."""

TOLERATED_RULE_BREACHES = 0.01
"""Share of rows that may break a rule before the dataset is refused: real registries are not free of slips."""

Severity = Literal["block", "warn"]


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """Something a data steward should know; ``block`` keeps the dataset out."""

    severity: Severity
    variable: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a dataset's quality; counts and shares only."""

    rows: int
    completeness: dict[str, float]
    rule_violations: dict[str, int]
    findings: tuple[QualityFinding, ...]

    @property
    def overall_completeness(self) -> float:
        """Share of recorded cells over all columns."""
        return sum(self.completeness.values()) / len(self.completeness) if self.completeness else 0.0

    @property
    def passes(self) -> bool:
        """Whether nothing keeps the dataset out."""
        return all(finding.severity != "block" for finding in self.findings)

    def require(self, where: str) -> None:
        """Raise :class:`InputError` with every blocking finding."""
        blocking = [finding.sentence for finding in self.findings if finding.severity == "block"]
        if blocking:
            raise InputError(
                "the data do not pass the quality gate, and nothing was taken:\n  " + "\n  ".join(blocking),
                where=where,
                fix="correct the data at their source and add the file again",
            )

    def as_dict(self) -> dict[str, Any]:
        """The measurements as JSON."""
        return {
            "rows": self.rows,
            "completeness": self.completeness,
            "ruleViolations": self.rule_violations,
            "findings": [
                {"severity": f.severity, "variable": f.variable, "sentence": f.sentence} for f in self.findings
            ],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Quality:
        """The inverse of :meth:`as_dict`."""
        findings = tuple(QualityFinding(f["severity"], f["variable"], f["sentence"]) for f in value["findings"])
        return cls(value["rows"], dict(value["completeness"]), dict(value["ruleViolations"]), findings)


def assess(table: pl.DataFrame, codebook: Codebook) -> Quality:
    """Measure a typed table against its codebook."""
    findings: list[QualityFinding] = []
    completeness: dict[str, float] = {}
    for variable in codebook.variables:
        column = table[variable.name]
        recorded = 1.0 - column.null_count() / max(table.height, 1)
        completeness[variable.name] = recorded
        findings += _completeness_findings(variable, recorded)
        findings += _unit_findings(variable, column)
    violations = {rule.id: int(broken(table, rule).sum()) for rule in codebook.rules}
    findings += _rule_findings(codebook, violations, table.height)
    return Quality(table.height, completeness, violations, tuple(findings))


def _completeness_findings(variable: Variable, recorded: float) -> list[QualityFinding]:
    if recorded == 0:
        return [QualityFinding("block", variable.name, f"column {variable.name} holds no value at all")]
    if recorded < SPARSE:
        return [QualityFinding("warn", variable.name, f"column {variable.name} is recorded in {recorded:.0%} of rows")]
    return []


def _unit_findings(variable: Variable, column: pl.Series) -> list[QualityFinding]:
    """A median where no cohort's median lies, above all when another unit would explain it."""
    if variable.typical is None or column.null_count() == len(column):
        return []
    low, high = variable.typical
    median = float(str(column.median()))
    if low <= median <= high:
        return []
    said = f"the median of {variable.name} is {median:g}, where {low:g} to {high:g} {variable.unit or ''} is usual"
    for other in variable.other_units:
        if low <= median / other.factor <= high:
            sentence = f"{said.rstrip()}; it fits the unit {other.unit}, so the column seems to be in the wrong unit"
            return [QualityFinding("block", variable.name, sentence)]
    return [QualityFinding("warn", variable.name, said.rstrip())]


def _rule_findings(codebook: Codebook, violations: dict[str, int], rows: int) -> list[QualityFinding]:
    findings = []
    for rule in codebook.rules:
        count = violations[rule.id]
        if count:
            severity: Severity = "block" if count > TOLERATED_RULE_BREACHES * rows else "warn"
            sentence = f"{count} of {rows} rows break the rule '{rule.id}': {rule.sentence}"
            findings.append(QualityFinding(severity, rule.left, sentence))
    return findings
