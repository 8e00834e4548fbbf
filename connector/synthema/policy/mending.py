"""The aims of the rules that speak about a request, and which of them a change touches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import combinations

from synthema.policy.aims import DUTY, LOST, MET, UNMET, Aim, Deed, Every, InForce, Some, Standpoint, Want, every, some
from synthema.policy.choices import Choices
from synthema.policy.compile import CompiledDuty, CompiledPolicies, CompiledRule, Facts, Tree
from synthema.policy.duties import meanings
from synthema.policy.index import PURPOSE, Speaking
from synthema.policy.model import PERMITTING_LAYERS, Constraint, Layer, OperandReference, Timing
from synthema.vocabulary import ChangedBy

Broken = tuple[str, str | None]
"""The act or duty of a recorded violation, and the rule it names."""


@dataclass(frozen=True, eq=False)
class Mending:
    """What would have to come about for requests that the same rules speak about; made once for all of them.

    ``silent``, ``done`` and ``granted`` are the aims of prohibitions, obligations and permissions; ``layers`` asks for
    one permission of each layer; ``settled`` are the aims of recorded violations.
    """

    wants: tuple[Want, ...]
    silent: dict[CompiledRule, Aim]
    done: dict[CompiledRule, Aim]
    granted: dict[CompiledRule, Aim]
    layers: dict[Layer, Aim]
    settled: tuple[Aim, ...]
    choices: Choices

    @cached_property
    def touching(self) -> dict[str, tuple[Aim, ...]]:
        """Operand or duty → the aims that read it."""
        found: dict[str, list[Aim]] = {}
        for aim in (*self.silent.values(), *self.done.values(), *self.layers.values(), *self.settled):
            for key in dict.fromkeys(key for want in aim.wants() for key in want.keys):
                found.setdefault(key, []).append(aim)
        return {key: tuple(aims) for key, aims in found.items()}

    @cached_property
    def about_purpose(self) -> tuple[tuple[Aim, tuple[Aim, ...]], ...]:
        """The aims that read the purpose, with the rules each is made of."""
        found: list[tuple[Aim, tuple[Aim, ...]]] = [(aim, (aim,)) for aim in self.silent.values()]
        found += [
            (self.layers[layer], tuple(aim for rule, aim in self.granted.items() if rule.layer is layer))
            for layer in self.layers
        ]
        return tuple(each for each in found if any(want.operand == PURPOSE for want in each[0].wants()))

    def wanted(self, lacks: int) -> Iterator[Want]:
        """The wants of a number that an aim lacks, in their order."""
        rest = lacks >> 1
        while rest:
            low = rest & -rest
            yield self.wants[low.bit_length() - 1]
            rest ^= low


def stuck(aims: Iterable[Aim], at: Standpoint) -> frozenset[str]:
    """The operands of these aims that stand in the way and that nobody can change."""
    return frozenset(
        want.operand
        for aim in aims
        if aim.lacks(at) == LOST and not (isinstance(aim, InForce) and not aim.rule.counts_at(at.request.at))
        for want in aim.wants()
        if want.operand and want.lacks(at) == LOST and not _movable(at.compiled, want.operand)
    )


def mending(compiled: CompiledPolicies, speaking: Speaking, broken: frozenset[Broken] = frozenset()) -> Mending:
    """The aims of the rules that speak about a request and of its recorded violations; kept for the next one."""
    return compiled.kept((speaking, broken), lambda: _Builder(compiled, speaking, broken).build())


def _movable(compiled: CompiledPolicies, operand: str) -> bool:
    changed_by = compiled.vocabulary.operands[operand].changed_by
    return changed_by is not ChangedBy.NOBODY and operand not in compiled.standing


@dataclass
class _Builder:
    """Turns rules into aims; the same want in several rules is one."""

    compiled: CompiledPolicies
    speaking: Speaking
    broken: frozenset[Broken]
    _wants: list[Want] = field(default_factory=list)
    _known: dict[object, Want] = field(default_factory=dict)
    _trees: dict[tuple[int, bool, bool], Aim] = field(default_factory=dict)

    def build(self) -> Mending:
        speaking = self.speaking
        rules = (*speaking.permissions, *speaking.prohibitions, *speaking.obligations)
        silent = {rule: self._in_force(rule, self._silence(rule), MET) for rule in speaking.prohibitions}
        done = {rule: self._in_force(rule, self._release(rule), MET) for rule in speaking.obligations}
        granted = {rule: self._in_force(rule, self._grant(rule), LOST) for rule in speaking.permissions}
        layers = {
            layer: some([granted[rule] for rule in speaking.permissions if rule.layer is layer])
            for layer in PERMITTING_LAYERS
        }
        settled = tuple(self._settle(each) for each in sorted(self.broken, key=lambda b: (b[0], b[1] or "")))
        choices = Choices(self.compiled.vocabulary, tuple(self._wants), rules)
        return Mending(tuple(self._wants), silent, done, granted, layers, settled, choices)

    def _in_force(self, rule: CompiledRule, way: Aim, otherwise: int) -> Aim:
        return way if rule.starts is None and rule.ends is None else InForce(rule, way, otherwise)

    def _silence(self, rule: CompiledRule) -> Aim:
        """A prohibition or an obligation does not count."""
        ways = [self._tree(tree, wanted=False, permissive=False) for tree in (rule.when, rule.refined) if tree]
        if rule.unless is not None:
            ways.append(self._tree(rule.unless, wanted=True, permissive=True))
        return some(ways)

    def _release(self, rule: CompiledRule) -> Aim:
        """An obligation does not count, or its prior duties are done."""
        return some([self._silence(rule), every(self._duties(rule))])

    def _grant(self, rule: CompiledRule) -> Aim:
        """A permission holds with its prior duties done."""
        holds = [self._tree(tree, wanted=True, permissive=True) for tree in (rule.when, rule.refined) if tree]
        return every([*holds, *self._duties(rule)])

    def _duties(self, rule: CompiledRule) -> list[Aim]:
        return [self._discharge(each, rule) for each in rule.duties if each.duty.timing is Timing.PRE]

    def _discharge(self, each: CompiledDuty, rule: CompiledRule, broken: Broken | None = None) -> Aim:
        """A duty is done, or does not arise."""
        deed = self._deed(each, rule, broken)
        return deed if each.when is None else some([deed, self._tree(each.when, wanted=False, permissive=False)])

    def _settle(self, broken: Broken) -> Aim:
        """Whatever a record of a violation may mean is settled."""
        found: list[Aim] = []
        for meaning in meanings(*broken, self.compiled):
            rule = meaning.rule
            parts: list[Aim] = []
            if meaning.duty is not None:
                parts.append(self._deed(meaning.duty, rule, broken))
            else:
                # At least one of what may arise has to be sure: what is unknown settles nothing.
                sure = [each.when for each in meaning.further]
                parts.append(
                    some([_ALWAYS if w is None else self._tree(w, wanted=True, permissive=False) for w in sure])
                )
            parts += [self._discharge(each, rule, broken) for each in meaning.further]
            found.append(every(parts))
        return every(found) if found else Some(())

    def _deed(self, each: CompiledDuty, rule: CompiledRule, broken: Broken | None) -> Want:
        is_a = self.compiled.vocabulary.duties.is_a
        keys = tuple(DUTY + action for action in self._doable if is_a(action, each.duty.action))
        known = (each.duty.action, each.duty.evidence is None, rule.rule.id, broken)
        made = partial(Deed, test=_never, wanted=True, keys=keys, operand="")
        return self._once(known, partial(made, duty=each.duty, rule=rule.rule.id, broken=broken))

    @cached_property
    def _doable(self) -> tuple[str, ...]:
        """The duties that the rules name: doing a narrower one may settle a wider one as well."""
        speaking = self.speaking
        rules = [*speaking.permissions, *speaking.obligations]
        named = {each.duty.action for rule in rules for each in rule.duties if each.duty.timing is Timing.PRE}
        for broken in self.broken:
            for meaning in meanings(*broken, self.compiled):
                named |= {each.duty.action for each in meaning.further}
                named |= {meaning.duty.duty.action} if meaning.duty is not None else set()
        return tuple(sorted(named))

    def _tree(self, tree: Tree, *, wanted: bool, permissive: bool) -> Aim:
        """A condition holds, or surely does not hold."""
        key = (id(tree), wanted, permissive)  # the rules keep their trees
        found = self._trees.get(key)
        if found is None:
            found = self._trees[key] = self._made(tree, wanted=wanted, permissive=permissive)
        return found

    def _made(self, tree: Tree, *, wanted: bool, permissive: bool) -> Aim:
        make = partial(self._tree, permissive=permissive)
        if tree.constraint is not None:
            return self._comparison(tree, tree.constraint, wanted=wanted, permissive=permissive)
        if tree.joined != "xone":
            parts = [make(part, wanted=wanted) for part in tree.parts]
            return every(parts) if (tree.joined == "and") is wanted else some(parts)
        single = [self._single(left) for left in _lefts(tree)]
        if wanted:
            ways = [every([make(part, wanted=part is chosen) for part in tree.parts]) for chosen in tree.parts]
        else:
            none = every([make(part, wanted=False) for part in tree.parts])
            two = (every([make(part, wanted=True) for part in pair]) for pair in combinations(tree.parts, 2))
            ways = [none, *two]
        return every([*single, some(ways)])

    def _comparison(self, tree: Tree, constraint: Constraint, *, wanted: bool, permissive: bool) -> Want:
        right = constraint.right
        names = (constraint.left, *((right.operand,) if isinstance(right, OperandReference) else ()))
        keys = tuple(name for name in names if _movable(self.compiled, name))
        made = partial(Want, test=tree.evaluate, wanted=wanted, keys=keys, operand=constraint.left)
        return self._once(
            (constraint, wanted, permissive), partial(made, constraint=constraint, relative=len(names) > 1)
        )

    def _single(self, left: str) -> Want:
        """A fact has no several values: "exactly one of" cannot be judged over them."""
        keys = (left,) if _movable(self.compiled, left) else ()
        made = partial(Want, test=_one_value(left), wanted=True, keys=keys, operand=left)
        return self._once(("single", left), made)

    def _once(self, known: object, made: Callable[..., Want]) -> Want:
        """A want with a bit of its own, unless there is the same one already."""
        found = self._known.get(known)
        if found is None:
            found = self._known[known] = made(bit=UNMET | 2 << len(self._wants))
            self._wants.append(found)
        return found


def _lefts(tree: Tree) -> tuple[str, ...]:
    return tuple(sorted({leaf.constraint.left for leaf in tree.leaves() if leaf.constraint is not None}))


def _one_value(left: str) -> Callable[[Facts], bool]:
    def test(facts: Facts) -> bool:
        fact = facts.get(left)
        return fact is None or type(fact.value) is not tuple or len(fact.value) < 2

    return test


def _never(_: Facts) -> None:
    """The test of a deed, which is no comparison."""


_ALWAYS: Aim = Every(())
