from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from synthema.policy import (
    AccessRequest,
    Fact,
    Fulfilment,
    Policy,
    compare,
    compile_policies,
    decide,
    semantic_diff,
    union_law,
)
from synthema.policy.analysis import Comparison, Difference, solver
from synthema.policy.analysis.example import example
from synthema.policy.analysis.outcome import Answer
from synthema.policy.model import Constraint, Operator, Refinement
from synthema.vocabulary.namespaces import SYN
from tests.unit.policy.sample import AT, BASE, DATASET, HUB, V, all_policies, form, template

LAW = union_law(V)


def open_layers(policy: Policy) -> list[Policy]:
    """The law of no consequence, and all other layers open, so that the policy alone decides."""
    quiet = form("forbid: [{action: reidentify, targets: nothing}]", layer="union law")
    rest = [form("permit: [{action: use}]", layer=layer) for layer in ("site", "dataset", "agreement")]
    return [
        replace(quiet, id=f"{BASE}/law"),
        *(replace(each, id=f"{BASE}/{each.layer}") for each in rest if each.layer is not policy.layer),
    ]


def effects(old: Policy, new: Policy, difference: Difference) -> tuple[str, str]:
    """How the deciding code decides the witness under both versions, all other layers open."""
    first, second = (
        decide(compile_policies([*open_layers(each), each], V), difference.request).effect for each in (old, new)
    )
    return first, second


def told(*differences: Difference) -> set[tuple[Answer, Answer]]:
    return {(each.before, each.after) for each in differences}


def test_a_raised_bound_is_told_as_the_interval_it_opens() -> None:
    old, new = template("research-synthetic-data"), template("research-synthetic-data", epsilon=8)
    found = compare(old, new, V)
    assert found.complete
    assert {each.kind for each in found.differences} == {"allowed"}
    assert all(
        "when the privacy loss ε of this release is more than 6 and at most 8" in each.sentence
        for each in found.differences
    )
    for each in found.differences:
        assert effects(old, new, each) == ("deny", "permit")
        assert 6 < each.request.facts[SYN + "epsilonRequested"].value <= 8  # type: ignore[operator]
    back = compare(new, old, V)
    assert {each.kind for each in back.differences} == {"denied"}
    assert not any(each.widens for each in back.differences)


def test_with_the_other_layers_only_what_changes_the_decision_is_told() -> None:
    old, new = template("research-synthetic-data"), template("research-synthetic-data", epsilon=8)
    beside = [policy for policy in all_policies() if policy.id != old.id]
    assert compare(old, new, V, beside=beside) == Comparison(())  # the agreement stops at 6
    wider = [template("study-agreement", epsilon=7) if p.id.endswith("mgus-study") else p for p in beside]
    found = compare(old, new, V, beside=wider)
    assert found.complete
    for each in found.differences:
        before, after = (decide(compile_policies([*wider, version], V), each.request).effect for version in (old, new))
        assert (before, after) == ("deny", "permit")
        assert "more than 6 and at most 7" in each.sentence


def test_narrowing_and_new_prohibitions_are_told_apart() -> None:
    old = form("permit: [{action: use, when: {purpose is: health research}}]")
    narrower = form("permit: [{action: use, when: {purpose is: training of algorithms}}]")
    (difference,) = semantic_diff(old, narrower, V)
    assert (difference.before, difference.after, difference.widens) == (Answer.PERMITS, Answer.SILENT, False)
    assert "scientific research in health and care (as such)" in difference.sentence
    assert effects(old, narrower, difference) == ("permit", "deny")
    stricter = form("permit: [{action: use, when: {purpose is: health research}}]\nforbid: [{action: export}]")
    assert told(*semantic_diff(old, stricter, V)) == {
        (Answer.SILENT, Answer.FORBIDS),
        (Answer.PERMITS, Answer.FORBIDS),
    }
    assert told(*semantic_diff(stricter, old, V)) == {
        (Answer.FORBIDS, Answer.SILENT),
        (Answer.FORBIDS, Answer.PERMITS),
    }


def test_other_words_for_the_same_are_no_difference() -> None:
    old = form("permit: [{action: use, when: {purpose is: health research}}]")
    for same in (
        "permit: [{action: use, id: other, when: {purpose is any of: [health research]}}]",
        "permit: [{action: use, when: {purpose is: [health research, training of algorithms]}}]",
        """
permit:
  - action: use
    when:
      any of:
        - {purpose is: health research, epsilon at most: 3}
        - {purpose is: health research}
""",
    ):
        assert compare(old, form(same), V) == Comparison(())


def test_a_missing_fact_is_told_where_it_makes_the_difference() -> None:
    old = form("permit: [{action: use}]")
    new = form("permit: [{action: use}]\nforbid: [{action: synthesise, when: {purpose is: dpv:Marketing}}]")
    (difference,) = semantic_diff(old, new, V)
    assert "too unclear to tell or not stated, also among other values" in difference.sentence
    several = AccessRequest("r", V.actions.resolve("synthesise"), DATASET, HUB, AT, {
        V.operand("purpose").iri: Fact((V.purposes.resolve("education"), V.purposes.resolve("dpv:Marketing"))),
    })  # fmt: skip
    assert difference.holds(several)
    assert difference.holds(replace(several, facts={}))
    assert not difference.holds(
        replace(several, facts={V.operand("purpose").iri: Fact(V.purposes.resolve("education"))})
    )


