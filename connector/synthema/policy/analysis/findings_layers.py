"""Findings on rules that stand against each other: within the policy, and between it and the law or other layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from synthema.policy import words
from synthema.policy.analysis.ask import Answered, Question, Reply
from synthema.policy.analysis.diagram import TooLarge
from synthema.policy.analysis.finding import Code, Finding, Severity
from synthema.policy.analysis.findings_rules import names
from synthema.policy.analysis.ground import Ground
from synthema.policy.analysis.logic import Logic
from synthema.policy.analysis.space import Space
from synthema.policy.analysis.wording import told
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree
from synthema.policy.model import LAYER_NAMES, PERMITTING_LAYERS, Constraint, Kind, Layer, OperandReference, Operator
from synthema.vocabulary import Datatype

Check = Callable[[Ground], Iterator[Finding]]
_LAW: Final = (Layer.UNION, Layer.MEMBER_STATE)
Part = tuple[str, Callable[[Logic[Any, Any]], Any]]
"""A part of what a permission permits: in words, and the requests it is about."""


def shadowed(ground: Ground) -> Iterator[Finding]:
    """Permissions that this policy, the law, or other layers forbid altogether."""
    for permission in ground.own_of(Kind.PERMISSION):
        if ground.some(permits(permission)).never:
            continue
        yield from _forbidden(ground, permission)


def permits(permission: CompiledRule, part: Callable[[Logic[Any, Any]], Any] | None = None) -> Question:
    """The requests a permission permits, or a part of them."""

    def question(logic: Logic[Any, Any]) -> Any:
        holds = logic.holds(logic.rule(permission))
        return holds if part is None else logic.all_of([holds, part(logic)])

    return question


def left(
    permission: CompiledRule,
    prohibitions: Sequence[CompiledRule],
    part: Callable[[Logic[Any, Any]], Any] | None = None,
) -> Question:
    """The requests a permission permits that no prohibition forbids."""

    def question(logic: Logic[Any, Any]) -> Any:
        forbidden = logic.any_of([logic.counts(logic.rule(rule)) for rule in prohibitions])
        return logic.minus(permits(permission, part)(logic), forbidden)

    return question


def _forbidden(ground: Ground, permission: CompiledRule) -> Iterator[Finding]:
    own = ground.own_of(Kind.PROHIBITION)
    foreign = [rule for rule in ground.foreign if rule.rule.kind is Kind.PROHIBITION]
    law = [rule for rule in foreign if rule.layer in _LAW]
    steps: tuple[tuple[list[CompiledRule], Code, Severity], ...] = (
        (own, "shadowed", "error"),
        (law, "never-permits", "error"),
        ([*own, *foreign], "conflict", "warning"),
    )
    for prohibitions, code, severity in steps:
        reply = ground.some(left(permission, prohibitions), whole=prohibitions is not own)
        if reply.answered is Answered.UNKNOWN:
            yield ground.undecided(permission, "anything is left of what this rule permits", reply)
            return
        if reply.never:
            covering = _fewest(ground, permission, prohibitions)
            yield Finding(
                code,
                severity,
                ground.policy.id,
                permission.rule.id,
                f"whatever this rule permits, {_told(covering)}",
                "remove the rule, or narrow the prohibition" if code == "shadowed" else _FIX,
                about="" if code == "shadowed" else " ".join(rule.rule.id for rule in covering),
                witness=ground.some(permits(permission)).witness,
            )
            return
    yield from _parts_forbidden(ground, permission, [*own, *foreign])


_FIX: Final = "remove the rule, or change it so that it permits something the prohibition leaves"


def _told(prohibitions: Sequence[CompiledRule]) -> str:
    return words.listed(
        [
            f"{names([rule])} of the layer '{LAYER_NAMES[rule.layer]}' forbids{words.law(rule.law)}"
            for rule in prohibitions
        ],
        "and",
    )


def _fewest(
    ground: Ground,
    permission: CompiledRule,
    prohibitions: Sequence[CompiledRule],
    part: Callable[[Logic[Any, Any]], Any] | None = None,
) -> list[CompiledRule]:
    """Some of the prohibitions that still forbid all of it, none of which can be spared."""
    kept = list(prohibitions)
    for rule in prohibitions:
        rest = [each for each in kept if each is not rule]
        if rest and ground.some(left(permission, rest, part), whole=True).never:
            kept = rest
    return kept


def _parts_forbidden(
    ground: Ground, permission: CompiledRule, prohibitions: Sequence[CompiledRule]
) -> Iterator[Finding]:
    """Acts, terms and cases that a permission names and that are always forbidden."""
    try:
        space = ground.beside.space()
    except TooLarge as reason:
        yield ground.undecided(
            permission, "a part of what it permits is always forbidden", Reply(Answered.UNKNOWN, reason=str(reason))
        )
        return
    for said, part in (*_acts(ground, permission), *_terms(space, permission), *_cases(ground, permission)):
        if ground.some(permits(permission, part), whole=True).never:
            continue
        if ground.some(left(permission, prohibitions, part), whole=True).never:
            covering = _fewest(ground, permission, prohibitions, part)
            yield Finding(
                "part-forbidden",
                "warning",
                ground.policy.id,
                permission.rule.id,
                f"the rule also permits this: {said}; but {_told(covering)} it always",
                "take it out of the rule",
                about=said,
                witness=ground.some(permits(permission, part), whole=True).witness,
            )


def _acts(ground: Ground, permission: CompiledRule) -> Iterator[Part]:
    """Each of several acts that a permission names."""
    acts = permission.rule.actions
    for action in acts if len(acts) > 1 else ():
        others = [act for act in acts if act != action]

        def only(logic: Logic[Any, Any], action: str = action, others: Sequence[str] = others) -> Any:
            rest = logic.any_of([logic.acts_by(permission, other) for other in others])
            return logic.minus(logic.acts_by(permission, action), rest)

        yield f"to {ground.vocabulary.label(action)}", only


def _terms(space: Space, permission: CompiledRule) -> Iterator[Part]:
    """Each of the terms that conditions name, or that terms they name include, with a single value of the fact."""
    vocabulary = space.vocabulary
    for leaf in () if permission.when is None else permission.when.leaves():
        constraint = leaf.constraint
        if constraint is None or constraint.operator not in (Operator.IS_ANY_OF, Operator.IS_A):
            continue
        operand = vocabulary.operands[constraint.left]
        if operand.datatype is not Datatype.TERM or isinstance(constraint.right, OperandReference):
            continue
        scheme, level = vocabulary.terms_of(operand), space.level[constraint.left]
        dimension = space.dimensions[level]
        named = constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
        for term in named if len(named) > 1 else ():
            meant = scheme.descendants(term)
            classes = {n for n, members in enumerate(dimension.items) if not meant.isdisjoint(members)}
            mask = dimension.mask(lambda cell, classes=classes: bool(cell.singles & classes))  # type: ignore[misc]
            yield (
                f"{words.subject(operand)} {vocabulary.label(term)}",
                lambda _, level=level, mask=mask: space.truth(level, mask),  # type: ignore[misc]
            )


def _cases(ground: Ground, permission: CompiledRule) -> Iterator[Part]:
    """Each of the cases that a condition joins by "any of"."""
    waiting = (
        [] if permission.when is None or permission.rule.when is None else [(permission.when, permission.rule.when)]
    )
    while waiting:
        tree, condition = waiting.pop()
        if isinstance(condition, Constraint):
            continue
        inner = list(zip(tree.parts, condition.parts, strict=True))
        waiting += inner
        for part, said in inner if tree.joined == "or" else ():
            others = [other for other, _ in inner if other is not part]

            def only(logic: Logic[Any, Any], part: Tree = part, others: Sequence[Tree] = others) -> Any:
                rest = logic.any_of([logic.holds(logic.condition(other)) for other in others])
                return logic.minus(logic.holds(logic.condition(part)), rest)

            yield told(said, ground.vocabulary), only


def conflicts(ground: Ground) -> Iterator[Finding]:
    """Permissions of other layers that this policy forbids altogether."""
    prohibitions = ground.own_of(Kind.PROHIBITION)
    if not prohibitions:
        return
    for permission in ground.foreign:
        if permission.rule.kind is not Kind.PERMISSION:
            continue
        others = [rule for rule in ground.foreign if rule.rule.kind is Kind.PROHIBITION]
        if ground.some(left(permission, others), whole=True).never:
            continue  # it was forbidden before this policy
        reply = ground.some(left(permission, [*others, *prohibitions]), whole=True)
        if reply.answered is Answered.UNKNOWN:
            yield ground.undecided(None, f"anything is left of what {permission.rule.id} permits", reply)
        if reply.never:
            covering = [r for r in _fewest(ground, permission, [*others, *prohibitions]) if r in prohibitions]
            yield Finding(
                "conflict",
                "warning",
                ground.policy.id,
                covering[0].rule.id if covering else None,
                f"{names([permission])} of the layer '{LAYER_NAMES[permission.layer]}' permits only what this policy "
                f"forbids in {names(covering)}; the prohibition wins",
                "remove one of the two, or narrow the prohibition",
                about=permission.rule.id,
                witness=ground.some(permits(permission), whole=True).witness,
            )


def unmatched(ground: Ground) -> Iterator[Finding]:
    """Permissions that no permission of another layer at hand ever meets, so that nothing comes of them."""
    for layer in PERMITTING_LAYERS:
        meeting = [r for r in ground.foreign if r.rule.kind is Kind.PERMISSION and r.layer is layer]
        if not meeting or layer is ground.policy.layer:
            continue
        for permission in ground.own_of(Kind.PERMISSION):
            reply = _met(ground, permission, meeting)
            if reply.never and not ground.some(permits(permission)).never:
                yield Finding(
                    "unmatched",
                    "note",
                    ground.policy.id,
                    permission.rule.id,
                    f"no policy of the layer '{LAYER_NAMES[layer]}' that is at hand permits anything this rule permits",
                    "a permit needs a permission in each of the layers site, dataset and agreement",
                    about=str(layer),
                )


def _met(ground: Ground, permission: CompiledRule, meeting: Sequence[CompiledRule]) -> Reply:
    return ground.some(
        lambda logic: logic.all_of(
            [
                logic.holds(logic.rule(permission)),
                logic.any_of([logic.holds(logic.rule(other)) for other in meeting]),
            ]
        ),
        whole=True,
    )


CHECKS: Final[tuple[Check, ...]] = (shadowed, conflicts, unmatched)
