"""Analysis before activation: findings, what a new version changes, cases and what they cover, what would be if."""

from synthema.policy.analysis.ask import Answered, Reply, can_exceed, can_hold
from synthema.policy.analysis.case_requests import facts_of, read_what_if
from synthema.policy.analysis.cases import (
    Case,
    CaseFile,
    CaseResult,
    case_record,
    inherited,
    load_case_files,
    read_cases,
    resolved,
    run_cases,
)
from synthema.policy.analysis.coverage import Coverage, Gap, cover
from synthema.policy.analysis.difference import Comparison, Difference, compare, semantic_diff
from synthema.policy.analysis.finding import Finding, placed, rule_places
from synthema.policy.analysis.findings import analyse
from synthema.policy.analysis.outcome import Answer
from synthema.policy.analysis.replaying import Recorded, Replayed, decide_again, decide_otherwise, summary
from synthema.policy.analysis.whatif import Turn, WhatIf, what_if, with_draft

__all__ = [
    "Answer",
    "Answered",
    "Case",
    "CaseFile",
    "CaseResult",
    "Comparison",
    "Coverage",
    "Difference",
    "Finding",
    "Gap",
    "Recorded",
    "Replayed",
    "Reply",
    "Turn",
    "WhatIf",
    "analyse",
    "can_exceed",
    "can_hold",
    "case_record",
    "compare",
    "cover",
    "decide_again",
    "decide_otherwise",
    "facts_of",
    "inherited",
    "load_case_files",
    "placed",
    "read_cases",
    "read_what_if",
    "resolved",
    "rule_places",
    "run_cases",
    "semantic_diff",
    "summary",
    "what_if",
    "with_draft",
]
