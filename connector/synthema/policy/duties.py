"""Whether duties were done, and what settles a duty that was not kept or a prohibition that was violated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from synthema.policy.compile import CompiledDuty, CompiledPolicies, CompiledRule
from synthema.policy.conditions import Facts
from synthema.policy.model import AccessRequest, Duty, Fulfilment, Kind


@dataclass(frozen=True, slots=True)
class Violation:
    """A recorded violation that is not settled.

    ``rule`` is the rule that was broken, ``None`` if no rule in force knows of it. ``missing``
    are the duties that have yet to be done after it, the broken one first; empty when nothing
    a party does settles it, so that the site has to.
    """

    done: Fulfilment
    rule: CompiledRule | None
    missing: tuple[CompiledDuty, ...] = ()


def open_duties(
    rule: CompiledRule, request: AccessRequest, compiled: CompiledPolicies, facts: Facts
) -> tuple[CompiledDuty, ...]:
    """The duties of a rule that arise, are due before the act, and are not done."""
    if not rule.prior:
        return ()
    return tuple(
        each
        for each in rule.prior
        if each.arises(facts) and not is_fulfilled(each.duty, rule.rule.id, request, compiled)
    )


def is_fulfilled(
    duty: Duty, rule_id: str, request: AccessRequest, compiled: CompiledPolicies, *, after: datetime | None = None
) -> bool:
    """Whether a duty was done before the request (and after a moment), with evidence where it is asked."""
    return any(
        done.state == "fulfilled"
        and compiled.vocabulary.duties.is_a(done.action, duty.action)
        and done.at <= request.at
        and (after is None or done.at > after)
        and done.rule in (None, rule_id)
        and (duty.evidence is None or bool(done.evidence and done.evidence.strip()))
        for done in request.fulfilled
    )


def unsettled(compiled: CompiledPolicies, request: AccessRequest, facts: Facts) -> tuple[Violation, ...]:
    """The recorded violations that still stand against a request.

    A duty that was not kept is settled by doing it and all its consequences after the
    violation; a violated prohibition by all its remedies. Everything that could be meant by
    a record has to be settled, and a record that means nothing here is for the site to settle.
    """
    return tuple(
        violation
        for done in request.fulfilled
        if done.state == "violated"
        for violation in _open(done, compiled, request, facts)
    )


def _open(done: Fulfilment, compiled: CompiledPolicies, request: AccessRequest, facts: Facts) -> Iterator[Violation]:
    known = False
    for meaning in meanings(done.action, done.rule, compiled):
        known = True
        needed, rule = meaning.needed(facts), meaning.rule
        missing = tuple(
            each for each in needed if not is_fulfilled(each.duty, rule.rule.id, request, compiled, after=done.at)
        )
        if missing or not needed:
            yield Violation(done, rule, missing)
    if not known:
        yield Violation(done, None)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing a record of a violation may mean: a ``duty`` of a rule was not kept, or else the rule was violated.

    ``further`` are the duties that follow from it: consequences, or the remedies of a prohibition.
    """

    rule: CompiledRule
    duty: CompiledDuty | None
    further: tuple[CompiledDuty, ...] = ()

    def needed(self, facts: Facts) -> tuple[CompiledDuty, ...]:
        """What has to be done to settle it; nothing when nothing does."""
        arising = tuple(each for each in self.further if each.arises(facts))
        if self.duty is not None:
            return (self.duty, *arising)
        # Of remedies that may or may not arise, at least one has to be sure: what is unknown settles nothing.
        return arising if any(each.surely_arises(facts) for each in self.further) else ()


def meanings(action: str, rule_id: str | None, compiled: CompiledPolicies) -> Iterator[Meaning]:
    """All that a record of a violation may mean: what was violated, and of which rule if it names one."""
    # Two versions of a policy that others inherit may differ in what follows from a violation: then both count.
    named = {each.rule: each for each in compiled.by_id.get(rule_id or "", ())}
    rules = compiled.dutiful if rule_id is None else named.values()
    is_a = compiled.vocabulary.duties.is_a
    for rule in rules:
        broken = [Meaning(rule, each, each.consequences) for each in rule.duties if is_a(action, each.duty.action)]
        # What was to settle something else, and was not done either, has to be done itself.
        settling = (*(further for each in rule.duties for further in each.consequences), *rule.remedies)
        broken += [Meaning(rule, each) for each in settling if is_a(action, each.duty.action)]
        if rule_id is not None and rule.rule.kind is Kind.PROHIBITION and not broken:
            broken = [Meaning(rule, None, rule.remedies)]
        yield from broken
