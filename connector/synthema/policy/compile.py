"""Turns policies into plain Python that decides: no RDF, no clock, no files."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from synthema.canonical import digest
from synthema.errors import PolicyLoadError
from synthema.policy.conditions import Evaluate, Facts, Tree, Verdict, compile_condition, joined
from synthema.policy.index import PURPOSE, RuleIndex, Speaking
from synthema.policy.model import (
    ANY_DATASET,
    AccessRequest,
    Condition,
    Duty,
    Fact,
    Kind,
    LawReference,
    Layer,
    Policy,
    Rule,
    Timing,
    named_terms,
)
from synthema.policy.odrl import policy_digest
from synthema.policy.values import fits, record
from synthema.policy.wellformed import check_policy
from synthema.policy.words import rule_sentence
from synthema.vocabulary import Hierarchy, Vocabulary
from synthema.vocabulary.namespaces import compact

__all__ = [
    "CompiledDuty",
    "CompiledPolicies",
    "CompiledRule",
    "Evaluate",
    "Facts",
    "Tree",
    "Verdict",
    "compile_condition",
    "compile_policies",
]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledDuty:
    """A duty with its condition and its consequences ready to be judged."""

    duty: Duty
    when: Tree | None = None
    consequences: tuple[CompiledDuty, ...] = ()

    def arises(self, facts: Facts) -> bool:
        """Whether there is such a duty at all; where that cannot be told, there is."""
        return self.when is None or self.when.evaluate(facts) is not False

    def surely_arises(self, facts: Facts) -> bool:
        """Whether it is known that there is such a duty."""
        return self.when is None or self.when.evaluate(facts) is True


T = TypeVar("T")

_KEPT: Final = 1024

Head = tuple[Layer, str, str, Literal["permission", "prohibition", "obligation"], tuple[LawReference, ...], str]
"""Layer, policy, rule, effect, law and sentence of a rule."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule ready to be matched; ``None`` for targets or assignees means any.

    ``refinements`` narrow single actions, targets and parties. Which of them count depends on
    the request: :meth:`matched` gives the rule as it stands for one, with ``refined``.
    ``origin`` is the policy the rule was written in, which may be a parent of ``policy``.
    """

    policy: Policy
    rule: Rule
    layer: Layer
    origin: str
    sentence: str
    law: tuple[LawReference, ...]
    targets: frozenset[str] | None
    assignees: frozenset[str] | None
    starts: datetime | None
    ends: datetime | None
    when: Tree | None
    unless: Tree | None
    duties: tuple[CompiledDuty, ...] = ()
    remedies: tuple[CompiledDuty, ...] = ()
    refinements: Mapping[str, Tree] = field(default_factory=dict)
    refined: Tree | None = None
    head: Head = field(init=False, repr=False)
    prior: tuple[CompiledDuty, ...] = field(init=False, repr=False)
    holds: Evaluate = field(init=False, repr=False)
    """Whether the rule counts: ``when`` and what is ``refined`` hold, and ``unless`` does not.

    Undetermined at best while it is not :meth:`matched`. ``prior`` are its duties that are due before the act,
    ``head`` is how every reason about it begins.
    """

    def __post_init__(self) -> None:
        head = (self.layer, self.origin, self.rule.id, self.rule.kind.value, self.law, self.sentence)
        object.__setattr__(self, "head", head)
        object.__setattr__(self, "prior", tuple(each for each in self.duties if each.duty.timing is Timing.PRE))
        object.__setattr__(self, "holds", _holding(self.when, self.refined, self.unless, open_=bool(self.refinements)))

    def concerns(self, target: str, assignee: str, at: datetime) -> bool:
        """Whether the rule speaks about this dataset and this party, themselves, at this time."""
        return self.is_about(frozenset({target}), frozenset({assignee})) and self.counts_at(at)

    def is_about(self, targets: frozenset[str], parties: frozenset[str]) -> bool:
        """Whether it speaks about a dataset and a party that go by these names, collections included."""
        about = self.targets is None or not self.targets.isdisjoint(targets)
        return about and (self.assignees is None or not self.assignees.isdisjoint(parties))

    def counts_at(self, at: datetime) -> bool:
        """Whether its policy is in its period."""
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)

    def meets(self, action: str, actions: Hierarchy) -> tuple[str, ...]:
        """The actions it names that speak about this one.

        A prohibition or an obligation of a narrower act also meets a request for the
        wider one, which would include it; a permission never does.
        """
        both_ways = self.rule.kind is not Kind.PERMISSION
        return tuple(
            named
            for named in self.rule.actions
            if actions.is_a(action, named) or (both_ways and actions.is_a(named, action))
        )

    def matched(
        self, action: str, targets: frozenset[str], parties: frozenset[str], actions: Hierarchy
    ) -> CompiledRule:
        """The rule as it stands for an act on a dataset by a party: with the refinements that count for them.

        Where several things it names are met, one of them is enough, and one without
        a refinement is met as it is.
        """
        if not self.refinements:
            return self
        sides = (
            self.meets(action, actions),
            tuple(name for name in self.rule.targets if name in targets or name == ANY_DATASET),
            tuple(name for name in self.rule.assignees if name in parties),
        )
        narrowed = [
            joined("or", [self.refinements[name] for name in met])
            for met in sides
            if met and all(name in self.refinements for name in met)
        ]
        refined = joined("and", narrowed) if narrowed else None
        return replace(self, refinements={}, refined=refined)


def _holding(when: Tree | None, refined: Tree | None, unless: Tree | None, *, open_: bool) -> Evaluate:
    """One function for all conditions of a rule; ``open_`` while it is not known which refinements count."""
    if refined is None and unless is None and not open_:
        return _always if when is None else when.evaluate
    conditions = tuple(tree.evaluate for tree in (when, refined) if tree is not None)
    excepted = None if unless is None else unless.evaluate

    def holds(facts: Facts) -> Verdict:
        verdict: Verdict = None if open_ else True
        for condition in conditions:
            found = condition(facts)
            if found is False:
                return False
            if found is None:
                verdict = None
        if excepted is None:
            return verdict
        exception = excepted(facts)
        if exception is True:
            return False
        return None if exception is None else verdict

    return holds


def _always(_: Facts) -> Verdict:
    return True


@dataclass(frozen=True)
class CompiledPolicies:
    """All policies that decide about a request, ready to be asked. Made by :func:`compile_policies`."""

    policies: tuple[Policy, ...]
    vocabulary: Vocabulary
    standing: Mapping[str, Fact]
    rules: tuple[CompiledRule, ...]
    digest: str

    def has_union_law(self, at: datetime) -> bool:
        """Whether a law pack (L0) with rules counts at this time."""
        return any((starts is None or starts <= at) and (ends is None or at < ends) for starts, ends in self._law)

    def speaking(self, request: AccessRequest, facts: Facts) -> Speaking | None:
        """The rules that speak about a request, refinements applied, whatever the time; ``None`` if its act is unknown.

        They are found by action, dataset, party and purpose, so that their number does
        not slow down what has nothing to do with them.
        """
        return self._index.find(request, facts)

    def purposes(self, request: AccessRequest) -> tuple[str, ...]:
        """The purposes that permissions about this act, dataset and party name, whatever the request says of it."""
        speaking = self._index.find(request, {})

        def named() -> tuple[str, ...]:
            rules = () if speaking is None else speaking.permissions
            terms = {text for rule in rules for text in named_terms(rule.rule, PURPOSE)}
            return tuple(sorted(terms & set(self.vocabulary.purposes.terms)))

        return self.kept(("purposes", speaking), named)

    @cached_property
    def by_action(self) -> Mapping[str, Mapping[Kind, tuple[CompiledRule, ...]]]:
        """Known action → the rules that speak about it, in a fixed order, not yet matched to a request."""
        return {
            action.iri: {
                kind: tuple(r for r in self.rules if r.rule.kind is kind and r.meets(action.iri, actions))
                for kind in Kind
            }
            for actions in (self.vocabulary.actions,)
            for action in actions
        }

    @cached_property
    def by_id(self) -> Mapping[str, tuple[CompiledRule, ...]]:
        """Identifier → the rule; several only where policies inherit the same one."""
        found: dict[str, tuple[CompiledRule, ...]] = {}
        for rule in self.rules:
            found[rule.rule.id] = (*found.get(rule.rule.id, ()), rule)
        return found

    @cached_property
    def dutiful(self) -> tuple[CompiledRule, ...]:
        """The rules that impose duties or name remedies."""
        return tuple(rule for rule in self.rules if rule.duties or rule.remedies)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made of the rules once, to be found again; it must hold nothing that a request says."""
        found: T | None = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[key] = make()
        return found

    @cached_property
    def _kept(self) -> dict[Hashable, Any]:
        return {}

    @cached_property
    def inherits(self) -> bool:
        """Whether a rule may stand in several policies, because they took it over."""
        return len(self.by_id) != len(self.rules)

    @cached_property
    def _index(self) -> RuleIndex:
        return RuleIndex(self.rules, self.vocabulary)

    @cached_property
    def _law(self) -> tuple[tuple[datetime | None, datetime | None], ...]:
        return tuple((_utc(p.effective_from), _utc(p.effective_to)) for p in self.policies if p.layer is Layer.UNION)


