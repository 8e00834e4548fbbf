"""What has to come about for a request to be permitted: aims, made of wants about single comparisons and duties.

Each rule is turned into an aim once: a prohibition is to be silent, an obligation to be done, one permission
of each layer to hold. In an aim every want stands in the direction in which it helps ("this comparison
comes out true"), joined by "every" and "some" only, so that a want that is met never harms.

What an aim lacks is told as a number: :data:`MET`, :data:`LOST` where nothing open helps, and otherwise the set of
the wants that must be met on every way to it, one bit each, with :data:`UNMET` always among them.
"every" is then the union and "some" the intersection of their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from synthema.policy.compile import CompiledPolicies, CompiledRule
from synthema.policy.conditions import Facts
from synthema.policy.duties import is_fulfilled
from synthema.policy.model import AccessRequest, Constraint, Duty, Value

MET: Final = 0
LOST: Final = -1
UNMET: Final = 1
DUTY: Final = "duty "

Fixes = Mapping[str, Value]
"""What is changed: operand (or, with the prefix :data:`DUTY`, duty) → its new value."""


@dataclass(slots=True, eq=False)
class Standpoint:
    """A request with some changes made: its facts, and what was changed already and so stays as it is."""

    compiled: CompiledPolicies
    request: AccessRequest
    facts: Facts
    fixes: Fixes


class Aim(Protocol):
    """Something that has to come about."""

    def lacks(self, at: Standpoint) -> int:
        """:data:`MET`, :data:`LOST`, or the wants that must be met; see the module."""
        ...

    def wants(self) -> Iterator[Want]:
        """All wants it is made of."""
        ...


@dataclass(slots=True, eq=False)
class Want:
    """A comparison that is to come out one way. ``keys`` are the operands, or duties, whose change may bring it about.

    ``operand`` is what it is about. ``constraint`` is there unless it asks for a single value; it is ``relative``
    where that names another operand.
    """

    bit: int
    test: Callable[[Facts], bool | None]
    wanted: bool
    keys: tuple[str, ...]
    operand: str
    constraint: Constraint | None = None
    relative: bool = False

    def lacks(self, at: Standpoint) -> int:
        return MET if self.test(at.facts) is self.wanted else self.unmet(at)

    def unmet(self, at: Standpoint) -> int:
        """What it lacks, once it is known that it is not met."""
        fixes = at.fixes
        for key in self.keys:
            if key not in fixes:
                return self.bit
        return LOST

    def wants(self) -> Iterator[Want]:
        yield self


@dataclass(slots=True, eq=False)
class Deed(Want):
    """A duty that is to be done; ``broken`` names the records of violations it has to come after, if it settles one."""

    duty: Duty = field(kw_only=True)
    rule: str = field(kw_only=True)
    broken: tuple[str, str | None] | None = field(kw_only=True)

    def lacks(self, at: Standpoint) -> int:
        after = None if self.broken is None else last_violation(at.request, self.broken)
        late = after is not None and after >= at.request.at  # what is done now does not come after it
        for key in self.keys:
            if key in at.fixes and not late:
                return MET
        if is_fulfilled(self.duty, self.rule, at.request, at.compiled, after=after):
            return MET
        return LOST if late or not self.keys else self.bit


def last_violation(request: AccessRequest, broken: tuple[str, str | None]) -> datetime | None:
    """When an act or duty was last violated; all earlier times are settled with it."""
    times = [done.at for done in request.fulfilled if done.state == "violated" and (done.action, done.rule) == broken]
    return max(times, default=None)


@dataclass(slots=True, eq=False)
class Every:
    """All of its parts; the ``plain`` wants stand apart, because most conditions are made of nothing else."""

    plain: tuple[Want, ...]
    parts: tuple[Aim, ...] = ()

    def lacks(self, at: Standpoint) -> int:
        found, facts = MET, at.facts
        for want in self.plain:
            if want.test(facts) is not want.wanted:
                found |= want.unmet(at)
                if found < 0:
                    return LOST
        for part in self.parts:
            found |= part.lacks(at)
            if found < 0:
                return LOST
        return found

    def wants(self) -> Iterator[Want]:
        yield from self.plain
        for part in self.parts:
            yield from part.wants()


@dataclass(slots=True, eq=False)
class Some:
    """At least one of its parts; without parts it is lost."""

    parts: tuple[Aim, ...]

    def lacks(self, at: Standpoint) -> int:
        found = LOST
        for part in self.parts:
            found &= part.lacks(at)
            if found == MET:
                return MET
        return found

    def wants(self) -> Iterator[Want]:
        for part in self.parts:
            yield from part.wants()


@dataclass(slots=True, eq=False)
class InForce:
    """What a rule asks, while its policy is in its period; ``otherwise`` at other times."""

    rule: CompiledRule
    way: Aim
    otherwise: int

    def lacks(self, at: Standpoint) -> int:
        return self.way.lacks(at) if self.rule.counts_at(at.request.at) else self.otherwise

    def wants(self) -> Iterator[Want]:
        return self.way.wants()


def every(aims: Iterable[Aim]) -> Aim:
    """All of these; what is itself made of several is taken apart, and one alone stays as it is."""
    plain: list[Want] = []
    parts: list[Aim] = []
    for aim in aims:
        if type(aim) is Every:
            plain += aim.plain
            parts += aim.parts
        elif type(aim) is Want:
            plain.append(aim)
        else:
            parts.append(aim)
    if len(plain) + len(parts) == 1:
        return (*plain, *parts)[0]
    return Every(tuple(plain), tuple(parts))


def some(parts: Sequence[Aim]) -> Aim:
    """One of these; one alone stays as it is."""
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def union(bits: Iterable[int]) -> int:
    """What several aims lack together, or several wants."""
    found = MET
    for each in bits:
        found |= each
    return found
