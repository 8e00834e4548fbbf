"""The smallest set of changes that would turn a denial into a permit, found by trying what could help.

Search by cost: fewest changes first, among those the fewest that the site would have to make. Each step changes one
more thing that stands in the way on every path to a permit, or, where there is none, one of all that could help;
after each change only the rules that read it are judged again. So the first set that permits is the smallest there is
over the values worth trying (:mod:`synthema.policy.choices`), and where the search ends without one, none permits.
A search that is cut off says so, and what it then offers permits but may not be the smallest.

Only true things may change: a purpose, a legal basis or a role is never suggested,
because a request that states another one would be a false statement.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from synthema.policy import words
from synthema.policy.aims import DUTY, LOST, MET, Aim, Fixes, Standpoint, Want, union
from synthema.policy.assess import Assessment
from synthema.policy.choices import Choice
from synthema.policy.compile import CompiledPolicies
from synthema.policy.decision import Change
from synthema.policy.index import PURPOSE
from synthema.policy.mending import Mending, mending, stuck
from synthema.policy.model import AccessRequest, Fact, Fulfilment, Value
from synthema.policy.values import fits
from synthema.vocabulary import ChangedBy, Datatype, Operand

MAX_STEPS: Final = 1000
"""So many sets of changes are looked at in search of the smallest, and as many again in search of any."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Changes that would permit, or why there are none, with the purposes that would be permitted.

    ``proven`` says that no smaller set of changes permits, or none at all; it is not when the search was cut off.
    """

    changes: tuple[Change, ...] = ()
    unchangeable: str = ""
    permitted_purposes: tuple[str, ...] = ()
    proven: bool = True


def suggest(compiled: CompiledPolicies, request: AccessRequest, outcome: Assessment) -> Suggestion:
    """Find the smallest change; see the module for what counts as one."""
    if outcome.refusals:
        return Suggestion(unchangeable="no change of parameters helps: the request cannot be judged as it stands")
    start = _start(compiled, request, outcome)
    blocking = _blocking(start, outcome)
    if PURPOSE in blocking:
        return Suggestion(
            unchangeable="no change of parameters helps: choose a permitted purpose",
            permitted_purposes=_permitted_purposes(compiled, request, outcome),
        )
    found, proven = _find(start)
    if found:
        return Suggestion(changes=_changes(compiled, request, found), proven=proven)
    if not proven:
        return Suggestion(
            unchangeable=f"no change was found within {MAX_STEPS} steps of search, but there may be one", proven=False
        )
    return Suggestion(unchangeable=_why_not(compiled, request, outcome, blocking))


# ── what stands in the way ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """A denied request, what could be mended at all, and the aims it misses with what each of them lacks."""

    mending: Mending
    at: Standpoint
    missed: Mapping[Aim, int]


def _start(compiled: CompiledPolicies, request: AccessRequest, outcome: Assessment) -> _Start:
    violated = (done for done in request.fulfilled if done.state == "violated")
    mended = mending(compiled, outcome.speaking, frozenset((done.action, done.rule) for done in violated))
    at = Standpoint(compiled, request, outcome.facts, {})
    aims: list[Aim] = [*mended.settled] if outcome.violations else []
    aims += [mended.silent[rule] for rule, _ in outcome.forbidding]
    aims += [mended.done[rule] for rule in outcome.open_obligations]
    aims += [mended.layers[layer] for layer in outcome.attempts]
    return _Start(mended, at, {aim: lacks for aim in aims if (lacks := aim.lacks(at)) != MET})


def _blocking(start: _Start, outcome: Assessment) -> frozenset[str]:
    """Operands nobody can change that keep a prohibition in force or every permission of a layer out of reach."""
    if LOST not in start.missed.values():
        return frozenset()
    mended = start.mending
    aims = [mended.silent[rule] for rule, _ in outcome.forbidding]
    for layer, attempts in outcome.attempts.items():
        if start.missed.get(mended.layers[layer]) == LOST:
            aims += [mended.granted[attempt.rule] for attempt in attempts]
    return stuck(aims, start.at)


def _permitted_purposes(compiled: CompiledPolicies, request: AccessRequest, outcome: Assessment) -> tuple[str, ...]:
    """Purposes named by permissions under which the purpose would no longer stand in the way."""
    return tuple(
        purpose
        for purpose in compiled.purposes(request)
        if not _stands_in_the_way(compiled, request, {**outcome.facts, PURPOSE: Fact(purpose, "changed")})
    )


def _stands_in_the_way(compiled: CompiledPolicies, request: AccessRequest, facts: Mapping[str, Fact]) -> bool:
    """Whether the purpose keeps a rule from being mended, given these facts."""
    speaking = compiled.speaking(request, facts)
    if speaking is None:
        return True
    mended, at = mending(compiled, speaking), Standpoint(compiled, request, facts, {})
    return any(aim.lacks(at) == LOST and PURPOSE in stuck(parts, at) for aim, parts in mended.about_purpose)


# ── the search ───────────────────────────────────────────────────────────────────────────────────────────────────

_Cost = tuple[int, int, int, int]
_Wait = tuple[_Cost, Standpoint, Mapping[Aim, int], str, Iterator[Choice]]
"""Changes made so far, what they left open, and an operand with the values for it that still wait to be tried."""


def _find(start: _Start) -> tuple[Fixes | None, bool]:
    """The smallest set of changes and ``True``; or any set, or none, and whether that is sure."""
    if LOST in start.missed.values():
        return None, True
    search = _Search(start, hasty=False)
    found, complete = search.leap(), True
    if found is None:
        found, complete = search.run()
    return (found, True) if found or complete else (_Search(start, hasty=True).run()[0], False)


class _Search:
    """Uniform-cost search with a lower bound; a ``hasty`` one goes where the least is missing."""

    def __init__(self, start: _Start, *, hasty: bool) -> None:
        self._start = start
        self._mending = start.mending
        self._hasty = hasty
        self._waiting: list[_Wait] = []
        self._order = 0
        self._seen: set[frozenset[tuple[str, Value]]] = set()
        self._choices: dict[str, Sequence[Choice]] = {}

    def run(self) -> tuple[Fixes | None, bool]:
        """The first set of changes that permits; without one, whether all were looked at."""
        self._branch(self._start.at, self._start.missed)
        steps = 0
        while self._waiting and steps < MAX_STEPS:
            cost, before, missed, key, choices = heapq.heappop(self._waiting)
            choice = next(choices, None)
            if choice is None:
                continue
            self._put_off(cost[:3], before, missed, key, choices)
            fixes = {**before.fixes, key: choice.value}
            known = frozenset(fixes.items())
            if known in self._seen:
                continue
            self._seen.add(known)
            steps += 1
            facts = before.facts if choice.fact is None else {**before.facts, key: choice.fact}
            at = Standpoint(before.compiled, before.request, facts, fixes)
            left = self._left(missed, key, at)
            if left is None:
                continue
            if not left:
                return fixes, True
            self._branch(at, left)
        return None, not self._waiting

    def _left(self, missed: Mapping[Aim, int], key: str, at: Standpoint) -> Mapping[Aim, int] | None:
        """What is missed after a change; only aims that read it are judged again. ``None`` where one is lost."""
        left = dict(missed)
        for aim in self._mending.touching[key]:
            lacks = aim.lacks(at)
            if lacks == MET:
                left.pop(aim, None)
            elif lacks == LOST:
                return None
            else:
                left[aim] = lacks
        return left

    def leap(self) -> Fixes | None:
        """All that has to change on every path at once: where that permits, no set of changes is smaller."""
        start, facts, fixes = self._start, dict(self._start.at.facts), dict[str, Value]()
        for key, wants in self._must(start.at, start.missed).items():
            choice = self._mending.choices.meeting(key, wants, start.at)
            if choice is None:
                return None
            fixes[key] = choice.value
            if choice.fact is not None:
                facts[key] = choice.fact
        at = Standpoint(start.at.compiled, start.at.request, facts, fixes)
        touched = dict.fromkeys(start.missed)
        for key in fixes:
            touched |= dict.fromkeys(self._mending.touching[key])
        for aim in touched:
            if aim.lacks(at) != MET:
                return None
        return fixes or None

    def _must(self, at: Standpoint, missed: Mapping[Aim, int]) -> dict[str, list[Want]]:
        """The operands and duties that have to change, each with what it alone can still meet."""
        must: dict[str, list[Want]] = {}
        for want in self._mending.wanted(union(missed.values())):
            still = want.keys if not at.fixes else [key for key in want.keys if key not in at.fixes]
            if len(still) == 1:
                must.setdefault(still[0], []).append(want)
        return must

    def _branch(self, at: Standpoint, missed: Mapping[Aim, int]) -> None:
        """Put off every change that could be the next one of a smallest set."""
        must = self._must(at, missed)
        if must:
            # Each of these has to change: it is enough to branch on one, best on that with the fewest ways.
            key = max(sorted(must), key=lambda key: len(must[key]))
            ways = {key: self._meeting(key, must[key], at, all_=True)}
        else:
            ways = self._helping(at, missed)
        size = len(at.fixes) + 1
        least = max(len(at.fixes) + len(must), size)
        before = sum(_by(at.compiled, key) == "site" for key in at.fixes)
        for key, choices in ways.items():
            sites = before + (_by(at.compiled, key) == "site")
            cost = (least - size, sites, -size) if self._hasty else (least, sites, -size)
            self._put_off(cost, at, missed, key, choices)

    def _put_off(
        self,
        cost: tuple[int, int, int],
        at: Standpoint,
        missed: Mapping[Aim, int],
        key: str,
        choices: Iterator[Choice],
    ) -> None:
        self._order += 1
        heapq.heappush(self._waiting, ((*cost, self._order), at, missed, key, choices))

    def _meeting(self, key: str, wants: list[Want], at: Standpoint, *, all_: bool) -> Iterator[Choice]:
        """The values of an operand that meet all or any of these wants."""
        found: Iterable[Choice] = self._of(key)
        if all_:
            fixed = union([want.bit for want in wants if not want.relative])
            found = [c for c in found if c.meets is None or c.meets & fixed == fixed]
        judged = all if all_ else any
        meeting = (c for c in found if judged(c.meets_want(want, key, at) for want in wants))
        return self._mending.choices.distinct(key, meeting, at.facts)

    def _helping(self, at: Standpoint, missed: Mapping[Aim, int]) -> dict[str, Iterator[Choice]]:
        """Every change that meets a want of the aim with the fewest of them: one of these has to be met."""
        open_ = ([want for want in dict.fromkeys(aim.wants()) if want.lacks(at) > MET] for aim in missed)
        ways: dict[str, list[Want]] = {}
        for want in min(open_, key=len):
            for key in want.keys:
                if key not in at.fixes:
                    ways.setdefault(key, []).append(want)
        return {key: self._meeting(key, wants, at, all_=False) for key, wants in sorted(ways.items())}

    def _of(self, key: str) -> Sequence[Choice]:
        found = self._choices.get(key)
        if found is None:
            found = self._choices[key] = self._mending.choices.of(key, self._start.at.facts)
        return found


def _by(compiled: CompiledPolicies, key: str) -> Literal["requester", "site"]:
    if key.startswith(DUTY):
        return "requester"
    return "site" if compiled.vocabulary.operands[key].changed_by is ChangedBy.SITE else "requester"


def changed_request(request: AccessRequest, fixes: Fixes) -> AccessRequest:
    """The request as it would be after changes."""
    facts = {key: Fact(value, "changed") for key, value in fixes.items() if not key.startswith(DUTY)}
    done = tuple(
        Fulfilment(key.removeprefix(DUTY), request.at, request.assignee, "changed")
        for key in fixes
        if key.startswith(DUTY)
    )
    return replace(request, facts={**request.facts, **facts}, fulfilled=(*request.fulfilled, *done))


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _why_not(compiled: CompiledPolicies, request: AccessRequest, outcome: Assessment, blocking: frozenset[str]) -> str:
    lead = "no change of parameters helps"
    if any(not violation.missing or violation.done.at >= request.at for violation in outcome.violations):
        return f"{lead}: what was violated has to be settled with the site first"
    if any(not attempts for attempts in outcome.attempts.values()):
        return f"{lead}: a layer has no rule that permits this act on this dataset for this party"
    if any(rule.when is rule.refined is rule.unless is None for rule, _ in outcome.forbidding):
        return f"{lead}: the act itself is forbidden"
    unstated = sorted(compiled.vocabulary.label(operand) for operand in blocking if operand not in outcome.facts)
    if unstated:
        return f"{lead}: the request has to state the {words.listed(unstated, 'and the')} as it truly is"
    if blocking:
        labels = sorted(compiled.vocabulary.label(operand) for operand in blocking)
        return f"{lead}: the decision rests on the {words.listed(labels, 'and the')}, which a request cannot change"
    return f"{lead}: no value that the rules name would permit"


def _changes(compiled: CompiledPolicies, request: AccessRequest, fixes: Fixes) -> tuple[Change, ...]:
    return tuple(_change(compiled, request, key, fixes[key]) for key in sorted(fixes))


def _change(compiled: CompiledPolicies, request: AccessRequest, key: str, value: Value) -> Change:
    vocabulary = compiled.vocabulary
    if key.startswith(DUTY):
        action = key.removeprefix(DUTY)
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
