"""The quality gate of a dataset: completeness, units, plausibility, clinical rules (EHDS Art. 78(3)(b)).

The reader of a file (:mod:`synthema.datasets.source`) has refused what is impossible by then. Here is looked for what
is possible in each cell and wrong in the table: a column or a centre in another unit, some values in another unit, a
code for "missing" among numbers, rules and derived columns that contradict themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from synthema.datasets.codebook import Codebook, Variable
from synthema.datasets.codes import code_faults
from synthema.datasets.plausibility import mixed_units, odd_patients, stray_codes, units_by_site
from synthema.datasets.rules import breach, violations
from synthema.errors import InputError

SPARSE = 0.5
"""Below this share of recorded values a column earns a warning."""

TOLERATED_RULE_BREACHES = 0.01
"""Share of rows that may break a rule before the dataset is refused: real registries are not free of slips."""

SHOWN_LINES = 5

Severity = Literal["block", "warn"]


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """Something a data steward should know; ``block`` keeps the dataset out.

    ``rows`` are the positions of the rows in question, for whoever holds the file; they are never kept or published.
    """

    severity: Severity
    variable: str | None
    sentence: str
    rows: tuple[int, ...] = field(default=(), compare=False)

    def text(self, lines: Sequence[int]) -> str:
        """The finding with the lines of the file in which its rows begin."""
        if not self.rows or not lines:
            return self.sentence
        shown = ", ".join(str(lines[row]) for row in self.rows[:SHOWN_LINES])
        more = f" and {len(self.rows) - SHOWN_LINES} more" if len(self.rows) > SHOWN_LINES else ""
        return f"{self.sentence.rstrip('.')} (line{'s' if len(self.rows) > 1 else ''} {shown}{more})"


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

    def require(self, where: str, lines: Sequence[int] = ()) -> None:
        """Raise :class:`InputError` with every blocking finding; ``lines`` are those of the file, if known."""
        blocking = [finding.text(lines) for finding in self.findings if finding.severity == "block"]
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
    sites = [table[name] for name in codebook.names("site") if name in table.columns]
    for variable in codebook.variables:
        column = table[variable.name]
        recorded = 1.0 - column.null_count() / max(table.height, 1)
        completeness[variable.name] = recorded
        findings += _completeness_findings(variable, recorded)
        units = _unit_findings(variable, column)
        findings += units or _site_findings(variable, column, sites) or _mixture_findings(variable, column)
        findings += _code_findings(variable, column)
        findings += _missing_by_site(variable, column, sites)
    flags = violations(table, codebook)
    counted = {name: int(flagged.sum()) for name, flagged in flags.items()}
    findings += _rule_findings(codebook, flags, table.height)
    findings += _patient_findings(table, codebook)
    findings += _outcome_findings(table, codebook)
    findings += [QualityFinding("warn", name, fault) for name, said in code_faults(codebook).items() for fault in said]
    return Quality(table.height, completeness, counted, tuple(findings))


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


def _site_findings(variable: Variable, column: pl.Series, sites: list[pl.Series]) -> list[QualityFinding]:
    return [
        QualityFinding(
            "block",
            variable.name,
            f"{variable.name} at {site.name} '{value}': the median fits the unit {unit} and not {variable.unit}, so "
            "this centre seems to use another unit",
            rows,
        )
        for site in sites
        for value, unit, rows in units_by_site(variable, column, site)
    ]


def _mixture_findings(variable: Variable, column: pl.Series) -> list[QualityFinding]:
    found = mixed_units(variable, column)
    if found is None:
        return []
    unit, rows, apart = found
    share = f"{len(rows)} of {len(column) - column.null_count()} values of {variable.name}"
    sentence = f"{share} would be usual in {unit} and are not in {variable.unit}; units seem to be mixed"
    return [QualityFinding("block" if apart else "warn", variable.name, sentence, rows)]


def _code_findings(variable: Variable, column: pl.Series) -> list[QualityFinding]:
    return [
        QualityFinding(
            "warn",
            variable.name,
            f"{variable.name} is {value:g} in {len(rows)} rows, far from all other values: this looks like a code for "
            "'not recorded'; if it is one, name it in the codebook under 'missing'",
            rows,
        )
        for value, rows in stray_codes(variable, column)
    ]


def _missing_by_site(variable: Variable, column: pl.Series, sites: list[pl.Series]) -> list[QualityFinding]:
    if column.null_count() in (0, len(column)):
        return []
    found = []
    for site in sites:
        by = pl.DataFrame({"site": site, "missing": column.is_null()}).group_by("site").agg(pl.col("missing").all())
        names = sorted(str(name) for name in by.filter("missing")["site"].to_list() if name is not None)
        if names:
            said = f"{variable.name} is recorded nowhere at {site.name} {', '.join(names[:SHOWN_LINES])}"
            found.append(QualityFinding("warn", variable.name, said))
    return found


def _rule_findings(codebook: Codebook, flags: dict[str, pl.Series], rows: int) -> list[QualityFinding]:
    findings = []
    for name, flagged in flags.items():
        count = int(flagged.sum())
        if count:
            severity: Severity = "block" if count > TOLERATED_RULE_BREACHES * rows else "warn"
            variable, said = breach(codebook, name)
            sentence = f"{count} of {rows} rows break the rule '{name}': {said}"
            findings.append(QualityFinding(severity, variable, sentence, tuple(flagged.arg_true().to_list())))
    return findings


def _patient_findings(table: pl.DataFrame, codebook: Codebook) -> list[QualityFinding]:
    rows = odd_patients(table, codebook)
    if not rows:
        return []
    said = f"{len(rows)} rows say the same as an earlier row in every column but the patient's key; the same patient?"
    return [QualityFinding("warn", codebook.patient_key, said, rows)]


def _outcome_findings(table: pl.DataFrame, codebook: Codebook) -> list[QualityFinding]:
    found = []
    for outcome in codebook.outcomes:
        happened = table[outcome.event].cast(pl.String) == outcome.event_value
        if table.height and not happened.any():
            said = f"the event of {outcome.name} happened to nobody ({outcome.event} is never '{outcome.event_value}')"
            found.append(QualityFinding("warn", outcome.event, said))
        only_one = pl.DataFrame({"t": table[outcome.time].is_null(), "e": table[outcome.event].is_null()})
        rows = tuple((only_one["t"] != only_one["e"]).arg_true().to_list())
        if rows:
            said = f"{len(rows)} rows have only one of {outcome.time} and {outcome.event}, so {outcome.name} is unknown"
            found.append(QualityFinding("warn", outcome.time, said, rows))
    return found