def compile_policies(
    policies: Iterable[Policy], vocabulary: Vocabulary, *, standing: Mapping[str, Fact] | None = None
) -> CompiledPolicies:
    """Make policies ready to decide; their order does not matter.

    ``standing`` facts hold for every request (such as the legal regime) and cannot
    be contradicted by one. Raises :class:`PolicyLoadError` on anything that is not
    fully understood, on a policy whose parents are not yet resolved (see
    :func:`synthema.policy.inheritance.resolve`), on two policies with the same
    identifier and on two different rules with the same one.
    """
    ordered = tuple(sorted(policies, key=lambda policy: (policy.layer, policy.id)))
    ids = [policy.id for policy in ordered]
    if len(ids) != len(set(ids)):
        raise PolicyLoadError("two policies have the same identifier", fix="give one version of each policy")
    rules: list[CompiledRule] = []
    for policy in ordered:
        check_policy(policy, vocabulary)
        if policy.inherits:
            raise PolicyLoadError(f"the policy {policy.id} still names parents", fix="resolve what it inherits first")
        rules += [_compile_rule(policy, rule, vocabulary) for rule in sorted(policy.rules, key=lambda rule: rule.id)]
    _check_identifiers(rules)
    facts = dict(standing or {})
    _check_standing(facts, vocabulary)
    origins = {rule.rule.id: rule.origin for rule in rules if rule.rule.origin}
    identity = {
        "policies": {policy.id: policy_digest(policy) for policy in ordered},
        "vocabulary": vocabulary.version,
        "standing": {operand: record(fact.value) for operand, fact in facts.items()},
        **({"origins": origins} if origins else {}),
    }
    return CompiledPolicies(ordered, vocabulary, MappingProxyType(facts), tuple(rules), digest(identity))


