"""Evaluating ODRL policies: for a request (access control), or for what was done (monitoring)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from synthema.policy.evaluator.asking import Asked
from synthema.policy.evaluator.semantics import DutyState, Options, RuleState, state_of
from synthema.policy.evaluator.situation import Situation, graph_of, nothing_asked
from synthema.policy.evaluator.terms import Terms
from synthema.policy.evaluator.world import Performed, World
from synthema.policy.intake.graph import Graph, merged, refuse
from synthema.policy.intake.statements import WrittenPolicy, WrittenRule
from synthema.vocabulary import compact

Finding = Literal["permitted", "prohibited", "conflict", "silent"]
"""What a policy says of an act: ``silent`` where none of its rules speaks."""

Effect = Literal["permit", "deny"]

_NOT_EVALUATED = frozenset({"Offer", "Request"})


@dataclass(frozen=True, slots=True)
class ActState:
    """What a policy says of one act that took place. ``settled`` says that a violation was made good."""

    act: Performed
    finding: Finding
    effect: Effect
    settled: bool = False


@dataclass(frozen=True, slots=True)
class PolicyState:
    """The evaluation of one policy. ``notes`` tell a person what was not evaluated, or how it was read."""

    policy: WrittenPolicy
    considered: bool
    rules: tuple[RuleState, ...] = ()
    finding: Finding = "silent"
    effect: Effect = "deny"
    acts: tuple[ActState, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def compliant(self) -> bool:
        """Whether everything that was done was allowed or made good, and nothing obliged was missed."""
        return all(act.effect == "permit" or act.settled for act in self.acts) and not any(
            rule.deontic == "Violated" for rule in self.rules
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of all policies given, for one request or for what was done."""

    policies: tuple[PolicyState, ...]
    asked: Asked | None
    world: World
    at: datetime | None
    options: Options
    digest: str

    @property
    def effect(self) -> Effect:
        """All policies together: at least one permits, and none prohibits or contradicts itself."""
        findings = [state.finding for state in self.policies if state.considered]
        if "prohibited" in findings or "conflict" in findings:
            return "deny"
        if "permitted" in findings:
            return "permit"
        opened = self.options.behaviour == "open" and bool(findings)
        return "permit" if opened else "deny"

    @property
    def compliant(self) -> bool:
        """Whether what was done complies with every policy."""
        return all(state.compliant for state in self.policies if state.considered)


def evaluate(
    policies: Iterable[WrittenPolicy],
    world: World,
    asked: Asked | None = None,
    *,
    sources: Iterable[Graph] = (),
    at: datetime | None = None,
    options: Options | None = None,
) -> Evaluation:
    """Evaluate policies for a request, or, without one, for what the world says was done.

    ``sources`` are the graphs the policies were read from, whose own terms count as well; ``at`` is the
    time, where it is not the one of the world or of the request. Raises :class:`PolicyLoadError` on a
    policy that inherits from one that is not given, and on a comparison without meaning.
    """
    chosen, given = options or Options(), tuple(policies)
    known = merged((*sources, world.graph))
    terms = Terms(known, graph_of(asked))
    moment = at or world.now or (asked.at if asked is not None else None)
    if asked is not None:
        situation = Situation.asked(asked, world, terms, moment)
    else:
        situation = nothing_asked(world, terms, moment or _last(world))
    claimed = asked is not None and at is None and world.now is None
    notes = ("The time is the one the request names.",) if claimed and moment is not None else ()
    states = tuple(
        replace(state, notes=(*state.notes, *notes))
        for state in (_policy(_resolved(policy, given), situation, asked, chosen) for policy in given)
    )
    digest = merged((known, graph_of(asked))).digest if asked is not None else known.digest
    return Evaluation(states, asked, world, situation.at, chosen, digest)


def _last(world: World) -> datetime | None:
    return max((act.at for act in world.performed if act.at is not None), default=None)


def _resolved(policy: WrittenPolicy, given: tuple[WrittenPolicy, ...], path: tuple[str, ...] = ()) -> WrittenPolicy:
    """The policy with the rules of those it inherits from, and with their strategy where it names none."""
    if policy.iri in path:
        refuse(f"{compact(policy.iri)} inherits from itself", "break the circle of odrl:inheritFrom")
    by_iri = {each.iri: each for each in given}
    rules: list[WrittenRule] = []
    strategies = {policy.conflict} if policy.conflict else set()
    for parent in policy.inherits:
        if parent not in by_iri:
            refuse(
                f"{compact(policy.iri)} inherits from {compact(parent)}, which is not given",
                "give that policy in the same input; nothing is fetched",
            )
        resolved = _resolved(by_iri[parent], given, (*path, policy.iri))
        rules += resolved.rules
        strategies |= {resolved.conflict} if resolved.conflict else set()
    # Information Model 2.10: policies with different strategies cannot be merged.
    conflict = next(iter(strategies), None) if len(strategies) < 2 else "contradictory"
    return replace(policy, rules=(*rules, *policy.rules), conflict=conflict)


