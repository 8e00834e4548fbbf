"""Finds the rules that speak about a request by action, dataset, party and purpose, without looking at the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from synthema.policy.conditions import Facts, Tree
from synthema.policy.model import ANY_DATASET, AccessRequest, Fact, Kind, OperandReference
from synthema.vocabulary import Vocabulary
from synthema.vocabulary.namespaces import ODRL

if TYPE_CHECKING:
    from synthema.policy.compile import CompiledRule

PURPOSE: Final = ODRL + "purpose"
_KEPT: Final = 4096
_NOBODY: Final[frozenset[str]] = frozenset()

Key = tuple[frozenset[str], frozenset[str], str | None]


@dataclass(frozen=True, slots=True, eq=False)
class Speaking:
    """The rules that speak about an act on a dataset by a party; told apart by identity.

    ``prohibitions``, ``obligations`` and ``candidates`` (permissions) leave out those
    whose condition surely fails for the stated purpose; ``permissions`` are all of them.
    """

    prohibitions: tuple[CompiledRule, ...]
    obligations: tuple[CompiledRule, ...]
    candidates: tuple[CompiledRule, ...]
    permissions: tuple[CompiledRule, ...]


class RuleIndex:
    """The rules of compiled policies by what they speak about. What was found once is kept."""

    def __init__(self, rules: Sequence[CompiledRule], vocabulary: Vocabulary) -> None:
        self._rules = rules
        self._vocabulary = vocabulary
        self._shelves: dict[str, _Shelf] = {}

    def find(self, request: AccessRequest, facts: Facts) -> Speaking | None:
        """The rules that speak about a request; ``None`` when its action is not a known one."""
        shelf = self._shelves.get(request.action)
        if shelf is None:
            if request.action not in self._vocabulary.actions:
                return None
            shelf = self._shelves[request.action] = _Shelf(request.action, self._rules, self._vocabulary)
        return shelf.find(request, _known_purpose(facts, self._vocabulary))


class _Shelf:
    """The rules about one action, by the datasets they name."""

    def __init__(self, action: str, rules: Iterable[CompiledRule], vocabulary: Vocabulary) -> None:
        self._action = action
        self._actions = vocabulary.actions
        about = [(n, rule) for n, rule in enumerate(rules) if rule.meets(action, vocabulary.actions)]
        self._anywhere = [entry for entry in about if entry[1].targets is None]
        self._by_target: dict[str, list[tuple[int, CompiledRule]]] = {}
        for entry in about:
            for target in entry[1].targets or ():
                self._by_target.setdefault(target, []).append(entry)
        # A rule about any dataset may name some besides, and refine them apart: these names count too.
        named = frozenset().union(*(rule.rule.targets for _, rule in about))
        self._targets = (named | self._by_target.keys()) - {ANY_DATASET}
        self._parties = frozenset().union(*(rule.assignees or () for _, rule in about))
        self._found: dict[Key, Speaking] = {}

    def find(self, request: AccessRequest, purpose: str | None) -> Speaking:
        targets = _named(request, request.target, self._targets)
        parties = _named(request, request.assignee, self._parties)
        key = (targets, parties, purpose)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _KEPT:
                self._found.clear()
            found = self._found[key] = self._gather(*key)
        return found

    def _gather(self, targets: frozenset[str], parties: frozenset[str], purpose: str | None) -> Speaking:
        entries = dict(self._anywhere)
        for target in targets:
            entries |= dict(self._by_target.get(target, ()))
        about = [
            entries[n].matched(self._action, targets, parties, self._actions)
            for n in sorted(entries)
            if entries[n].is_about(targets, parties)
        ]
        possible = about if purpose is None else [rule for rule in about if not _excluded(rule.when, purpose)]
        return Speaking(
            prohibitions=_of(Kind.PROHIBITION, possible),
            obligations=_of(Kind.OBLIGATION, possible),
            candidates=_of(Kind.PERMISSION, possible),
            permissions=_of(Kind.PERMISSION, about),
        )


def _named(request: AccessRequest, name: str, known: Iterable[str]) -> frozenset[str]:
    """The names a dataset or party goes by, its own and its collections', as far as rules name them."""
    collections = request.collections.get(name)
    if collections is None:
        return frozenset((name,)) if name in known else _NOBODY
    return frozenset(each for each in (name, *collections) if each in known and each != ANY_DATASET)


def _of(kind: Kind, rules: Iterable[CompiledRule]) -> tuple[CompiledRule, ...]:
    return tuple(rule for rule in rules if rule.rule.kind is kind)


def _known_purpose(facts: Facts, vocabulary: Vocabulary) -> str | None:
    """The purpose, if it is one known term; anything else narrows nothing."""
    fact = facts.get(PURPOSE)
    if fact is None or fact.unit is not None or type(fact.value) is not str:
        return None
    return fact.value if fact.value in vocabulary.purposes else None


def _excluded(when: Tree | None, purpose: str) -> bool:
    """Whether a condition fails for a purpose, whatever else is known."""
    if when is None:
        return False
    demanded = when.parts if when.joined == "and" else (when,)
    stated = {PURPOSE: Fact(purpose)}
    return any(
        leaf.constraint is not None
        and leaf.constraint.left == PURPOSE
        and not isinstance(leaf.constraint.right, OperandReference)
        and leaf.evaluate(stated) is False
        for leaf in demanded
    )
