"""The states of rules: W3C draft "ODRL Formal Semantics", sections on permissions, prohibitions and obligations.

===============  ==================================================================================================
permission       active when its constraints hold and its duties are fulfilled or inactive; it permits an act of the
                 kind it is about, refinements included
prohibition      active when its constraints hold; violated by an act of its kind while it was active; a violation is
                 settled once all its remedies were performed after it
duty             active when its constraints hold; fulfilled by an act of its kind before the act it is a condition of;
                 not kept, it needs its consequences as well (Information Model 2.6.3)
obligation       active when its constraints hold; fulfilled by an act of its kind; violated once no such act is
                 possible any more, since the time its action asks for has passed
===============  ==================================================================================================

What cannot be told never opens anything: a permission needs its constraints to hold, while a
prohibition or a duty counts unless a constraint is known to fail (``missing="cautious"``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from synthema.policy.compile import Verdict
from synthema.policy.evaluator.conditions import Judgement, expired
from synthema.policy.evaluator.situation import Premise, Situation, all_of
from synthema.policy.evaluator.world import Performed
from synthema.policy.intake.statements import WrittenRule
from synthema.vocabulary.namespaces import ODRL

Deontic = Literal["Fulfilled", "Violated", "NonSet"]
Performance = Literal["Performed", "Unperformed", "Unknown"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to read what the drafts leave open.

    ``duties``: whether a duty not yet fulfilled keeps a permission inactive (strict, the formal
    semantics) or only a violated one does (lax, the compliance report model). ``behaviour``: what
    counts where no rule speaks. ``missing``: whether a prohibition with a constraint that cannot be
    told counts (cautious) or not (closed). ``offers``: whether offers are evaluated, which the draft rules out.
    """

    duties: Literal["strict", "lax"] = "strict"
    behaviour: Literal["open", "closed", "default-closed"] = "closed"
    missing: Literal["cautious", "closed"] = "cautious"
    offers: bool = False


