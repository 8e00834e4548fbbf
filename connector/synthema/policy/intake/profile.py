"""ODRL in RDF as a policy of ours: everything in it must be in the pinned vocabulary and in the Synthema profile.

What the profile has no words for is refused, naming the node and the nearest term. Policies of
others, without the profile, can be taken over where the reader says for which layer they are.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, TypeVar

from synthema.clock import duration, from_text
from synthema.errors import InputError
from synthema.policy.intake.comparing import Conditions
from synthema.policy.intake.graph import RDF, Graph, is_blank, refuse
from synthema.policy.intake.profile_terms import ANYWHERE, DUTY, POLICY, RULES, SECTIONS, TITLE
from synthema.policy.intake.reader import Reader, read_policies
from synthema.policy.intake.statements import Part, WrittenPolicy, WrittenRule
from synthema.policy.model import (
    PROFILE,
    Condition,
    Duty,
    Event,
    Kind,
    LawReference,
    Layer,
    Parent,
    Policy,
    Refinement,
    Rule,
    SiteDecision,
    Timing,
)
from synthema.policy.wellformed import check_policy
from synthema.vocabulary import Vocabulary, compact
from synthema.vocabulary.namespaces import SYN

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Adopted:
    """What a reader adds to a policy that names no layer, version or title of ours."""

    layer: Layer
    version: str = "1"
    title: str = "Policy taken over"


def import_policies(graph: Graph, vocabulary: Vocabulary, *, adopted: Adopted | None = None) -> tuple[Policy, ...]:
    """Every policy of a graph as one of ours, checked against the vocabulary.

    Raises :class:`PolicyLoadError` on anything that would be lost or is not understood, and on
    statements that belong to no policy.
    """
    written = read_policies(graph, hand_down=False)
    for node in graph.stray([policy.iri for policy in written])[:1]:
        refuse(f"{_name(node)} belongs to no policy", "link it to its policy, or remove it", where=graph.where)
    policies = tuple(_Import(graph, vocabulary, adopted).policy(policy) for policy in written)
    for policy in policies:
        check_policy(policy, vocabulary)
    return policies


@dataclass(frozen=True, slots=True)
class _Import:
    graph: Graph
    vocabulary: Vocabulary
    adopted: Adopted | None

    @property
    def _conditions(self) -> Conditions:
        return Conditions(self.graph, self.vocabulary)

    def policy(self, written: WrittenPolicy) -> Policy:
        iri, adopted = written.iri, self.adopted
        ours = written.profiles == (PROFILE,)
        if not ours and (written.profiles or adopted is None):
            self._fail(
                iri, "it is not in the Synthema profile", f"add odrl:profile <{PROFILE}>, or say for which layer it is"
            )
        if written.conflict not in (("prohibit",) if ours else ("prohibit", None)):
            self._fail(iri, f"the conflict strategy '{written.conflict}' is not supported", "use odrl:prohibit")
        if written.kind not in ("Set", "Agreement"):
            self._fail(iri, f"it is an odrl:{written.kind}", "only an odrl:Set or odrl:Agreement can decide")
        self._known(iri, POLICY, "policy")
        self._nothing_lost(written)
        layer = self._member(iri, SYN + "layer", Layer) or (adopted.layer if adopted and not ours else None)
        if layer is None:
            self._fail(iri, "it names no layer", "add syn:layer")
        if (layer is Layer.AGREEMENT) != (written.kind == "Agreement"):
            self._fail(iri, f"an odrl:{written.kind} cannot be of the layer {layer}", "use odrl:Agreement for L4 only")
        foreign = None if ours else adopted
        rules = self._in_order(iri, [self._rule(rule, n, written) for n, rule in enumerate(written.rules, start=1)])
        return Policy(
            id=iri,
            layer=layer,
            version=self._text(iri, SYN + "version") or (foreign.version if foreign else ""),
            title=self._text(iri, TITLE) or (foreign.title if foreign else ""),
            rules=rules,
            targets=_names(written.shared.targets) or self._of_rules(written),
            assigner=self._single(iri, written.shared.assigners),
            assignees=_names(written.shared.assignees),
            law=self._law(iri),
            effective_from=self._moment(iri, SYN + "effectiveFrom"),
            effective_to=self._moment(iri, SYN + "effectiveTo"),
            site_decisions=tuple(self._decision(node) for node in self._nodes(iri, SYN + "siteDecision")),
            inherits=self._parents(written),
        )

    def _nothing_lost(self, written: WrittenPolicy) -> None:
        """What may stand at rules and duties only, or nowhere in the profile."""
        shared = written.shared
        if shared.functions:
            self._fail(written.iri, f"odrl:{next(iter(shared.functions))} is not in the profile", "remove it")
        for part in (*shared.targets, *shared.assignees, *shared.assigners):
            if part.refinements:
                self._fail(part.node, "a part of the whole policy is narrowed", "narrow it in each rule")
        for node, predicate in written.unread:
            if predicate not in ANYWHERE:
                self._known(node, frozenset(), "policy of the profile")

    def _of_rules(self, written: WrittenPolicy) -> tuple[str, ...]:
        """Without targets of its own, a policy is about those of its rules, all of which must name some."""
        if not all(rule.targets for rule in written.rules):
            self._fail(written.iri, "a rule names no target, and the policy none either", "name the dataset")
        return tuple(dict.fromkeys(name for rule in written.rules for name in _names(rule.targets)))

    def _rule(self, rule: WrittenRule, number: int, policy: WrittenPolicy) -> Rule:
        kind = Kind(rule.kind)
        self._known(rule.node, RULES[kind], "rule")
        refined = [*rule.targets, *rule.assignees]
        if kind is Kind.OBLIGATION:
            acts = tuple(
                Reader(self.graph).part(node, "action") for node in self._nodes(rule.node, SYN + "triggeredBy")
            )
            if not acts:
                self._fail(rule.node, "it does not say which acts make it arise", "add syn:triggeredBy")
            duties: tuple[Duty, ...] = (
                self._duty(rule, when=self._conditions.below(rule.node, SYN + "dutyConstraint"), own=True),
            )
        else:
            acts = rule.actions or policy.shared.actions
            duties = tuple(self._duty(duty) for duty in rule.duties)
        shared = policy.shared.constraints if kind is not Kind.OBLIGATION else ()
        if {p.iri for p in rule.assigners} - {p.iri for p in policy.shared.assigners}:
            self._fail(rule.node, "it has an assigner of its own", "name the assigner once, at the policy")
        if rule.functions:
            self._fail(rule.node, f"odrl:{next(iter(rule.functions))} is not in the profile", "remove it")
        return Rule(
            id=f"{policy.iri}#{SECTIONS[kind]}-{number}" if is_blank(rule.node) else rule.node,
            kind=kind,
            actions=tuple(part.iri for part in acts),
            when=self._conditions.joined([*shared, *rule.constraints]),
            unless=self._conditions.below(rule.node, SYN + "unless"),
            targets=_names(rule.targets),
            assignees=_names(rule.assignees),
            duties=duties,
            law=self._law(rule.node),
            sentence=self._text(rule.node, SYN + "sentence") or "",
            refinements=tuple(
                Refinement(_stands_for(part), condition)
                for part in (*acts, *refined)
                if (condition := self._conditions.joined(part.refinements)) is not None
            ),
            remedies=tuple(self._duty(duty) for duty in rule.remedies),
        )

    def _duty(self, duty: WrittenRule, *, when: Condition | None = None, own: bool = False) -> Duty:
        node = duty.node
        if not own:
            self._known(node, DUTY, "duty")
            if duty.targets or duty.assignees or duty.functions:
                self._fail(
                    node, "a duty with a target or party of its own", "duties are those of the one who is permitted"
                )
        if len(duty.actions) != 1 or duty.actions[0].refinements:
            self._fail(node, "a duty is one action without refinements here", "write one duty for each action")
        within = self._text(node, SYN + "deadline")
        return Duty(
            action=duty.actions[0].iri,
            timing=self._member(node, SYN + "dutyTiming", Timing) or Timing.PRE,
            within=None if within is None else self._read(node, within, duration),
            after=self._member(node, SYN + "deadlineAfter", Event) or Event.DECISION,
            evidence=self._text(node, SYN + "evidenceType"),
            when=when if own else self._conditions.joined(duty.constraints),
            consequences=tuple(self._duty(item) for item in duty.consequences),
        )

    def _parents(self, written: WrittenPolicy) -> tuple[Parent, ...]:
        nodes = self._nodes(written.iri, SYN + "inheritance")
        parents = tuple(
            Parent(self._needed(node, SYN + "inheritedPolicy"), self._needed(node, SYN + "inheritedVersion"))
            for node in nodes
        )
        if set(written.inherits) != {parent.policy for parent in parents}:
            self._fail(
                written.iri,
                "odrl:inheritFrom and syn:inheritance do not name the same policies",
                "pin each by its version",
            )
        return parents

    def _decision(self, node: str) -> SiteDecision:
        return SiteDecision(self._needed(node, SYN + "operand"), self._needed(node, SYN + "reason"))

    def _law(self, node: str) -> tuple[LawReference, ...]:
        return tuple(
            LawReference(*(self._needed(item, SYN + name) for name in ("act", "article", "eli")))
            for item in self._nodes(node, SYN + "lawReference")
        )

    def _in_order(self, iri: str, rules: list[Rule]) -> tuple[Rule, ...]:
        order = [node.value for node in self.graph.objects(iri, SYN + "ruleOrder")]
        if order and sorted(order) != sorted(rule.id for rule in rules):
            self._fail(iri, "syn:ruleOrder does not list each rule once", "list all rules in order")
        return tuple(sorted(rules, key=lambda rule: order.index(rule.id))) if order else tuple(rules)

    def _single(self, node: str, parts: tuple[Part, ...]) -> str | None:
        if len(parts) > 1:
            self._fail(node, "it has several assigners", "name one")
        return parts[0].iri if parts else None

    def _nodes(self, node: str, predicate: str) -> tuple[str, ...]:
        return tuple(item.value for item in self.graph.objects(node, predicate))

    def _text(self, node: str, predicate: str) -> str | None:
        found = self.graph.objects(node, predicate)
        if len(found) > 1:
            self._fail(node, f"{compact(predicate)} is given {len(found)} times", "give it once")
        return found[0].value if found else None

    def _needed(self, node: str, predicate: str) -> str:
        text = self._text(node, predicate)
        if text is None:
            self._fail(node, f"it lacks {compact(predicate)}", f"add {compact(predicate)}")
        return text

    def _moment(self, node: str, predicate: str) -> datetime | None:
        text = self._text(node, predicate)
        return None if text is None else self._read(node, text, from_text)

    def _member(self, node: str, predicate: str, words: Callable[[str], T]) -> T | None:
        text = self._text(node, predicate)
        if text is None:
            return None
        try:
            return words(text.removeprefix(SYN))
        except ValueError:
            allowed = ", ".join(str(word) for word in words)  # type: ignore[attr-defined]
            self._fail(node, f"'{compact(text)[:40]}' is not known as {compact(predicate)}", f"use one of: {allowed}")

    def _read(self, node: str, text: str, how: Callable[[str], T]) -> T:
        try:
            return how(text)
        except InputError as error:
            self._fail(node, error.message, error.fix)

    def _known(self, node: str, allowed: frozenset[str], what: str) -> None:
        """Refuse what is said in another vocabulary, or in ours where it has no meaning."""
        for predicate in self.graph.predicates(node):
            if (
                predicate.startswith("http://www.w3.org/ns/odrl/2/")
                or predicate == RDF + "type"
                or predicate in allowed
            ):
                continue
            near = difflib.get_close_matches(predicate, sorted(allowed), n=1, cutoff=0.6)
            fix = f"did you mean '{compact(near[0])}'?" if near else "remove it"
            self._fail(node, f"{compact(predicate)} does not belong to a {what}", fix)

    def _fail(self, node: str, message: str, fix: str) -> NoReturn:
        refuse(f"{_name(node)}: {message}", fix, where=self.graph.where)


def _names(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(_stands_for(part) for part in parts)


def _stands_for(part: Part) -> str:
    return part.source or part.iri


def _name(node: str) -> str:
    return "a nameless node" if is_blank(node) else compact(node)
