from __future__ import annotations

from dataclasses import replace

import pytest

from synthema.policy import Policy, analyse, decide, example_member_state_law, union_law
from synthema.policy.analysis import Finding, placed, rule_places, solver
from synthema.policy.analysis.ground import Ground
from synthema.policy.compile import compile_policies
from synthema.policy.model import Kind
from synthema.vocabulary import Hierarchy, Vocabulary
from tests.unit.policy.sample import BASE, V, all_policies, form, template

LAW = union_law(V)


def codes(policy: Policy, *others: Policy) -> set[str]:
    return {finding.code for finding in analyse(policy, V, others)}


def found(code: str, policy: Policy, *others: Policy, notes: bool = False) -> list[Finding]:
    return [finding for finding in analyse(policy, V, others, notes=notes) if finding.code == code]


def test_everything_shipped_is_clean() -> None:
    policies = [*all_policies(), template("synthetic-data-offer")]
    for policy in policies:
        assert analyse(policy, V, policies[:4]) == ()


# rules by themselves -------------------------------------------------------------------------


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
        # What only the relation between two operands rules out.
        "{epsilon at most: epsilon remaining, epsilon more than: 5, epsilon remaining at most: 5}",
        "{all of: [{epsilon less than: epsilon remaining}, {epsilon remaining less than: epsilon}]}",
        # Nothing lies strictly between two whole numbers.
        "{contributing parties more than: 3, contributing parties less than: 4}",
        "{exactly one of: [{epsilon at most: 1}, {epsilon at most: 1, delta at most: 1}], epsilon more than: 1}",
        "{data category includes all of: [ehds:GenomicData], data category is none of: [syn:Art51Category]}",
    ],
)
def test_a_permission_that_can_never_apply_is_found(condition: str) -> None:
    assert "never-applies" in codes(form(f"permit: [{{action: use, when: {condition}}}]"))


@pytest.mark.parametrize(
    "condition",
    [
        "{epsilon at most: 1, delta more than: 1}",
        "{purpose is: [education, statistics]}",
        "{epsilon at most: epsilon remaining, epsilon more than: 5, epsilon remaining at most: 6}",
        "{contributing parties more than: 3, contributing parties less than: 5}",
    ],
)
def test_what_can_apply_is_left_alone(condition: str) -> None:
    assert "never-applies" not in codes(form(f"permit: [{{action: use, when: {condition}}}]"))


def test_a_contradictory_prohibition_still_counts_where_facts_are_missing() -> None:
    policy = form("permit: [{action: use}]\nforbid: [{action: use, when: {epsilon at most: 1, epsilon more than: 1}}]")
    (finding,) = found("never-forbids", policy)
    assert "where a fact is missing or too unclear it counts all the same" in finding.sentence


def test_an_obligation_that_never_arises_is_found() -> None:
    when = "{epsilon at most: 1, epsilon more than: 1}"
    policy = form(f"oblige: [{{action: use, when: {when}, duty: {{do: delete, when: after}}}}]")
    assert found("never-arises", policy)


def test_a_condition_that_excludes_nothing_is_found() -> None:
    policy = form("permit: [{action: use, when: {any of: [{epsilon at most: 3}, {epsilon more than: 3}]}}]")
    assert "excludes nothing" in found("vacuous", policy)[0].sentence
    assert not found("vacuous", form("permit: [{action: use, when: {epsilon at most: 3}}]"))


def test_conditions_and_cases_that_make_no_difference_are_found() -> None:
    idle = form("permit: [{action: use, when: {all of: [{epsilon at most: 3}, {epsilon at most: 4}]}}]")
    (finding,) = found("idle-condition", idle)
    assert finding.sentence.endswith("the privacy loss ε of this release is at most 4")
    dead = form(
        "permit: [{action: use, when: {any of: [{epsilon at most: 3}, {epsilon at most: 2, delta at most: 1}]}}]"
    )
    (finding,) = found("dead-case", dead)
    assert "the privacy failure probability δ is at most 1" in finding.sentence
    # A fact that must be stated is a condition, even if every value will do.
    assert not found("idle-condition", form("permit: [{action: use, when: {epsilon at most: 3, delta at least: 0}}]"))
    never = "{exactly one of: [{epsilon at most: 1}, {epsilon at most: 1, epsilon more than: 2}]}"
    assert found("dead-case", form(f"permit: [{{action: use, when: {never}}}]"))


def test_an_exception_that_never_helps_is_found() -> None:
    dead = form(
        "permit: [{action: use}]\nforbid: [{action: link, when: {epsilon more than: 5}, unless: {epsilon at most: 4}}]"
    )
    assert found("dead-exception", dead)
    living = form(
        "permit: [{action: use}]\nforbid: [{action: link, when: {epsilon more than: 3}, unless: {epsilon at most: 4}}]"
    )
    assert not found("dead-exception", living)


