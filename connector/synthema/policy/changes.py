"""The smallest set of changes that would turn a denial into a permit, each proven by judging again.

Search by cost: fewest changes first, among those the ones the requester can make.
Only true things may change: a purpose, a legal basis or a role is never suggested,
because a request that states another one would be a false statement.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from synthema.policy import words
from synthema.policy.assess import Assessment, Attempt, assess
from synthema.policy.compile import CompiledPolicies, CompiledRule, Facts, Tree
from synthema.policy.decision import Change
from synthema.policy.model import (
    AccessRequest,
    Constraint,
    Fact,
    Fulfilment,
    Kind,
    OperandReference,
    Operator,
    Timing,
    Value,
    constraints_of,
)
from synthema.policy.values import fits
from synthema.vocabulary import ChangedBy, Datatype, Operand
from synthema.vocabulary.namespaces import ODRL

PURPOSE = ODRL + "purpose"
MAX_STEPS = 200
MAX_ALTERNATIVES = 24

Fixes = Mapping[str, Value]
"""Operand (or, with the prefix below, duty) → the value that mends one comparison."""
_DUTY = "duty "


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Changes that would permit, or why there are none, with the purposes that would be permitted."""

    changes: tuple[Change, ...] = ()
    unchangeable: str = ""
    permitted_purposes: tuple[str, ...] = ()


def suggest(compiled: CompiledPolicies, request: AccessRequest, outcome: Assessment) -> Suggestion:
    """Find the smallest change; see the module for what counts as one."""
    if outcome.refusals:
        return Suggestion(unchangeable="no change of parameters helps: the request cannot be judged as it stands")
    goals = _goals(compiled, outcome)
    blocking = _blocking_operands(goals)
    if PURPOSE in blocking:
        return Suggestion(
            unchangeable="no change of parameters helps: choose a permitted purpose",
            permitted_purposes=_permitted_purposes(compiled, request),
        )
    found = _search(compiled, request, goals)
    if found is not None:
        return Suggestion(changes=_changes(compiled, request, found))
    return Suggestion(unchangeable=_why_not(compiled, outcome, blocking))


def _blocking_operands(goals: list[_Goal]) -> frozenset[str]:
    """Operands nobody can change that keep a prohibition in force or every permission of a layer out of reach."""
    return frozenset().union(*(goal.fixed for goal in goals if not goal.alternatives))


@dataclass(frozen=True, slots=True)
class _Goal:
    """One thing to mend: ways to do so, and the unchangeable operands that stand in the way."""

    alternatives: tuple[Fixes, ...]
    fixed: frozenset[str]


def _goals(compiled: CompiledPolicies, outcome: Assessment) -> list[_Goal]:
    return list(_each_goal(compiled, outcome))


def _each_goal(compiled: CompiledPolicies, outcome: Assessment) -> Iterator[_Goal]:
    facts = outcome.facts
    mender = _Mender(compiled, facts)
    for rule, _ in outcome.forbidding:
        ways = [*mender.break_(rule.when)] if rule.when is not None else []
        ways += mender.make(rule.unless) if rule.unless is not None else []
        yield _Goal(tuple(ways[:MAX_ALTERNATIVES]), mender.immovable(rule))
    for rule in outcome.open_obligations:
        ways = mender.break_(rule.when) if rule.when is not None else []
        yield _Goal((_duties(rule), *ways[:MAX_ALTERNATIVES]), frozenset())
    for layer in sorted(outcome.attempts):
        granting: list[Fixes] = []
        fixed: set[str] = set()
        for attempt in outcome.attempts[layer]:
            found = list(mender.grant(attempt))
            granting += found
            fixed |= set() if found else mender.immovable(attempt.rule)
        yield _Goal(tuple(sorted(granting, key=len)[:MAX_ALTERNATIVES]), frozenset(fixed))


