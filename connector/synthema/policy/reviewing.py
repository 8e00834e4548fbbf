"""What the people who sign a version of a policy should know about it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from synthema.policy.analysis import CaseResult, Comparison, Difference, Finding


@dataclass(frozen=True, slots=True)
class Review:
    """What the people who sign should know about a version.

    ``comparison`` is with the version in force, ``None`` where there is none.
    """

    findings: tuple[Finding, ...]
    cases: tuple[CaseResult, ...]
    comparison: Comparison | None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The classes of requests that are answered otherwise than now."""
        return () if self.comparison is None else self.comparison.differences

    def obstacles(self, acknowledged: Collection[str] = ()) -> tuple[str, ...]:
        """What stands in the way of activation, in sentences."""
        open_ = [f for f in self.findings if f.severity == "error" and f.key not in acknowledged]
        failed = [result for result in self.cases if not result.passed]
        return (
            *(f"{finding.key}: {finding.sentence}" for finding in open_),
            *(f"case failed: {result.sentence}" for result in failed),
        )
