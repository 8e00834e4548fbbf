"""One act in a state of the world: what is known about it, and which rules it falls under."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pyoxigraph import Literal as RdfLiteral

from synthema.policy.compile import Verdict
from synthema.policy.evaluator.asking import Asked
from synthema.policy.evaluator.conditions import Judgement, judge
from synthema.policy.evaluator.literals import literal, same_unit
from synthema.policy.evaluator.shapes import UNIT_OF, Values
from synthema.policy.evaluator.terms import COUNT, DATE_TIME, ELAPSED, Terms
from synthema.policy.evaluator.world import Performed, World
from synthema.policy.intake.graph import Graph, Node
from synthema.policy.intake.statements import Comparison, Part, Written, WrittenRule
from synthema.vocabulary.namespaces import ODRL

Scope = Literal["rule", "action", "target", "party"]
PREMISES: tuple[Scope, ...] = ("target", "party", "action")

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_OF_WEEK = frozenset(
    {
        "ex:dayOfWeek",
        "http://example.com/ns#dayOfWeek",
        "https://ex.org/dayOfWeek",
        "http://www.w3.org/2006/time#dayOfWeek",
    }
)
"""Under these names the drafts of the formal semantics ask for the day of the week, which the time tells."""


@dataclass(frozen=True, slots=True)
class Premise:
    """Whether the act falls under what a rule names: its asset, party or action, with the refinements of it."""

    scope: Scope
    part: Part
    verdict: Verdict
    refinements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """An act that is asked for, or took place at ``at``, as seen at ``now``.

    ``trusted`` says that its own values come from the log of the world.
    """

    world: World
    terms: Terms
    actions: tuple[str, ...] = ()
    party: str | None = None
    target: str | None = None
    at: datetime | None = None
    now: datetime | None = None
    values: Values = field(default_factory=dict)
    of_action: Values = field(default_factory=dict)
    settles: frozenset[str] = frozenset()
    act: str | None = None
    trusted: bool = False
    memory: dict[Hashable, Verdict] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def asked(cls, asked: Asked, world: World, terms: Terms, at: datetime | None) -> Situation:
        """What a request asks for."""
        return cls(
            world,
            terms,
            (asked.action,),
            asked.assignee,
            asked.target,
            at,
            at,
            asked.values,
            asked.of_action,
            act=asked.node,
        )

    def of(self, act: Performed) -> Situation:
        """What took place, according to the same world; an act without a time took place by the time of this one."""
        return Situation(
            self.world,
            self.terms,
            act.actions,
            act.party,
            act.target,
            act.at or self.at,
            self.now,
            act.values,
            {},
            act.settles,
            act.node,
            trusted=True,
            memory=self.memory,
        )

    def fell_under(self, act: Performed, rule: WrittenRule, *, permissive: bool = True) -> Verdict:
        """Whether an act that took place is of the kind a rule is about; worked out once."""
        key = (act.node, id(rule), permissive, act.at or self.at)
        if key not in self.memory:
            self.memory[key] = self.of(act).falls_under(rule, permissive=permissive)
        return self.memory[key]

    def judge(self, written: Written, scope: Scope, rule: WrittenRule, *, permissive: bool) -> Judgement:
        """Judge a constraint or a refinement of a rule."""

        def known(left: str, asking: Comparison) -> tuple[Node, ...]:
            return self._known(left, asking, scope, rule)

        return judge(written, known, self.terms, permissive=permissive)

    def _known(self, left: str, asking: Comparison, scope: Scope, rule: WrittenRule) -> tuple[Node, ...]:
        if asking.node in self.world.of_constraint:
            return self.world.of_constraint[asking.node]
        if left == DATE_TIME:
            return () if self.at is None else (literal(self.at),)
        for values in self._sources(scope):
            found = next((values[name] for name in (left, self.terms.of(left)) if name in values), ())
            units = values.get(UNIT_OF + left) or values.get(ODRL + "unit", ())
            if found and asking.unit is not None and not all(same_unit(u.value, asking.unit) for u in units):
                return ()
            if found:
                return found
        return self._computed(left, rule)

    def _sources(self, scope: Scope) -> tuple[Values, ...]:
        world, own = self.world.values, self.values
        outside: tuple[Values, ...] = (own, world) if self.trusted else (world, own)
        match scope:
            case "action":
                return (self.of_action, own, world)
            case "target" | "party":
                node = self.target if scope == "target" else self.party
                said = {} if node is None else self.world.graph.subjects.get(node, {})
                return (said, *outside)
            case _:
                return outside

    def _computed(self, left: str, rule: WrittenRule) -> tuple[Node, ...]:
        """What follows from the time and from what was done before."""
        if left in _DAY_OF_WEEK and self.at is not None:
            return (RdfLiteral(_DAYS[self.at.weekday()]),)
        if left == COUNT:
            return (literal(len(self._exercises(rule))),)
        if left == ELAPSED and self.at is not None:
            moments = [act.at for act in self._exercises(rule) if act.at is not None]
            return (literal(self.at - min(moments)),) if moments else (literal(self.at - self.at),)
        # A reference to a node of the world whose value stands there.
        return self.world.graph.objects(left, "http://www.w3.org/1999/02/22-rdf-syntax-ns#value")

    def _exercises(self, rule: WrittenRule) -> list[Performed]:
        """The earlier acts of the kind a rule is about; its own conditions on counts are left aside."""
        bare = replace(rule, actions=_bare(rule.actions), targets=_bare(rule.targets), assignees=_bare(rule.assignees))
        return [
            act
            for act in self.world.performed
            if act.node != self.act and self.before(act) and self.of(act).falls_under(bare) is True
        ]

    def before(self, act: Performed) -> bool:
        """Whether an act took place by the time of this one."""
        return act.at is None or self.at is None or act.at <= self.at

    def seen(self, act: Performed) -> bool:
        """Whether an act took place by the time from which all is looked at."""
        return act.at is None or self.now is None or act.at <= self.now

    def premises(self, rule: WrittenRule, *, permissive: bool = True) -> tuple[Premise, ...]:
        """For each of asset, party and action that a rule names, how the act stands to it.

        Of several alternatives (an atomic rule each, Information Model 2.7) the one that fits best is told.
        """
        named = {"target": rule.targets, "party": rule.assignees, "action": rule.actions}
        return tuple(
            max((self._premise(scope, part, rule, permissive=permissive) for part in named[scope]), key=_fit)
            for scope in PREMISES
            if named[scope]
        )

    def _premise(self, scope: Scope, part: Part, rule: WrittenRule, *, permissive: bool) -> Premise:
        matches: Callable[[Part], Verdict] = (
            self._is_action if scope == "action" else lambda p: self._is_member(scope, p)
        )
        verdict = matches(part)
        if verdict is False or not part.refinements:
            return Premise(scope, part, verdict)
        judged = tuple(self.judge(item, scope, rule, permissive=permissive) for item in part.refinements)
        return Premise(scope, part, all_of((verdict, *(j.verdict for j in judged))), judged)

    def _is_action(self, part: Part) -> Verdict:
        return any(self.terms.includes(part.iri, action) for action in self.actions)

    def _is_member(self, scope: Scope, part: Part) -> Verdict:
        node = self.target if scope == "target" else self.party
        if node is None:
            return None
        return any(self.terms.member(node, name) for name in part.names)

    def falls_under(self, rule: WrittenRule, *, permissive: bool = True) -> Verdict:
        """Whether the act is of the kind a rule is about, refinements included."""
        return all_of(tuple(premise.verdict for premise in self.premises(rule, permissive=permissive)))

    def covers(self, rule: WrittenRule) -> bool:
        """Whether the act is wider than what a rule names, so that it would include a part of it."""
        actions = not rule.actions or any(
            self.terms.includes(part.iri, action) or self.terms.includes(action, part.iri)
            for part in rule.actions
            for action in self.actions
        )
        targets = not rule.targets or any(
            self._is_member("target", part) is not False or self.terms.member(part.iri, self.target or part.iri)
            for part in rule.targets
        )
        parties = not rule.assignees or any(self._is_member("party", part) is not False for part in rule.assignees)
        return actions and targets and parties


def _bare(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(replace(part, refinements=()) for part in parts)


def all_of(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Whether everything holds; undetermined if nothing fails and something cannot be told."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _fit(premise: Premise) -> tuple[int, int]:
    order = {True: 2, None: 1, False: 0}
    return order[premise.verdict], sum(j.verdict is True for j in premise.refinements)


def nothing_asked(world: World, terms: Terms, at: datetime | None) -> Situation:
    """No act at all: for rules that are judged by the state of the world alone."""
    return Situation(world, terms, at=at, now=at)


def graph_of(asked: Asked | None) -> Graph:
    """The statements of a request; none where there is no request."""
    return Graph({}, "", "") if asked is None else asked.graph
