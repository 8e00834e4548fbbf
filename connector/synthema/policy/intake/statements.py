"""What an ODRL policy says, as it was written: values with the names of their nodes, before any meaning is given.

Both readings start from these: the Synthema profile (:mod:`synthema.policy.intake.profile`)
and the evaluation of ODRL 2.2 by anyone (:mod:`synthema.policy.evaluator`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from synthema.policy.intake.graph import Node

Joining = Literal["and", "or", "xone", "andSequence"]
RuleKind = Literal["permission", "prohibition", "obligation", "duty", "consequence", "remedy"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A constraint: left operand, operator and right operand, each as written."""

    node: str
    left: str
    operator: str
    rights: tuple[Node, ...] = ()
    reference: str | None = None
    unit: str | None = None
    datatype: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A logical constraint."""

    node: str
    how: Joining
    parts: tuple[Written, ...]


Written = Comparison | Joined


@dataclass(frozen=True, slots=True)
class Part:
    """An action, asset or party that a rule names.

    ``iri`` is what it stands for (the ``rdf:value`` of an action), ``source`` what a
    collection takes its members from, ``refinements`` narrow it; all of them must hold.
    """

    node: str
    iri: str
    source: str | None = None
    collection: bool = False
    refinements: tuple[Written, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Under which names a member can point to it."""
        return (self.iri,) if self.source is None else (self.iri, self.source)


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """A permission, prohibition or duty. No actions, targets or assignees means any."""

    node: str
    kind: RuleKind
    actions: tuple[Part, ...] = ()
    targets: tuple[Part, ...] = ()
    assignees: tuple[Part, ...] = ()
    assigners: tuple[Part, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constraints: tuple[Written, ...] = ()
    duties: tuple[WrittenRule, ...] = ()
    remedies: tuple[WrittenRule, ...] = ()
    consequences: tuple[WrittenRule, ...] = ()
    other: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)

    def conditions(self) -> Iterator[Written]:
        """All conditions of the rule and of what it names, from outside in."""
        yield from self.constraints
        for part in (*self.actions, *self.targets, *self.assignees):
            yield from part.refinements
        for rule in (*self.duties, *self.remedies, *self.consequences):
            yield from rule.conditions()


@dataclass(frozen=True, slots=True)
class WrittenPolicy:
    """A policy; what it says for all its rules has been handed to those that do not say otherwise.

    ``unread`` lists what other vocabularies say of it, its rules, constraints and parts: node and predicate.
    """

    iri: str
    kind: str
    rules: tuple[WrittenRule, ...]
    shared: WrittenRule
    conflict: str | None = None
    profiles: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()
    other: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()

    def with_rules(self, rules: tuple[WrittenRule, ...]) -> WrittenPolicy:
        """The same policy with other rules."""
        return replace(self, rules=rules)


def comparisons(condition: Written) -> Iterator[Comparison]:
    """The comparisons inside a condition, from left to right."""
    if isinstance(condition, Comparison):
        yield condition
        return
    for part in condition.parts:
        yield from comparisons(part)