@dataclass(frozen=True, slots=True)
class DutyState:
    """The state of a duty, with those of its consequences."""

    rule: WrittenRule
    active: bool
    deontic: Deontic
    performance: Performance
    constraints: tuple[Judgement, ...] = ()
    by: tuple[Performed, ...] = ()
    consequences: tuple[DutyState, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state of a rule. ``applies`` says whether the act falls under it; ``covers`` whether it includes a part."""

    rule: WrittenRule
    constraints: tuple[Judgement, ...]
    premises: tuple[Premise, ...]
    active: bool
    applies: Verdict
    covers: bool = False
    duties: tuple[DutyState, ...] = ()
    remedies: tuple[DutyState, ...] = ()
    performance: Performance = "Unknown"
    deontic: Deontic | None = None
    by: tuple[Performed, ...] = ()
    settled: bool = False


def state_of(rule: WrittenRule, situation: Situation, options: Options) -> RuleState:
    """The state of a permission, prohibition or obligation, for an act."""
    match rule.kind:
        case "permission":
            return _permission(rule, situation, options)
        case "prohibition":
            return _prohibition(rule, situation, options)
        case _:
            return _obligation(rule, situation, options)


def _permission(rule: WrittenRule, situation: Situation, options: Options) -> RuleState:
    judged = _judged(rule, situation, permissive=True)
    exercised = _acts(rule, situation, permissive=True)
    duties = tuple(
        _condition(duty, rule, situation, options, exercised if not situation.trusted else ()) for duty in rule.duties
    )
    premises = situation.premises(rule)
    return RuleState(
        rule=rule,
        constraints=judged,
        premises=premises,
        active=_holds(judged) is True and not any(blocks(duty, options) for duty in duties),
        applies=all_of(tuple(premise.verdict for premise in premises)),
        duties=duties,
        performance="Performed" if exercised else "Unknown",
        by=exercised,
    )


def blocks(duty: DutyState, options: Options) -> bool:
    """Whether the state of a duty keeps its permission from being active."""
    if options.duties == "lax":
        return duty.deontic == "Violated"
    return duty.active and duty.deontic != "Fulfilled"


def _prohibition(rule: WrittenRule, situation: Situation, options: Options) -> RuleState:
    judged = _judged(rule, situation, permissive=False)
    premises = situation.premises(rule, permissive=False)
    violations = tuple(
        act
        for act in _acts(rule, situation, permissive=False)
        if _counts(_holds(_judged(rule, situation.of(act), permissive=False)), options)
    )
    reported = situation.world.reported.get(rule.node)
    told = reported is not None and reported.deontic == "Violated"
    moments = [act.at for act in violations] + ([reported.at] if reported is not None and told else [])
    remedies = tuple(_duty(duty, rule, situation, options, after=_latest(moments)) for duty in rule.remedies)
    violated = bool(violations) or told
    settled = violated and bool(remedies) and all(r.deontic == "Fulfilled" or not r.active for r in remedies)
    return RuleState(
        rule=rule,
        constraints=judged,
        premises=premises,
        active=_counts(_holds(judged), options),
        applies=all_of(tuple(premise.verdict for premise in premises)),
        covers=situation.covers(rule),
        remedies=remedies if violated else (),
        performance="Performed" if violations else "Unknown",
        deontic="Violated" if violated and not settled else "NonSet",
        by=violations,
        settled=settled,
    )


def _obligation(rule: WrittenRule, situation: Situation, options: Options) -> RuleState:
    duty = _duty(rule, rule, situation, options, own=True)
    return RuleState(
        rule=rule,
        constraints=duty.constraints,
        premises=situation.premises(rule) if situation.actions else (),
        active=duty.active,
        applies=situation.falls_under(rule) if situation.actions else None,
        duties=duty.consequences,
        performance=duty.performance,
        deontic=duty.deontic,
        by=duty.by,
    )


def _condition(
    duty: WrittenRule, rule: WrittenRule, situation: Situation, options: Options, exercised: tuple[Performed, ...]
) -> DutyState:
    """A duty as the condition of a permission, with what followed if the permission was used without it."""
    state = _duty(duty, rule, situation, options, by_now=not duty.consequences)
    if not state.active or not duty.consequences:
        return state
    done = [act.at for act in state.by]
    uses = [act.at for act in exercised] or ([situation.at] if situation.trusted else [])
    breaches = [use for use in uses if not any(_by(moment, use) for moment in done)]
    reported = situation.world.reported.get(duty.node)
    if reported is not None and reported.deontic == "Violated":
        breaches.append(reported.at)
    if not breaches:
        return state
    after = _latest(breaches)
    consequences = tuple(_duty(item, rule, situation, options, after=after, by_now=False) for item in duty.consequences)
    made_good = bool(done) and all(item.deontic == "Fulfilled" or not item.active for item in consequences)
    return DutyState(
        duty,
        state.active,
        "Fulfilled" if made_good else "Violated",
        state.performance,
        state.constraints,
        state.by,
        consequences,
    )


def _duty(
    duty: WrittenRule,
    rule: WrittenRule,
    situation: Situation,
    options: Options,
    *,
    after: datetime | None = None,
    by_now: bool = True,
    own: bool = False,
) -> DutyState:
    """The state of a duty by what was performed: up to the act itself (``by_now``), or until now."""
    judged = _judged(duty, situation, permissive=False)
    active = _counts(_holds(judged), options)
    acts = tuple(
        act
        for act in situation.world.performed
        if (situation.before(act) if by_now else situation.seen(act))
        and (after is None or act.at is None or act.at > after)
        and _fulfils(act, duty, rule, situation)
    )
    reported = situation.world.reported.get(duty.node)
    deontic, performance = _outcome(duty, situation, acts, reported.deontic if reported else None)
    if reported is not None and reported.performance == "Performed" and deontic != "Violated":
        deontic, performance = "Fulfilled", "Performed"
    consequences: tuple[DutyState, ...] = ()
    if own and deontic == "Violated" and duty.consequences:
        consequences = tuple(_duty(item, rule, situation, options) for item in duty.consequences)
        if acts and all(item.deontic == "Fulfilled" or not item.active for item in consequences):
            deontic = "Fulfilled"
    return DutyState(duty, active, deontic if active else "NonSet", performance, judged, acts, consequences)


def _outcome(
    duty: WrittenRule, situation: Situation, acts: tuple[Performed, ...], reported: str | None
) -> tuple[Deontic, Performance]:
    if reported == "Violated":
        return "Violated", "Performed" if acts else "Unperformed"
    if acts or reported == "Fulfilled":
        return "Fulfilled", "Performed"
    at = situation.at
    narrowed = [item for part in duty.actions for item in part.refinements]
    if at is not None and any(expired(item, at) for item in narrowed):
        return "Violated", "Unperformed"
    return "NonSet", "Unknown"


def _fulfils(act: Performed, duty: WrittenRule, rule: WrittenRule, situation: Situation) -> bool:
    """Whether an act is of the kind a duty asks for; one said to be about other rules is not."""
    if act.settles and duty.node not in act.settles:
        return False
    if not duty.actions or _other_party(act, duty, rule):
        return False
    return situation.fell_under(act, duty) is True


def _other_party(act: Performed, duty: WrittenRule, rule: WrittenRule) -> bool:
    """Whether an act names another beneficiary (or other role) than the duty; by default the assigner benefits."""
    wanted = dict(duty.functions)
    if "compensatedParty" not in wanted and rule.assigners:
        wanted["compensatedParty"] = tuple(part.iri for part in rule.assigners)
    return any(
        named and not {node.value for node in named} & set(parties)
        for role, parties in wanted.items()
        if (named := act.values.get(ODRL + role, ()))
    )


def _acts(rule: WrittenRule, situation: Situation, *, permissive: bool) -> tuple[Performed, ...]:
    """The acts the world knows of that a rule is about."""
    return tuple(
        act
        for act in situation.world.performed
        if situation.before(act)
        and (verdict := situation.fell_under(act, rule, permissive=permissive)) is not False
        and (verdict is True or not permissive)
    )


def _judged(rule: WrittenRule, situation: Situation, *, permissive: bool) -> tuple[Judgement, ...]:
    return tuple(situation.judge(item, "rule", rule, permissive=permissive) for item in rule.constraints)


def _holds(judged: tuple[Judgement, ...]) -> Verdict:
    return all_of(tuple(item.verdict for item in judged))


def _counts(verdict: Verdict, options: Options) -> bool:
    return verdict is True or (verdict is None and options.missing == "cautious")


def _by(moment: datetime | None, use: datetime | None) -> bool:
    return moment is None or use is None or moment <= use


def _latest(moments: list[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if known else None