def _check_identifiers(rules: Iterable[CompiledRule]) -> None:
    """An identifier names one rule only: what is recorded as done about it must not count for another."""
    written: dict[str, CompiledRule] = {}
    for rule in rules:
        first = written.setdefault(rule.rule.id, rule)
        if first.origin != rule.origin:
            raise PolicyLoadError(
                f"the rules of {first.origin} and {rule.origin} share the identifier {rule.rule.id}",
                fix="give each rule an identifier below its own policy's",
            )


def _check_standing(facts: Mapping[str, Fact], vocabulary: Vocabulary) -> None:
    for operand, fact in facts.items():
        known = vocabulary.operands.get(operand)
        if known is None or not fits(fact.value, known.datatype) or fact.unit not in (None, known.unit):
            raise PolicyLoadError(
                f"the standing fact about '{compact(operand)[:80]}' is not understood",
                fix="give a known operand a value of its own kind and unit",
            )


def _compile_rule(policy: Policy, rule: Rule, vocabulary: Vocabulary) -> CompiledRule:
    targets, assignees = policy.targets_of(rule), policy.assignees_of(rule)
    permissive = rule.kind is Kind.PERMISSION
    return CompiledRule(
        policy=policy,
        rule=rule,
        layer=policy.layer,
        origin=rule.origin or policy.id,
        sentence=rule_sentence(policy, rule, vocabulary),
        law=policy.law_of(rule),
        targets=None if ANY_DATASET in targets else frozenset(targets),
        assignees=frozenset(assignees) or None,
        starts=_utc(policy.effective_from),
        ends=_utc(policy.effective_to),
        when=_tree(rule.when, vocabulary, permissive=permissive),
        unless=_tree(rule.unless, vocabulary, permissive=True),
        duties=_compile_duties(rule.duties, vocabulary),
        remedies=_compile_duties(rule.remedies, vocabulary),
        refinements=MappingProxyType(
            {
                refinement.of: compile_condition(refinement.condition, vocabulary, permissive=permissive)
                for refinement in rule.refinements
            }
        ),
    )


def _compile_duties(duties: Iterable[Duty], vocabulary: Vocabulary) -> tuple[CompiledDuty, ...]:
    return tuple(
        CompiledDuty(
            duty,
            _tree(duty.when, vocabulary, permissive=False),
            _compile_duties(duty.consequences, vocabulary),
        )
        for duty in duties
    )


def _tree(condition: Condition | None, vocabulary: Vocabulary, *, permissive: bool) -> Tree | None:
    return None if condition is None else compile_condition(condition, vocabulary, permissive=permissive)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
