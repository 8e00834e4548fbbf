"""Which rules and conditions of a policy its cases exercise, and cases to write for those they do not.

A condition counts as shown only where it decides: a case in which it is met, and one in which
it is not, each such that the rule would come out otherwise if it alone were different
(modified condition/decision coverage).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from synthema.policy import words
from synthema.policy.analysis.ask import Asker
from synthema.policy.analysis.build import trees_of
from synthema.policy.analysis.case_writing import case_text
from synthema.policy.analysis.cases import CaseFile, request_of
from synthema.policy.analysis.diagram import TooLarge
from synthema.policy.analysis.logic import Logic
from synthema.policy.assess import DATE_TIME
from synthema.policy.compile import CompiledPolicies, CompiledRule, compile_policies
from synthema.policy.conditions import Facts, Tree, Verdict
from synthema.policy.decide import decide
from synthema.policy.duties import open_duties
from synthema.policy.model import AccessRequest, Fact, Kind, Policy, Timing
from synthema.vocabulary import Vocabulary

MAX_TRIES: Final = 400


@dataclass(frozen=True, slots=True)
class Item:
    """One thing cases should show about a rule; ``met`` says whether it is to be met or not.

    Without ``leaf`` the rule itself; with ``duty`` one of the duties it asks for beforehand.
    """

    rule: CompiledRule
    met: bool
    leaf: Tree | None = None
    duty: int | None = None

    def words(self, vocabulary: Vocabulary) -> str:
        """What a case would show."""
        name = self.rule.rule.id.rpartition("#")[2]
        if self.duty is not None:
            act = vocabulary.label(self.rule.rule.duties[self.duty].action)
            return f"{name}, the duty {'done' if self.met else 'not done'} beforehand: {act}"
        if self.leaf is None or self.leaf.constraint is None:
            return f"{name} {'applies' if self.met else 'does not apply'}"
        clause = words.statement(self.leaf.constraint, vocabulary)
        side = " (exception)" if self.rule.unless is not None and _within(self.leaf, self.rule.unless) else ""
        return f"{name}{side}, {'this decides' if self.met else 'this fails and so decides'}: {clause}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something no case shows, with a case that would, if one was found, and the decision it gets now."""

    rule: str
    shows: str
    case: str | None
    decision: str | None

    @property
    def sentence(self) -> str:
        """The gap in words."""
        return words.sentence(f"no case shows this: {self.shows}")

    def record(self) -> dict[str, Any]:
        """The gap for machines."""
        return {"rule": self.rule, "sentence": self.sentence, "case": self.case, "decision": self.decision}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a policy its cases show."""

    policy: str
    shown: int
    total: int
    gaps: tuple[Gap, ...]

    @property
    def percent(self) -> int:
        """The share that is shown, rounded down."""
        return 100 if self.total == 0 else 100 * self.shown // self.total

    def record(self) -> dict[str, Any]:
        """The coverage for machines."""
        return {
            "policy": self.policy,
            "shown": self.shown,
            "total": self.total,
            "percent": self.percent,
            "gaps": [gap.record() for gap in self.gaps],
        }


def cover(policy: Policy, files: Sequence[CaseFile], vocabulary: Vocabulary, beside: Sequence[Policy] = ()) -> Coverage:
    """What the cases of some files show of a policy; ``beside`` are policies that a file does not name itself."""
    shown: set[tuple[str, ...]] = set()
    items: dict[tuple[str, ...], Item] = {}
    grounds: list[tuple[CaseFile, CompiledPolicies]] = []
    for file in files:
        others = {each.id: each for each in (*beside, *file.beside) if each.id != policy.id}
        compiled = compile_policies([*others.values(), policy], vocabulary)
        grounds.append((file, compiled))
        for key, item in _items(compiled, policy):
            items.setdefault(key, item)
        for case in file.cases:
            shown |= set(_shown(compiled, policy, request_of(case, file.standing)))
    missing = [(key, item) for key, item in items.items() if key not in shown]
    gaps = tuple(_gap(item, key, grounds[0], policy) for key, item in missing) if grounds else ()
    return Coverage(policy.id, len(items) - len(missing), len(items), gaps)


# what is to be shown -------------------------------------------------------------------------


def _items(compiled: CompiledPolicies, policy: Policy) -> Iterator[tuple[tuple[str, ...], Item]]:
    for rule in compiled.rules:
        if rule.policy.id != policy.id:
            continue
        yield _key(rule, "rule", met=True), Item(rule, met=True)
        for number, leaf in enumerate(_leaves(rule)):
            for met in (True, False):
                yield _key(rule, f"leaf {number}", met=met), Item(rule, met, leaf)
        for number, duty in enumerate(rule.duties):
            if duty.duty.timing is Timing.PRE:
                for met in (True, False):
                    yield _key(rule, f"duty {number}", met=met), Item(rule, met, duty=number)


def _key(rule: CompiledRule, what: str, *, met: bool) -> tuple[str, ...]:
    return rule.rule.id, what, "met" if met else "not met"


def _leaves(rule: CompiledRule) -> list[Tree]:
    """The comparisons of a rule, refinements included, duties' conditions apart."""
    duties = {id(duty.when) for duty in rule.duties if duty.when is not None}
    return [leaf for tree in trees_of([rule]) if id(tree) not in duties for leaf in tree.leaves()]