def _duties(rule: CompiledRule) -> Fixes:
    return {_DUTY + duty.action: rule.rule.id for duty in rule.rule.duties if duty.timing is Timing.PRE}


@dataclass(frozen=True, slots=True)
class _Mender:
    """Finds values that make a comparison hold, or break it."""

    compiled: CompiledPolicies
    facts: Facts

    def grant(self, attempt: Attempt) -> Iterator[Fixes]:
        """Ways to make a permission hold with its duties done."""
        duties: Fixes = {_DUTY + duty.action: attempt.rule.rule.id for duty in attempt.open_duties}
        ways = [{}] if attempt.rule.when is None else self.make(attempt.rule.when)
        for way in ways:
            yield {**way, **duties}

    def make(self, tree: Tree) -> list[Fixes]:
        """Ways to make a condition hold."""
        if tree.evaluate(self.facts) is True:
            return [{}]
        if tree.constraint is not None and tree.operand is not None:
            return [{tree.operand.iri: value} for value in self._values(tree, tree.operand, wanted=True)]
        if tree.joined == "and":
            return _products([self.make(part) for part in tree.parts])
        if tree.joined == "or":
            return _merged([self.make(part) for part in tree.parts])
        return self._exactly_one(tree.parts)

    def break_(self, tree: Tree) -> list[Fixes]:
        """Ways to make a condition fail."""
        if tree.evaluate(self.facts) is False:
            return [{}]
        if tree.constraint is not None and tree.operand is not None:
            return [{tree.operand.iri: value} for value in self._values(tree, tree.operand, wanted=False)]
        if tree.joined == "and":
            return _merged([self.break_(part) for part in tree.parts])
        if tree.joined == "or":
            return _products([self.break_(part) for part in tree.parts])
        return _products([self.break_(part) for part in tree.parts])

    def _exactly_one(self, parts: tuple[Tree, ...]) -> list[Fixes]:
        ways = []
        for chosen in range(len(parts)):
            one = [self.make(p) if n == chosen else self.break_(p) for n, p in enumerate(parts)]
            ways.append(_products(one))
        return _merged(ways)

    def immovable(self, rule: CompiledRule) -> frozenset[str]:
        """Operands of a rule that matter now and that nobody can change."""
        return frozenset(
            leaf.operand.iri
            for tree, wanted in ((rule.when, rule.rule.kind is not Kind.PROHIBITION), (rule.unless, True))
            if tree is not None
            for leaf in tree.leaves()
            if leaf.operand is not None and leaf.evaluate(self.facts) is not wanted and not self._movable(leaf.operand)
        )

    def _movable(self, operand: Operand) -> bool:
        return operand.changed_by is not ChangedBy.NOBODY and operand.iri not in self.compiled.standing

    def _values(self, leaf: Tree, operand: Operand, *, wanted: bool) -> list[Value]:
        """Candidate values for one comparison, nearest first, each tried out."""
        if not self._movable(operand) or leaf.constraint is None:
            return []
        found: list[Value] = []
        trial = dict(self.facts)
        for value in self._candidates(leaf.constraint, operand):
            trial[operand.iri] = Fact(value)
            if value not in found and leaf.evaluate(trial) is wanted:
                found.append(value)
        return found[:MAX_ALTERNATIVES]

    def _candidates(self, constraint: Constraint, operand: Operand) -> Iterator[Value]:
        right: Any = constraint.right
        if isinstance(right, OperandReference):
            other = self.facts.get(right.operand)
            if other is None or not fits(other.value, operand.datatype):
                return
            right = other.value
        if operand.datatype is Datatype.BOOLEAN:
            yield from (True, False)
        elif operand.datatype is Datatype.TERM:
            yield from self._terms(right, operand, together=constraint.operator is Operator.IS_ALL_OF)
        elif operand.datatype is Datatype.TEXT:
            yield from right if isinstance(right, tuple) else (right,)
        else:
            yield from (right, _step(right, operand, down=True), _step(right, operand, down=False))

    def _terms(self, right: Value, operand: Operand, *, together: bool) -> Iterator[Value]:
        named = right if isinstance(right, tuple) else (str(right),)
        if together:
            yield named
            return
        yield from named
        yield from self._named_elsewhere(operand.iri)
        yield from (term.iri for term in self.compiled.vocabulary.terms_of(operand))

    def _named_elsewhere(self, operand: str) -> Iterator[str]:
        """Terms that permissions name for an operand: likelier to be wanted than the rest of the scheme."""
        for rule in self.compiled.rules:
            if rule.rule.kind is Kind.PERMISSION:
                for constraint in constraints_of(rule.rule.when):
                    if constraint.left == operand and not isinstance(constraint.right, OperandReference):
                        yield from constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)