def test_a_rule_that_others_cover_is_redundant_and_the_covering_ones_are_named() -> None:
    policy = form("""
permit:
  - {id: low, action: synthesise, when: {epsilon at most: 3}}
  - {id: high, action: synthesise, when: {epsilon more than: 3}}
  - {id: middle, action: synthesise, when: {epsilon at least: 2, all of: [{epsilon at most: 4}]}}
""")
    (finding,) = found("redundant", policy)
    assert finding.rule == f"{policy.id}#middle"
    assert "high and low together say" in finding.sentence
    duties = form("permit: [{id: a, action: use}, {id: b, action: use, duties: {do: delete, when: after}}]")
    assert not found("redundant", duties), "one that brings other duties is not"


def test_of_two_equal_rules_only_one_is_redundant() -> None:
    assert len(found("redundant", form("permit: [{id: a, action: use}, {id: b, action: use}]"))) == 1


def test_a_prohibition_that_stands_for_another_article_is_only_noted() -> None:
    policy = form("""
permit: [{action: discover}]
forbid:
  - {id: wide, action: use, law: EHDS 54}
  - {id: narrow, action: link, law: "GDPR 5(1)(b)"}
""")
    (finding,) = found("redundant", policy, notes=True)
    assert finding.severity == "note"
    assert "only the article it names" in finding.sentence


def test_the_same_duty_with_two_deadlines_is_found_with_a_request_that_gets_both() -> None:
    policy = form("""
permit: [{id: p, action: use, duties: [{do: delete, when: after, within: P30D}]}]
oblige: [{id: o, action: synthesise, duty: {do: delete, when: after, within: P60D}}]
""")
    (finding,) = found("overlapping-duties", policy)
    assert finding.witness is not None
    act, synthesise = finding.witness.action, V.actions.resolve("synthesise")
    assert V.actions.is_a(act, synthesise) or V.actions.is_a(synthesise, act)


# rules against each other --------------------------------------------------------------------


def test_shadowed_rules_are_found_inside_a_policy_and_between_layers() -> None:
    shadowed = form("""
permit: [{action: synthesise, when: {purpose is: dpv:Advertising, epsilon at most: 6}}]
forbid: [{action: process data, when: {purpose is: dpv:Marketing}}]
confirmed: {epsilon: agreed}
""")
    assert codes(shadowed) == {"shadowed"}
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


def test_several_prohibitions_together_can_shadow() -> None:
    policy = form("""
permit: [{action: synthesise, when: {epsilon at most: 6}}]
forbid:
  - {id: low, action: use, when: {epsilon at most: 3}}
  - {id: high, action: use, when: {epsilon more than: 3}}
confirmed: {epsilon: agreed}
""")
    (finding,) = found("shadowed", policy)
    assert "high" in finding.sentence
    assert "low" in finding.sentence


@pytest.mark.article("EHDS 54")
def test_what_the_law_always_forbids_is_never_permitted_and_a_request_shows_it() -> None:
    policy = form("permit: [{action: synthesise, when: {purpose is: dpv:Advertising}}]")
    assert codes(policy, LAW) == {"never-permits"}
    (finding,) = found("never-permits", policy, LAW)
    assert "EHDS 54(c)" in finding.sentence
    assert finding.witness is not None
    open_layers = [
        replace(form("permit: [{action: use}]", layer=layer), id=f"{BASE}/{layer}")
        for layer in ("dataset", "agreement")
    ]
    decision = decide(compile_policies([LAW, policy, *open_layers], V), finding.witness)
    assert any(reason.rule == f"{LAW.id}#ehds-54-c" for reason in decision.reasons)


def test_other_layers_conflict_in_both_directions() -> None:
    site = form("permit: [{id: s, action: synthesise, when: {purpose is: education}}]")
    dataset = form("permit: [{action: discover}]\nforbid: [{id: d, action: process data}]", layer="dataset")
    assert "d of the layer 'dataset' forbids" in found("conflict", site, dataset)[0].sentence
    (finding,) = found("conflict", dataset, site)
    assert finding.rule == f"{dataset.id}#d"
    assert "s of the layer 'site'" in finding.sentence


def test_acts_terms_and_cases_that_are_always_forbidden_are_named() -> None:
    policy = form("""
permit:
  - action: [synthesise, reidentify]
    when:
      purpose is: [dpv:Advertising, education]
      any of:
        - epsilon at most: 6
        - legal basis is: explicit consent
          consent state is: withdrawn
confirmed: {epsilon: agreed}
""")
    said = " ".join(finding.sentence for finding in found("part-forbidden", policy, LAW))
    assert "to try to identify a person" in said
    assert "the purpose advertising" in said
    assert "the state of consent is withdrawn" in said
    assert all(finding.witness for finding in found("part-forbidden", policy, LAW))


