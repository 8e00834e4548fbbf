"""The space of all requests that some rules tell apart, and rules and conditions as diagrams over it.

Verdicts are numbers: 0 fails, 1 undetermined, 2 holds; so "all" is the least, "any" the greatest.
The space is exact. What it leaves out is said here: duties count as done for every rule that
asks for them, and nobody has violated anything before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Final

from synthema.policy.analysis.build import TIME, dimensions_of, duty_key, names_of, trees_of
from synthema.policy.analysis.diagram import MAX_NODES, Diagrams, Node
from synthema.policy.analysis.dimensions import RELATIONS, STARTING_AT, Dimension, sample_pair
from synthema.policy.analysis.possible import possible
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree, Verdict
from synthema.policy.model import ANY_DATASET, Fact, OperandReference, Timing
from synthema.vocabulary import Vocabulary

FAILS, OPEN, HOLDS = 0, 1, 2
Replaced = Mapping[int, bool]
NOTHING: Final[Replaced] = MappingProxyType({})


def number(verdict: Verdict) -> int:
    """A verdict as a number: fails, undetermined, holds."""
    return OPEN if verdict is None else HOLDS if verdict else FAILS


class Space:
    """The dimensions that rules and conditions speak of, and their diagrams."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        rules: Sequence[CompiledRule] = (),
        trees: Sequence[Tree] = (),
        standing: Mapping[str, Fact] | None = None,
        edges: Iterable[datetime | None] = (),
        limit: int = MAX_NODES,
    ) -> None:
        """Raises :class:`TooLarge` where a single fact is already judged in too many ways."""
        self.vocabulary = vocabulary
        self.rules = tuple(rules)
        self.standing = dict(standing or {})
        self.trees = (*trees_of(self.rules), *trees)
        times = [*(edge for rule in rules for edge in (rule.starts, rule.ends)), *edges]
        self.dimensions: tuple[Dimension, ...] = dimensions_of(
            vocabulary,
            self.rules,
            self.trees,
            edges=[time for time in times if time is not None],
            standing=self.standing,
        )
        self.level: Mapping[str, int] = {dimension.key: n for n, dimension in enumerate(self.dimensions)}
        self.diagrams = Diagrams([len(dimension.cells) for dimension in self.dimensions], limit=limit)
        self._leaves: dict[int, tuple[Tree, Node]] = {}

    # conditions ----------------------------------------------------------------------------

    def condition(self, tree: Tree | None, *, permissive: bool = True, replaced: Replaced = NOTHING) -> Node:
        """The verdict of a condition; no condition holds. ``replaced`` are parts taken to hold, or to fail."""
        if tree is None:
            return self.diagrams.leaf(HOLDS)
        if id(tree) in replaced:
            return self.diagrams.leaf(HOLDS if replaced[id(tree)] else FAILS)
        if tree.constraint is not None:
            known = self._leaves.get(id(tree))
            if known is None:
                known = self._leaves[id(tree)] = (tree, self._comparison(tree))
            return known[1]
        parts = [self.condition(part, permissive=permissive, replaced=replaced) for part in tree.parts]
        if tree.joined == "and":
            return self.all3(parts)
        return self.any3(parts) if tree.joined == "or" else self._exactly_one(tree, parts)

    def all3(self, nodes: Iterable[Node]) -> Node:
        """The verdict of several conditions that must all hold."""
        return self.diagrams.folded(nodes, min, HOLDS, settles=FAILS)

    def any3(self, nodes: Iterable[Node]) -> Node:
        """The verdict of several conditions of which one is enough."""
        return self.diagrams.folded(nodes, max, FAILS, settles=HOLDS)

    def not3(self, node: Node) -> Node:
        """The verdict of the opposite."""
        return self.diagrams.mapped(node, lambda verdict: HOLDS - verdict)

    def _comparison(self, tree: Tree) -> Node:
        constraint = tree.constraint
        if constraint is None:
            raise ValueError("no comparison")
        if isinstance(constraint.right, OperandReference):
            return self._between(tree, constraint.left, constraint.right.operand)
        level = self.level[constraint.left]
        masks: dict[int, int] = {}
        for n, cell in enumerate(self.dimensions[level].cells):
            fact = cell.fact
            verdict = number(tree.evaluate({} if fact is None else {constraint.left: fact}))
            masks[verdict] = masks.get(verdict, 0) | 1 << n
        return self.diagrams.atom(level, {mask: verdict for verdict, mask in masks.items()})

    def _between(self, tree: Tree, left: str, right: str) -> Node:
        """A comparison of two operands, whose relation is a dimension of its own."""
        first, second = sorted((left, right))
        level = self.level[f"{first} {second}"]
        masks: dict[int, int] = {}
        for n, word in enumerate(RELATIONS):
            verdict = OPEN
            if word != "unknown":
                low, high = sample_pair(self.vocabulary.operands[left].datatype)
                values = {"<": (low, high), "=": (low, low), ">": (high, low)}[word]
                verdict = number(tree.evaluate({first: Fact(values[0]), second: Fact(values[1])}))
            masks[verdict] = masks.get(verdict, 0) | 1 << n
        return self.diagrams.atom(level, {mask: verdict for verdict, mask in masks.items()})

    def _exactly_one(self, tree: Tree, parts: list[Node]) -> Node:
        counted = self.diagrams.leaf((0, False))
        for part in parts:
            counted = self.diagrams.joined(counted, part, _count)
        verdict = self.diagrams.mapped(counted, _one_holds)
        several = [self._several(left) for left in {leaf.constraint.left for leaf in tree.leaves() if leaf.constraint}]
        return self.diagrams.joined(self.diagrams.any_of(several), verdict, lambda many, one: OPEN if many else one)

    def _several(self, operand: str) -> Node:
        """Whether a fact has several values."""
        level = self.level.get(operand)
        if level is None or self.dimensions[level].kind != "set":
            return self.diagrams.no
        mask = self.dimensions[level].mask(lambda cell: cell.most is not None)
        return self.truth(level, mask)

    def truth(self, level: int, mask: int) -> Node:
        """Truth diagram: the cell of a dimension is in a mask."""
        return self.diagrams.box({level: mask})

    # rules ---------------------------------------------------------------------------------

    def rule(self, rule: CompiledRule, *, replaced: Replaced = NOTHING) -> Node:
        """The verdict of a rule about each request: whether it speaks about it, and its conditions."""
        excepted = self.diagrams.leaf(FAILS) if rule.unless is None else self.condition(rule.unless, replaced=replaced)
        holds = [self.condition(rule.when, replaced=replaced), self._refined(rule), self.not3(excepted)]
        return self.all3([self.as_verdict(self.concerns(rule)), *holds])

    def concerns(self, rule: CompiledRule) -> Node:
        """Truth diagram: the rule speaks about this act on this dataset by this party at this time."""
        parts = [
            self.truth(
                0, self.dimensions[0].mask(lambda cell: bool(rule.meets(str(cell.value), self.vocabulary.actions)))
            )
        ]
        for key, names in (("target", rule.targets), ("assignee", rule.assignees)):
            if names is not None:
                parts.append(self._named(key, names))
        parts.append(self.at_times(rule.counts_at))
        return self.diagrams.all_of(parts)

    def at_times(self, counts: Callable[[datetime], bool]) -> Node:
        """Truth diagram: something counts at the time of the request."""
        level = self.level.get(TIME)
        if level is None:
            return self.diagrams.leaf(counts(STARTING_AT))
        mask = self.dimensions[level].mask(lambda cell: isinstance(cell.value, datetime) and counts(cell.value))
        return self.truth(level, mask)

    def as_verdict(self, truth: Node) -> Node:
        """A truth diagram as a verdict."""
        return self.diagrams.mapped(truth, lambda holds: HOLDS if holds else FAILS)

    def _named(self, key: str, names: Iterable[str]) -> Node:
        """Truth diagram: the dataset or party goes by one of these names."""
        level = self.level[key]
        wanted = set(names)
        return self.truth(level, self.dimensions[level].mask(lambda cell: bool(wanted & names_of(cell.value))))

    def _refined(self, rule: CompiledRule) -> Node:
        """The verdict of what narrows the things a rule names."""
        if not rule.refinements:
            return self.diagrams.leaf(HOLDS)
        refined = {name: self.condition(tree) for name, tree in rule.refinements.items()}
        whole = self.diagrams.leaf(HOLDS)
        sides = [
            self._side([(self._acts(rule, action), refined.get(action, whole)) for action in rule.rule.actions]),
            *(
                self._side(
                    [
                        (
                            whole if name == ANY_DATASET else self.as_verdict(self._named(key, [name])),
                            refined.get(name, whole),
                        )
                        for name in names
                    ]
                )
                for key, names in (("target", rule.rule.targets), ("assignee", rule.rule.assignees))
                if any(name in refined for name in names)
            ),
        ]
        return self.all3(sides)

    def _side(self, met: Sequence[tuple[Node, Node]]) -> Node:
        return self.any3([self.all3(pair) for pair in met])

    def _acts(self, rule: CompiledRule, action: str) -> Node:
        mask = self.dimensions[0].mask(lambda cell: action in rule.meets(str(cell.value), self.vocabulary.actions))
        return self.as_verdict(self.truth(0, mask))

    def duties_done(self, rule: CompiledRule) -> Node:
        """Truth diagram: whatever a rule asks for before the act is done, or does not arise."""
        parts = []
        for duty in rule.duties:
            if duty.duty.timing is Timing.PRE:
                done = self.truth(self.level[str(duty_key(duty))], 0b10)
                arises = self.counts(self.condition(duty.when, permissive=False))
                parts.append(self.diagrams.joined(arises, done, lambda due, kept: kept or not due))
        return self.diagrams.all_of(parts)

    # truth ---------------------------------------------------------------------------------

    def holds(self, verdict: Node) -> Node:
        """Truth diagram: a verdict is that something holds."""
        return self.diagrams.where(verdict, lambda value: value == HOLDS)

    def counts(self, verdict: Node) -> Node:
        """Truth diagram: a verdict is not that something fails."""
        return self.diagrams.where(verdict, lambda value: value != FAILS)

    def fails(self, verdict: Node) -> Node:
        """Truth diagram: a verdict is that something fails."""
        return self.diagrams.where(verdict, lambda value: value == FAILS)

    def all_of(self, truths: Iterable[Node]) -> Node:
        """Truth diagram: where all hold."""
        return self.diagrams.all_of(truths)

    def any_of(self, truths: Iterable[Node]) -> Node:
        """Truth diagram: where at least one holds."""
        return self.diagrams.any_of(truths)

    def minus(self, first: Node, second: Node) -> Node:
        """Truth diagram: where the first holds and the second does not."""
        return self.diagrams.minus(first, second)

    def acts_by(self, rule: CompiledRule, action: str) -> Node:
        """Truth diagram: the act is met by one of the acts that a rule names."""
        return self.holds(self._acts(rule, action))

    @cached_property
    def possible(self) -> Node:
        """Truth diagram: the choices that some request has; raises :class:`TooLarge`."""
        return possible(self)


def _count(so_far: tuple[int, bool], verdict: int) -> tuple[int, bool]:
    holding, is_open = so_far
    return min(2, holding + (verdict == HOLDS)), is_open or verdict == OPEN


def _one_holds(counted: tuple[int, bool]) -> int:
    holding, is_open = counted
    if holding > 1:
        return FAILS
    return OPEN if is_open else HOLDS if holding == 1 else FAILS
