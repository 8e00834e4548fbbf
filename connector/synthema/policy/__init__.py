"""The policy language: authoring form ⇄ model ⇄ ODRL; compile; decide; explain; analyse; policy cases."""

from synthema.policy.analysis import (
    Case,
    CaseFile,
    CaseResult,
    Comparison,
    Difference,
    Finding,
    analyse,
    compare,
    load_case_files,
    read_cases,
    run_cases,
    semantic_diff,
)
from synthema.policy.authoring import parse_policy
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.decide import decide, replay
from synthema.policy.decision import Change, Decision, Obligation, Reason, read_request, request_record
from synthema.policy.explain import explain_policy, explain_rule
from synthema.policy.inheritance import resolve
from synthema.policy.law import example_member_state_law, load_pack, member_state_law, standing_facts, union_law
from synthema.policy.memberships import Collection, CollectionKind, CollectionRegister
from synthema.policy.model import (
    ANY_DATASET,
    AccessRequest,
    Combination,
    Constraint,
    Duty,
    Fact,
    Fulfilment,
    Kind,
    LawReference,
    Layer,
    OperandReference,
    Operator,
    Parent,
    Policy,
    Refinement,
    Rule,
    SiteDecision,
    Timing,
)
from synthema.policy.odrl import from_odrl, policy_digest, to_odrl
from synthema.policy.rdf import to_nquads, to_turtle
from synthema.policy.requests import access_request
from synthema.policy.reviewing import Review
from synthema.policy.schema import form_schema, schema_text
from synthema.policy.store import PolicyStore
from synthema.policy.templates import placeholders, render, template_names
from synthema.policy.versions import PolicyState, PolicyVersion, signing_bytes
from synthema.policy.writing import write_form

__all__ = [
    "ANY_DATASET",
    "AccessRequest",
    "Case",
    "CaseFile",
    "CaseResult",
    "Change",
    "Collection",
    "CollectionKind",
    "CollectionRegister",
    "Combination",
    "Comparison",
    "CompiledPolicies",
    "Constraint",
    "Decision",
    "Difference",
    "Duty",
    "Fact",
    "Finding",
    "Fulfilment",
    "Kind",
    "LawReference",
    "Layer",
    "Obligation",
    "OperandReference",
    "Operator",
    "Parent",
    "Policy",
    "PolicyState",
    "PolicyStore",
    "PolicyVersion",
    "Reason",
    "Refinement",
    "Review",
    "Rule",
    "SiteDecision",
    "Timing",
    "access_request",
    "analyse",
    "compare",
    "compile_policies",
    "decide",
    "example_member_state_law",
    "explain_policy",
    "explain_rule",
    "form_schema",
    "from_odrl",
    "load_case_files",
    "load_pack",
    "member_state_law",
    "parse_policy",
    "placeholders",
    "policy_digest",
    "read_cases",
    "read_request",
    "render",
    "replay",
    "request_record",
    "resolve",
    "run_cases",
    "schema_text",
    "semantic_diff",
    "signing_bytes",
    "standing_facts",
    "template_names",
    "to_nquads",
    "to_odrl",
    "to_turtle",
    "union_law",
    "write_form",
]
