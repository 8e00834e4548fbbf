"""The values of the policy language: frozen, comparable, without behaviour beyond describing themselves.

Vocabulary follows ODRL 2.2 in the Synthema profile. All names of actions, operands
and terms are full IRIs here; short names live in the authoring form only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from synthema.errors import InputError
from synthema.vocabulary.namespaces import SYN

ANY_DATASET = SYN + "anyDataset"
PROFILE = SYN + "profile"

Value = str | bool | int | float | datetime | timedelta | tuple[str, ...]
"""A value of a fact or a right operand: a term's IRI, a text, a truth value, a count, a number, a time, a duration;
a tuple holds several terms or texts."""


class Layer(StrEnum):
    """Who speaks. A prohibition of any layer denies; L2, L3 and L4 must each permit."""

    UNION = "L0"
    MEMBER_STATE = "L1"
    SITE = "L2"
    DATASET = "L3"
    AGREEMENT = "L4"


PERMITTING_LAYERS = (Layer.SITE, Layer.DATASET, Layer.AGREEMENT)

LAYER_NAMES: Mapping[Layer, str] = {
    Layer.UNION: "union law",
    Layer.MEMBER_STATE: "member state",
    Layer.SITE: "site",
    Layer.DATASET: "dataset",
    Layer.AGREEMENT: "agreement",
}


class Kind(StrEnum):
    """What a rule does."""

    PERMISSION = "permission"
    PROHIBITION = "prohibition"
    OBLIGATION = "obligation"


class Operator(StrEnum):
    """The operators of the profile; ``andSequence`` and ``hasPart`` of ODRL are refused."""

    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTEQ = "lteq"
    GT = "gt"
    GTEQ = "gteq"
    IS_A = "isA"
    IS_ANY_OF = "isAnyOf"
    IS_NONE_OF = "isNoneOf"
    IS_ALL_OF = "isAllOf"
    IS_PART_OF = "isPartOf"


class Timing(StrEnum):
    """When a duty is due, seen from the act it belongs to."""

    PRE = "pre"
    DURING = "during"
    POST = "post"


class Event(StrEnum):
    """What a deadline is counted from."""

    DECISION = "decision"
    COMPLETION = "completion"
    RELEASE = "release"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True)
class LawReference:
    """An article of an act, e.g. ``EHDS`` ``53(1)(e)``, with the act's identifier (ELI or another IRI)."""

    act: str
    article: str
    eli: str

    def __str__(self) -> str:
        return f"{self.act} {self.article}"


@dataclass(frozen=True, slots=True)
class OperandReference:
    """A right operand that is itself looked up in the request (ODRL ``rightOperandReference``)."""

    operand: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """One comparison. The right operand is a value of the left operand's datatype, several terms, or a reference."""

    left: str
    operator: Operator
    right: Value | OperandReference
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Combination:
    """Several conditions joined by ``and`` (all), ``or`` (at least one) or ``xone`` (exactly one)."""

    joined: Literal["and", "or", "xone"]
    parts: tuple[Condition, ...]


Condition = Constraint | Combination


@dataclass(frozen=True, slots=True)
class Duty:
    """What must be done before, during or after the act.

    ``within`` counts from ``after``; ``evidence`` says what shows that it was done.
    """

    action: str
    timing: Timing = Timing.PRE
    within: timedelta | None = None
    after: Event = Event.DECISION
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of a policy.

    Empty ``targets``, ``assignees`` and ``law`` mean those of the policy. ``when``
    says under which condition the rule applies; ``unless`` (prohibitions only)
    under which it does not. For an obligation, ``actions`` are the acts that make
    it arise and ``duties`` holds the one duty it imposes.
    """

    id: str
    kind: Kind
    actions: tuple[str, ...]
    when: Condition | None = None
    unless: Condition | None = None
    targets: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    duties: tuple[Duty, ...] = ()
    law: tuple[LawReference, ...] = ()
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class SiteDecision:
    """The data protection officer's confirmation of a threshold that has no legal source."""

    operand: str
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of one layer. It counts from ``effective_from`` (included) to ``effective_to`` (excluded)."""

    id: str
    layer: Layer
    version: str
    title: str
    rules: tuple[Rule, ...]
    targets: tuple[str, ...] = (ANY_DATASET,)
    assigner: str | None = None
    assignees: tuple[str, ...] = ()
    law: tuple[LawReference, ...] = ()
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    site_decisions: tuple[SiteDecision, ...] = ()

    def targets_of(self, rule: Rule) -> tuple[str, ...]:
        """The datasets a rule is about."""
        return rule.targets or self.targets

    def assignees_of(self, rule: Rule) -> tuple[str, ...]:
        """The parties a rule is about; empty means any."""
        return rule.assignees or self.assignees

    def law_of(self, rule: Rule) -> tuple[LawReference, ...]:
        """The articles a rule rests on."""
        return rule.law or self.law


def constraints_of(condition: Condition | None) -> Iterator[Constraint]:
    """All comparisons inside a condition, from left to right."""
    if isinstance(condition, Constraint):
        yield condition
    elif condition is not None:
        for part in condition.parts:
            yield from constraints_of(part)


_FACT_TYPES = frozenset({str, bool, int, float, datetime, timedelta, tuple})


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known about one operand: the value, where it is shown (IRI or digest), and its unit if not the usual one.

    A tuple means that several values hold at once: a permission must then hold for
    each of them, and a prohibition bites as soon as it holds for one. Raises
    :class:`InputError` on a value of any other type than these (a subclass included).
    """

    value: Value
    evidence: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        value = self.value
        kind = type(value)
        if kind not in _FACT_TYPES or (kind is tuple and any(type(item) is not str for item in value)):  # type: ignore[union-attr]
            raise InputError(
                f"a {kind.__name__} cannot be a fact",
                fix="give text, several texts as a tuple, a truth value, a count, a number, a time or a duration",
            )
        if kind is datetime and value.tzinfo is None:  # type: ignore[union-attr]
            raise InputError("a time without a zone cannot be a fact", fix="give it in UTC")


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """Something that was done (or, with state ``violated``, was not done in time) about a duty.

    ``rule`` limits it to the duty of one rule; ``None`` counts for any duty of this action.
    """

    action: str
    at: datetime
    by: str
    evidence: str | None = None
    rule: str | None = None
    state: Literal["fulfilled", "violated"] = "fulfilled"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The whole input of a decision: who wants to do what with which dataset, when, and what is known about it."""

    id: str
    action: str
    target: str
    assignee: str
    at: datetime
    facts: Mapping[str, Fact] = field(default_factory=dict)
    fulfilled: tuple[Fulfilment, ...] = ()

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InputError("the time of the request has no zone", fix="give it in UTC")
