"""What the algebra and the solver both can do, so that every question is asked in the same words of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree

V = TypeVar("V")
"""How a verdict (fails, undetermined, holds) about all requests is held."""
B = TypeVar("B")
"""How a truth about all requests is held."""


class Logic(Protocol[V, B]):
    """Verdicts and truths about all requests."""

    def condition(self, tree: Tree | None, *, permissive: bool = True, replaced: Mapping[int, bool] = ...) -> V:
        """The verdict of a condition; ``replaced`` are parts (by ``id``) taken to hold, or to fail."""
        ...

    def rule(self, rule: CompiledRule, *, replaced: Mapping[int, bool] = ...) -> V:
        """The verdict of a rule: whether it speaks about the request, and its conditions."""
        ...

    def concerns(self, rule: CompiledRule) -> B:
        """The rule speaks about this act on this dataset by this party at this time."""
        ...

    def acts_by(self, rule: CompiledRule, action: str) -> B:
        """The act is met by this one of the acts that the rule names."""
        ...

    def duties_done(self, rule: CompiledRule) -> B:
        """Whatever the rule asks for before the act is done, or does not arise."""
        ...

    def at_times(self, counts: Callable[[datetime], bool]) -> B:
        """Something counts at the time of the request."""
        ...

    def holds(self, verdict: V) -> B:
        """It holds."""
        ...

    def counts(self, verdict: V) -> B:
        """It holds or is undetermined."""
        ...

    def fails(self, verdict: V) -> B:
        """It fails."""
        ...

    def all_of(self, truths: Iterable[B]) -> B:
        """All are so."""
        ...

    def any_of(self, truths: Iterable[B]) -> B:
        """At least one is so."""
        ...

    def minus(self, first: B, second: B) -> B:
        """The first is so and the second is not."""
        ...
