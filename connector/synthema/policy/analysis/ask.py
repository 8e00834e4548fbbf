"""Asks whether some request makes something so: of the algebra first, of z3 where that meets a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from synthema.policy.analysis import solver
from synthema.policy.analysis.diagram import MAX_NODES, TooLarge
from synthema.policy.analysis.space import Space
from synthema.policy.analysis.witness import find
from synthema.policy.compile import CompiledRule, compile_condition
from synthema.policy.conditions import Tree
from synthema.policy.model import AccessRequest, Condition, Fact
from synthema.vocabulary import Vocabulary

MAX_KEPT: Final = 5 * MAX_NODES

Question = Callable[[Any], Any]
"""Given a :class:`~synthema.policy.analysis.logic.Logic`, the truth that is asked for."""


class Answered(StrEnum):
    """Whether there is such a request."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a request that shows a yes, who decided, and why it is unknown."""

    answered: Answered
    witness: AccessRequest | None = None
    by: str = "algebra"
    reason: str = ""

    @property
    def never(self) -> bool:
        """Whether it is certain that no request does."""
        return self.answered is Answered.NO


@dataclass(slots=True)
class Asker:
    """Answers questions about the same rules and conditions; ``limit`` bounds the algebra."""

    vocabulary: Vocabulary
    rules: Sequence[CompiledRule] = ()
    trees: Sequence[Tree] = ()
    standing: Mapping[str, Fact] | None = None
    edges: Iterable[datetime | None] = ()
    limit: int = MAX_NODES
    _space: Space | TooLarge | None = None

    def some(self, question: Question) -> Reply:
        """Whether some request makes it so."""
        try:
            space = self.space()
            space.diagrams.allow(self.limit)
            witness = find(space, question(space))
        except TooLarge as reason:
            return self._of_solver(question, str(reason))
        return Reply(Answered.NO if witness is None else Answered.YES, witness)

    def space(self) -> Space:
        """The space of all requests; raises :class:`TooLarge`."""
        if isinstance(self._space, Space) and self._space.diagrams.size > MAX_KEPT:
            self._space = None  # made anew rather than kept for ever
        if self._space is None:
            try:
                self._space = Space(
                    self.vocabulary,
                    rules=self.rules,
                    trees=self.trees,
                    standing=self.standing,
                    edges=self.edges,
                    limit=self.limit,
                )
            except TooLarge as reason:
                self._space = reason
        if isinstance(self._space, TooLarge):
            raise self._space
        return self._space

    def _of_solver(self, question: Question, reason: str) -> Reply:
        if not solver.available():
            return Reply(Answered.UNKNOWN, by="nobody", reason=f"{reason}; the extra [analysis] is not installed")
        asked = solver.Solver(self.vocabulary, self.rules, trees=self.trees, standing=self.standing, edges=self.edges)
        try:
            witness = asked.find(question(asked))
        except solver.Undecided as undecided:
            return Reply(Answered.UNKNOWN, by="z3", reason=f"{reason}, and {undecided}")
        return Reply(Answered.NO if witness is None else Answered.YES, witness, by="z3")


def can_hold(
    condition: Condition | None, vocabulary: Vocabulary, *, permissive: bool = True, limit: int = MAX_NODES
) -> Reply:
    """Whether some facts satisfy a condition, read as a permission's or a prohibition's."""
    tree = None if condition is None else compile_condition(condition, vocabulary, permissive=permissive)
    asker = Asker(vocabulary, trees=() if tree is None else (tree,), limit=limit)
    return asker.some(lambda logic: logic.holds(logic.condition(tree, permissive=permissive)))


def can_exceed(first: Condition, second: Condition, vocabulary: Vocabulary, *, limit: int = MAX_NODES) -> Reply:
    """Whether some facts satisfy the first condition and not the second, both read as a permission's."""
    one, other = (compile_condition(each, vocabulary, permissive=True) for each in (first, second))
    asker = Asker(vocabulary, trees=(one, other), limit=limit)
    return asker.some(lambda logic: logic.minus(logic.holds(logic.condition(one)), logic.holds(logic.condition(other))))
