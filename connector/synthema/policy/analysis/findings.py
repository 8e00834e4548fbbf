"""Reads a policy before it counts: what can never apply, what is shadowed or says nothing, what is missing.

Every question is answered exactly, or by a finding of its own that says it could not be answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synthema.policy.analysis import findings_layers, findings_purpose, findings_rules, findings_text
from synthema.policy.analysis.diagram import MAX_NODES
from synthema.policy.analysis.finding import Finding
from synthema.policy.analysis.ground import Ground
from synthema.policy.model import Fact, Policy
from synthema.vocabulary import Vocabulary


def analyse(
    policy: Policy,
    vocabulary: Vocabulary,
    others: Iterable[Policy] = (),
    *,
    standing: Mapping[str, Fact] | None = None,
    notes: bool = False,
    limit: int = MAX_NODES,
) -> tuple[Finding, ...]:
    """The findings on a policy, alone and beside the policies it would stand with, the gravest first.

    ``others`` are what it stands beside: the law packs, and the policies of other layers.
    ``standing`` facts hold for every request. Inherited rules are resolved beforehand. With
    ``notes`` also what is worth knowing but nothing to mend.
    """
    beside = tuple(other for other in others if other.id != policy.id)
    ground = Ground(policy, beside, vocabulary, dict(standing or {}), limit)
    checks = (*findings_rules.CHECKS, *findings_layers.CHECKS, *findings_purpose.CHECKS, *findings_text.CHECKS)
    found = {finding.key: finding for check in checks for finding in check(ground)}
    order = ("error", "warning", "note")
    wanted = order if notes else order[:2]
    return tuple(sorted((f for f in found.values() if f.severity in wanted), key=lambda f: order.index(f.severity)))
