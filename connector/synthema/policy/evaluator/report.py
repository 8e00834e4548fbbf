"""The evaluation as RDF: the Compliance Report Model, or the names of the W3C draft.

``force`` (https://w3id.org/force/compliance-report#): a rule report is active when all its premises are
satisfied: its constraints, and that the act falls under its asset, party and action. ``w3c``
(https://w3id.org/odrl-fs#): activation rests on constraints and duties alone, and ``controlState`` says
whether the act is permitted; the draft has not settled its names yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthema.policy.compile import Verdict
from synthema.policy.evaluator.conditions import Judgement
from synthema.policy.evaluator.evaluation import ActState, Evaluation, PolicyState
from synthema.policy.evaluator.literals import literal
from synthema.policy.evaluator.semantics import DutyState, RuleState
from synthema.policy.evaluator.situation import Premise
from synthema.policy.evaluator.statements import COMMENT, PROV, Statements
from synthema.policy.evaluator.terms import DCT, FS, REPORT
from synthema.policy.intake.graph import Syntax
from synthema.policy.intake.statements import Joined
from synthema.vocabulary.namespaces import ODRL, SYN

Words = Literal["force", "w3c"]

_RULES = {
    "permission": "PermissionReport",
    "prohibition": "ProhibitionReport",
    "obligation": "DutyReport",
}
_PREMISES = {"target": "TargetReport", "party": "PartyReport", "action": "ActionReport"}
_DRAFT = {"Unsatisfied": "NotSatisfied", "NonSet": "NotSet"}


def compliance_report(evaluation: Evaluation, words: Words = "force", syntax: Syntax = Syntax.TURTLE) -> bytes:
    """The report on an evaluation; the same inputs give the same bytes."""
    at = "" if evaluation.at is None else evaluation.at.isoformat()
    seed = f"{evaluation.digest}\n{at}\n{evaluation.options}\n{words}"
    writer = _Report(evaluation, Statements(seed), words)
    for state in evaluation.policies:
        writer.policy(state)
    return writer.out.written(syntax)


@dataclass(slots=True)
class _Report:
    evaluation: Evaluation
    out: Statements
    words: Words

    def _term(self, name: str) -> str:
        return REPORT + name if self.words == "force" else FS + _DRAFT.get(name, name)

    def policy(self, state: PolicyState) -> None:
        me = self.out.name(state.policy.iri)
        self.out.type(me, self._term("PolicyReport"))
        if self.evaluation.at is not None:
            self.out.value(me, DCT + "created", literal(self.evaluation.at))
        self.out.node(me, self._term("policy"), state.policy.iri)
        asked = self.evaluation.asked
        if asked is not None:
            self.out.node(me, self._term("policyRequest" if self.words == "force" else "evaluationRequest"), asked.iri)
            if state.considered:
                self.out.value(me, SYN + "effect", state.effect)
        if self.words == "w3c" and self.evaluation.world.iri is not None:
            self.out.node(me, FS + "state", self.evaluation.world.iri)
        self.out.value(me, COMMENT, *state.notes)
        for rule in state.rules:
            self.out.node(me, self._term("ruleReport"), self._rule(me, rule))
        for act in state.acts:
            self.out.node(me, SYN + "actReport", self._act(me, act))

    def _act(self, parent: str, state: ActState) -> str:
        me = self.out.name(parent, "act", state.act.node)
        self.out.node(me, SYN + "performedAct", state.act.node)
        self.out.value(me, SYN + "effect", state.effect)
        if state.settled:
            self.out.value(me, COMMENT, "The violation was settled by its remedies.")
        return me

    def _rule(self, parent: str, state: RuleState) -> str:
        rule = state.rule
        me = self.out.name(parent, rule.node)
        self.out.type(me, self._term(_RULES[rule.kind] if self.words == "force" else "RuleReport"))
        self.out.node(me, self._term("rule"), rule.node)
        self._states(me, state)
        self.out.node(me, PROV + "wasDerivedFrom", *(act.node for act in state.by))
        premises = () if rule.kind == "obligation" else state.premises
        for premise in premises:
            self.out.node(me, self._term("premiseReport"), self._premise(me, premise, rule.kind))
        for judgement in state.constraints:
            self.out.node(me, self._term("premiseReport"), self._constraint(me, judgement, rule.kind))
        for item in (*state.duties, *state.remedies):
            self.out.node(me, self._term("conditionReport"), self._duty(me, item))
        return me

    def _states(self, me: str, state: RuleState) -> None:
        asked, duty = self.evaluation.asked, state.rule.kind == "obligation"
        if asked is not None and not duty:
            self.out.node(me, self._term("ruleRequest"), asked.node)
        if not duty:
            self._state(me, "attemptState", "Attempted" if asked is not None else "NotAttempted")
        self._state(me, "activationState", "Active" if self._active(state) else "Inactive")
        if self.words == "w3c" and state.rule.kind == "permission" and asked is not None:
            self._state(me, "controlState", "Permit" if state.active and state.applies is True else "Deny")
        if duty or state.performance != "Unknown":
            self._state(me, "performanceState", state.performance)
        if state.deontic is not None:
            self._state(me, "deonticState", state.deontic)
        if state.settled:
            self.out.value(me, COMMENT, "The violation was settled by its remedies.")

    def _active(self, state: RuleState) -> bool:
        if self.words == "w3c" or state.rule.kind == "obligation" or self.evaluation.asked is None:
            return state.active
        cautious = state.rule.kind == "prohibition" and self.evaluation.options.missing == "cautious"
        return state.active and (state.applies is True or (cautious and state.applies is None))

    def _duty(self, parent: str, state: DutyState) -> str:
        me = self.out.name(parent, state.rule.node)
        self.out.type(me, self._term("DutyReport" if self.words == "force" else "ConditionReport"))
        self.out.node(me, self._term("rule" if self.words == "force" else "condition"), state.rule.node)
        self._state(me, "activationState", "Active" if state.active else "Inactive")
        self._state(me, "performanceState", state.performance)
        self._state(me, "deonticState", state.deontic)
        self.out.node(me, PROV + "wasDerivedFrom", *(act.node for act in state.by))
        for judgement in state.constraints:
            self.out.node(me, self._term("premiseReport"), self._constraint(me, judgement, "duty"))
        for item in state.consequences:
            self.out.node(me, self._term("conditionReport"), self._duty(me, item))
        return me

    def _premise(self, parent: str, premise: Premise, kind: str) -> str:
        me = self.out.name(parent, premise.scope)
        self.out.type(me, self._term(_PREMISES[premise.scope]))
        self._satisfaction(me, premise.verdict)
        for judgement in premise.refinements:
            self.out.node(me, self._term("premiseReport"), self._constraint(me, judgement, kind))
        return me

    def _constraint(self, parent: str, judgement: Judgement, kind: str) -> str:
        written = judgement.written
        me = self.out.name(parent, written.node)
        self.out.type(me, self._term("ConstraintReport"))
        self.out.node(me, self._term("constraint"), written.node)
        self._satisfaction(me, judgement.verdict)
        if isinstance(written, Joined):
            self.out.node(me, self._term("constraintLogicalOperand"), ODRL + written.how)
            for part in judgement.parts:
                self.out.node(me, self._term("premiseReport"), self._constraint(me, part, kind))
            return me
        self.out.value(me, self._term("constraintLeftOperand"), *judgement.actual)
        self.out.node(me, self._term("constraintOperator"), ODRL + written.operator)
        self.out.value(me, self._term("constraintRightOperand"), *judgement.right)
        if judgement.verdict is None:
            counts = "; the rule counts as if it held" if kind in ("prohibition", "obligation", "duty") else ""
            self.out.value(me, COMMENT, f"It cannot be told: {judgement.problem}{counts}.")
        return me

    def _satisfaction(self, me: str, verdict: Verdict) -> None:
        self._state(me, "satisfactionState", "Satisfied" if verdict is True else "Unsatisfied")

    def _state(self, me: str, predicate: str, name: str) -> None:
        self.out.node(me, self._term(predicate), self._term(name))