def _step(value: Any, operand: Operand, *, down: bool) -> Any:
    """The nearest value below or above a bound."""
    if operand.datatype is Datatype.NUMBER:
        return math.nextafter(float(value), -math.inf if down else math.inf)
    if operand.datatype is Datatype.COUNT:
        return value - 1 if down else value + 1
    return value - timedelta(seconds=1) if down else value + timedelta(seconds=1)


def _products(lists: list[list[Fixes]]) -> list[Fixes]:
    """Every way to take one fix from each list. Where two name one operand, both values are tried: judging decides."""
    if [] in lists:
        return []
    ways: list[Fixes] = [{}]
    for alternatives in lists:
        if alternatives == [{}]:
            continue
        joined: list[list[Fixes]] = [[{**way, **fix}, {**fix, **way}] for way in ways for fix in alternatives]
        ways = _merged(joined)
    return ways


def _merged(lists: list[list[Fixes]]) -> list[Fixes]:
    """All fixes of all lists, shortest first, each once."""
    unique: list[Fixes] = []
    for fix in sorted(itertools.chain.from_iterable(lists), key=len):
        if fix not in unique:
            unique.append(fix)
    return unique[:MAX_ALTERNATIVES]


def _search(compiled: CompiledPolicies, request: AccessRequest, goals: list[_Goal]) -> Fixes | None:
    """Uniform-cost search over sets of changes; the first one that permits has the fewest.

    Every goal has to be mended, so it is enough to branch on one of them at a time:
    the one with the fewest ways.
    """
    order = itertools.count()
    waiting: list[tuple[tuple[int, int], int, Fixes]] = []
    seen: set[frozenset[tuple[str, Value]]] = set()

    def branch(fixes: Fixes, open_goals: list[_Goal]) -> None:
        for way in min(open_goals, key=lambda goal: len(goal.alternatives)).alternatives:
            joined = {**fixes, **way}
            key = frozenset(joined.items())
            if key not in seen:
                seen.add(key)
                heapq.heappush(waiting, (_cost(compiled, joined), next(order), joined))

    branch({}, goals)
    for _ in range(MAX_STEPS):
        if not waiting:
            return None
        _, _, fixes = heapq.heappop(waiting)
        current = assess(compiled, changed_request(request, fixes))
        if current.permitted:
            return fixes
        if open_goals := _goals(compiled, current):
            branch(fixes, open_goals)
    return None


def _cost(compiled: CompiledPolicies, fixes: Fixes) -> tuple[int, int]:
    return len(fixes), sum(_by(compiled, key) == "site" for key in fixes)


def _by(compiled: CompiledPolicies, key: str) -> Literal["requester", "site"]:
    if key.startswith(_DUTY):
        return "requester"
    return "site" if compiled.vocabulary.operands[key].changed_by is ChangedBy.SITE else "requester"


