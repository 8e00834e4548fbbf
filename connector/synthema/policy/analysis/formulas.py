"""Rules and conditions as formulas of z3, an outside solver.

Nothing is shared with the algebra but the words of the questions: operands are variables, not
cells, and what a comparison means is written out here again. Extra ``[analysis]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from synthema.policy.analysis.build import duty_key
from synthema.policy.analysis.dimensions import STARTING_AT, UNKNOWN
from synthema.policy.analysis.order import to_number
from synthema.policy.analysis.space import NOTHING, Replaced
from synthema.policy.analysis.variables import Variables
from synthema.policy.compile import CompiledRule
from synthema.policy.conditions import Tree
from synthema.policy.model import (
    ANY_DATASET,
    Constraint,
    Kind,
    OperandReference,
    Operator,
    Timing,
)
from synthema.vocabulary import Datatype, Operand

Verdict = tuple[Any, Any]
"""Formulas for "holds" and for "fails"; neither means undetermined."""


class Formulas(Variables):
    """Rules and conditions as formulas of z3."""

    # conditions ----------------------------------------------------------------------------

    def condition(self, tree: Tree | None, *, permissive: bool = True, replaced: Replaced = NOTHING) -> Verdict:
        """The verdict of a condition; ``replaced`` are parts taken to hold, or to fail."""
        z3 = self._z3
        if tree is None or id(tree) in replaced:
            holds = tree is None or replaced[id(tree)]
            return z3.BoolVal(holds), z3.BoolVal(not holds)
        if tree.constraint is not None:
            return self._comparison(tree.constraint, permissive=permissive)
        parts = [self.condition(part, permissive=permissive, replaced=replaced) for part in tree.parts]
        if tree.joined == "and":
            return self._all(parts)
        if tree.joined == "or":
            return z3.Or(*(part[0] for part in parts)), z3.And(*(part[1] for part in parts))
        several = [
            z3.Bool(f"several {leaf.constraint.left}")
            for leaf in tree.leaves()
            if leaf.constraint is not None and self._is_set(leaf.constraint.left)
        ]
        two = z3.AtLeast(*(part[0] for part in parts), 2)
        decided = z3.And(*(z3.Or(*part) for part in parts))
        one = z3.Or(*(part[0] for part in parts))
        single = z3.Not(z3.Or(*several))
        holds = z3.And(single, decided, one, z3.Not(two))
        return holds, z3.And(single, z3.Or(two, z3.And(decided, z3.Not(one))))

    def _all(self, parts: Iterable[Verdict]) -> Verdict:
        both = list(parts)
        return self._z3.And(*(part[0] for part in both)), self._z3.Or(*(part[1] for part in both))

    def _is_set(self, operand: str) -> bool:
        return self._vocabulary.operands[operand].datatype in (Datatype.TERM, Datatype.TEXT)

    def _comparison(self, constraint: Constraint, *, permissive: bool) -> Verdict:
        operand, z3 = self._vocabulary.operands[constraint.left], self._z3
        right = constraint.right
        if isinstance(right, OperandReference):
            other = self._vocabulary.operands[right.operand]
            known = z3.And(self._known(operand.iri), self._known(other.iri))
            return _told(z3, known, _compared(constraint.operator, self._value(operand), self._value(other)))
        if operand.datatype is Datatype.BOOLEAN:
            self._settle_truth(operand)
            return _told(z3, self._known(operand.iri), self._value(operand) == right)
        if not self._is_set(operand.iri):
            bound = self._constant(right.astimezone(UTC) if isinstance(right, datetime) else right, operand.datatype)
            return _told(z3, self._known(operand.iri), _compared(constraint.operator, self._value(operand), bound))
        rights = right if isinstance(right, tuple) else (str(right),)
        items = self._items(operand)
        if constraint.operator is Operator.IS_ALL_OF:
            return self._includes_all(operand, items, rights)
        holds, fails = self._judged(operand, constraint.operator, rights)
        some = z3.Or(*items.values())
        if permissive:
            bad = z3.Or(*(items[item] for item in items if item in fails))
            good = z3.And(some, *(z3.Not(items[item]) for item in items if item not in holds))
            return good, bad
        good = z3.Or(*(items[item] for item in items if item in holds))
        return good, z3.And(some, *(z3.Not(items[item]) for item in items if item not in fails))

    def _judged(self, operand: Operand, operator: Operator, rights: tuple[str, ...]) -> tuple[set[str], set[str]]:
        """The items for which a comparison holds, and for which it fails; a wider term is neither."""
        every = set(self._items(operand)) - {UNKNOWN}
        negative = operator in (Operator.NEQ, Operator.IS_NONE_OF)
        if operand.datatype is Datatype.TEXT:
            meant, wider = set(rights) & every, set[str]()
        else:
            scheme = self._vocabulary.terms_of(operand)
            exact = operator in (Operator.EQ, Operator.NEQ)
            meant = set(rights) if exact else {t for t in every if any(scheme.is_a(t, right) for right in rights)}
            wider = {t for t in every if any(scheme.is_a(right, t) for right in rights)} - meant
        rest = every - meant - wider
        return (rest, meant) if negative else (meant, rest)

    def _includes_all(self, operand: Operand, items: Mapping[str, Any], rights: tuple[str, ...]) -> Verdict:
        z3, scheme = self._z3, self._vocabulary.terms_of(operand)
        known = z3.And(z3.Or(*items.values()), z3.Not(items[UNKNOWN]))
        within = {r: z3.Or(*(v for item, v in items.items() if scheme.is_a(item, r))) for r in rights}
        vague = {r: z3.Or(*(v for item, v in items.items() if item != r and scheme.is_a(r, item))) for r in rights}
        lacking = z3.Or(*(z3.And(z3.Not(within[r]), z3.Not(vague[r])) for r in rights))
        return z3.And(known, *within.values()), z3.And(known, lacking)

    # rules ---------------------------------------------------------------------------------

    def rule(self, rule: CompiledRule, *, replaced: Replaced = NOTHING) -> Verdict:
        """The verdict of a rule: whether it speaks about the request, and its conditions."""
        permissive, z3 = rule.rule.kind is Kind.PERMISSION, self._z3
        concerns = self.concerns(rule)
        when = self.condition(rule.when, permissive=permissive, replaced=replaced)
        parts = [(concerns, z3.Not(concerns)), when, self._refined(rule, permissive=permissive)]
        if rule.unless is not None:
            excepted = self.condition(rule.unless, replaced=replaced)
            parts.append((excepted[1], excepted[0]))
        return self._all(parts)

    def _refined(self, rule: CompiledRule, *, permissive: bool) -> Verdict:
        """Of each kind of thing a rule names, one that is met has to be met as narrowly as it is refined."""
        z3 = self._z3
        refined = {name: self.condition(tree, permissive=permissive) for name, tree in rule.refinements.items()}
        whole = (self._yes, self._no)
        sides: list[list[tuple[Any, Verdict]]] = [
            [(self.acts_by(rule, action), refined.get(action, whole)) for action in rule.rule.actions]
        ]
        for key, names in (("target", rule.rule.targets), ("assignee", rule.rule.assignees)):
            if any(name in refined for name in names):
                met = [self._yes if name == ANY_DATASET else self._goes_by(key, name) for name in names]
                sides.append([(each, refined.get(name, whole)) for each, name in zip(met, names, strict=True)])
        return self._all(
            (
                z3.Or(*(z3.And(met, verdict[0]) for met, verdict in side)),
                z3.And(*(z3.Or(z3.Not(met), verdict[1]) for met, verdict in side)),
            )
            for side in sides
        )

    def concerns(self, rule: CompiledRule) -> Any:
        """The rule speaks about this act on this dataset by this party at this time."""
        parts = [
            self.any_of([self.acts_by(rule, action) for action in rule.rule.actions]),
            self.at_times(rule.counts_at),
        ]
        for key, names in (("target", rule.targets), ("assignee", rule.assignees)):
            if names is not None:
                parts.append(self.any_of([self._goes_by(key, name) for name in sorted(names)]))
        return self.all_of(parts)

    def acts_by(self, rule: CompiledRule, action: str) -> Any:
        """The act is met by this one of the acts that the rule names."""
        is_a, both = self._vocabulary.actions.is_a, rule.rule.kind is not Kind.PERMISSION
        met = [n for n, act in enumerate(self._actions) if is_a(act, action) or (both and is_a(action, act))]
        return self._z3.Or(*(self._act == number for number in met))

    def duties_done(self, rule: CompiledRule) -> Any:
        """Whatever the rule asks for before the act is done, or does not arise."""
        parts = []
        for duty in rule.duties:
            if duty.duty.timing is Timing.PRE:
                when = self.condition(duty.when, permissive=False)
                parts.append(self._z3.Or(when[1], self._z3.Bool(str(duty_key(duty)))))
        return self.all_of(parts)

    def at_times(self, counts: Callable[[datetime], bool]) -> Any:
        """Something counts at the time of the request; its edges are those of the policies."""
        edges = sorted(self._edges)
        z3, numbers = self._z3, [int(to_number(edge, Datatype.DATE)) for edge in edges]
        pieces: list[tuple[Any, datetime]] = []
        for n, edge in enumerate(edges):
            ends = self._at < numbers[n + 1] if n + 1 < len(edges) else self._yes
            pieces.append((z3.And(self._at >= numbers[n], ends), edge))
        first = self._at < numbers[0] if edges else self._yes
        before = edges[0] - (edges[0] - datetime.min.replace(tzinfo=UTC)) / 2 if edges else STARTING_AT
        pieces.append((first, before))
        return self.any_of([inside for inside, moment in pieces if counts(moment)])

    # truth ---------------------------------------------------------------------------------

    def holds(self, verdict: Verdict) -> Any:
        """It holds."""
        return verdict[0]

    def counts(self, verdict: Verdict) -> Any:
        """It holds or is undetermined."""
        return self._z3.Not(verdict[1])

    def fails(self, verdict: Verdict) -> Any:
        """It fails."""
        return verdict[1]

    def all_of(self, truths: Iterable[Any]) -> Any:
        """All are so."""
        return self._z3.And(*truths)

    def any_of(self, truths: Iterable[Any]) -> Any:
        """At least one is so."""
        return self._z3.Or(*truths)

    def minus(self, first: Any, second: Any) -> Any:
        """The first is so and the second is not."""
        return self._z3.And(first, self._z3.Not(second))


def _told(z3: Any, known: Any, holds: Any) -> Verdict:
    return z3.And(known, holds), z3.And(known, z3.Not(holds))


def _compared(operator: Operator, left: Any, right: Any) -> Any:
    match operator:
        case Operator.EQ:
            return left == right
        case Operator.NEQ:
            return left != right
        case Operator.LT:
            return left < right
        case Operator.LTEQ:
            return left <= right
        case Operator.GT:
            return left > right
        case _:
            return left >= right
