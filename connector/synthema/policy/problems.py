"""All that is wrong with a policy, gathered so that its author mends it in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from synthema.errors import PolicyLoadError

T = TypeVar("T")
U = TypeVar("U")

MAX_SHOWN = 20


class SeveralProblemsError(PolicyLoadError):
    """Several mistakes in one policy, by line; ``problems`` holds each with its own place and fix."""

    def __init__(self, problems: Sequence[PolicyLoadError]) -> None:
        self.problems = tuple(problems)
        shown = [f"  {problem.where}: {problem.message} (fix: {problem.fix})" for problem in problems[:MAX_SHOWN]]
        more = len(problems) - MAX_SHOWN
        if more > 0:
            shown.append(f"  … and {more} more")
        super().__init__(
            "\n".join([f"{len(problems)} things in this policy are not understood:", *shown]),
            fix="mend each as said beside it; nothing of the policy was taken over",
            where=problems[0].where,
        )

    def diagnostics(self) -> str:
        """All of it, each mistake with its own place."""
        return f"{self.message}\n  Fix: {self.fix}"


class Problems:
    """Collects what is refused while the rest is still being read."""

    def __init__(self) -> None:
        self._found: list[PolicyLoadError] = []

    def __len__(self) -> int:
        return len(self._found)

    @property
    def last(self) -> PolicyLoadError:
        """The refusal kept last."""
        return self._found[-1]

    def add(self, problem: PolicyLoadError) -> None:
        """Keep one refusal; what is said twice of one place is kept once."""
        if all((problem.where, problem.message) != (other.where, other.message) for other in self._found):
            self._found.append(problem)

    def attempt(self, read: Callable[[], T], instead: U) -> T | U:
        """What ``read`` gives, or ``instead`` where it refuses; the refusal is kept."""
        try:
            return read()
        except PolicyLoadError as problem:
            self.add(problem)
            return instead

    def raise_if_any(self) -> None:
        """Refuse the whole policy because of what was found, by line."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise SeveralProblemsError(sorted(self._found, key=_line))


def _line(problem: PolicyLoadError) -> int:
    number = (problem.where or "").rpartition(":")[2]
    return int(number) if number.isdigit() else 0
