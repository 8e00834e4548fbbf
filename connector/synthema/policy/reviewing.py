"""What the people who sign a version of a policy should know about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from synthema.policy.analysis import CaseResult, Comparison, Difference, Finding, analyse
from synthema.policy.model import Fact, Policy
from synthema.vocabulary import Vocabulary

_KEPT: Final = 16


class Findings:
    """What analysis finds in policies, kept: who signs second signs the same words beside the same policies."""

    def __init__(self, vocabulary: Vocabulary, standing: Mapping[str, Fact]) -> None:
        """``standing`` facts hold for every request and never change."""
        self._vocabulary = vocabulary
        self._standing = standing
        self._found: dict[str, tuple[Finding, ...]] = {}

    def of(self, policy: Policy, others: Sequence[Policy]) -> tuple[Finding, ...]:
        """The findings on a policy beside these others."""
        words = repr((policy, *others))  # unlike a comparison, it tells 1 from true
        found = self._found.get(words)
        if found is None:
            found = analyse(policy, self._vocabulary, others, standing=self._standing)
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[words] = found
        return found


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
