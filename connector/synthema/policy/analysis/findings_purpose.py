"""Findings on the purposes of permissions: none, or wider ones than can be meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from synthema.policy import words
from synthema.policy.analysis.diagram import TooLarge
from synthema.policy.analysis.finding import Finding
from synthema.policy.analysis.findings_layers import left, permits
from synthema.policy.analysis.ground import Ground
from synthema.policy.compile import CompiledRule
from synthema.policy.index import PURPOSE
from synthema.policy.model import PERMITTING_LAYERS, Kind, OperandReference
from synthema.vocabulary.namespaces import SYN

Check = Callable[[Ground], Iterator[Finding]]
LETTER: Final = re.compile(re.escape(SYN) + r"Art53-1-[a-z]$")


def too_wide(ground: Ground) -> Iterator[Finding]:
    """Purposes that include some that are always forbidden, or several that Article 53(1) lists apart."""
    for permission in ground.own_of(Kind.PERMISSION):
        named = _purposes(permission)
        if not named:
            if ground.policy.layer in PERMITTING_LAYERS:
                yield Finding(
                    "no-purpose",
                    "note",
                    ground.policy.id,
                    permission.rule.id,
                    "the rule permits for any purpose that the law and the other layers leave",
                    "data are processed for specified purposes (GDPR 5(1)(b)): say in 'when' which, unless another "
                    "layer does",
                )
            continue
        for term in named:
            yield from _breadth(ground, permission, term)


def _purposes(permission: CompiledRule) -> list[str]:
    trees = [tree for tree in (permission.when, *permission.refinements.values()) if tree is not None]
    found: list[str] = []
    for leaf in (leaf for tree in trees for leaf in tree.leaves()):
        constraint = leaf.constraint
        if constraint is not None and constraint.left == PURPOSE and not isinstance(constraint.right, OperandReference):
            found += constraint.right if isinstance(constraint.right, tuple) else (str(constraint.right),)
    return list(dict.fromkeys(found))


def _breadth(ground: Ground, permission: CompiledRule, term: str) -> Iterator[Finding]:
    scheme = ground.vocabulary.purposes
    listed = sorted(t for t in scheme.descendants(term) - {term} if LETTER.match(t))
    if len(listed) > 1:
        yield Finding(
            "purpose-too-wide",
            "warning",
            ground.policy.id,
            permission.rule.id,
            f"the purpose '{scheme.label(term)}' takes in {len(listed)} purposes that EHDS 53(1) lists apart: "
            f"{words.listed([scheme.label(each) for each in listed], 'and')}",
            "name those that are meant (GDPR 5(1)(b): specified purposes)",
            about=term,
        )
    try:
        space = ground.beside.space()
    except TooLarge:
        return
    prohibitions = [rule for rule in ground.compiled.rules if rule.rule.kind is Kind.PROHIBITION]
    level = space.level[PURPOSE]
    dimension = space.dimensions[level]
    meant = scheme.descendants(term)
    classes = [n for n, members in enumerate(dimension.items) if not meant.isdisjoint(members)]
    shut: list[str] = []
    for number in classes:
        mask = dimension.mask(lambda cell, number=number: number in cell.singles)  # type: ignore[misc]
        inside = lambda _, mask=mask: space.truth(level, mask)  # noqa: E731
        permitted = not ground.some(permits(permission, inside), whole=True).never
        if permitted and ground.some(left(permission, prohibitions, inside), whole=True).never:
            shut += sorted(meant & set(dimension.items[number]))
    if shut and len(shut) < len(meant):
        tops = [each for each in shut if not (scheme.ancestors(each) - {each}) & set(shut)]
        yield Finding(
            "purpose-too-wide",
            "warning",
            ground.policy.id,
            permission.rule.id,
            f"the purpose '{scheme.label(term)}' also takes in what is always forbidden: "
            f"{words.listed([scheme.label(each) for each in tops], 'and')}",
            "name the narrower purposes that are meant",
            about=f"{term} forbidden",
        )


CHECKS: Final[tuple[Check, ...]] = (too_wide,)
