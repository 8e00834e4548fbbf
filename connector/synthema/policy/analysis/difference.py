"""What a new version of a policy changes: every class of requests that two versions answer differently.

Requests that both permit, but with other duties, are told as well.

Both versions are read into one space of requests. Where their answers differ is
computed, not sampled; it is told in the widest classes there are, each with a request
that the deciding code really answers as said.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from synthema.policy import words
from synthema.policy.analysis import solver
from synthema.policy.analysis.build import trees_of
from synthema.policy.analysis.classes import RequestClass, maximal
from synthema.policy.analysis.diagram import MAX_NODES, Node, TooLarge
from synthema.policy.analysis.duties import Duties, brought, brought_with, told
from synthema.policy.analysis.locate import locate
from synthema.policy.analysis.outcome import Answer, answer_of, answers, needed_layers, ways
from synthema.policy.analysis.space import Space
from synthema.policy.analysis.witness import request_in
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.decision import request_record
from synthema.policy.model import AccessRequest, Fact, Layer, Policy
from synthema.vocabulary import Vocabulary

MAX_CLASSES: Final = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """A class of requests that two versions answer differently, with one of them: the witness.

    Without ``requests`` (found by the solver) the witness stands for itself only.
    """

    before: Answer
    after: Answer
    requests: RequestClass | None
    request: AccessRequest
    sentence: str

    @property
    def kind(self) -> str:
        """What became of these requests."""
        if self.before is self.after:
            return "duties changed"
        if self.after is Answer.PERMITS:
            return "allowed"
        if self.before is Answer.PERMITS:
            return "denied"
        if self.after is Answer.FORBIDS:
            return "newly forbidden"
        return "no longer forbidden" if self.before is Answer.FORBIDS else "duty changed"

    @property
    def widens(self) -> bool:
        """Whether more is allowed than before."""
        return self.before is not self.after and (self.after is Answer.PERMITS or self.before is Answer.FORBIDS)

    def holds(self, request: AccessRequest) -> bool:
        """Whether a request is in the class."""
        if self.requests is None:
            return False
        cells = locate(self.requests.space, request)
        return cells is not None and all(mask >> cells[level] & 1 for level, mask in self.requests.masks.items())

    def record(self) -> dict[str, Any]:
        """The difference for machines."""
        return {
            "kind": self.kind,
            "before": str(self.before),
            "after": str(self.after),
            "widens": self.widens,
            "sentence": self.sentence,
            "class": None if self.requests is None else self.requests.record(),
            "witness": request_record(self.request),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences. ``complete`` says that there are no others; if not, ``reason`` says which limit was met."""

    differences: tuple[Difference, ...]
    complete: bool = True
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """The comparison for machines."""
        return {
            "differences": [difference.record() for difference in self.differences],
            "complete": self.complete,
            "reason": self.reason,
        }

    def sentences(self) -> list[str]:
        """The comparison for people."""
        told = [difference.sentence for difference in self.differences]
        if not told and self.complete:
            return ["Both versions answer every request alike."]
        return told if self.complete else [*told, f"This may not be all: {self.reason}."]


def semantic_diff(old: Policy, new: Policy, vocabulary: Vocabulary) -> tuple[Difference, ...]:
    """The differences of :func:`compare`, the two versions alone."""
    return compare(old, new, vocabulary).differences


def compare(
    old: Policy,
    new: Policy,
    vocabulary: Vocabulary,
    *,
    beside: Iterable[Policy] = (),
    standing: Mapping[str, Fact] | None = None,
    limit: int = MAX_NODES,
) -> Comparison:
    """Every class of requests that two versions answer differently.

    Without ``beside`` the answers are those of the policy alone: it permits, forbids or is
    silent. With the policies of other layers they are those of the whole decision: then
    "permits" is a permit. ``standing`` facts hold for every request.
    """
    others = [policy for policy in beside if policy.id not in (old.id, new.id)]
    versions = tuple(compile_policies([*others, each], vocabulary, standing=standing) for each in (old, new))
    try:
        return _compare(versions[0], versions[1], whole=bool(others), limit=limit)
    except TooLarge as reason:
        return _asked(versions[0], versions[1], whole=bool(others), reason=str(reason))


def _compare(old: CompiledPolicies, new: CompiledPolicies, *, whole: bool, limit: int) -> Comparison:
    needed = [needed_layers(compiled, whole=whole) for compiled in (old, new)]
    space = space_of(old, new, limit=limit)
    before = answers(space, old, needed[0], whole=whole)
    after = answers(space, new, needed[1], whole=whole)
    both = space.diagrams.joined(before, after, _pair)
    changed = _changed(old, new)
    found: list[Difference] = []
    reasons: list[str] = []
    for pair in sorted(space.diagrams.values(both), key=_order):
        if pair[0] is pair[1]:
            continue
        truth = space.diagrams.where(both, partial(operator.eq, pair))
        classes, complete = maximal(space, truth, MAX_CLASSES - len(found))
        if not complete:
            reasons.append(f"there are more than {MAX_CLASSES} classes")
        for one in classes:
            request = request_in(space, one.masks)
            told = (answer_of(old, request, needed[0]), answer_of(new, request, needed[1]))
            if told != pair:
                reasons.append("a class has no request that can be written down")
            else:
                found.append(
                    Difference(pair[0], pair[1], one, request, _sentence(pair[0], pair[1], one.words(changed)))
                )
    permitted = space.diagrams.where(both, partial(operator.eq, (Answer.PERMITS, Answer.PERMITS)))
    found += _duties(space, permitted, (old, new), needed, reasons)
    return Comparison(tuple(found), complete=not reasons, reason="; ".join(dict.fromkeys(reasons)))


