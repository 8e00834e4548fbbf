"""A decision of ours in the vocabulary of compliance reports, with its provenance (W3C PROV-O).

The decision is an activity that used facts (entities with their evidence) and generated one
report per policy that carried it. Written from the recorded decision alone, without blank nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from pyoxigraph import Literal, NamedNode

from synthema.errors import InputError
from synthema.policy.decision import Decision
from synthema.policy.evaluator.literals import XSD, literal
from synthema.policy.evaluator.statements import COMMENT, PROV, Statements
from synthema.policy.evaluator.terms import DCT, REPORT
from synthema.policy.intake.graph import RDF, Node, Syntax
from synthema.policy.wellformed import is_iri
from synthema.vocabulary.namespaces import ODRL, SYN

_RULES = {"permission": "PermissionReport", "prohibition": "ProhibitionReport", "obligation": "DutyReport"}
_TYPES = {"boolean": "boolean", "count": "integer", "number": "double", "date": "dateTime"}


def decision_report(
    decision: Decision | Mapping[str, Any], syntax: Syntax = Syntax.TURTLE, *, iri: str | None = None
) -> bytes:
    """The report on a decision, or on the record of one (:meth:`Decision.as_dict`).

    ``iri`` names the decision where it has a name already; N-Quads stand in a graph of that
    name. Raises :class:`InputError` on something that is no record of a decision.
    """
    record = decision.as_dict() if isinstance(decision, Decision) else decision
    try:
        writer = _Writer(record, iri)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError("this is no recorded decision", fix="give the record as it was written") from error
    return writer.out.written(syntax, writer.me if syntax is Syntax.N_QUADS else None)


class _Writer:
    def __init__(self, record: Mapping[str, Any], iri: str | None) -> None:
        request = record["request"]
        self.out = Statements(f"{record['request_digest']}\n{record['policy_digest']}\n{record['vocabulary_version']}")
        self.me = iri or self.out.name("decision")
        self._at = Literal(request["at"], datatype=NamedNode(XSD + "dateTime"))
        self._facts: dict[str, str] = {}
        self._decision(record, request)
        reasons = sorted(record["reasons"], key=lambda r: (r["policy"] or "", r["rule"] or ""))
        for policy, of_policy in groupby(reasons, key=lambda r: r["policy"]):
            if policy is None:
                self.out.value(self.me, COMMENT, *(reason["explanation"] for reason in of_policy))
            else:
                self._policy(policy, list(of_policy))
        for number, obligation in enumerate(record["obligations"], start=1):
            self._obligation(obligation, number)

    def _decision(self, record: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        out, me = self.out, self.me
        out.type(me, PROV + "Activity", SYN + "Decision")
        out.value(me, PROV + "startedAtTime", self._at)
        out.value(me, PROV + "endedAtTime", self._at)
        out.value(me, SYN + "effect", record["effect"])
        out.value(me, SYN + "requestDigest", record["request_digest"])
        out.value(me, SYN + "policyDigest", record["policy_digest"])
        self.request = request["id"] if is_iri(request["id"]) else out.name("request", request["id"])
        out.type(self.request, PROV + "Entity", ODRL + "Request")
        out.node(me, PROV + "used", self.request)
        for predicate, key in (("action", "action"), ("target", "target"), ("assignee", "assignee")):
            out.value(self.request, ODRL + predicate, _text(request[key]))
        for operand, fact in sorted(request["facts"].items()):
            self._fact(operand, fact)

    def _fact(self, operand: str, fact: Mapping[str, Any]) -> None:
        entity = self._facts[operand] = self.out.name("fact", operand)
        self.out.type(entity, PROV + "Entity")
        self.out.node(self.me, PROV + "used", entity)
        self.out.node(entity, ODRL + "leftOperand", operand)
        self.out.value(entity, RDF + "value", *_recorded(fact["value"]))
        if fact.get("unit"):
            self.out.value(entity, ODRL + "unit", fact["unit"])
        if fact.get("evidence"):
            shown = fact["evidence"] if is_iri(fact["evidence"]) else self.out.name("evidence", fact["evidence"])
            self.out.type(shown, PROV + "Entity")
            self.out.node(entity, PROV + "wasDerivedFrom", shown)
            if shown != fact["evidence"]:
                self.out.value(shown, SYN + "digest", fact["evidence"])

    def _policy(self, policy: str, reasons: list[Mapping[str, Any]]) -> None:
        out, me = self.out, self.out.name("report", policy)
        out.type(me, REPORT + "PolicyReport", PROV + "Entity")
        out.value(me, DCT + "created", self._at)
        out.node(me, REPORT + "policy", policy)
        out.node(me, REPORT + "policyRequest", self.request)
        out.node(me, PROV + "wasGeneratedBy", self.me)
        for rule, of_rule in groupby(reasons, key=lambda r: r["rule"]):
            if rule is not None:
                out.node(me, REPORT + "ruleReport", self._rule(me, rule, list(of_rule)))

    def _rule(self, parent: str, rule: str, reasons: list[Mapping[str, Any]]) -> str:
        out, me, effect = self.out, self.out.name(parent, rule), reasons[0]["effect"]
        out.type(me, REPORT + _RULES.get(effect, "RuleReport"))
        out.node(me, REPORT + "rule", rule)
        out.node(me, REPORT + "ruleRequest", self.request)
        held = all(reason["satisfied"] is True for reason in reasons)
        # A prohibition among the reasons stood against the request, an obligation was still open.
        active = held if effect == "permission" else True
        out.node(me, REPORT + "activationState", REPORT + ("Active" if active else "Inactive"))
        if effect != "obligation":
            out.node(me, REPORT + "attemptState", REPORT + "Attempted")
        else:
            out.node(me, REPORT + "deonticState", REPORT + "NonSet")
        for number, reason in enumerate(reasons, start=1):
            out.value(me, COMMENT, reason["explanation"])
            for law in reason["law"]:
                out.value(me, SYN + "article", law["article"])
                out.node(me, SYN + "eli", law["eli"])
            if reason["operand"] is not None:
                out.node(me, REPORT + "premiseReport", self._constraint(me, reason, number))
        return me

    def _constraint(self, parent: str, reason: Mapping[str, Any], number: int) -> str:
        out, me = self.out, self.out.name(parent, reason["operand"], str(number))
        out.type(me, REPORT + "ConstraintReport")
        out.node(me, ODRL + "leftOperand", reason["operand"])
        out.node(me, REPORT + "constraintOperator", ODRL + reason["operator"])
        out.value(me, REPORT + "constraintRightOperand", *_plain(reason["required"]))
        out.value(me, REPORT + "constraintLeftOperand", *_plain(reason["actual"]))
        out.node(me, REPORT + "satisfactionState", REPORT + ("Satisfied" if reason["satisfied"] else "Unsatisfied"))
        if reason["problem"]:
            out.value(me, COMMENT, reason["problem"])
        if reason["operand"] in self._facts:
            out.node(me, PROV + "wasDerivedFrom", self._facts[reason["operand"]])
        return me

    def _obligation(self, obligation: Mapping[str, Any], number: int) -> None:
        out, me = self.out, self.out.name("obligation", str(number))
        out.type(me, REPORT + "DutyReport", PROV + "Entity")
        out.node(me, PROV + "wasGeneratedBy", self.me)
        out.node(me, REPORT + "rule", obligation["rule"])
        out.node(me, ODRL + "action", obligation["action"])
        out.node(me, REPORT + "activationState", REPORT + "Active")
        out.node(me, REPORT + "performanceState", REPORT + "Unknown")
        out.node(me, REPORT + "deonticState", REPORT + "NonSet")
        if obligation["due"]:
            out.value(me, SYN + "due", Literal(obligation["due"], datatype=NamedNode(XSD + "dateTime")))


def _text(text: str) -> Node:
    return NamedNode(text) if is_iri(text) else Literal(text)


def _plain(value: Any) -> list[Node]:
    """A value of a recorded reason: JSON, where an identifier is a node."""
    if isinstance(value, bool | int | float):
        return [literal(value)]
    if isinstance(value, Mapping):
        return [NamedNode(value["operand"])]
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [_text(str(item)) for item in items]


def _recorded(record: list[str]) -> list[Node]:
    """A value of a recorded fact: its kind, then its texts."""
    kind, *texts = record
    if kind in _TYPES:
        return [Literal(text, datatype=NamedNode(XSD + _TYPES[kind])) for text in texts]
    return [_text(text) for text in texts]
