"""The values of the policy language: frozen, comparable, without behaviour beyond describing themselves.

Vocabulary follows ODRL 2.2 in the Synthema profile. All names of actions, operands
and terms are full IRIs here; short names live in the authoring form only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

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
class Refinement:
    """Narrows one action, dataset, collection or party that a rule names to the part for which a condition holds.

    ``of`` is the IRI as it stands in the rule (ODRL ``refinement``). A condition says
    whether a rule applies at all; a refinement says what exactly it is about.
    """

    of: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Duty:
    """What must be done before, during or after the act.

    ``within`` counts from ``after``; ``evidence`` says what shows that it was done.
    ``when`` says under which condition the duty arises at all. ``consequences`` are
    the duties that come on top once this one was not kept: then it and all of them
    have to be fulfilled (ODRL ``consequence``); they carry none of their own.
    """

    action: str
    timing: Timing = Timing.PRE
    within: timedelta | None = None
    after: Event = Event.DECISION
    evidence: str | None = None
    when: Condition | None = None
    consequences: tuple[Duty, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of a policy.

    Empty ``targets``, ``assignees`` and ``law`` mean those of the policy. ``when``
    says under which condition the rule applies; ``unless`` (prohibitions only)
    under which it does not. For an obligation, ``actions`` are the acts that make
    it arise and ``duties`` holds the one duty it imposes. ``targets`` and ``assignees``
    may name collections, which stand for all their members. ``remedies`` (prohibitions
    only) are the duties that settle it once the prohibition was violated. ``origin`` is
    set by :func:`synthema.policy.inheritance.resolve` only: the policy the rule was written in.
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
    refinements: tuple[Refinement, ...] = ()
    remedies: tuple[Duty, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class SiteDecision:
    """The data protection officer's confirmation of a threshold that has no legal source."""

    operand: str
    reason: str


@dataclass(frozen=True, slots=True)
class Parent:
    """A version of another policy whose rules a policy takes over (ODRL ``inheritFrom``), pinned by its version."""

    policy: str
    version: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of one layer. It counts from ``effective_from`` (included) to ``effective_to`` (excluded).

    ``inherits`` names the policies whose rules it takes over; they are resolved before compiling.
    """

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
    inherits: tuple[Parent, ...] = ()

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


def conditions_of(rule: Rule) -> Iterator[Condition]:
    """All conditions of a rule: its own, its exception, its refinements, and those of its duties and remedies."""
    duties = (*rule.duties, *(further for duty in rule.duties for further in duty.consequences), *rule.remedies)
    refined = (refinement.condition for refinement in rule.refinements)
    for condition in (rule.when, rule.unless, *refined, *(duty.when for duty in duties)):
        if condition is not None:
            yield condition


def named_terms(rule: Rule, operand: str) -> Iterator[str]:
    """The terms or texts that a rule's conditions name for an operand."""
    for condition in conditions_of(rule):
        for constraint in constraints_of(condition):
            if constraint.left == operand and not isinstance(constraint.right, OperandReference):
                yield from constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)


