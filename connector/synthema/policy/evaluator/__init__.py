"""Evaluates ODRL 2.2 policies of anyone, by the W3C draft of the formal semantics, and reports in RDF.

This is for policies of others: our own are decided by :func:`synthema.policy.decide`,
with layers, law and evidence. Both compare with the same engine.
"""

from synthema.policy.evaluator.asking import read_request
from synthema.policy.evaluator.decision_report import decision_report
from synthema.policy.evaluator.evaluation import Evaluation, PolicyState, evaluate
from synthema.policy.evaluator.report import compliance_report
from synthema.policy.evaluator.semantics import Options, RuleState
from synthema.policy.evaluator.told import as_json, sentences
from synthema.policy.evaluator.world import read_world

__all__ = [
    "Evaluation",
    "Options",
    "PolicyState",
    "RuleState",
    "as_json",
    "compliance_report",
    "decision_report",
    "evaluate",
    "read_request",
    "read_world",
    "sentences",
]