def _within(leaf: Tree, tree: Tree) -> bool:
    return any(leaf is each for each in tree.leaves())


# what a case shows ---------------------------------------------------------------------------


def _shown(compiled: CompiledPolicies, policy: Policy, request: AccessRequest) -> Iterator[tuple[str, ...]]:
    facts: dict[str, Fact] = {**request.facts, **compiled.standing, DATE_TIME: Fact(request.at)}
    speaking = compiled.speaking(request, facts)
    if speaking is None:
        return
    originals = {rule.rule.id: rule for rule in compiled.rules if rule.policy.id == policy.id}
    # The index leaves out rules that surely fail for the purpose: a failing purpose is what a case may show.
    narrowed = replace(request, facts={})
    every = compiled.speaking(narrowed, {DATE_TIME: facts[DATE_TIME]}) or speaking
    for rule in (*every.prohibitions, *every.obligations, *every.permissions):
        original = originals.get(rule.rule.id)
        if original is None or rule.policy.id != policy.id or not rule.counts_at(request.at):
            continue
        if _effect(rule, facts):
            yield _key(rule, "rule", met=True)
            yield from _duties_shown(rule, request, compiled, facts)
        for number, leaf in enumerate(_leaves(original)):
            verdicts = {forced: _effect(rule, facts, {id(leaf): forced}) for forced in (True, False)}
            if verdicts[True] is not verdicts[False]:
                yield _key(rule, f"leaf {number}", met=_met(original, leaf, leaf.evaluate(facts)))


def _duties_shown(
    rule: CompiledRule, request: AccessRequest, compiled: CompiledPolicies, facts: Facts
) -> Iterator[tuple[str, ...]]:
    still_open = open_duties(rule, request, compiled, facts)
    for number, duty in enumerate(rule.duties):
        if duty.duty.timing is Timing.PRE and duty.arises(facts):
            yield _key(rule, f"duty {number}", met=not any(each is duty for each in still_open))


def _met(rule: CompiledRule, leaf: Tree, verdict: Verdict) -> bool:
    """Whether a comparison is met as its rule reads it: undetermined helps no permission and stops no prohibition."""
    exception = rule.unless is not None and _within(leaf, rule.unless)
    if rule.rule.kind is Kind.PERMISSION or exception:
        return verdict is True
    return verdict is not False


def _effect(rule: CompiledRule, facts: Facts, forced: Mapping[int, bool] | None = None) -> bool:
    """Whether a rule, as it stands for a request, counts: a permission if it holds, any other if it does not fail."""
    verdicts: list[Verdict] = [_verdict(tree, facts, forced or {}) for tree in (rule.when, rule.refined) if tree]
    if rule.unless is not None:
        excepted = _verdict(rule.unless, facts, forced or {})
        verdicts.append(None if excepted is None else not excepted)
    together = _least(verdicts)
    return together is True if rule.rule.kind is Kind.PERMISSION else together is not False