def test_duties_parties_datasets_collections_and_times_are_dimensions() -> None:
    old = form("permit: [{action: use}]")
    duty = form("permit: [{action: use, duties: [sign agreement]}]")
    (difference,) = semantic_diff(old, duty, V)
    assert "this was not done: sign the data use agreement" in difference.sentence
    done = Fulfilment(V.duties.resolve("sign agreement"), AT, HUB)
    assert not difference.holds(replace(difference.request, fulfilled=(done,), at=AT))

    party = form("permit: [{action: use, assignees: did:web:hub.example}]")
    (difference,) = semantic_diff(old, party, V)
    assert "the party is any other than those that are named" in difference.sentence
    assert effects(old, party, difference) == ("permit", "deny")

    dataset = form(f"permit: [{{action: use, targets: {DATASET}}}]")
    (difference,) = semantic_diff(old, dataset, V)
    inside = AccessRequest("r", difference.request.action, "urn:x", HUB, AT, {}, (), {"urn:x": (DATASET,)})
    assert not difference.holds(inside)
    assert difference.holds(replace(inside, collections={}))

    ended = replace(old, effective_to=AT)
    (difference,) = semantic_diff(old, ended, V)
    assert difference.holds(replace(difference.request, at=AT))
    assert not difference.holds(replace(difference.request, at=AT - timedelta(microseconds=1)))

    oblige = form("permit: [{action: use}]\noblige: [{action: export, duty: sign agreement}]")
    assert told(*semantic_diff(old, oblige, V)) == {(Answer.PERMITS, Answer.DEMANDS)}


def test_other_duties_with_the_same_permit_are_told() -> None:
    old = form("permit: [{action: use, duties: [{do: publish results, when: after}]}]")
    new = form("""
permit: [{action: use, duties: [{do: publish results, when: after, within: P548D, counted from: completion}]}]
oblige: [{action: synthesise, duty: {do: delete, when: after}}]
""")
    found = compare(old, new, V)
    assert found.complete
    assert {(each.kind, each.widens) for each in found.differences} == {("duties changed", False)}
    said = " ".join(each.sentence for each in found.differences)
    assert "Permitted as before, now with this duty: afterwards, delete the data" in said
    assert "no longer with this duty: afterwards, publish the results" in said
    for each in found.differences:
        before, after = (
            {duty.action for duty in decide(compile_policies([*open_layers(p), p], V), each.request).obligations}
            for p in (old, new)
        )
        assert before < after or before == after


def test_refinements_are_followed() -> None:
    head = f"permit: [{{action: use, targets: [{DATASET}, {BASE}/id/dataset/other]}}]"
    old = form(head)
    (rule,) = old.rules
    refined = Refinement(DATASET, Constraint(V.operand("cohort size").iri, Operator.GTEQ, 50))
    new = replace(old, rules=(replace(rule, refinements=(refined,)),))
    (difference,) = semantic_diff(old, new, V)
    assert "the number of patients in the cohort is less than 50 or not stated" in difference.sentence
    assert f"the dataset is {DATASET} and nothing else that is named" in difference.sentence
    assert effects(old, new, difference) == ("permit", "deny")


def test_the_comparison_says_when_it_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = template("research-synthetic-data"), template("research-synthetic-data", epsilon=8)
    monkeypatch.setattr(solver, "available", lambda: False)
    found = compare(old, new, V, limit=5)
    assert not found.complete
    assert "more than 5 nodes" in found.reason
    assert found.sentences()[-1].startswith("This may not be all")


@pytest.mark.skipif(not solver.available(), reason="the extra [analysis] is not installed")
def test_where_there_are_too_many_classes_the_solver_gives_a_witness_or_shows_there_is_none() -> None:
    old, new = template("research-synthetic-data"), template("research-synthetic-data", epsilon=8)
    found = compare(old, new, V, limit=5)
    assert not found.complete
    (difference,) = found.differences
    assert effects(old, new, difference) == ("deny", "permit")
    assert not difference.holds(difference.request), "it stands for itself only"
    assert compare(old, replace(old, rules=old.rules[::-1]), V, limit=5) == Comparison(())


def test_a_difference_is_json_for_machines_and_one_line_for_people() -> None:
    old, new = template("research-synthetic-data"), template("research-synthetic-data", epsilon=8)
    record = compare(old, new, V).record()
    assert record["complete"] is True
    first = record["differences"][0]
    assert first["class"][SYN + "epsilonRequested"] == {
        "intervals": [{"low": "6", "lowIncluded": False, "high": "8", "highIncluded": True}],
        "unstated": False,
    }
    assert first["witness"]["facts"][SYN + "epsilonRequested"]["value"] == ["number", "7.0"]
    line = example(compare(old, new, V).differences[0].request, V)
    assert "purpose: health research" in line
    assert "epsilon: 7" in line


def test_a_real_policy_with_all_layers_is_compared_whole() -> None:
    old = template("dataset-consented-research")
    new = replace(old, rules=tuple(rule for rule in old.rules if not rule.id.endswith("no-linkage")))
    beside = [policy for policy in all_policies() if policy.id != old.id]
    alone = compare(old, new, V)
    assert alone.complete
    assert {each.kind for each in alone.differences} == {"allowed", "no longer forbidden"}
    whole = compare(old, new, V, beside=beside)
    assert whole.complete
    assert {each.kind for each in whole.differences} <= {"no longer forbidden"}  # nobody else permits linkage
    assert LAW.id in {policy.id for policy in beside}