def changed_request(request: AccessRequest, fixes: Fixes) -> AccessRequest:
    """The request as it would be after changes."""
    facts = {key: Fact(value, "changed") for key, value in fixes.items() if not key.startswith(_DUTY)}
    done = tuple(
        Fulfilment(key.removeprefix(_DUTY), request.at, request.assignee, "changed")
        for key in fixes
        if key.startswith(_DUTY)
    )
    return replace(request, facts={**request.facts, **facts}, fulfilled=(*request.fulfilled, *done))


def _permitted_purposes(compiled: CompiledPolicies, request: AccessRequest) -> tuple[str, ...]:
    """Purposes named by permissions under which the purpose would no longer stand in the way."""
    named: set[str] = set()
    for rule in compiled.by_action[request.action][Kind.PERMISSION]:
        for constraint in constraints_of(rule.rule.when):
            if constraint.left == PURPOSE and not isinstance(constraint.right, OperandReference):
                named |= set(constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),))
    permitted = []
    for purpose in sorted(named & set(compiled.vocabulary.purposes.terms)):
        outcome = assess(compiled, changed_request(request, {PURPOSE: purpose}))
        if PURPOSE not in _blocking_operands(_goals(compiled, outcome)):
            permitted.append(purpose)
    return tuple(permitted)


def _why_not(compiled: CompiledPolicies, outcome: Assessment, blocking: frozenset[str]) -> str:
    lead = "no change of parameters helps"
    if any(not attempts for attempts in outcome.attempts.values()):
        return f"{lead}: a layer has no rule that permits this act on this dataset for this party"
    if any(rule.when is None and rule.unless is None for rule, _ in outcome.forbidding):
        return f"{lead}: the act itself is forbidden"
    unstated = sorted(compiled.vocabulary.label(operand) for operand in blocking if operand not in outcome.facts)
    if unstated:
        return f"{lead}: the request has to state the {words.listed(unstated, 'and the')} as it truly is"
    if blocking:
        labels = sorted(compiled.vocabulary.label(operand) for operand in blocking)
        return f"{lead}: the decision rests on the {words.listed(labels, 'and the')}, which a request cannot change"
    return f"{lead} within {MAX_STEPS} steps of search"


def _changes(compiled: CompiledPolicies, request: AccessRequest, fixes: Fixes) -> tuple[Change, ...]:
    return tuple(_change(compiled, request, key, fixes[key]) for key in sorted(fixes))


def _change(compiled: CompiledPolicies, request: AccessRequest, key: str, value: Value) -> Change:
    vocabulary = compiled.vocabulary
    if key.startswith(_DUTY):
        action = key.removeprefix(_DUTY)
        return Change(action, None, None, "requester", f"before the request, {vocabulary.label(action)}")
    operand = vocabulary.operands[key]
    fact = request.facts.get(key)
    before = fact.value if fact is not None and fits(fact.value, operand.datatype) else None
    by = _by(compiled, key)
    return Change(key, before, value, by, _change_words(compiled, operand, before, value, by))


def _change_words(
    compiled: CompiledPolicies, operand: Operand, before: Any, after: Any, by: Literal["requester", "site"]
) -> str:
    vocabulary, subject = compiled.vocabulary, words.subject(operand)
    wanted = words.value_words(after, operand, vocabulary)
    if operand.datatype is Datatype.BOOLEAN:
        clause = operand.label if after else f"it is not so that {operand.label}"
        return f"show that {clause}" if by == "requester" else f"the site has to show that {clause}"
    ordered = operand.datatype not in (Datatype.TERM, Datatype.TEXT)
    if before is None:
        return f"state {subject}: {wanted}" if by == "requester" else f"the site has to show {subject}: {wanted}"
    was = words.value_words(before, operand, vocabulary)
    if not ordered:
        lead = "change" if by == "requester" else "the site has to change"
        return f"{lead} {subject} from {was} to {wanted}"
    verb, bound = ("reduce", "at most") if after < before else ("raise", "at least")
    lead = verb if by == "requester" else f"the site has to {verb}"
    return f"{lead} {subject} from {was} to {bound} {wanted}"
