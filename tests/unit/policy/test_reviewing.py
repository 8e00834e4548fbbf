"""Analysis is asked once about the same words beside the same policies, and again about any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from synthema.policy import Policy, reviewing, union_law
from synthema.policy.reviewing import Findings
from tests.unit.policy.sample import V, template


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Policy, ...]]:
    """What analysis was asked about, with what stands beside it."""
    found: list[tuple[Policy, ...]] = []
    really = reviewing.analyse

    def analyse(policy: Policy, vocabulary: Any, others: Sequence[Policy], **more: Any) -> Any:
        found.append((policy, *others))
        return really(policy, vocabulary, others, **more)

    monkeypatch.setattr(reviewing, "analyse", analyse)
    return found


def test_the_same_words_are_analysed_once_and_others_anew(asked: list[tuple[Policy, ...]]) -> None:
    findings, policy, law = Findings(V, {}), template("research-synthetic-data"), union_law(V)
    first = findings.of(policy, [law])
    assert findings.of(template("research-synthetic-data"), [union_law(V)]) == first
    assert asked == [(policy, law)]
    findings.of(policy, [])
    findings.of(replace(policy, title="Other words"), [law])
    assert len(asked) == 3


def test_no_more_is_kept_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "analyse", lambda *_, **__: ())
    findings, policy = Findings(V, {}), template("research-synthetic-data")
    for number in range(100):
        assert findings.of(replace(policy, title=f"Version {number}"), []) == ()
    assert len(findings._found) <= 16