def _duties(
    space: Space,
    permitted: Node,
    versions: tuple[CompiledPolicies, CompiledPolicies],
    needed: Sequence[tuple[Layer, ...]],
    reasons: list[str],
) -> Iterator[Difference]:
    """Requests that both versions permit, with other duties."""
    before, after = (brought(space, each, layers) for each, layers in zip(versions, needed, strict=True))
    pairs = space.diagrams.joined(before, after, _sets)
    changed = space.diagrams.joined(permitted, pairs, lambda yes, pair: pair if yes and pair[0] != pair[1] else None)
    for pair in sorted(space.diagrams.values(changed) - {None}, key=repr):
        classes, complete = maximal(space, space.diagrams.where(changed, partial(operator.eq, pair)), MAX_CLASSES)
        if not complete:
            reasons.append(f"there are more than {MAX_CLASSES} classes with other duties")
        for one in classes:
            request = request_in(space, one.masks)
            sides = [brought_with(each, request, layers) for each, layers in zip(versions, needed, strict=True)]
            if tuple(sides) != pair:
                reasons.append("a class has no request that can be written down")
                continue
            sentence = words.sentence(f"permitted as before, {told(pair[0], pair[1], space.vocabulary)}: {one.words()}")
            yield Difference(Answer.PERMITS, Answer.PERMITS, one, request, sentence)


def _sets(before: Duties, after: Duties) -> tuple[Duties, Duties]:
    return before, after


def _asked(old: CompiledPolicies, new: CompiledPolicies, *, whole: bool, reason: str) -> Comparison:
    """One request for each way in which two versions differ, from the solver, where there are too many classes."""
    if not solver.available():
        return Comparison((), complete=False, reason=f"{reason}; the extra [analysis] may find more")
    asked = solver.Solver(
        old.vocabulary, [*old.rules, *new.rules], standing=old.standing, edges=[*_edges(old), *_edges(new)]
    )
    said = [ways(asked, each, needed_layers(each, whole=whole), whole=whole) for each in (old, new)]
    found: list[Difference] = []
    complete = True
    for before, after in itertools.permutations(Answer, 2):
        try:
            request = asked.find(asked.all_of([said[0][before], said[1][after]]))
        except solver.Undecided as undecided:
            complete, reason = False, f"{reason}, and {undecided}"
            continue
        if request is not None:
            complete = False
            act = old.vocabulary.label(request.action)
            found.append(Difference(before, after, None, request, _sentence(before, after, f"for one, to {act}")))
    return Comparison(tuple(found), complete=complete, reason="" if complete else reason)


def _pair(before: Answer, after: Answer) -> tuple[Answer, Answer]:
    return before, after


def space_of(*compiled: CompiledPolicies, limit: int = MAX_NODES) -> Space:
    """One space in which all these policies can be read."""
    rules = list(dict.fromkeys(rule for each in compiled for rule in each.rules))
    edges = [edge for each in compiled for edge in _edges(each)]
    return Space(compiled[0].vocabulary, rules=rules, standing=compiled[0].standing, edges=edges, limit=limit)


def _edges(compiled: CompiledPolicies) -> list[datetime | None]:
    return [edge for policy in compiled.policies for edge in (policy.effective_from, policy.effective_to)]


_ORDER = (Answer.PERMITS, Answer.FORBIDS, Answer.DEMANDS, Answer.SILENT)


def _order(pair: tuple[Answer, Answer]) -> tuple[int, int]:
    """What became allowed comes first, then what became denied."""
    return _ORDER.index(pair[1]), _ORDER.index(pair[0])


_BECAME: Final[Mapping[tuple[Answer, Answer], str]] = {
    (Answer.SILENT, Answer.PERMITS): "now permitted, before it was not",
    (Answer.FORBIDS, Answer.PERMITS): "now permitted, before it was forbidden",
    (Answer.DEMANDS, Answer.PERMITS): "now permitted, before a duty had to be done first",
    (Answer.PERMITS, Answer.SILENT): "no longer permitted",
    (Answer.PERMITS, Answer.FORBIDS): "now forbidden, before it was permitted",
    (Answer.PERMITS, Answer.DEMANDS): "now permitted only after a duty is done",
    (Answer.SILENT, Answer.FORBIDS): "now forbidden; it was not permitted before either",
    (Answer.DEMANDS, Answer.FORBIDS): "now forbidden; before, a duty had to be done first",
    (Answer.FORBIDS, Answer.SILENT): "no longer forbidden, but not permitted either",
    (Answer.DEMANDS, Answer.SILENT): "no longer permitted; before, a duty had to be done first",
    (Answer.FORBIDS, Answer.DEMANDS): "no longer forbidden, but a duty has to be done first",
    (Answer.SILENT, Answer.DEMANDS): "a duty has to be done first now; it was not permitted before either",
}


def _sentence(before: Answer, after: Answer, requests: str) -> str:
    return words.sentence(f"{_BECAME[before, after]}: {requests}")


def _changed(old: CompiledPolicies, new: CompiledPolicies) -> frozenset[str]:
    """The operands about which only one version says something."""
    said = [
        {leaf.constraint for tree in trees_of(each.rules) for leaf in tree.leaves() if leaf.constraint is not None}
        for each in (old, new)
    ]
    return frozenset(constraint.left for constraint in said[0] ^ said[1])