def _verdict(tree: Tree, facts: Facts, forced: Mapping[int, bool]) -> Verdict:
    if id(tree) in forced:
        return forced[id(tree)]
    if not forced or tree.constraint is not None:
        return tree.evaluate(facts)
    parts = [_verdict(part, facts, forced) for part in tree.parts]
    if tree.joined == "and":
        return _least(parts)
    if tree.joined == "or":
        least = _least([None if part is None else not part for part in parts])
        return None if least is None else not least
    if tree.evaluate(facts) is None and None not in parts:
        return None  # several values at once: "exactly one" stays undetermined
    met = parts.count(True)
    return False if met > 1 else None if None in parts else met == 1


def _least(verdicts: Sequence[Verdict]) -> Verdict:
    """All hold, one fails, or else it is undetermined."""
    return False if False in verdicts else None if None in verdicts else True


# a case for a gap ----------------------------------------------------------------------------


def _gap(item: Item, key: tuple[str, ...], ground: tuple[CaseFile, CompiledPolicies], policy: Policy) -> Gap:
    file, compiled = ground
    shows = item.words(compiled.vocabulary)
    for request in _tries(item, file, compiled):
        if key in set(_shown(compiled, policy, request)):
            decision = decide(compiled, request)
            name = item.rule.rule.id.rpartition("#")[2]
            decisive = {reason.rule for reason in decision.reasons}
            because = name if item.rule.rule.id in decisive else None
            text = case_text(shows, request, decision.effect, because, file, compiled.vocabulary)
            return Gap(item.rule.rule.id, shows, text, decision.effect)
    return Gap(item.rule.rule.id, shows, None, None)


def _tries(item: Item, file: CaseFile, compiled: CompiledPolicies) -> Iterator[AccessRequest]:
    """Requests near the written cases first: one fact changed; then one found for the purpose."""
    count = 0
    own = replace(item.rule, policy=item.rule.policy)
    for case in file.cases:
        base = request_of(case, file.standing)
        for request in (base, *_moved(base, item.rule)):
            for changed in _one_changed(request, item, compiled):
                count += 1
                if count > MAX_TRIES:
                    break
                yield changed
    found = _asked(own, item, compiled)
    if found is not None:
        shared = {**file.standing, **file.shared}
        yield replace(found, facts={**shared, **found.facts})
        yield found


def _moved(request: AccessRequest, rule: CompiledRule) -> Iterator[AccessRequest]:
    """The request with another act of the rule."""
    for action in rule.rule.actions:
        if action != request.action:
            yield replace(request, action=action)


def _one_changed(request: AccessRequest, item: Item, compiled: CompiledPolicies) -> Iterator[AccessRequest]:
    yield request
    if item.leaf is None or item.leaf.constraint is None or item.leaf.constraint.left == DATE_TIME:
        return
    operand = item.leaf.constraint.left
    try:
        space = Asker(compiled.vocabulary, [item.rule]).space()
    except TooLarge:
        return
    dimension = space.dimensions[space.level[operand]]
    for cell in sorted(dimension.cells, key=lambda cell: (cell.missing, isinstance(cell.value, tuple))):
        facts = {iri: fact for iri, fact in request.facts.items() if iri != operand}
        if cell.value is not None:
            facts[operand] = Fact(cell.value)
        yield replace(request, facts=facts)


def _asked(rule: CompiledRule, item: Item, compiled: CompiledPolicies) -> AccessRequest | None:
    def question(logic: Logic[Any, Any]) -> Any:
        def effect(**replaced: Any) -> Any:
            verdict = logic.rule(item.rule, **replaced)
            return logic.holds(verdict) if rule.rule.kind is Kind.PERMISSION else logic.counts(verdict)

        if item.leaf is None:
            return effect()
        met, failed = (effect(replaced={id(item.leaf): forced}) for forced in (True, False))
        decides = logic.any_of([logic.minus(met, failed), logic.minus(failed, met)])
        verdict = logic.condition(item.leaf, permissive=rule.rule.kind is Kind.PERMISSION)
        wanted = logic.holds(verdict) if item.met else logic.fails(verdict)
        return logic.all_of([decides, logic.concerns(item.rule), wanted])

    return Asker(compiled.vocabulary, [item.rule]).some(question).witness
