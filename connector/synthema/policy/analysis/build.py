"""Finds the dimensions that rules and conditions speak of, in an order that keeps diagrams small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from synthema.policy.analysis.dimensions import (
    OTHER,
    UNKNOWN,
    Cell,
    Dimension,
    boolean,
    classes_of,
    ordered,
    relation,
    set_cells,
)
from synthema.policy.compile import CompiledDuty, CompiledRule
from synthema.policy.conditions import Tree, compile_condition
from synthema.policy.model import ANY_DATASET, Constraint, Fact, OperandReference, Operator, Timing
from synthema.vocabulary import Datatype, Operand, Vocabulary
from synthema.vocabulary.namespaces import ODRL

TIME: Final = ODRL + "dateTime"


@dataclass(frozen=True, slots=True)
class DutyKey:
    """What can be done about a duty: the act, and whether it is shown by evidence."""

    action: str
    shown: bool

    def __str__(self) -> str:
        return f"duty {self.action} {'shown' if self.shown else 'done'}"


def duty_key(duty: CompiledDuty) -> DutyKey:
    """What has to be done about this duty."""
    return DutyKey(duty.duty.action, duty.duty.evidence is not None)


def duty_keys(rules: Iterable[CompiledRule]) -> tuple[DutyKey, ...]:
    """All that rules ask to be done before an act."""
    found = {duty_key(duty) for rule in rules for duty in rule.duties if duty.duty.timing is Timing.PRE}
    return tuple(sorted(found, key=str))


def trees_of(rules: Iterable[CompiledRule]) -> Iterator[Tree]:
    """Every condition that plays a part in whether rules apply or duties arise."""
    for rule in rules:
        for tree in (rule.when, rule.unless, *rule.refinements.values(), *(duty.when for duty in rule.duties)):
            if tree is not None:
                yield tree


@dataclass(slots=True)
class _Found:
    """What comparisons say about one operand."""

    operand: Operand
    leaves: list[Tree] = field(default_factory=list)
    bounds: list[Any] = field(default_factory=list)
    partners: set[str] = field(default_factory=set)
    alternatives: bool = False


def dimensions_of(
    vocabulary: Vocabulary,
    rules: Sequence[CompiledRule],
    trees: Sequence[Tree],
    *,
    edges: Iterable[datetime] = (),
    standing: Mapping[str, Fact] | None = None,
) -> tuple[Dimension, ...]:
    """Acts, datasets, parties, operands with how they compare, and duties; the act always comes first."""
    found: dict[str, _Found] = {}
    for tree in trees:
        _collect(tree, found, vocabulary, alternatives=False)
    times = [edge.astimezone(UTC) for edge in edges]
    if times and TIME not in found:
        found[TIME] = _Found(vocabulary.operands[TIME])
    if TIME in found:
        found[TIME].bounds += times
    for operand, fact in (standing or {}).items():
        if operand in found and not isinstance(fact.value, str | tuple | bool):
            found[operand].bounds.append(fact.value)
    return (
        Dimension("action", "action", tuple(Cell(action.iri) for action in vocabulary.actions)),
        _names("target", [rule.targets for rule in rules], [rule.rule.targets for rule in rules]),
        _names("assignee", [rule.assignees for rule in rules], [rule.rule.assignees for rule in rules]),
        *_operands(found, vocabulary),
        *(Dimension("duty", str(key), (Cell(value=False), Cell(value=True))) for key in duty_keys(rules)),
    )


def _collect(tree: Tree, found: dict[str, _Found], vocabulary: Vocabulary, *, alternatives: bool) -> None:
    for part in tree.parts:
        _collect(part, found, vocabulary, alternatives=alternatives or tree.joined == "xone")
    if tree.constraint is None:
        return
    left, right = tree.constraint.left, tree.constraint.right
    about = found.setdefault(left, _Found(vocabulary.operands[left]))
    about.alternatives |= alternatives
    if isinstance(right, OperandReference):
        other = found.setdefault(right.operand, _Found(vocabulary.operands[right.operand]))
        about.partners.add(right.operand)
        other.partners.add(left)
        return
    about.leaves.append(tree)
    if about.operand.datatype not in (Datatype.TERM, Datatype.TEXT, Datatype.BOOLEAN):
        about.bounds.append(right.astimezone(UTC) if isinstance(right, datetime) else right)


def _operands(found: Mapping[str, _Found], vocabulary: Vocabulary) -> Iterator[Dimension]:
    """Operands in the order of first use; those that are compared with each other stand together."""
    done: set[str] = set()
    for start in found:
        waiting = [start]
        while waiting:
            iri = waiting.pop(0)
            if iri in done:
                continue
            done.add(iri)
            about = found[iri]
            yield _dimension(about, vocabulary)
            yield from (relation(*sorted((iri, other))) for other in sorted(about.partners & done))
            waiting += sorted(about.partners - done)


def _dimension(about: _Found, vocabulary: Vocabulary) -> Dimension:
    operand = about.operand
    if operand.datatype is Datatype.BOOLEAN:
        return boolean(operand)
    if operand.datatype not in (Datatype.TERM, Datatype.TEXT):
        return ordered(operand, about.bounds, always_known=operand.iri == TIME)
    named = frozenset(
        item
        for leaf in about.leaves
        if leaf.constraint is not None
        for item in (leaf.constraint.right if isinstance(leaf.constraint.right, tuple) else [leaf.constraint.right])
        if isinstance(item, str)
    )
    terms = operand.datatype is Datatype.TERM
    every = [*vocabulary.terms_of(operand).terms, UNKNOWN] if terms else [*named, OTHER, ""]
    judge = judge_of(operand, every, about.leaves, vocabulary)
    items = classes_of(every, named, judge)
    cells = set_cells(items, judge, tell_single=about.alternatives, empty=Cell(None, missing=True))
    return Dimension("set", operand.iri, cells, operand, items, judge, about.alternatives)


@dataclass(frozen=True, slots=True)
class Judge:
    """What all comparisons about one operand say of several items at once, as one number.

    Each comparison has two bits, chosen so that what it says of a set is the bits of all its
    items together: of a permission's comparison the worst counts, of a prohibition's the best.
    """

    operand: Operand
    marks: Mapping[str, int]
    unknown: int

    def __call__(self, items: tuple[str, ...]) -> int:
        if not items or "" in items:
            return self.unknown
        mark = 0
        for item in items:
            mark |= self.marks.get(item, self._other)
        return mark

    @property
    def _other(self) -> int:
        return self.marks[OTHER] if self.operand.datatype is Datatype.TEXT else self.unknown

    def of_fact(self, fact: Fact | None) -> int:
        """The same of a fact; ``None`` is none."""
        if fact is None or fact.unit is not None or not isinstance(fact.value, str | tuple):
            return self.unknown
        return self(fact.value if isinstance(fact.value, tuple) else (fact.value,))


def judge_of(operand: Operand, every: Sequence[str], leaves: Sequence[Tree], vocabulary: Vocabulary) -> Judge:
    """Ask each comparison about each item, and about two at once to see which counts."""
    marks = dict.fromkeys(every, 0)
    unknown = 0
    apart = list(_told_apart(leaves, vocabulary))
    for shift, leaf in enumerate(apart):
        said = {item: leaf.evaluate({operand.iri: Fact(item)}) for item in every}
        bits = _bits(leaf, operand.iri, said)
        for item in every:
            marks[item] |= bits[said[item]] << 2 * shift
        unknown |= bits[None] << 2 * shift
    # An unknown item keeps "includes all of" undetermined, whatever else is among the items.
    if any(leaf.constraint is not None and leaf.constraint.operator is Operator.IS_ALL_OF for leaf in leaves):
        unknown |= 1 << 2 * len(apart)
        marks |= {item: unknown for item in (UNKNOWN,) if item in marks}
    return Judge(operand, marks, unknown)


def _bits(leaf: Tree, operand: str, said: Mapping[str, bool | None]) -> Mapping[bool | None, int]:
    """The bits of what a comparison says, so that together they say what counts of both."""
    one_of = {verdict: item for item, verdict in said.items()}
    for first, second in ((True, False), (True, None), (None, False)):
        if first in one_of and second in one_of:
            both = leaf.evaluate({operand: Fact((one_of[first], one_of[second]))})
            best = both is first
            return {True: 0b11, None: 0b01, False: 0} if best else {True: 0, None: 0b01, False: 0b11}
    return {True: 0b11, None: 0b01, False: 0}


def _told_apart(leaves: Iterable[Tree], vocabulary: Vocabulary) -> Iterator[Tree]:
    """The comparisons; in place of "includes all of" one for each of its terms, which sets can be judged by."""
    for leaf in leaves:
        constraint = leaf.constraint
        if (
            constraint is None
            or constraint.operator is not Operator.IS_ALL_OF
            or not isinstance(constraint.right, tuple)
        ):
            yield leaf
            continue
        for item in constraint.right:
            part = Constraint(constraint.left, Operator.IS_ALL_OF, (item,))
            yield compile_condition(part, vocabulary, permissive=False)


def names_of(value: object) -> frozenset[str]:
    """The names in the value of a cell of datasets or parties."""
    return frozenset(value) if isinstance(value, tuple) else frozenset({str(value)})


def _names(key: str, groups: Sequence[frozenset[str] | None], own: Sequence[tuple[str, ...]]) -> Dimension:
    """Which of the names that rules use a dataset or party goes by: its own, and those of its collections."""
    told = [group for group in groups if group is not None] + [frozenset({name}) for names in own for name in names]
    told = [group - {ANY_DATASET} for group in dict.fromkeys(told) if group - {ANY_DATASET}]
    every = sorted(frozenset().union(*told))

    judge = NameJudge(tuple(told))
    items = tuple((name,) for name in every)
    return Dimension("name", key, set_cells(items, judge, tell_single=False, empty=Cell(())), None, items, judge)


@dataclass(frozen=True, slots=True)
class NameJudge:
    """Which groups of names that rules use have one of several names."""

    groups: tuple[frozenset[str], ...]

    def __call__(self, names: tuple[str, ...]) -> tuple[bool, ...]:
        return tuple(not group.isdisjoint(names) for group in self.groups)