def test_a_permission_that_nothing_meets_is_noted() -> None:
    site = form("permit: [{action: synthesise, when: {purpose is: education}}]")
    dataset = form("permit: [{action: synthesise, when: {purpose is: statistics}}]", layer="dataset")
    assert "layer 'dataset'" in found("unmatched", site, dataset, notes=True)[0].sentence
    assert not found("unmatched", site, form("permit: [{action: use}]", layer="dataset"), notes=True)


# what rules rest on --------------------------------------------------------------------------


def test_purposes_that_are_too_wide_are_found() -> None:
    listed = form("permit: [{action: synthesise, when: {purpose is: syn:Art53Purpose}}]")
    assert "lists apart" in found("purpose-too-wide", listed)[0].sentence
    policy = form("""
permit: [{action: synthesise, when: {purpose is: health research}}]
forbid: [{action: use, when: {purpose is: training of algorithms}}]
""")
    assert "also takes in what is always forbidden" in found("purpose-too-wide", policy)[0].sentence
    assert not found("purpose-too-wide", template("research-synthetic-data"), LAW)
    assert found("no-purpose", form("permit: [{action: use}]"), notes=True)


def test_thresholds_need_a_confirmation_with_a_reason() -> None:
    policy = form("permit: [{action: use, when: {epsilon at most: 6, all of: [{epsilon at most: epsilon remaining}]}}]")
    (finding,) = analyse(policy, V)
    assert finding.severity == "error"
    assert finding.sentence.startswith("site decision required: the threshold for the privacy loss ε")
    assert codes(form("permit: [{action: use}]\nconfirmed: {epsilon: agreed}")) == {"idle-confirmation"}


def test_each_threshold_is_acknowledged_by_a_name_of_its_own() -> None:
    policy = form("permit: [{action: use, when: {epsilon at most: 6, delta at most: 0.1}}]")
    assert len({finding.key for finding in found("threshold-unconfirmed", policy)}) == 2


def test_a_rule_needs_a_law() -> None:
    policy = form("permit: [{action: use}]")
    assert codes(Policy(policy.id, policy.layer, "1", "x", policy.rules)) == {"no-law"}


def test_articles_without_a_rule_at_hand_are_noted() -> None:
    policy = template("research-synthetic-data")
    alone = {finding.about: finding.sentence for finding in found("missing-law", policy, notes=True)}
    assert "EHDS 54" in alone["pack"]
    beside = {f.about: f.sentence for f in found("missing-law", policy, LAW, example_member_state_law(V), notes=True)}
    assert "pack" not in beside
    assert "EHDS 57" in beside["people"]


def test_terms_that_are_given_up_are_found() -> None:
    purpose = "https://w3id.org/dpv#Advertising"
    terms = [
        replace(term, deprecated=True, replaced_by="https://w3id.org/dpv#Marketing") if term.iri == purpose else term
        for term in V.purposes
    ]
    older = Vocabulary(V.version, {**V.schemes, "Purposes": Hierarchy("purpose", terms)}, V.operands)
    policy = form("permit: [{action: use, when: {purpose is: dpv:Advertising}}]")
    (finding,) = [each for each in analyse(policy, older) if each.code == "deprecated-term"]
    assert finding.fix == f"use '{V.label('https://w3id.org/dpv#Marketing')}'"


# how findings are told -----------------------------------------------------------------------


def test_a_finding_names_file_and_line() -> None:
    text = """\
policy: small
title: Small
layer: site
version: 1
law: GDPR 9(2)(j)
permit:
  - action: use
  - id: never
    action: use
    when: {epsilon at most: 1, epsilon more than: 1}
"""
    policy = form(text.partition("law: GDPR 9(2)(j)\n")[2])
    places = rule_places(text.replace("policy: small", "policy: small-site"), "small.yaml", policy)
    (finding,) = [f for f in placed(analyse(policy, V), places) if f.code == "never-applies"]
    assert finding.where == "small.yaml:8"
    assert finding.record()["where"] == "small.yaml:8"
    assert places[f"{policy.id}#permit-1"] == "small.yaml:7"


def test_what_cannot_be_decided_is_a_finding_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "available", lambda: False)
    policy = template("research-synthetic-data")
    unknown = [f for f in analyse(policy, V, [LAW], limit=3) if f.code == "undecided"]
    assert unknown
    assert "install the extra [analysis]" in unknown[0].fix
    assert "because there are more than 3 nodes" in unknown[0].sentence


@pytest.mark.skipif(not solver.available(), reason="the extra [analysis] is not installed")
def test_the_solver_decides_what_the_algebra_cannot() -> None:
    policy = form("permit: [{action: use, when: {epsilon at most: 1, epsilon more than: 1}}]")
    assert "never-applies" in {finding.code for finding in analyse(policy, V, limit=2)}
    ground = Ground(policy, (), V, {}, limit=2)
    reply = ground.some(lambda logic: logic.counts(logic.rule(ground.own_of(Kind.PERMISSION)[0])))
    assert (str(reply.answered), reply.by) == ("yes", "z3")
