"""What a conformance suite is: cases from outside, counted, with the count that is expected and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

STANDARDS = Path(__file__).parents[3] / "shared" / "standards"


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a suite; ``problem`` says what is wrong where it does not pass."""

    name: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite with the number of cases it must have and the number that must pass.

    ``folder`` is the part of ``../shared/standards`` it reads; suites whose
    vectors stand in this repository have none. ``reason`` says why fewer pass than there are.
    """

    name: str
    cases: Callable[[], Iterable[Case]]
    found: int
    passed: int
    folder: str = ""
    reason: str = ""

    @property
    def absent(self) -> bool:
        """Whether the outside files are not at hand at all (not merely empty)."""
        return bool(self.folder) and not STANDARDS.is_dir()


@dataclass(frozen=True, slots=True)
class Result:
    """The counts of one suite."""

    suite: Suite
    cases: tuple[Case, ...]

    @property
    def found(self) -> int:
        return len(self.cases)

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases)

    @property
    def as_expected(self) -> bool:
        return (self.found, self.passed) == (self.suite.found, self.suite.passed)

    def line(self) -> str:
        """The suite's line: name, cases found, passed, expected."""
        counts = f"{self.suite.name}: {self.found} found, {self.passed} passed"
        reason = f" ({self.suite.reason})" if self.suite.reason else ""
        return f"{counts}, expected {self.suite.passed} of {self.suite.found}{reason}"


def run(suite: Suite) -> Result:
    """Run all cases of a suite."""
    return Result(suite, tuple(suite.cases()))
