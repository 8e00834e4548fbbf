"""Findings on a rule by itself and among those of its policy: what never applies, says nothing, or says it twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from synthema.policy import words
from synthema.policy.analysis.ask import Answered, Question, Reply
from synthema.policy.analysis.finding import Code, Finding, Severity
from synthema.policy.analysis.ground import Ground, never
from synthema.policy.analysis.logic import Logic
from synthema.policy.analysis.space import NOTHING
from synthema.policy.analysis.wording import told
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree
from synthema.policy.model import Combination, Condition, Kind
from synthema.vocabulary import Vocabulary

Check = Callable[[Ground], Iterator[Finding]]


def _effect(logic: Logic[Any, Any], rule: CompiledRule, **replaced: Any) -> Any:
    """Where a rule counts: a permission where it holds, any other where it does not fail."""
    verdict = logic.rule(rule, **replaced)
    return logic.holds(verdict) if rule.rule.kind is Kind.PERMISSION else logic.counts(verdict)


def vacant(ground: Ground) -> Iterator[Finding]:
    """Rules whose conditions contradict each other, and prohibitions whose exception takes in every clear case."""
    for rule in ground.own:
        reply = ground.some(_clearly(rule))
        if rule.rule.kind is Kind.PERMISSION:
            text = "the conditions of this rule contradict each other, so it can never apply"
            found = _contradiction(ground, rule, "never-applies", text, "error")
        elif rule.unless is not None and not ground.some(_clearly(rule, {id(rule.unless): False})).never:
            text = (
                "the exception takes in every clear case: the rule counts only where a fact is missing or too unclear"
            )
            found = _contradiction(ground, rule, "never-forbids", text, "note")
        else:
            code: Code = "never-forbids" if rule.rule.kind is Kind.PROHIBITION else "never-arises"
            text = (
                "the conditions of this rule contradict each other: no clear facts ever meet it; "
                "where a fact is missing or too unclear it counts all the same"
            )
            found = _contradiction(ground, rule, code, text, "warning")
        yield from never(ground, rule, reply, "the rule can ever apply", found)


def _clearly(rule: CompiledRule, replaced: Mapping[int, bool] = NOTHING) -> Question:
    return lambda logic: logic.holds(logic.rule(rule, replaced=replaced))


def _contradiction(ground: Ground, rule: CompiledRule, code: Code, text: str, severity: Severity) -> Finding:
    fix = "look for two bounds that leave no value between them, or terms that exclude or cover each other"
    return Finding(code, severity, ground.policy.id, rule.rule.id, text, fix)


def vacuous(ground: Ground) -> Iterator[Finding]:
    """Conditions that no stated facts ever fail."""
    for rule in ground.own:
        if rule.when is None or _empty(ground, rule):
            continue
        permissive = rule.rule.kind is Kind.PERMISSION
        reply = ground.some(_fails(rule, permissive=permissive))
        found = Finding(
            "vacuous",
            "warning",
            ground.policy.id,
            rule.rule.id,
            "the condition of this rule excludes nothing: whatever is stated, it does not fail",
            "narrow the condition, or leave it out and say so",
        )
        yield from never(ground, rule, reply, "the condition of the rule excludes anything", found)


def _fails(rule: CompiledRule, *, permissive: bool) -> Question:
    return lambda logic: logic.fails(logic.condition(rule.when, permissive=permissive))


def _empty(ground: Ground, rule: CompiledRule) -> bool:
    return ground.some(_clearly(rule)).never


def idle(ground: Ground) -> Iterator[Finding]:
    """Conditions that add nothing, alternatives that never matter, exceptions that never help."""
    for rule in ground.own:
        if _empty(ground, rule):
            continue
        if rule.unless is not None:
            yield from _dead_exception(ground, rule, rule.unless)
        for tree, condition in ((rule.when, rule.rule.when), (rule.unless, rule.rule.unless)):
            if tree is not None and condition is not None:
                yield from _idle_parts(ground, rule, tree, condition)


def _dead_exception(ground: Ground, rule: CompiledRule, exception: Tree) -> Iterator[Finding]:
    reply = _differs(ground, rule, exception, holds=False)
    found = Finding(
        "dead-exception",
        "warning",
        ground.policy.id,
        rule.rule.id,
        "the exception under 'unless' never helps: wherever it holds, the rule does not apply anyway",
        "look at 'when' and 'unless' together, or remove the exception",
    )
    yield from never(ground, rule, reply, "the exception under 'unless' ever helps", found)


def _idle_parts(ground: Ground, rule: CompiledRule, tree: Tree, condition: Condition) -> Iterator[Finding]:
    if not isinstance(condition, Combination):
        return
    for part, said in zip(tree.parts, condition.parts, strict=True):
        reply = _differs(ground, rule, part, holds=tree.joined == "and")
        clause = told(said, ground.vocabulary)
        if tree.joined == "and":
            text = f"this condition changes nothing beside the others: {clause}"
            found = Finding(
                "idle-condition",
                "warning",
                ground.policy.id,
                rule.rule.id,
                text,
                "remove it, or narrow it",
                about=clause,
            )
        else:
            text = f"this case never makes a difference: {clause}"
            fix = "remove it; the other cases or the other conditions cover or exclude it"
            found = Finding("dead-case", "warning", ground.policy.id, rule.rule.id, text, fix, about=clause)
        yield from never(ground, rule, reply, f"this makes a difference: {clause}", found)
        if reply.answered is Answered.YES:
            yield from _idle_parts(ground, rule, part, said)


def _differs(ground: Ground, rule: CompiledRule, part: Tree, *, holds: bool) -> Reply:
    """Whether a rule counts for other requests if a part of it were taken to hold, or to fail."""

    def question(logic: Logic[Any, Any]) -> Any:
        as_is, without = _effect(logic, rule), _effect(logic, rule, replaced={id(part): holds})
        return logic.any_of([logic.minus(as_is, without), logic.minus(without, as_is)])

    return ground.some(question)


def redundant(ground: Ground) -> Iterator[Finding]:
    """Rules that could be left out: others of their kind, with the same duties, cover them."""
    left_out: set[str] = set()
    for rule in ground.own:
        others = [
            other
            for other in ground.own_of(rule.rule.kind)
            if other is not rule
            and other.rule.id not in left_out
            and (other.rule.duties, other.rule.remedies) == (rule.rule.duties, rule.rule.remedies)
        ]
        if not others or _empty(ground, rule):
            continue
        reply = _beyond(ground, rule, others)
        covering = _fewest(ground, rule, others) if reply.never else []
        if reply.never:
            left_out.add(rule.rule.id)
        cited = {law for other in covering for law in other.law}
        apart = not set(rule.law) <= cited
        found = Finding(
            "redundant",
            "note" if apart else "warning",
            ground.policy.id,
            rule.rule.id,
            f"leaving this rule out changes {'no decision, only the article it names' if apart else 'nothing'}: "
            f"{names(covering)} {_says(covering)} all of it already",
            "remove the rule, or say in it what the others do not",
        )
        yield from never(ground, rule, reply, "the rule says anything the others do not", found)


def _says(rules: list[CompiledRule]) -> str:
    return "says" if len(rules) == 1 else "together say"


def names(rules: list[CompiledRule]) -> str:
    """Rules by the ends of their identifiers."""
    return words.listed([rule.rule.id.rpartition("#")[2] for rule in rules], "and")


def _beyond(ground: Ground, rule: CompiledRule, others: list[CompiledRule]) -> Reply:
    return ground.some(
        lambda logic: logic.minus(_effect(logic, rule), logic.any_of([_effect(logic, other) for other in others]))
    )


def _fewest(ground: Ground, rule: CompiledRule, others: list[CompiledRule]) -> list[CompiledRule]:
    """Some of the others that still cover the rule, none of which can be spared."""
    kept = list(others)
    for other in others:
        rest = [each for each in kept if each is not other]
        if rest and _beyond(ground, rule, rest).never:
            kept = rest
    return kept


def overlapping_duties(ground: Ground) -> Iterator[Finding]:
    """The same duty with different deadlines for the same requests."""
    asking = [rule for rule in (*ground.own, *ground.foreign) if rule.rule.kind is not Kind.PROHIBITION]
    for number, first in enumerate(asking):
        for second in asking[number + 1 :]:
            if ground.policy.id not in (first.policy.id, second.policy.id):
                continue
            for one in first.rule.duties:
                for other in second.rule.duties:
                    same = one.action == other.action and one.timing is other.timing
                    if same and (one.within, one.after) != (other.within, other.after):
                        yield from _overlap(ground, first, second, ground.vocabulary, (one, other))


def _overlap(
    ground: Ground, first: CompiledRule, second: CompiledRule, vocabulary: Vocabulary, duties: tuple[Any, Any]
) -> Iterator[Finding]:
    reply = ground.some(lambda logic: logic.all_of([_effect(logic, first), _effect(logic, second)]), whole=True)
    own = first if first.policy.id == ground.policy.id else second
    asked = [words.duty(duty, vocabulary) for duty in duties]
    if reply.answered is Answered.YES:
        both = f"{names([first])} asks: {asked[0]}; and {names([second])} asks: {asked[1]}"
        text = f"for the same request {both}; both count"
        yield Finding(
            "overlapping-duties",
            "warning",
            ground.policy.id,
            own.rule.id,
            text,
            "give both the same deadline, or leave one out",
            about=f"{first.rule.id} {second.rule.id} {duties[0].action}",
            witness=reply.witness,
        )


CHECKS: Final[tuple[Check, ...]] = (vacant, vacuous, idle, redundant, overlapping_duties)
