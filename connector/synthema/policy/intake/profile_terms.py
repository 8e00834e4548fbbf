"""What the Synthema profile adds to ODRL, and where each of its properties may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from synthema.policy.model import Kind
from synthema.vocabulary.namespaces import SYN

TITLE: Final = "http://purl.org/dc/terms/title"
POLICY = frozenset(
    {TITLE}
    | {SYN + n for n in ("layer", "version", "lawReference", "effectiveFrom", "effectiveTo", "siteDecision")}
    | {SYN + n for n in ("inheritance", "ruleOrder")}
)
DUTY = frozenset(SYN + n for n in ("dutyTiming", "deadline", "deadlineAfter", "evidenceType"))
_RULE = frozenset(SYN + n for n in ("lawReference", "sentence"))
RULES: Mapping[Kind, frozenset[str]] = {
    Kind.PERMISSION: _RULE,
    Kind.PROHIBITION: _RULE | {SYN + "unless"},
    Kind.OBLIGATION: _RULE | DUTY | {SYN + "triggeredBy", SYN + "dutyConstraint"},
}
ANYWHERE = POLICY | DUTY.union(*RULES.values())
SECTIONS = {Kind.PERMISSION: "permit", Kind.PROHIBITION: "forbid", Kind.OBLIGATION: "oblige"}
