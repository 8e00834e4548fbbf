"""A policy beside the policies it would stand with, as findings ask about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from synthema.policy.analysis.ask import Answered, Asker, Question, Reply
from synthema.policy.analysis.diagram import MAX_NODES
from synthema.policy.analysis.finding import Finding
from synthema.policy.compile import CompiledPolicies, CompiledRule, compile_policies
from synthema.policy.model import Fact, Kind, Policy
from synthema.vocabulary import Vocabulary


@dataclass(frozen=True)
class Ground:
    """A policy beside the others it would stand with, ready to be asked about."""

    policy: Policy
    others: tuple[Policy, ...]
    vocabulary: Vocabulary
    standing: Mapping[str, Fact]
    limit: int = MAX_NODES

    @cached_property
    def compiled(self) -> CompiledPolicies:
        """The policy and the others."""
        return compile_policies([self.policy, *self.others], self.vocabulary, standing=self.standing)

    @cached_property
    def own(self) -> tuple[CompiledRule, ...]:
        """The rules of the policy itself."""
        return tuple(rule for rule in self.compiled.rules if rule.policy.id == self.policy.id)

    @cached_property
    def foreign(self) -> tuple[CompiledRule, ...]:
        """The rules of the others."""
        return tuple(rule for rule in self.compiled.rules if rule.policy.id != self.policy.id)

    def own_of(self, kind: Kind) -> list[CompiledRule]:
        """The policy's rules of a kind."""
        return [rule for rule in self.own if rule.rule.kind is kind]

    @cached_property
    def alone(self) -> Asker:
        """Answers questions about the policy's own rules."""
        return Asker(self.vocabulary, self.own, standing=self.standing, limit=self.limit)

    @cached_property
    def beside(self) -> Asker:
        """Answers questions about all rules."""
        return Asker(self.vocabulary, self.compiled.rules, standing=self.standing, limit=self.limit)

    def some(self, question: Question, *, whole: bool = False) -> Reply:
        """Whether some request makes it so."""
        return (self.beside if whole else self.alone).some(question)

    def undecided(self, rule: CompiledRule | None, what: str, reply: Reply) -> Finding:
        """Says that something could not be decided, and why."""
        subject = self.policy.id if rule is None else rule.rule.id
        return Finding(
            "undecided",
            "warning",
            self.policy.id,
            None if rule is None else subject,
            f"it could not be decided whether {what}, because there are {reply.reason}",
            "install the extra [analysis], split the rule into smaller ones, or look at it yourself",
            about=what,
        )


def never(ground: Ground, rule: CompiledRule, reply: Reply, what: str, found: Finding) -> Iterator[Finding]:
    """The finding if no request does it, or that it could not be decided whether ``what``."""
    if reply.never:
        yield found
    elif reply.answered is Answered.UNKNOWN:
        yield ground.undecided(rule, what, reply)
