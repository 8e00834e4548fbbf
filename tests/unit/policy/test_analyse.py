from __future__ import annotations

import pytest

from synthema.policy import Policy, analyse, decide, semantic_diff, union_law
from synthema.policy.compile import compile_policies
from tests.unit.policy.sample import VALUES, V, all_policies, form, moved, template


def codes(policy: Policy, *others: Policy) -> set[str]:
    return {finding.code for finding in analyse(policy, V, others)}


def test_everything_shipped_is_clean() -> None:
    policies = [*all_policies(), template("synthetic-data-offer")]
    for policy in policies:
        assert analyse(policy, V, policies[:4]) == ()


@pytest.mark.parametrize(
    "condition",
    [
        "{epsilon at most: 1, epsilon more than: 1}",
        "{all of: [{cohort size more than: 4}, {cohort size less than: 5}]}",
        "{purpose is: education, all of: [{purpose is: health research}]}",
        "{purpose is: dpv:Marketing, purpose is none of: [advertising and marketing]}",
        "{all of: [{public sector body is: true}, {public sector body is: false}]}",
        "{any of: [{all of: [{delta less than: 0}, {delta more than: 1}]}, {all of: [{delta is: 1}, {delta is: 2}]}]}",
        "{time before: 2026-01-01, time on or after: 2026-01-01}",
    ],
)
def test_a_permission_that_can_never_apply_is_found(condition: str) -> None:
    policy = form(f"permit: [{{action: use, when: {condition}}}]\nconfirmed: {{}}".replace("\nconfirmed: {}", ""))
    assert "never-applies" in codes(policy)


@pytest.mark.parametrize(
    "condition", ["{epsilon at most: 1, delta more than: 1}", "{purpose is: [education, statistics]}"]
)
def test_what_can_apply_is_left_alone(condition: str) -> None:
    assert "never-applies" not in codes(form(f"permit: [{{action: use, when: {condition}}}]"))


def test_shadowed_rules_are_found_inside_a_policy_and_between_layers() -> None:
    shadowed = form("""
permit: [{action: synthesise, when: {purpose is: dpv:Advertising, epsilon at most: 6}}]
forbid: [{action: process data, when: {purpose is: dpv:Marketing}}]
confirmed: {epsilon: agreed}
""")
    assert codes(shadowed) == {"shadowed"}
    alone = form("permit: [{action: synthesise, when: {purpose is: dpv:Advertising}}]")
    assert codes(alone, union_law(V)) == {"conflict"}
    excepted = form("""
permit: [{action: synthesise, when: {output is: synthetic}}]
forbid: [{action: use, unless: {output is: [synthetic, aggregate]}}]
""")
    assert codes(excepted) == set()
    narrower = form("""
permit: [{action: synthesise}]
forbid: [{action: use, when: {purpose is: dpv:Marketing}}, {action: use, assignees: did:web:x.example}]
""")
    assert codes(narrower) == set()


def test_thresholds_need_a_confirmation_with_a_reason() -> None:
    policy = form("permit: [{action: use, when: {epsilon at most: 6, all of: [{epsilon at most: epsilon remaining}]}}]")
    (finding,) = analyse(policy, V)
    assert finding.severity == "error"
    assert finding.sentence.startswith("site decision required: the threshold for the privacy loss ε")
    assert codes(form("permit: [{action: use}]\nconfirmed: {epsilon: agreed}")) == {"idle-confirmation"}


def test_a_rule_needs_a_law() -> None:
    policy = form("permit: [{action: use}]")
    assert codes(Policy(policy.id, policy.layer, "1", "x", policy.rules)) == {"no-law"}


def test_the_diff_gives_witnesses_that_both_versions_answer_as_said() -> None:
    old = template("research-synthetic-data")
    new = template("research-synthetic-data", epsilon=8)
    found = semantic_diff(old, new, V)
    assert found
    assert all(difference.widens for difference in found)
    assert "the privacy loss ε of this release is 8" in found[0].sentence
    others = [policy for policy in all_policies() if policy.layer == "L0"]
    for difference in found:
        before, after = (
            decide(compile_policies([*others, policy], V), moved(difference.request)).reasons for policy in (old, new)
        )
        assert any(reason.policy == old.id for reason in before)
        assert not any(reason.policy == new.id and reason.effect == "permission" for reason in after)


def test_the_diff_sees_narrowing_new_prohibitions_and_nothing_where_nothing_changed() -> None:
    old = form("permit: [{action: use, when: {purpose is: health research}}]")
    narrower = form("permit: [{action: use, when: {purpose is: training of algorithms}}]")
    (difference,) = semantic_diff(old, narrower, V)
    assert (difference.before, difference.after, difference.widens) == ("permits", "is silent", False)
    stricter = form("permit: [{action: use, when: {purpose is: health research}}]\nforbid: [{action: export}]")
    assert {(d.before, d.after) for d in semantic_diff(old, stricter, V)} >= {
        ("is silent", "forbids"),
        ("permits", "forbids"),
    }
    reworded = form("permit: [{action: use, id: other, when: {purpose is any of: [health research]}}]")
    assert semantic_diff(old, reworded, V) == ()
    assert len(VALUES) == 4