_FACT_TYPES = frozenset({str, bool, int, float, datetime, timedelta, tuple})
_LARGEST = 10**18
"""The largest whole number of a fact, which is the largest of a policy and one more."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known about one operand: the value, what shows it, and its unit if not the usual one.

    ``evidence`` identifies what shows it (IRI or digest), ``digest`` is the digest of
    what ``evidence`` identifies, where one is known. A tuple means that several values hold
    at once: a permission must then hold for each of them, and a prohibition bites as soon
    as it holds for one. A time is kept in UTC, so that two of them compare as moments whatever
    their zones. A number is the double it is: nothing is rounded and there is no tolerance,
    so 0.1 + 0.2 is above 0.3; whoever reckons budgets rounds them before stating them.
    Raises :class:`InputError` on a value of any other type than these (a subclass included), on a whole number of more
    than 18 digits, and on a text that is no Unicode.
    """

    value: Value
    evidence: str | None = None
    unit: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        value = self.value
        kind = type(value)
        if kind not in _FACT_TYPES or (kind is tuple and any(type(item) is not str for item in value)):  # type: ignore[union-attr]
            raise InputError(
                f"a {kind.__name__} cannot be a fact",
                fix="give text, several texts as a tuple, a truth value, a count, a number, a time or a duration",
            )
        if kind is datetime:
            object.__setattr__(self, "value", _moment(value, "a time that is a fact"))
        elif kind is int and not -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]
            raise InputError("a whole number that is a fact has more than 18 digits", fix="look at where it comes from")
        elif kind is str:
            _text(value, "a text that is a fact")
        elif kind is tuple:
            for item in value:  # type: ignore[union-attr]
                _text(item, "a text that is a fact")
        for text in (self.evidence, self.unit, self.digest):
            _text_or_none(text, "what shows a fact, and its unit,")


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """Something that was done about a duty; with state ``violated``, not done in time, or done although forbidden.

    ``rule`` limits it to one rule; ``None`` counts for any duty of this action. A duty that
    was not kept is recorded with the duty's ``action`` and the rule that imposes it; a violated
    prohibition with the act that was performed and the prohibition's identifier as ``rule``. ``at``
    is when it was done, or when it was found violated; ``by`` names who did it and plays no part in
    deciding: a request carries the records about its own party and dataset, and no others.
    Raises :class:`InputError` on anything that is not of these types.
    """

    action: str
    at: datetime
    by: str
    evidence: str | None = None
    rule: str | None = None
    state: Literal["fulfilled", "violated"] = "fulfilled"

    def __post_init__(self) -> None:
        _text(self.action, "the action of a fulfilment")
        _text(self.by, "who fulfilled a duty")
        _text_or_none(self.evidence, "the evidence of a fulfilment")
        _text_or_none(self.rule, "the rule of a fulfilment")
        if type(self.state) is not str or self.state not in ("fulfilled", "violated"):
            raise InputError("the state of a fulfilment is not known", fix="use 'fulfilled' or 'violated'")
        object.__setattr__(self, "at", _moment(self.at, "the time of a fulfilment"))


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The whole input of a decision: who wants to do what with which dataset, when, and what is known about it.

    ``collections`` says of the target and of the assignee which collections they are
    part of, directly or through another collection; the site that decides knows them in full.
    ``fulfilled`` holds what is recorded about earlier duties of this party on this target.
    Raises :class:`InputError` on anything that is not of these types, so that deciding
    never meets a value that compares in its own way.
    """

    id: str
    action: str
    target: str
    assignee: str
    at: datetime
    facts: Mapping[str, Fact] = field(default_factory=dict)
    fulfilled: tuple[Fulfilment, ...] = ()
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (self.id, self.action, self.target, self.assignee):
            _text(text, "a part of the request")
        object.__setattr__(self, "at", _moment(self.at, "the time of the request"))
        for given, kinds in ((self.facts, Mapping), (self.collections, Mapping), (self.fulfilled, tuple | list)):
            _of_kind(given, kinds)
        facts = dict(self.facts)
        if any(type(operand) is not str or type(fact) is not Fact for operand, fact in facts.items()):
            raise InputError("the facts of the request are not facts", fix="give each operand's IRI with its Fact")
        for operand in facts:
            _text(operand, "an operand of the request")
        fulfilled = tuple(self.fulfilled)
        if any(type(done) is not Fulfilment for done in fulfilled):
            raise InputError("what was fulfilled is not a list of fulfilments", fix="give Fulfilment values")
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "fulfilled", fulfilled)
        object.__setattr__(self, "collections", dict(map(_memberships, self.collections.items())))


def _memberships(entry: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    member, collections = entry
    if type(collections) is not tuple or any(type(name) is not str for name in (member, *collections)):
        raise InputError("the collections of the request are not texts", fix="give each member a tuple of IRIs")
    for name in (member, *collections):
        _text(name, "a collection of the request")
    return member, tuple(sorted(set(collections)))


def _of_kind(value: object, kinds: Any) -> None:
    if not isinstance(value, kinds):
        raise InputError("a part of the request is of another type", fix="give mappings and a tuple of records")


def _moment(value: object, what: str) -> datetime:
    if type(value) is not datetime:
        raise InputError(f"{what} is not a time", fix="give a time with its zone")
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None or value.utcoffset() is None:
        raise InputError(f"{what} has no zone", fix="give it in UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"{what} lies outside the calendar", fix="give it in UTC") from error


def _text(value: object, what: str) -> None:
    if type(value) is not str:
        raise InputError(f"{what} is not a text", fix="give its identifier as text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{what} is not Unicode text", fix="take out the half of a character in it") from error


def _text_or_none(value: object, what: str) -> None:
    if value is not None:
        _text(value, what)
