"""A slow evaluator of policies, written from the semantics alone, that reads them as RDF.

It gets the N-Quads of policies and shares no code with the evaluator it checks: neither the values
policies are held in nor what is compiled from them. Answers "permit" or "deny". Each
condition is judged one value at a time with plain recursion over the graph, and the
hierarchy is climbed anew for every question.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pyoxigraph

from synthema.policy.model import AccessRequest, Fact, Fulfilment
from synthema.vocabulary import Hierarchy, Vocabulary

YES, NO, OPEN = "yes", "no", "open"
ODRL = "http://www.w3.org/ns/odrl/2/"
SYN = "https://w3id.org/synthema/ns#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XSD = "http://www.w3.org/2001/XMLSchema#"
DATE_TIME = ODRL + "dateTime"
ANY = SYN + "anyDataset"


class Graph:
    """What is said in N-Quads, by subject and property; the values are IRIs and Python values alike."""

    def __init__(self, documents: Iterable[bytes]) -> None:
        self.said: dict[tuple[str, str], list[Any]] = {}
        self.subjects: dict[str, list[str]] = {}
        for document in documents:
            for quad in pyoxigraph.parse(document, format=pyoxigraph.RdfFormat.N_QUADS):
                subject, value = quad.subject.value, _python(quad.object)
                self.said.setdefault((subject, quad.predicate.value), []).append(value)
                if quad.predicate.value == RDF + "type":
                    self.subjects.setdefault(value, []).append(subject)

    def all(self, subject: str, name: str) -> list[Any]:
        return self.said.get((subject, name), [])

    def one(self, subject: str, name: str) -> Any:
        found = self.all(subject, name)
        assert len(found) < 2, (subject, name)
        return found[0] if found else None


class Iri(str):
    """Tells a node from a text that looks like one."""

    __slots__ = ()


def _python(term: Any) -> Any:
    if isinstance(term, pyoxigraph.NamedNode):
        return Iri(term.value)
    return _READ[term.datatype.value.removeprefix(XSD)](term.value)


def _duration(text: str) -> timedelta:
    pattern = r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?"
    sign, days, hours, minutes, seconds = re.fullmatch(pattern, text).groups("0")  # type: ignore[union-attr]
    step = timedelta(days=int(days), hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    return -step if sign == "-" else step


_READ: dict[str, Any] = {
    "double": float,
    "integer": int,
    "boolean": {"true": True, "false": False}.__getitem__,
    "dateTime": datetime.fromisoformat,
    "dayTimeDuration": _duration,
    "string": str,
}


class Reference:
    """One question: these policies, this request."""

    def __init__(self, graph: Graph, request: AccessRequest, vocabulary: Vocabulary, standing: dict[str, Fact]) -> None:
        self.graph, self.request, self.vocabulary, self.standing = graph, request, vocabulary, standing
        self.world = {**request.facts, **standing, DATE_TIME: Fact(request.at)}

    def effect(self) -> str:
        request, graph = self.request, self.graph
        settled = [operand for operand in (*self.standing, DATE_TIME) if operand in request.facts]
        contradicted = any(not _same(request.facts[operand], self.world[operand]) for operand in settled)
        unknown = any(operand not in self.vocabulary.operands for operand in request.facts)
        if contradicted or unknown or request.action not in self.vocabulary.actions.terms:
            return "deny"
        if not all(self.settled(done) for done in request.fulfilled if done.state == "violated"):
            return "deny"
        policies = graph.subjects.get(ODRL + "Set", []) + graph.subjects.get(ODRL + "Agreement", [])
        current = [policy for policy in policies if self.in_force(policy)]
        answers = [
            (graph.one(policy, SYN + "layer"), self.answer(policy, rule, kind))
            for policy in current
            for kind in ("permission", "prohibition", "obligation")
            for rule in graph.all(policy, ODRL + kind)
        ]
        layers = {graph.one(policy, SYN + "layer") for policy in current}
        if "L0" not in layers or any(answer == "deny" for _, answer in answers):
            return "deny"
        return "permit" if all((layer, "permit") in answers for layer in ("L2", "L3", "L4")) else "deny"

    def in_force(self, policy: str) -> bool:
        begins, ends = (self.graph.one(policy, SYN + name) for name in ("effectiveFrom", "effectiveTo"))
        return (begins is None or self.request.at >= begins) and (ends is None or self.request.at < ends)

    # rules ------------------------------------------------------------------------------

    def answer(self, policy: str, rule: str, kind: str) -> str:
        """What one rule says by itself: permit, deny, or nothing."""
        outcome = self.outcome(policy, rule, kind)
        if kind == "permission":
            return "permit" if outcome == YES and self.nothing_open(rule, self.graph.all(rule, ODRL + "duty")) else ""
        if kind == "obligation" and self.nothing_open(rule, [rule]):
            return ""
        return "" if outcome == NO else "deny"

    def outcome(self, policy: str, rule: str, kind: str) -> str:
        graph, every = self.graph, kind == "permission"
        asked = self.request
        acts = graph.all(rule, (SYN + "triggeredBy") if kind == "obligation" else (ODRL + "action"))
        datasets = graph.all(rule, ODRL + "target") or graph.all(policy, ODRL + "target")
        parties = graph.all(rule, ODRL + "assignee") or graph.all(policy, ODRL + "assignee")
        sides = [
            self.side(acts, RDF + "value", lambda name: self.is_act(name, kind), every=every),
            self.side(datasets, ODRL + "source", self.is_dataset, every=every),
            self.side(parties, ODRL + "source", lambda name: self.goes_by(asked.assignee, name), every=every),
        ]
        when = [self.condition(node, every=every) for node in graph.all(rule, ODRL + "constraint")]
        unless = [self.condition(node, every=True) for node in graph.all(rule, SYN + "unless")]
        return _and([*sides, *when, *({YES: NO, NO: YES, OPEN: OPEN}[found] for found in unless)])

    def side(self, nodes: list[str], link: str, met: Any, *, every: bool) -> str:
        """Whether one of the things a rule names is meant: its act, its datasets, or its parties."""
        if not nodes:
            return YES
        outcomes = [NO]
        for node in nodes:
            if met(self.graph.one(node, link) or node):
                narrowed = self.graph.all(node, ODRL + "refinement")
                outcomes.append(_and([YES, *(self.condition(each, every=every) for each in narrowed)]))
        return _or(outcomes)

    def is_act(self, named: str, kind: str) -> bool:
        actions, asked = self.vocabulary.actions, self.request.action
        return _kind_of(actions, asked, named) or (kind != "permission" and _kind_of(actions, named, asked))

    def is_dataset(self, named: str) -> bool:
        return named == ANY or self.goes_by(self.request.target, named)

    def goes_by(self, member: str, named: str) -> bool:
        return named == member or named in self.request.collections.get(member, ())

    # duties -----------------------------------------------------------------------------

    def nothing_open(self, rule: str, duties: list[str]) -> bool:
        return all(
            self.done(duty, rule)
            for duty in duties
            if self.graph.one(duty, SYN + "dutyTiming") == SYN + "pre" and self.arises(duty, rule)
        )

    def arises(self, duty: str, rule: str) -> bool:
        return self.arising(duty, rule) != NO

    def arising(self, duty: str, rule: str) -> str:
        # Where the duty is the rule itself, "constraint" says when the rule applies.
        conditions = self.graph.all(duty, (SYN + "dutyConstraint") if duty == rule else (ODRL + "constraint"))
        return _and([self.condition(node, every=False) for node in conditions])

    def done(self, duty: str, rule: str, after: datetime | None = None) -> bool:
        action = self.graph.one(duty, ODRL + "action")
        return any(
            record.state == "fulfilled"
            and _kind_of(self.vocabulary.duties, record.action, action)
            and record.at <= self.request.at
            and (after is None or record.at > after)
            and (record.rule is None or record.rule == rule)
            and (not self.graph.one(duty, SYN + "evidenceType") or record.evidence)
            for record in self.request.fulfilled
        )

    def settled(self, record: Fulfilment) -> bool:
        """Whether everything a recorded violation could be about was put right after it."""
        graph, meant = self.graph, []
        for type_ in ("Permission", "Prohibition", "Duty"):
            for rule in graph.subjects.get(ODRL + type_, []):
                top = any(rule in values for (_, name), values in graph.said.items() if name in _LINKS)
                if not top or (record.rule is not None and rule != record.rule):
                    continue
                found = self.broken(rule, record)
                if not found and type_ == "Prohibition" and record.rule is not None:
                    arising = {each: self.arising(each, rule) for each in graph.all(rule, ODRL + "remedy")}
                    found = [[r for r in arising if arising[r] != NO] if YES in arising.values() else []]
                meant += [(rule, needed) for needed in found]
        return bool(meant) and all(
            needed and all(self.done(duty, rule, record.at) for duty in needed) for rule, needed in meant
        )

    def broken(self, rule: str, record: Fulfilment) -> list[list[str]]:
        graph, found = self.graph, []
        main = graph.all(rule, ODRL + "duty") or ([rule] if graph.one(rule, SYN + "dutyTiming") else [])
        for duty in main:
            further = graph.all(duty, ODRL + "consequence")
            if self.is_duty(record, duty):
                found.append([duty, *(each for each in further if self.arises(each, rule))])
            found += [[each] for each in further if self.is_duty(record, each)]
        return found + [[each] for each in graph.all(rule, ODRL + "remedy") if self.is_duty(record, each)]

    def is_duty(self, record: Fulfilment, duty: str) -> bool:
        return _kind_of(self.vocabulary.duties, record.action, self.graph.one(duty, ODRL + "action"))

    # conditions -------------------------------------------------------------------------

    def condition(self, node: str, *, every: bool) -> str:
        graph = self.graph
        for joined in ("and", "or", "xone"):
            parts = graph.all(node, ODRL + joined)
            if not parts:
                continue
            outcomes = [self.condition(part, every=every) for part in parts]
            if joined != "xone":
                return _and(outcomes) if joined == "and" else _or(outcomes)
            if any(self.has_several(part) for part in parts):
                return OPEN
            if outcomes.count(YES) >= 2:
                return NO
            if OPEN in outcomes:
                return OPEN
            return YES if outcomes.count(YES) == 1 else NO
        return self.constraint(node, every=every)

    def has_several(self, node: str) -> bool:
        parts = [part for joined in ("and", "or", "xone") for part in self.graph.all(node, ODRL + joined)]
        if parts:
            return any(self.has_several(part) for part in parts)
        fact = self.world.get(self.graph.one(node, ODRL + "leftOperand"))
        return fact is not None and isinstance(fact.value, tuple) and len(fact.value) > 1

    def constraint(self, node: str, *, every: bool) -> str:
        graph = self.graph
        left = graph.one(node, ODRL + "leftOperand")
        operator = graph.one(node, ODRL + "operator").removeprefix(ODRL)
        operand, value = self.vocabulary.operands[left], self.value(left)
        reference = graph.one(node, ODRL + "rightOperandReference")
        if value is None:
            return OPEN
        if reference is not None:
            other = self.value(reference)
            return OPEN if other is None else _compared(operator, value, other)
        named = graph.all(node, ODRL + "rightOperand")
        if operand.datatype not in ("term", "text"):
            return _compared(operator, value, named[0])
        values = value if isinstance(value, tuple) else (value,)
        if operand.datatype == "text":
            inside = operator in ("eq", "isAnyOf")
            outcomes = [YES if (v in named) == inside else NO for v in values]
        else:
            scheme = self.vocabulary.schemes[operand.scheme or ""]
            if operator == "isAllOf":
                if any(v not in scheme.terms for v in values):
                    return OPEN
                return _and([_or([_term("isA", v, [name], scheme) for v in values]) for name in named])
            outcomes = [_term(operator, v, named, scheme) for v in values]
        return _and(outcomes) if every else _or(outcomes)

    def value(self, iri: str) -> Any:
        """The value of an operand if it is there and of the right type and unit, else None."""
        fact, operand = self.world.get(iri), self.vocabulary.operands[iri]
        if fact is None or (fact.unit is not None and fact.unit != operand.unit):
            return None
        value = fact.value
        good = {
            "term": lambda: _texts(value),
            "text": lambda: _texts(value) and "" not in (value if isinstance(value, tuple) else (value,)),
            "boolean": lambda: isinstance(value, bool),
            "count": lambda: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
            "date": lambda: isinstance(value, datetime),
            "duration": lambda: isinstance(value, timedelta),
        }[str(operand.datatype)]()
        return value if good else None


_LINKS = (ODRL + "permission", ODRL + "prohibition", ODRL + "obligation")


def evaluate(
    documents: Iterable[bytes], request: AccessRequest, vocabulary: Vocabulary, standing: dict[str, Fact]
) -> str:
    """The effect of policies, given as N-Quads, on a request."""
    return Reference(Graph(documents), request, vocabulary, standing).effect()


def _same(first: Fact, second: Fact) -> bool:
    return type(first.value) is type(second.value) and first.value == second.value


def _kind_of(scheme: Hierarchy, term: str, ancestor: str) -> bool:
    if term not in scheme.terms:
        return False
    return term == ancestor or any(_kind_of(scheme, parent, ancestor) for parent in scheme.terms[term].broader)


def _and(outcomes: list[str]) -> str:
    if NO in outcomes:
        return NO
    return OPEN if OPEN in outcomes else YES


def _or(outcomes: list[str]) -> str:
    if YES in outcomes:
        return YES
    return OPEN if OPEN in outcomes else NO


def _term(operator: str, value: str, named: list[str], scheme: Hierarchy) -> str:
    """One term against those named; one that is wider than a named one may or may not be meant."""
    if value not in scheme.terms:
        return OPEN
    exact = operator in ("eq", "neq")
    if any(value == name if exact else _kind_of(scheme, value, name) for name in named):
        met = YES
    elif any(_kind_of(scheme, name, value) for name in named):
        met = OPEN
    else:
        met = NO
    return {YES: NO, NO: YES, OPEN: OPEN}[met] if operator in ("neq", "isNoneOf") else met


def _texts(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) > 0 and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _compared(operator: str, left: Any, right: Any) -> str:
    holds = {
        "eq": left == right,
        "neq": left != right,
        "lt": left < right,
        "lteq": left <= right,
        "gt": left > right,
        "gteq": left >= right,
    }[operator]
    return YES if holds else NO