def _policy(policy: WrittenPolicy, situation: Situation, asked: Asked | None, options: Options) -> PolicyState:
    notes = _notes(policy)
    if policy.kind in _NOT_EVALUATED and not (options.offers and policy.kind == "Offer"):
        word = "an offer, which is a proposal only" if policy.kind == "Offer" else "a request"
        return PolicyState(policy, considered=False, notes=(f"{compact(policy.iri)} is {word}: not evaluated.", *notes))
    if not policy.rules:
        refuse(f"{compact(policy.iri)} has no rules", "add a permission, a prohibition or an obligation")
    states = tuple(state_of(rule, situation, options) for rule in policy.rules)
    if asked is not None:
        finding = _finding(policy, states, options)
        return PolicyState(
            policy, considered=True, rules=states, finding=finding, effect=_effect(finding, options), notes=notes
        )
    acts = tuple(_act(policy, act, states, situation, options) for act in _in_order(situation.world.performed))
    return PolicyState(policy, considered=True, rules=states, acts=acts, notes=notes)


def _finding(policy: WrittenPolicy, states: tuple[RuleState, ...], options: Options) -> Finding:
    permitted = any(s.active and s.applies is True for s in states if s.rule.kind == "permission")
    prohibited = any(s.active and _touches(s, options) for s in states if s.rule.kind == "prohibition")
    if policy.conflict == "contradictory":
        return "conflict"
    if permitted and prohibited:
        match policy.conflict:
            case "perm":
                return "permitted"
            case "prohibit":
                return "prohibited"
            case _:
                return "conflict"  # "invalid", also where no strategy is named: the policy is void
    return "permitted" if permitted else "prohibited" if prohibited else "silent"


def _touches(state: RuleState, options: Options) -> bool:
    """Whether a prohibition stands against the act: it falls under it, or includes a part of what is prohibited."""
    if state.applies is True:
        return True
    return options.missing == "cautious" and (state.applies is None or state.covers)


def _effect(finding: Finding, options: Options) -> Effect:
    if finding == "silent":
        return "permit" if options.behaviour == "open" else "deny"
    return "permit" if finding == "permitted" else "deny"


def _act(
    policy: WrittenPolicy, act: Performed, now: tuple[RuleState, ...], situation: Situation, options: Options
) -> ActState:
    """What a policy says of an act that took place, at the time it did."""
    then = situation.of(act)
    finding = _finding(policy, tuple(state_of(rule, then, options) for rule in policy.rules), options)
    if finding == "silent" and act in _dutiful(now):
        finding = "permitted"  # what a policy asks for is not forbidden by its silence
    settled = finding in ("prohibited", "conflict") and all(
        state.settled for state in now if state.rule.kind == "prohibition" and act in state.by
    )
    return ActState(act, finding, _effect(finding, options), settled)


def _dutiful(states: Iterable[RuleState | DutyState]) -> list[Performed]:
    """The acts that fulfilled an obligation, a duty, a consequence or a remedy."""
    found: list[Performed] = []
    for state in states:
        if isinstance(state, DutyState):
            found += [*state.by, *_dutiful(state.consequences)]
        else:
            found += state.by if state.rule.kind == "obligation" else ()
            found += _dutiful((*state.duties, *state.remedies))
    return found


def _in_order(acts: tuple[Performed, ...]) -> list[Performed]:
    return sorted(acts, key=lambda act: (act.at is not None, act.at.timestamp() if act.at else 0.0))


def _notes(policy: WrittenPolicy) -> tuple[str, ...]:
    notes = [
        f"The profile {profile} is not known here: its terms are taken as they stand." for profile in policy.profiles
    ]
    if policy.conflict is None:
        notes.append("No conflict strategy is named: a conflict makes the policy invalid (ODRL 2.2).")
    unread = dict.fromkeys(predicate for _, predicate in policy.unread if not predicate.startswith(_ANNOTATIONS))
    notes += [f"{compact(predicate)} is no term of ODRL and was not evaluated." for predicate in unread]
    return tuple(notes)


_ANNOTATIONS = (
    "http://purl.org/dc/",
    "http://www.w3.org/2000/01/rdf-schema#",
    "http://www.w3.org/2004/02/skos/core#",
    "http://www.w3.org/ns/prov#",
    "http://xmlns.com/foaf/0.1/",
    "http://www.w3.org/2006/vcard/ns#",
    "http://schema.org/",
    "https://schema.org/",
)
